"""Which frames the slice views show, and the endoscope's view in 3D."""

import slicer

from .frames import FOLDS, FOUND, FRAMES, TRANSLATED, sequenceOf, shown

OPACITY = 0.45  # of folds over frames


def showFrames(browser) -> None:
    """Frames in red, their translation in green, what was found in yellow; folds laid over all that have some."""
    frames, translated = shown(browser, FRAMES), shown(browser, TRANSLATED)
    true, found = shown(browser, FOLDS), shown(browser, FOUND)
    content = {"Red": (frames, true), "Green": (translated or frames, found), "Yellow": (translated or frames, None)}
    for name, (picture, folds) in content.items():
        view = _compositeOf(name)
        if view is None:
            continue
        view.SetBackgroundVolumeID(picture.GetID() if picture else None)
        view.SetForegroundVolumeID(None)
        view.SetLabelVolumeID(folds.GetID() if folds else None)
        view.SetLabelOpacity(OPACITY)
        node = _sliceNodeOf(name)
        if node:
            node.SetOrientation("Axial")
    _fit()


def lookThrough(cameraNode) -> None:
    """Let the first 3D view look through a camera."""
    view = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLViewNode")
    if view and cameraNode and cameraNode.GetLayoutName() != view.GetLayoutName():
        for other in slicer.util.getNodesByClass("vtkMRMLCameraNode"):
            if other is not cameraNode and other.GetLayoutName() == view.GetLayoutName():
                other.SetLayoutName(None)
        cameraNode.SetLayoutName(view.GetLayoutName())


def kindsOf(browser) -> list[str]:
    """What a browser holds of each frame."""
    return [kind for kind in (FRAMES, TRANSLATED, FOLDS, FOUND) if sequenceOf(browser, kind)]


def _compositeOf(viewName: str):
    views = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    return next((view for view in views if view.GetLayoutName() == viewName), None)


def _sliceNodeOf(viewName: str):
    nodes = slicer.util.getNodesByClass("vtkMRMLSliceNode")
    return next((node for node in nodes if node.GetLayoutName() == viewName), None)


def _fit() -> None:
    application = getattr(slicer, "app", None)
    if application is None or not hasattr(application, "applicationLogic"):
        return
    for name in ("Red", "Green", "Yellow"):
        logic = application.applicationLogic().GetSliceLogicByLayoutName(name)
        if logic:
            logic.FitSliceToAll()
