"""The layout for comparing: original, denoised and difference beside each other, their views linked.

It is plain MRML: the layout node asks for the views, the slice view nodes and their composites are set here.
"""

import vtk

from FaithfulImagingLib import layout
from FaithfulImagingLib.layout import compositeOf, sliceLogicOf, sliceNodeOf

LAYOUT_ID = 20716  # Slicer's own are below 100
VIEWS = {"original": "FIOriginal", "denoised": "FIDenoised", "difference": "FIDifference"}
LABELS = {"original": "Original", "denoised": "Denoised", "difference": "Difference"}
COLORS = {"original": "#8c8c8c", "denoised": "#2e7fb8", "difference": "#b8862e"}
VIEW_GROUP = LAYOUT_ID  # linked with each other, not with the views of other layouts
REFERENCE_VIEWS = ("Red", "Green", "Yellow")


def registerLayout() -> None:
    """Make the layout known, so that scenes saved with it open with it."""
    layout.register(LAYOUT_ID, _description())


def comparing() -> bool:
    """Whether the layout is shown."""
    return layout.isShown(LAYOUT_ID)


def enterLayout() -> int:
    """Show the layout; gives the one that was shown before, 0 where that is not known."""
    return layout.enter(LAYOUT_ID, _description())


def leaveLayout(before: int) -> None:
    """Show the layout that was shown before; only from this one, where the user has not chosen another meanwhile."""
    layout.leave(LAYOUT_ID, before)


def viewToPreview(inputVolume):
    """The slice view that the user looks at: of the comparison, else one that shows the input, else the red one."""
    if comparing():
        return sliceNodeOf(VIEWS["original"])
    shown = [
        sliceNodeOf(name)
        for name in REFERENCE_VIEWS
        if (view := compositeOf(name)) and _shows(view, inputVolume) and _visible(name)
    ]
    return shown[0] if shown else sliceNodeOf("Red")


def showVolumes(volumes: dict) -> None:
    """Show volumes in the three views, linked.

    Parameters
    ----------
    volumes : dict
        vtkMRMLScalarVolumeNode or None by the names in :data:`VIEWS`.
    """
    for name, volume in volumes.items():
        view = compositeOf(VIEWS[name])
        if view:
            view.SetBackgroundVolumeID(volume.GetID() if volume else None)
            view.SetForegroundVolumeID(None)
            view.SetLinkedControl(True)
            view.SetHotLinkedControl(True)
            sliceNodeOf(VIEWS[name]).SetViewGroup(VIEW_GROUP)


def lookAt(reference, inputVolume, first=None) -> None:
    """Turn the three views to where another one looks, each filled with the volume.

    Parameters
    ----------
    reference : vtkMRMLSliceNode
    inputVolume : vtkMRMLScalarVolumeNode
        The views are turned into the plane of its slices if ``first`` is given.
    first : point, optional
        RAS in mm; a point of the slice to show.
    """
    for name in VIEWS.values():
        node = sliceNodeOf(name)
        if node is None or node is reference:
            continue
        node.GetSliceToRAS().DeepCopy(reference.GetSliceToRAS())
        node.UpdateMatrices()
    for name in VIEWS.values():
        node = sliceNodeOf(name)
        if node is None:
            continue
        if first is not None:
            node.SetOrientation(_orientationOf(inputVolume))
            node.RotateToVolumePlane(inputVolume)
        logic = sliceLogicOf(name)
        if logic:
            logic.FitSliceToAll()
        centre = first if first is not None else [reference.GetSliceToRAS().GetElement(row, 3) for row in range(3)]
        node.JumpSliceByOffsetting(*centre)


def _orientationOf(volume) -> str:
    """The standard orientation that is nearest to the plane of a volume's slices."""
    ijkToRas = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(ijkToRas)
    along = [abs(ijkToRas.GetElement(row, 2)) for row in range(3)]
    return ("Sagittal", "Coronal", "Axial")[along.index(max(along))]


def _shows(view, volume) -> bool:
    return volume is not None and volume.GetID() in (view.GetBackgroundVolumeID(), view.GetForegroundVolumeID())


def _visible(viewName: str) -> bool:
    return bool(sliceNodeOf(viewName).IsMappedInLayout())


def _description() -> str:
    views = (layout.sliceViewXml(VIEWS[name], LABELS[name], COLORS[name]) for name in VIEWS)
    return '<layout type="horizontal" split="true">' + "".join(f"<item>{view}</item>" for view in views) + "</layout>"
