"""The path through the colon: a curve that the user edits, found by the worker, flown by a camera."""

import json
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _
from vtk.util import numpy_support

from FaithfulImagingLib.geometry import RAS_TO_LPS
from FaithfulImagingLib.job_run import JobRun
from inference_core.errors import UserError
from inference_core.scratch import scratch_folder
from inference_core.simulation.colon.path.curve import arc_length, evenly_spaced, parallel_transport

from .camera import FOCUS, View
from .surface import writeSurface

ENDS_REFERENCE = "FaithfulImaging.pathEnds"
STEP = 1.0  # mm between two places of a flight
AHEAD = 15  # places further on that the camera looks at
ANGLE = 90.0  # degrees across the view's height
SHORTEST = 2  # control points of a path


class PathRun(JobRun):
    """Find the line along the middle of a colon.

    Attributes
    ----------
    curve : vtkMRMLMarkupsCurveNode or None
        With few control points, once it is there.
    ends : vtkMRMLMarkupsFiducialNode or None
        Where it begins and where it ends.
    """

    def __init__(self, modelNode, ends, curve, python: str) -> None:
        """``ends``: fiducials, the first two are used, or None; ``curve``: to be changed, or None for a new one."""
        self.curve, self.ends = curve, ends
        self._name = modelNode.GetName()
        self._files = ExitStack()
        folder = Path(self._files.enter_context(scratch_folder()))
        self._output = folder / "path.mrk.json"
        try:
            writeSurface(modelNode, folder / "colon.vtp")
        except BaseException:
            self._files.close()
            raise
        job = {"job": "colon-path", "input": str(folder / "colon.vtp"), "output": str(self._output)}
        given = worldPoints(ends) @ RAS_TO_LPS[:3, :3] if ends else np.zeros((0, 3))
        job |= {name: place.tolist() for name, place in zip(("start", "end"), given, strict=False)}
        super().__init__(job, python, [node for node in (modelNode, curve, ends) if node])

    def _take(self, report: dict) -> None:
        controls = json.loads(self._output.read_text(encoding="utf-8"))["markups"][0]["controlPoints"]
        places = np.array([point["position"] for point in controls]) @ RAS_TO_LPS[:3, :3]
        if self.curve is None:
            name = slicer.mrmlScene.GenerateUniqueName(_("{name} path").format(name=self._name))
            self.curve = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsCurveNode", name)
            self.curve.CreateDefaultDisplayNodes()
            if self.curve.GetDisplayNode():
                self.curve.GetDisplayNode().SetPointLabelsVisibility(False)
        if self.ends is None:
            name = slicer.mrmlScene.GenerateUniqueName(_("{name} path ends").format(name=self._name))
            self.ends = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", name)
            self.ends.CreateDefaultDisplayNodes()
        setWorldPoints(self.curve, places)
        setWorldPoints(self.ends, places[[0, -1]])
        self.ends.SetNthControlPointLabel(0, _("start"))
        self.ends.SetNthControlPointLabel(1, _("end"))
        self.curve.SetNodeReferenceID(ENDS_REFERENCE, self.ends.GetID())

    def _doneText(self, report: dict) -> str:
        return _("A path of {length:.0f} mm. Drag its points to change it.").format(length=report["length_mm"])

    def _letGo(self) -> None:
        super()._letGo()
        self._files.close()


def worldPoints(markups) -> np.ndarray:
    """(n, 3) places of the control points that are set, RAS of the world, mm."""
    places = np.zeros((markups.GetNumberOfControlPoints(), 3))
    for index, place in enumerate(places):
        markups.GetNthControlPointPositionWorld(index, place)
    defined = [markups.GetNthControlPointPositionStatus(k) == markups.PositionDefined for k in range(len(places))]
    return places[np.array(defined, bool)]


def setWorldPoints(markups, places: np.ndarray) -> None:
    """Give a Markups node these control points, RAS of the world, and no others."""
    points = vtk.vtkPoints()
    for place in places:
        points.InsertNextPoint(*place)
    markups.SetControlPointPositionsWorld(points)


def curvePoints(curve) -> np.ndarray:
    """(n, 3) the curve as it is drawn, RAS of the world, mm.

    Raises
    ------
    UserError
        ``no-path``.
    """
    drawn = curve.GetCurvePointsWorld() if curve and curve.GetNumberOfDefinedControlPoints() >= SHORTEST else None
    points = numpy_support.vtk_to_numpy(drawn.GetData()).astype(float) if drawn else np.zeros((0, 3))
    points = (
        points[np.concatenate([[True], np.linalg.norm(np.diff(points, axis=0), axis=1) > 1e-6])] if drawn else points
    )
    if len(points) < SHORTEST:
        raise UserError("no-path", _("The path has no two points."), _("Press Find path, or draw a curve."))
    return points


def writeCurve(curve, path: Path) -> None:
    """Write the curve as it is drawn, for the worker: one line, LPS, VTK's XML format.

    Raises
    ------
    UserError
        ``no-path``, ``not-written``.
    """
    places = curvePoints(curve) @ RAS_TO_LPS[:3, :3]
    points, cells = vtk.vtkPoints(), vtk.vtkCellArray()
    points.SetData(numpy_support.numpy_to_vtk(np.ascontiguousarray(places), deep=True))
    cells.InsertNextCell(len(places))
    for k in range(len(places)):
        cells.InsertCellPoint(k)
    line = vtk.vtkPolyData()
    line.SetPoints(points)
    line.SetLines(cells)
    writer = vtk.vtkXMLPolyDataWriter()
    writer.SetFileName(str(path))
    writer.SetInputData(line)
    if not writer.Write():
        raise UserError(
            "not-written", _("{path} could not be written.").format(path=path), _("Check the disk's space.")
        )


def flight(curve) -> list[View]:
    """Views along the path, one each mm: ahead of the camera the path, and no roll about it.

    Raises
    ------
    UserError
        ``no-path``.
    """
    places = evenly_spaced(curvePoints(curve), STEP)
    turned = parallel_transport(places)
    views = []
    for k, place in enumerate(places):
        last = min(k + AHEAD, len(places) - 1)
        ahead = places[last] - places[max(last - AHEAD, 0)]
        if np.linalg.norm(ahead) < STEP:  # a loop so small that it comes back there
            ahead = turned.tangents[k]
        ahead = ahead / np.linalg.norm(ahead)
        up = turned.normals[k] - (turned.normals[k] @ ahead) * ahead
        views.append(View(place, place + FOCUS * ahead, up / np.linalg.norm(up), ANGLE))
    return views


def positionsAlong(curve, places: np.ndarray) -> np.ndarray:
    """(n,) mm along the path, from its first point, of what lies nearest to each of (n, 3) places, world RAS.

    Raises
    ------
    UserError
        ``no-path``.
    """
    points = evenly_spaced(curvePoints(curve), STEP)
    way = arc_length(points)
    return np.array([way[np.linalg.norm(points - place, axis=1).argmin()] for place in places])
