"""A module's own layout of views: known to the application, shown, and left for the one that was shown before.

It is plain MRML: the layout node asks for the views; what they show is set on their own nodes.
"""

import slicer

USUAL_LAYOUT = 3  # four views


def layoutNode():
    """The scene's layout node; None where there is no application."""
    return slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode")


def register(layoutId: int, description: str) -> None:
    """Make a layout known, so that scenes saved with it open with it."""
    node = layoutNode()
    if node and not node.IsLayoutDescription(layoutId):
        node.AddLayoutDescription(layoutId, description)


def isShown(layoutId: int) -> bool:
    """Whether the layout is shown."""
    node = layoutNode()
    return bool(node) and node.GetViewArrangement() == layoutId


def enter(layoutId: int, description: str) -> int:
    """Show the layout.

    Returns
    -------
    int
        The one that was shown before; 0 where that is not known.
    """
    register(layoutId, description)
    node = layoutNode()
    if node is None:
        return 0
    before = 0 if isShown(layoutId) else node.GetViewArrangement()
    node.SetViewArrangement(layoutId)
    return before


def leave(layoutId: int, before: int) -> None:
    """Show the layout that was shown before; only from this one, where the user has not chosen another meanwhile."""
    if isShown(layoutId):
        layoutNode().SetViewArrangement(before if before not in (0, layoutId) else USUAL_LAYOUT)


def compositeOf(viewName: str):
    """What says which volumes a slice view shows; None where there is no such view."""
    views = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    return next((view for view in views if view.GetLayoutName() == viewName), None)


def sliceNodeOf(viewName: str):
    """What says where a slice view looks; None where there is no such view."""
    nodes = slicer.util.getNodesByClass("vtkMRMLSliceNode")
    return next((node for node in nodes if node.GetLayoutName() == viewName), None)


def sliceLogicOf(viewName: str):
    """The logic of a slice view; None where there is no application."""
    application = getattr(slicer, "app", None)
    if application is None or not hasattr(application, "applicationLogic"):
        return None
    return application.applicationLogic().GetSliceLogicByLayoutName(viewName)


def sliceViewXml(viewName: str, label: str, color: str) -> str:
    """An axial slice view, as a layout's description names it."""
    return (
        f'<view class="vtkMRMLSliceNode" singletontag="{viewName}">'
        '<property name="orientation" action="default">Axial</property>'
        f'<property name="viewlabel" action="default">{label}</property>'
        f'<property name="viewcolor" action="default">{color}</property>'
        "</view>"
    )


def view3DXml(viewName: str, label: str) -> str:
    """A 3D view, as a layout's description names it."""
    return (
        f'<view class="vtkMRMLViewNode" singletontag="{viewName}">'
        f'<property name="viewlabel" action="default">{label}</property>'
        "</view>"
    )
