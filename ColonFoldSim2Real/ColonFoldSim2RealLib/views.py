"""Layouts: frames, their translation, what was found and 3D beside each other; the endoscope's view beside 3D."""

import slicer

from FaithfulImagingLib import layout
from FaithfulImagingLib.layout import compositeOf, sliceLogicOf, sliceNodeOf

from .frames import COMPARED, FOLDS, FOUND, FRAMES, TRANSLATED, sequenceOf, shown

OPACITY = 0.45  # of folds over frames
FRAMES_LAYOUT, FLIGHT_LAYOUT = 20717, 20718  # Slicer's own are below 100
VIEWS = {"endoscope": "FIEndoscope", "translated": "FITranslated", "overlay": "FIOverlay"}
LABELS = {"endoscope": "Endoscope", "translated": "Translated", "overlay": "Folds"}
COLORS = {"endoscope": "#8c8c8c", "translated": "#2e7fb8", "overlay": "#b8862e"}
CAMERA_VIEW = "FIEndoscope3D"


def registerLayouts() -> None:
    """Make the layouts known, so that scenes saved with them open with them."""
    layout.register(FRAMES_LAYOUT, _framesLayout())
    layout.register(FLIGHT_LAYOUT, _flightLayout())


def enterFrames() -> None:
    """Show the frames' layout; the one before comes back by :func:`leave`."""
    _enter(FRAMES_LAYOUT, _framesLayout())


def enterFlight() -> None:
    """Show the flight's layout; the one before comes back by :func:`leave`."""
    _enter(FLIGHT_LAYOUT, _flightLayout())


def leave() -> None:
    """Show the layout that was shown before; only from one of these."""
    for number in (FRAMES_LAYOUT, FLIGHT_LAYOUT):
        layout.leave(number, _before["layout"])


def showFrames(browser) -> None:
    """Frames with their true folds, their translation, and found folds over what they were found in."""
    frames, translated = shown(browser, FRAMES), shown(browser, TRANSLATED)
    found = shown(browser, COMPARED) or shown(browser, FOUND)
    content = {
        "endoscope": (frames, shown(browser, FOLDS)),
        "translated": (translated, None),
        "overlay": (translated or frames, found),
    }
    for name, (picture, folds) in content.items():
        view, node = compositeOf(VIEWS[name]), sliceNodeOf(VIEWS[name])
        if view is None or node is None:
            continue
        view.SetBackgroundVolumeID(picture.GetID() if picture else None)
        view.SetForegroundVolumeID(None)
        view.SetLabelVolumeID(folds.GetID() if folds else None)
        view.SetLabelOpacity(OPACITY)
        node.SetOrientation("Axial")
        logic = sliceLogicOf(VIEWS[name])
        if logic:
            logic.FitSliceToAll()


def lookThrough(cameraNode) -> None:
    """Let the endoscope's 3D view look through a camera, and no other camera be its."""
    if cameraNode.GetLayoutName() != CAMERA_VIEW:
        for other in slicer.util.getNodesByClass("vtkMRMLCameraNode"):
            if other is not cameraNode and other.GetLayoutName() == CAMERA_VIEW:
                other.SetLayoutName(None)
        cameraNode.SetLayoutName(CAMERA_VIEW)


def kindsOf(browser) -> list[str]:
    """What a browser holds of each frame."""
    return [kind for kind in (FRAMES, TRANSLATED, FOLDS, FOUND) if sequenceOf(browser, kind)]


_before = {"layout": 0}


def _enter(number: int, description: str) -> None:
    own = layout.isShown(FRAMES_LAYOUT) or layout.isShown(FLIGHT_LAYOUT)
    before = layout.enter(number, description)
    if not own and before:
        _before["layout"] = before


def _framesLayout() -> str:
    slices = [f"<item>{layout.sliceViewXml(VIEWS[name], LABELS[name], COLORS[name])}</item>" for name in VIEWS]
    threeD = f"<item>{layout.view3DXml('1', '3D')}</item>"
    rows = (slices[0] + slices[1], slices[2] + threeD)
    return (
        '<layout type="vertical" split="true">'
        + "".join(f'<item><layout type="horizontal" split="true">{row}</layout></item>' for row in rows)
        + "</layout>"
    )


def _flightLayout() -> str:
    views = (layout.view3DXml(CAMERA_VIEW, "E"), layout.view3DXml("1", "3D"))
    return '<layout type="horizontal" split="true">' + "".join(f"<item>{view}</item>" for view in views) + "</layout>"
