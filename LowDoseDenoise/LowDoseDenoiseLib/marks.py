"""Every slice view that shows a denoised volume says so in its corner, whatever module is open."""

import slicer
import vtk
from slicer.i18n import tr as _

from .preview import PREVIEW_REFERENCE
from .run import REPORT_ATTRIBUTE

CORNER = 3  # upper right, where Slicer itself writes least


_marks: "ViewMarks | None" = None


def watchViews() -> None:
    """Begin to mark the application's slice views; called again, look at them anew."""
    global _marks
    if _marks is None:
        _marks = ViewMarks()
    else:
        _marks.update()


def stopWatchingViews() -> None:
    """Take the marks away."""
    global _marks
    if _marks:
        _marks.stop()
    _marks = None


def isDenoised(volume) -> bool:
    """Whether a volume's voxels were denoised, here or before it was loaded with its scene."""
    return bool(volume) and bool(volume.GetAttribute(REPORT_ATTRIBUTE) or volume.GetNodeReferenceID(PREVIEW_REFERENCE))


def markOf(view) -> str:
    """What the corner of a slice view has to say, by its vtkMRMLSliceCompositeNode."""
    scene = slicer.mrmlScene
    volumes = [scene.GetNodeByID(view.GetBackgroundVolumeID() or "")]
    if view.GetForegroundOpacity() > 0:
        volumes.append(scene.GetNodeByID(view.GetForegroundVolumeID() or ""))
    return _("DENOISED, research use") if any(map(isDenoised, volumes)) else ""


class ViewMarks:
    """Writes into the corners, and keeps them right while volumes, views and scenes come and go.

    Parameters
    ----------
    rendererOf : callable
        The vtkRenderer of a slice view by its name; None where there is none.
    """

    def __init__(self, rendererOf=None) -> None:
        self._rendererOf = rendererOf or sliceRenderer
        self._annotations: dict[str, tuple] = {}
        self._observed: dict[str, tuple] = {}
        scene = slicer.mrmlScene
        events = (scene.NodeAddedEvent, scene.NodeRemovedEvent, scene.EndBatchProcessEvent)  # the last: load and close
        self._sceneTags = [scene.AddObserver(event, self.update) for event in events]
        self.update()

    def stop(self) -> None:
        """Take the marks away."""
        for tag in self._sceneTags:
            slicer.mrmlScene.RemoveObserver(tag)
        for view, tag in self._observed.values():
            view.RemoveObserver(tag)
        for renderer, annotation in self._annotations.values():
            renderer.RemoveViewProp(annotation)
        self._sceneTags, self._observed, self._annotations = [], {}, {}

    def update(self, caller=None, event=None) -> None:
        """Look at all slice views."""
        if slicer.mrmlScene.IsBatchProcessing():
            return
        for view in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
            if view.GetID() not in self._observed or self._observed[view.GetID()][0] is not view:
                self._observed[view.GetID()] = (view, view.AddObserver(vtk.vtkCommand.ModifiedEvent, self._viewChanged))
            self._mark(view)

    def textOf(self, viewName: str) -> str:
        """What is written in a view's corner now."""
        return self._annotations[viewName][1].GetText(CORNER) or "" if viewName in self._annotations else ""

    def _viewChanged(self, view, event) -> None:
        self._mark(view)

    def _mark(self, view) -> None:
        name, text = view.GetLayoutName(), markOf(view)
        renderer = self._rendererOf(name) if name else None
        if renderer is None:
            return
        there = self._annotations.get(name)
        if there and (not text or there[0] is not renderer):  # no view is held that has nothing to say
            there[0].RemoveViewProp(there[1])
            del self._annotations[name]
        if text and name not in self._annotations:
            self._annotations[name] = (renderer, _annotation(text))
            renderer.AddViewProp(self._annotations[name][1])
        if bool(there) != bool(text):
            _draw(name)


def sliceRenderer(viewName: str):
    """The renderer of one of the application's slice views."""
    manager = slicer.app.layoutManager() if hasattr(slicer, "app") else None
    widget = manager.sliceWidget(viewName) if manager else None
    view = widget.sliceView() if widget else None
    if view is None or not hasattr(view, "renderWindow"):
        return None
    return view.renderWindow().GetRenderers().GetFirstRenderer()


def _draw(viewName: str) -> None:
    manager = slicer.app.layoutManager() if hasattr(slicer, "app") else None
    widget = manager.sliceWidget(viewName) if manager else None
    if widget:
        widget.sliceView().scheduleRender()


def _annotation(text: str):
    annotation = vtk.vtkCornerAnnotation()
    annotation.SetText(CORNER, text)
    annotation.SetMaximumFontSize(14)
    annotation.SetNonlinearFontScaleFactor(1)
    letters = annotation.GetTextProperty()
    letters.SetColor(1.0, 0.85, 0.2)
    letters.SetBold(True)
    letters.SetShadow(True)
    return annotation
