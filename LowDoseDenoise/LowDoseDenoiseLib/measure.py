"""Mean and standard deviation in Markups ROIs, before and after.

A voxel belongs to a ROI when its centre, in world coordinates, lies in it: both the volume's and the ROI's parent
transforms count, as long as they are linear.
"""

import csv
import io
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _

from inference_core.errors import UserError
from inference_core.image.volume import Volume
from inference_core.measurement.roi import Box, Sphere, voxels_inside

from .background import inBackground
from .belonging import madeFrom
from .geometry import indexToWorld, nodeToWorld

PLACED_HERE = "FaithfulImaging.roi"


@dataclass(frozen=True)
class RoiRow:
    """One ROI; HU. None where there is no voxel in it, or no denoised volume."""

    name: str
    voxels: int
    meanBefore: float | None = None
    stdBefore: float | None = None
    meanAfter: float | None = None
    stdAfter: float | None = None


@dataclass(frozen=True)
class Shape:
    """A ROI for a background thread, with the volume's voxels placed along the ROI's own axes.

    Attributes
    ----------
    name : str
    indexToHalves : (4, 4) array
        From a voxel index (column, row, slice, 1) to where it lies from the ROI's centre, in half sides of the ROI.
    ellipsoid : bool
    """

    name: str
    indexToHalves: np.ndarray
    ellipsoid: bool


def roisToMeasure(parameters) -> list:
    """The chosen ROI, or every visible one that is completely placed."""
    rois = [parameters.roi] if parameters.roi else slicer.util.getNodesByClass("vtkMRMLMarkupsROINode")
    return [roi for roi in rois if min(roi.GetSize()) > 0 and (parameters.roi or roi.GetDisplayVisibility())]


def sortOut(rois: list) -> tuple[list, list[str]]:
    """The ROIs that can be measured, and what is wrong with the others."""
    good, problems = [], []
    for roi in rois:
        try:
            _worldToHalves(roi)
            good.append(roi)
        except UserError as error:
            problems.append(str(error))
    return good, problems


def roiToPlace():
    """A ROI without a place: one from here that is still waiting for it, or a new one."""
    for roi in slicer.util.getNodesByClass("vtkMRMLMarkupsROINode"):
        waiting = roi.GetNumberOfDefinedControlPoints() == 0 and max(roi.GetSize()) == 0
        if waiting and roi.GetAttribute(PLACED_HERE):
            return roi
    roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", slicer.mrmlScene.GenerateUniqueName("ROI"))
    roi.SetAttribute(PLACED_HERE, "1")
    roi.CreateDefaultDisplayNodes()
    return roi


def stateOf(parameters) -> tuple:
    """Everything that the statistics depend on; equal as long as they need not be measured again."""
    volumes = (parameters.inputVolume, parameters.outputVolume)
    nodes = [*(volume for volume in volumes if volume), *roisToMeasure(parameters)]
    return (
        parameters.roiShape,
        tuple((node.GetID(), node.GetName(), node.GetMTime(), _transformTime(node)) for node in nodes),
        tuple(volume.GetImageData().GetMTime() for volume in volumes if volume and volume.GetImageData()),
    )


def measure(inputVolume, outputVolume, rois: list, shape: str) -> Future:
    """Begin to measure; the future's result is a list of :class:`RoiRow`, in the order of ``rois``.

    Parameters
    ----------
    inputVolume, outputVolume : vtkMRMLScalarVolumeNode
        Where the output is None, or not made from the input, or lies on another grid, only the input is measured.
    rois : list of vtkMRMLMarkupsROINode
    shape : str
        ``"box"`` or ``"ellipsoid"``.

    Raises
    ------
    UserError
        ``nonlinear-transform`` or ``inside-out``.
    """
    place = indexToWorld(inputVolume)
    before = slicer.util.arrayFromVolume(inputVolume)
    after = None
    if madeFrom(outputVolume, inputVolume) and outputVolume.GetImageData():
        voxels = slicer.util.arrayFromVolume(outputVolume)
        if voxels.shape == before.shape and np.allclose(indexToWorld(outputVolume), place, atol=1e-6):
            after = voxels
    shapes = [Shape(roi.GetName(), _worldToHalves(roi) @ place, shape == "ellipsoid") for roi in rois]
    return inBackground(lambda: [_row(one, before, after) for one in shapes])


