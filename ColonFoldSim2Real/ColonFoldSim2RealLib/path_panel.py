"""The panel's section with the path: found, edited, and flown."""

import vtk

from inference_core.errors import UserError

from .camera import applyView, cameraOf, showMarker
from .folds import placeFolds
from .path import ENDS_REFERENCE, flight
from .views import enterFlight, lookThrough


class PathPanel:
    """Keeps the slider on the path that is chosen, however it is edited."""

    def __init__(self, ui, host) -> None:
        self.ui, self._host = ui, host
        self._curve = self._colon = None
        self._tags: list = []
        self._views: list | None = None  # made when they are first flown, and again where the path changed
        ui.pathButton.connect("clicked(bool)", self.onFind)
        ui.pathSlider.connect("valueChanged(int)", self.onFly)

    def onFind(self) -> None:
        """Begin to find the path; between the ends that are set, if some are."""
        self._host.begin(
            lambda parameters: self._host.logic.findPath(
                parameters.colon or parameters.surface, parameters.pathEnds, parameters.path
            ),
            self._found,
        )

    def onFly(self, position: int) -> None:
        """Put the camera where the slider says."""
        views = self._flight()
        if views:
            view = views[min(position, len(views) - 1)]
            camera = cameraOf(self._curve)
            lookThrough(camera)
            enterFlight()
            applyView(camera, view)
            showMarker(view)

    def show(self, parameters, free: bool) -> None:
        """Show the path that is chosen."""
        curve = parameters.path if parameters else None
        if curve is not self._curve:
            self._watch(curve)
        elif parameters and parameters.colon is not self._colon:
            self._changed()
        self.ui.pathButton.enabled = free and bool(parameters.colon or parameters.surface)
        self.ui.pathSlider.enabled = curve is not None

    def stop(self) -> None:
        """Watch nothing any longer."""
        self._watch(None)

    def _found(self, run) -> None:
        parameters = self._host.parameters
        parameters.path, parameters.pathEnds = run.curve, run.ends
        self._changed()

    def _watch(self, curve) -> None:
        for tag in self._tags:
            self._curve.RemoveObserver(tag)
        self._curve, self._tags = curve, []
        if curve:
            for event in (curve.PointModifiedEvent, curve.PointAddedEvent, curve.PointRemovedEvent):
                self._tags.append(curve.AddObserver(event, self._changed))
            self._tags.append(curve.AddObserver(vtk.vtkCommand.ModifiedEvent, self._changed))
            ends = curve.GetNodeReference(ENDS_REFERENCE)
            if ends and not self._host.parameters.pathEnds:
                self._host.parameters.pathEnds = ends
        self._changed()

    def _changed(self, caller=None, event=None) -> None:
        self._views = None
        self.ui.pathSlider.maximum = int(self._curve.GetCurveLengthWorld()) if self._curve else 0
        self._colon = self._host.parameters.colon
        if self._colon:
            try:
                placeFolds(self._colon, self._curve)
            except UserError:  # a path of one point so far
                placeFolds(self._colon, None)
            self._host.showFolds()

    def _flight(self) -> list:
        if self._views is None and self._curve:
            try:
                self._views = flight(self._curve)
            except UserError as error:
                self.ui.statusLabel.text = str(error)
        return self._views or []
