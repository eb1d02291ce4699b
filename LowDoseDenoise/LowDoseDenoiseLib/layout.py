"""The layout for comparing: original, denoised and difference beside each other, their views linked.

It is plain MRML: the layout node asks for the views, the slice view nodes and their composites are set here.
"""

import slicer
import vtk

LAYOUT_ID = 20716  # Slicer's own are below 100
VIEWS = {"original": "FIOriginal", "denoised": "FIDenoised", "difference": "FIDifference"}
LABELS = {"original": "Original", "denoised": "Denoised", "difference": "Difference"}
COLORS = {"original": "#8c8c8c", "denoised": "#2e7fb8", "difference": "#b8862e"}
USUAL_LAYOUT = 3  # four views
VIEW_GROUP = LAYOUT_ID  # linked with each other, not with the views of other layouts
REFERENCE_VIEWS = ("Red", "Green", "Yellow")


def layoutNode():
    """The scene's layout node; None where there is no application."""
    return slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode")


def registerLayout() -> None:
    """Make the layout known, so that scenes saved with it open with it."""
    node = layoutNode()
    if node and not node.IsLayoutDescription(LAYOUT_ID):
        node.AddLayoutDescription(LAYOUT_ID, _description())


def comparing() -> bool:
    """Whether the layout is shown."""
    node = layoutNode()
    return bool(node) and node.GetViewArrangement() == LAYOUT_ID


def enterLayout() -> int:
    """Show the layout.

    Returns
    -------
    int
        The one that was shown before; 0 where that is not known.
    """
    registerLayout()
    node = layoutNode()
    before = 0 if comparing() else node.GetViewArrangement()
    node.SetViewArrangement(LAYOUT_ID)
    return before


def leaveLayout(before: int) -> None:
    """Show the layout that was shown before; only from this one, where the user has not chosen another meanwhile."""
    if comparing():
        layoutNode().SetViewArrangement(before if before not in (0, LAYOUT_ID) else USUAL_LAYOUT)


def compositeOf(viewName: str):
    """What says which volumes a slice view shows; None where there is no such view."""
    views = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    return next((view for view in views if view.GetLayoutName() == viewName), None)


def sliceNodeOf(viewName: str):
    """What says where a slice view looks; None where there is no such view."""
    nodes = slicer.util.getNodesByClass("vtkMRMLSliceNode")
    return next((node for node in nodes if node.GetLayoutName() == viewName), None)


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
        logic = _sliceLogic(name)
        if logic:
            logic.FitSliceToAll()
        centre = first if first is not None else [reference.GetSliceToRAS().GetElement(row, 3) for row in range(3)]
        node.JumpSliceByOffsetting(*centre)


def _sliceLogic(viewName: str):
    application = getattr(slicer, "app", None)
    return application.applicationLogic().GetSliceLogicByLayoutName(viewName) if application else None


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
    items = "".join(
        f'<item><view class="vtkMRMLSliceNode" singletontag="{VIEWS[name]}">'
        '<property name="orientation" action="default">Axial</property>'
        f'<property name="viewlabel" action="default">{LABELS[name]}</property>'
        f'<property name="viewcolor" action="default">{COLORS[name]}</property>'
        "</view></item>"
        for name in VIEWS
    )
    return f'<layout type="horizontal" split="true">{items}</layout>'