def fillTable(table, rows: list[RoiRow]) -> None:
    """Put rows into a table node; the columns after and change only where something is in them."""
    wasModified = table.StartModify()
    table.RemoveAllColumns()
    _addColumn(table, vtk.vtkStringArray(), _("ROI"), [row.name for row in rows])
    _addColumn(table, vtk.vtkIntArray(), _("n"), [row.voxels for row in rows])
    means = _changes([row.meanBefore for row in rows], [row.meanAfter for row in rows])
    stds = _changes([row.stdBefore for row in rows], [row.stdAfter for row in rows])
    delta = "\N{GREEK CAPITAL LETTER DELTA}"
    meanNames = (_("Mean before (HU)"), _("Mean after (HU)"), _("{delta} mean (HU)").format(delta=delta))
    stdNames = (_("Std before (HU)"), _("Std after (HU)"), _("{delta} std (HU)").format(delta=delta))
    for name, values in zip(meanNames + stdNames, means + stds, strict=True):
        if name in (meanNames[0], stdNames[0]) or not np.isnan(values).all():
            _addColumn(table, vtk.vtkDoubleArray(), name, np.round(values, 2).tolist())
            table.SetColumnUnitLabel(name, "HU")
    table.SetLocked(True)
    table.EndModify(wasModified)


def tableCells(table) -> list[list[str]]:
    """The texts of a table node, a list a row: numbers to 0.01 HU, and nothing where there is none."""
    columns = [table.GetTable().GetColumn(column) for column in range(table.GetNumberOfColumns())]
    return [[_cellText(column, row) for column in columns] for row in range(table.GetNumberOfRows())]


def tableText(table, separator: str) -> str:
    """A table node as text, a line a row, its column names first."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator, lineterminator="\n")
    writer.writerow([table.GetColumnName(column) for column in range(table.GetNumberOfColumns())])
    writer.writerows(tableCells(table))
    return text.getvalue()


def _cellText(column, row: int) -> str:
    value = column.GetValue(row)
    if not isinstance(value, float):
        return str(value)
    return "" if np.isnan(value) else f"{value + 0.0:.2f}"  # no negative zero


def _worldToHalves(roi) -> np.ndarray:
    if roi.GetInsideOut():
        raise UserError(
            "inside-out",
            _("{name} is inside out: it means all that lies outside of it.").format(name=roi.GetName()),
            _("Untick 'Inside out' in the Markups module."),
        )
    nodeToWorld(roi)  # refuses what is not linear
    objectToWorld = slicer.util.arrayFromVTKMatrix(roi.GetObjectToWorldMatrix())
    toHalves = np.diag([*(2 / np.array(roi.GetSize())), 1.0])
    return toHalves @ np.linalg.inv(objectToWorld)


def _row(shape: Shape, before: np.ndarray, after: np.ndarray | None) -> RoiRow:
    axes = shape.indexToHalves[:3, :3]
    lengths = np.linalg.norm(axes, axis=0)
    grid = Volume(
        voxels=np.broadcast_to(np.int16(0), before.shape),  # only its size counts
        spacing=tuple(lengths),
        origin=tuple(shape.indexToHalves[:3, 3]),
        direction=tuple((axes / lengths).ravel()),
    )
    centre = np.zeros(3)
    inside = Sphere("", centre, 1.0) if shape.ellipsoid else Box("", centre, np.full(3, 2.0), np.eye(3))
    block, mask = voxels_inside(grid, inside)
    numbers: list[float] = []
    for volume in (before, after):
        if volume is not None and mask.any():
            values = volume[block][mask]
            numbers += [float(values.mean(dtype=np.float64)), float(values.std(dtype=np.float64))]
    return RoiRow(shape.name, int(mask.sum()), *numbers)


def _changes(before: list[float | None], after: list[float | None]) -> list[np.ndarray]:
    """Values before, after, and their change; NaN where there is none."""
    one = np.array([np.nan if value is None else value for value in before], dtype=float)
    two = np.array([np.nan if value is None else value for value in after], dtype=float)
    return [one, two, two - one]


def _addColumn(table, array, name: str, values: list) -> None:
    array.SetName(name)
    for value in values:
        array.InsertNextValue(value)
    table.AddColumn(array)


def _transformTime(node) -> int:
    transform = node.GetParentTransformNode()
    return transform.GetTransformToWorldMTime() if transform else 0
