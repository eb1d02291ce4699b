"""Mean and standard deviation in regions, before and after, and whether a mean moved."""

import csv
import io
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _

from FaithfulImagingLib.background import inBackground
from FaithfulImagingLib.geometry import indexToWorld
from inference_core.errors import UserError
from inference_core.measurement.intervals import mean_shift

from .belonging import madeFrom
from .regions import Region, isPlaced, regionsOf, regionTime, visibleRegionNodes

PLACED_HERE = "FaithfulImaging.roi"
KEPT, MOVED, PERHAPS = "kept", "moved", "perhaps"


@dataclass(frozen=True)
class RoiRow:
    """One region; HU. None where there is no voxel in it, or no denoised volume.

    Attributes
    ----------
    volume : float
        mm3.
    interval : float or None
        The 95 % interval of the mean's change is the change plus and minus this
        (:mod:`inference_core.measurement.intervals`); None where it is too small for one.
    """

    name: str
    voxels: int
    meanBefore: float | None = None
    stdBefore: float | None = None
    meanAfter: float | None = None
    stdAfter: float | None = None
    volume: float = 0.0
    interval: float | None = None

    @property
    def change(self) -> float | None:
        """Of the mean; None also where a voxel is no number."""
        if self.meanBefore is None or self.meanAfter is None:
            return None
        change = self.meanAfter - self.meanBefore
        return change if np.isfinite(change) else None


def alarmOf(row: RoiRow, limit: float) -> str:
    """Whether the mean of a region moved by more than a limit.

    Parameters
    ----------
    row : RoiRow
    limit : float
        HU.

    Returns
    -------
    str
        ``"kept"``; ``"moved"``; ``"perhaps"``: it moved by more, but the noise alone may have done that, as far as its
        95 % interval reaches.
    """
    if row.change is None or abs(row.change) <= limit:
        return KEPT
    return PERHAPS if row.interval is None or abs(row.change) - row.interval <= limit else MOVED


def roisToMeasure(parameters) -> list:
    """The chosen node with regions, or every visible one."""
    if parameters.roi:
        return [parameters.roi] if isPlaced(parameters.roi) else []
    return visibleRegionNodes()


def sortOut(nodes: list, inputVolume, shape: str) -> tuple[list[Region], list[str]]:
    """The regions of these nodes that can be measured, and what is wrong with the others.

    Raises
    ------
    UserError
        ``nonlinear-transform``, where the volume is under one.
    """
    place = indexToWorld(inputVolume)
    good, problems = [], []
    for node in nodes:
        try:
            good += regionsOf(node, place, shape)
        except UserError as error:
            problems.append(str(error))
    return good, problems


def roiToPlace():
    """A ROI without a place: one from here that is still waiting for it, or a new one."""
    return markupToPlace("vtkMRMLMarkupsROINode", "ROI")


def markupToPlace(kind: str, name: str):
    """As :func:`roiToPlace`, for another class of Markups nodes.

    Parameters
    ----------
    kind : str
        Class of the node.
    name : str
        What to call a new one.
    """
    for markup in slicer.util.getNodesByClass(kind):
        sized = kind == "vtkMRMLMarkupsROINode" and max(markup.GetSize()) > 0
        waiting = markup.GetNumberOfDefinedControlPoints() == 0 and not sized
        if waiting and markup.GetAttribute(PLACED_HERE):
            return markup
    markup = slicer.mrmlScene.AddNewNodeByClass(kind, slicer.mrmlScene.GenerateUniqueName(name))
    markup.SetAttribute(PLACED_HERE, "1")
    markup.CreateDefaultDisplayNodes()
    return markup


def stateOf(parameters) -> tuple:
    """Everything that the statistics depend on; equal as long as they need not be measured again."""
    nodes = roisToMeasure(parameters)
    return (
        parameters.roiShape,
        parameters.ctNumberLimit,
        tuple((node.GetID(), node.GetName(), regionTime(node)) for node in nodes),
        _volumesState(parameters.inputVolume, parameters.outputVolume),
    )


def voxelsToCompare(inputVolume, outputVolume) -> tuple[np.ndarray, np.ndarray | None]:
    """The voxels before and after; after is None where the output was not made from the input, or lies elsewhere."""
    before = slicer.util.arrayFromVolume(inputVolume)
    if madeFrom(outputVolume, inputVolume) and outputVolume.GetImageData():
        voxels = slicer.util.arrayFromVolume(outputVolume)
        places = indexToWorld(outputVolume), indexToWorld(inputVolume)
        if voxels.shape == before.shape and np.allclose(*places, atol=1e-6):
            return before, voxels
    return before, None


