"""Folds of a colon: labelled by the worker, shown on the surface, listed in a table, and gone to."""

import json
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _
from vtk.util import numpy_support

from FaithfulImagingLib.job_run import JobRun
from inference_core.scratch import scratch_folder

from .fold_colors import COUNT, foldColors
from .path import positionsAlong
from .surface import pointArray, readSurface, writeSurface

FOLDS = "fold_instance"  # the worker's name of the point array
COLON_ATTRIBUTE = "FaithfulImaging.colon"
TABLE_REFERENCE = "FaithfulImaging.foldTable"
REPORT_ATTRIBUTE = "FaithfulImaging.foldReport"
COLUMNS = ("fold", "area (mm2)", "length (mm)", "height (mm)", "confidence", "position (mm)")
FIELDS = ("number", "area_mm2", "length_mm", "height_mm", "confidence", "position_mm")
POSITION = COLUMNS[-1]


class FoldsRun(JobRun):
    """Label the folds of a model's surface; the result is a model of its own.

    Attributes
    ----------
    colonNode : vtkMRMLModelNode or None
        With labelled folds, once they are there.
    """

    def __init__(self, modelNode, python: str) -> None:
        self.colonNode = None
        self._name = modelNode.GetName()
        self._files = ExitStack()
        folder = Path(self._files.enter_context(scratch_folder()))
        self._output = folder / "labelled.vtp"
        try:
            writeSurface(modelNode, folder / "colon.vtp")
        except BaseException:
            self._files.close()
            raise
        job = {"job": "label-folds", "input": str(folder / "colon.vtp"), "output": str(self._output)}
        super().__init__(job, python, [modelNode])

    def _take(self, report: dict) -> None:
        self.colonNode = showColon(readSurface(self._output), _("{name} folds").format(name=self._name), report)

    def _doneText(self, report: dict) -> str:
        return _("{folds} folds, {share:.0%} of the wall.").format(folds=report["folds"], share=report["area_share"])

    def _letGo(self) -> None:
        super()._letGo()
        self._files.close()


def showColon(surface, name: str, report: dict | None = None):
    """Put a labelled surface into the scene, its folds in colours, with a table of them.

    Parameters
    ----------
    surface : vtkPolyData
        RAS, with the point array ``fold_instance``.
    name : str
    report : dict, optional
        Of the job ``label-folds``; without it the table has areas and nothing else.

    Returns
    -------
    vtkMRMLModelNode
    """
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", slicer.mrmlScene.GenerateUniqueName(name))
    node.SetAndObservePolyData(surface)
    node.SetAttribute(COLON_ATTRIBUTE, "1")
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetActiveScalar(FOLDS, vtk.vtkAssignAttribute.POINT_DATA)
    display.SetAndObserveColorNodeID(foldColors(wall=True).GetID())
    display.SetScalarRangeFlag(slicer.vtkMRMLDisplayNode.UseManualScalarRange)
    display.SetScalarRange(0, COUNT - 1)
    display.SetScalarVisibility(True)
    display.SetBackfaceCulling(False)  # the endoscope sees it from within
    each = report["each"] if report else _measured(surface)
    if report:
        node.SetAttribute(REPORT_ATTRIBUTE, json.dumps(report))
    table = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", _("{name} table").format(name=node.GetName()))
    fillTable(table, each)
    node.SetNodeReferenceID(TABLE_REFERENCE, table.GetID())
    return node


def fillTable(tableNode, each: list[dict]) -> None:
    """Write a row for each fold: its number first."""
    tableNode.RemoveAllColumns()
    for column, field in zip(COLUMNS, FIELDS, strict=True):
        values = vtk.vtkIntArray() if field == "number" else vtk.vtkDoubleArray()
        values.SetName(column)
        for fold in each:
            value = fold.get(field)
            values.InsertNextValue(float("nan") if value is None else value)
        tableNode.AddColumn(values)


def placeOfFold(modelNode, number: int) -> np.ndarray:
    """Middle of a fold, world RAS, mm: of its points the one that lies nearest to their mean.

    Raises
    ------
    ValueError
        Where the model has no such fold.
    """
    surface = modelNode.GetPolyData()
    instance = pointArray(surface, FOLDS)
    points = numpy_support.vtk_to_numpy(surface.GetPoints().GetData())
    own = points[instance == number] if instance is not None else points[:0]
    if not len(own):
        raise ValueError(f"There is no fold {number}.")
    middle = own[np.linalg.norm(own - own.mean(0), axis=1).argmin()]
    place = [0.0, 0.0, 0.0]
    modelNode.TransformPointToWorld(middle.astype(float), place)
    return np.array(place)


def placeFolds(modelNode, curve) -> None:
    """Write into the fold table where each fold lies along the path, mm from its first point; None: nowhere.

    Raises
    ------
    UserError
        ``no-path``.
    """
    table = modelNode.GetNodeReference(TABLE_REFERENCE)
    column = table.GetTable().GetColumnByName(POSITION) if table else None
    if column is None:
        return
    for row in range(table.GetNumberOfRows()):
        way = float("nan")
        if curve and (place := _placeOrNone(modelNode, int(table.GetCellText(row, 0)))) is not None:
            way = round(float(positionsAlong(curve, place[None])[0]), 1)
        column.SetValue(row, way)
    table.GetTable().Modified()


def _placeOrNone(modelNode, number: int) -> np.ndarray | None:
    try:
        return placeOfFold(modelNode, number)
    except ValueError:  # a row that somebody added
        return None


def goToFold(modelNode, number: int) -> None:
    """Show a fold in all slice views, and turn the 3D cameras to it; nothing where the surface has no such fold."""
    place = _placeOrNone(modelNode, number)
    if place is None:
        return
    slicer.vtkMRMLSliceNode.JumpAllSlices(slicer.mrmlScene, *place)
    for camera in slicer.util.getNodesByClass("vtkMRMLCameraNode"):
        moved = place - np.array(camera.GetFocalPoint())
        camera.SetPosition(*(np.array(camera.GetPosition()) + moved))
        camera.SetFocalPoint(*place)


def _measured(surface) -> list[dict]:
    """Number and area of each fold of a surface that brought its labels."""
    instance = pointArray(surface, FOLDS)
    if instance is None or not len(instance):
        return []
    points = numpy_support.vtk_to_numpy(surface.GetPoints().GetData()).astype(float)
    faces = numpy_support.vtk_to_numpy(surface.GetPolys().GetConnectivityArray()).reshape(-1, 3)
    a, b, c = (points[faces[:, k]] for k in range(3))
    third = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 6  # of a triangle, for each of its corners
    areas = np.bincount(instance[faces].ravel().astype(int), np.repeat(third, 3))
    return [{"number": k, "area_mm2": round(float(areas[k]), 1)} for k in np.unique(instance).astype(int) if k]