def measure(inputVolume, outputVolume, nodes: list, shape: str) -> Future:
    """Begin to measure; the future's result is a list of :class:`RoiRow`, in the order of ``nodes``.

    Parameters
    ----------
    inputVolume, outputVolume : vtkMRMLScalarVolumeNode
        Where the output is None, or not made from the input, or lies on another grid, only the input is measured.
    nodes : list
        Markups ROIs, closed curves, segmentations.
    shape : str
        What of a Markups ROI counts: ``"box"`` or ``"ellipsoid"``.

    Raises
    ------
    UserError
        As :func:`.regions.regionsOf`.
    """
    place = indexToWorld(inputVolume)
    return measureRegions(
        inputVolume, outputVolume, [region for node in nodes for region in regionsOf(node, place, shape)]
    )


def measureRegions(inputVolume, outputVolume, regions: list[Region], known: dict | None = None) -> Future:
    """As :func:`measure`, for regions that were found before.

    Parameters
    ----------
    inputVolume, outputVolume, regions
    known : dict, optional
        Keeps the rows of these regions, so that of many regions only those are measured again that have changed.
    """
    before, after = voxelsToCompare(inputVolume, outputVolume)
    voxel = abs(float(np.linalg.det(indexToWorld(inputVolume)[:3, :3])))
    volumes = _volumesState(inputVolume, outputVolume)
    keep = {} if known is None else known

    def work() -> list[RoiRow]:
        keys = [(region.name, region.state, volumes) for region in regions]
        rows = [keep.get(key) or _row(one, before, after, voxel) for key, one in zip(keys, regions, strict=True)]
        keep.clear()
        keep.update(zip(keys, rows, strict=True))
        return rows

    return inBackground(work)


def fillTable(table, rows: list[RoiRow], limit: float = 5.0) -> None:
    """Put rows into a table node; the columns after and change only where something is in them.

    Parameters
    ----------
    table : vtkMRMLTableNode
    rows : list of RoiRow
    limit : float
        By how many HU a mean may move before the table says so.
    """
    wasModified = table.StartModify()
    table.RemoveAllColumns()
    _addColumn(table, vtk.vtkStringArray(), _("ROI"), [row.name for row in rows])
    _addColumn(table, vtk.vtkIntArray(), _("n"), [row.voxels for row in rows])
    volume = _("Volume (mm3)")
    _addColumn(table, vtk.vtkDoubleArray(), volume, np.round([row.volume for row in rows], 2).tolist())
    table.SetColumnUnitLabel(volume, "mm3")
    means = _changes([row.meanBefore for row in rows], [row.meanAfter for row in rows])
    stds = _changes([row.stdBefore for row in rows], [row.stdAfter for row in rows])
    intervals = np.array([np.nan if row.interval is None else row.interval for row in rows], dtype=float)
    delta = "\N{GREEK CAPITAL LETTER DELTA}"
    meanNames = (_("Mean before (HU)"), _("Mean after (HU)"), _("{delta} mean (HU)").format(delta=delta))
    stdNames = (_("Std before (HU)"), _("Std after (HU)"), _("{delta} std (HU)").format(delta=delta))
    names = (*meanNames, _("95 % \N{PLUS-MINUS SIGN} (HU)"), *stdNames)
    for name, values in zip(names, (*means, intervals, *stds), strict=True):
        if name in (meanNames[0], stdNames[0]) or not np.isnan(values).all():
            _addColumn(table, vtk.vtkDoubleArray(), name, np.round(values, 2).tolist())
            table.SetColumnUnitLabel(name, "HU")
    if any(row.change is not None for row in rows):
        texts = {KEPT: _("kept"), MOVED: _("MOVED"), PERHAPS: _("moved? (noise)")}
        checks = ["" if row.change is None else texts[alarmOf(row, limit)] for row in rows]
        _addColumn(table, vtk.vtkStringArray(), _("CT number"), checks)
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


def _row(region: Region, before: np.ndarray, after: np.ndarray | None, voxel: float) -> RoiRow:
    block, inside = region.find(before.shape)
    count = int(inside.sum())
    numbers: list[float] = []
    for volume in (before, after):
        if volume is not None and count:
            values = volume[block][inside]
            numbers += [float(values.mean(dtype=np.float64)), float(values.std(dtype=np.float64))]
    interval = None
    if after is not None and count:
        shift = mean_shift(np.subtract(after[block], before[block], dtype=np.float32), inside)
        interval = None if shift.high is None else shift.high - shift.shift
    return RoiRow(region.name, count, *numbers, volume=count * voxel, interval=interval)


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


def _volumesState(inputVolume, outputVolume) -> tuple:
    volumes = [volume for volume in (inputVolume, outputVolume) if volume]
    images = [volume.GetImageData() for volume in volumes]
    return (
        tuple((volume.GetID(), volume.GetName(), volume.GetMTime(), _transformTime(volume)) for volume in volumes),
        tuple(image.GetMTime() for image in images if image),
    )


def _transformTime(node) -> int:
    transform = node.GetParentTransformNode()
    return transform.GetTransformToWorldMTime() if transform else 0
