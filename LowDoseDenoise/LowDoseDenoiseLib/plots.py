"""Plots of a volume before and after, as MRML plot charts: noise bars, histogram, profile, noise power spectrum.

The numbers are found by functions that touch no node, so that they can run in the background; :func:`showInChart` puts
them into the scene.
"""

from dataclasses import dataclass

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _

from inference_core.errors import UserError
from inference_core.measurement.noise_power import bin_centres, flat_corners, noise_power_spectrum, patches_at

from .geometry import indexToWorld, nodeToWorld

PLOTS = ("noise", "histogram", "profile", "nps")
PLOT_ATTRIBUTE = "FaithfulImaging.plot"
COLORS = ((0.45, 0.45, 0.45), (0.0, 0.35, 0.75))  # before, after
HISTOGRAM_BINS = 80
NPS_SLICES = 16
NPS_PATCHES = 8  # of a slice


@dataclass(frozen=True)
class PlotData:
    """Numbers to plot.

    Attributes
    ----------
    kind : str
        One of :data:`PLOTS`.
    title, xTitle, yTitle : str
    x : (n,) array
    series : dict
        (n,) arrays by their name in the legend, before first.
    labels : list of str or None
        Of the bars of a bar chart, in place of ``x``.
    """

    kind: str
    title: str
    xTitle: str
    yTitle: str
    x: np.ndarray
    series: dict
    labels: list | None = None


def plotText(kind: str) -> str:
    """A kind of plot for the user."""
    return {
        "noise": _("Noise before and after"), "histogram": _("Histogram of a ROI"),
        "profile": _("Profile along a line"), "nps": _("Noise power spectrum"),
    }[kind]  # fmt: skip


def noiseBars(rows: list) -> PlotData:
    """The standard deviation in each region (:class:`.measure.RoiRow`), before and after.

    Raises
    ------
    UserError
        ``no-roi``.
    """
    rows = [row for row in rows if row.stdBefore is not None]
    if not rows:
        raise UserError("no-roi", _("There is no ROI with voxels in it."), _("Place one."))
    series = {_("before"): np.array([row.stdBefore for row in rows])}
    if any(row.stdAfter is not None for row in rows):
        series[_("after")] = np.array([row.stdAfter for row in rows], dtype=float)
    return PlotData(
        "noise", _("Noise in each ROI"), "", _("Standard deviation (HU)"), np.arange(len(rows), dtype=float), series,
        [row.name for row in rows],
    )  # fmt: skip


def histogram(region, before: np.ndarray, after: np.ndarray | None) -> PlotData:
    """How often each CT number comes up in a region.

    Parameters
    ----------
    region : .regions.Region
    before, after : (slices, rows, columns) arrays
        HU; after may be None.

    Raises
    ------
    UserError
        ``no-voxel``.
    """
    block, inside = region.find(before.shape)
    volumes = {_("before"): before, _("after"): after}
    values = {name: volume[block][inside] for name, volume in volumes.items() if volume is not None}
    everything = np.concatenate(list(values.values())).astype(float)
    everything = everything[np.isfinite(everything)]
    if not everything.size:
        raise UserError("no-voxel", _("No voxel in {name}.").format(name=region.name), _("Choose another ROI."))
    low, high = np.percentile(everything, (0.1, 99.9))
    width = max(1.0, np.ceil((high - low) / HISTOGRAM_BINS))  # whole HU, so that no bin holds more values than another
    edges = np.floor(low) - 0.5 + width * np.arange(np.ceil((high - np.floor(low) + 1) / width) + 1)
    series = {name: np.histogram(found, edges)[0].astype(float) for name, found in values.items()}
    title = _("CT numbers in {name}").format(name=region.name)
    return PlotData("histogram", title, _("CT number (HU)"), _("Voxels"), (edges[1:] + edges[:-1]) / 2, series)


def profilePoints(line, volume) -> tuple[np.ndarray, np.ndarray]:
    """Where a Markups line is sampled, two points a voxel.

    Returns
    -------
    (n,) array
        mm from the first point.
    (n, 3) array
        Voxel index (column, row, slice).

    Raises
    ------
    UserError
        ``no-line`` or ``nonlinear-transform``.
    """
    if line is None or line.GetNumberOfDefinedControlPoints() < 2:
        raise UserError("no-line", _("No line is chosen, or it has no two points."), _("Draw one in a slice view."))
    nodeToWorld(line)  # refuses what is not linear
    ends = np.zeros((2, 3))
    for point, end in enumerate(ends):
        line.GetNthControlPointPositionWorld(point, end)
    length = float(np.linalg.norm(ends[1] - ends[0]))
    count = max(2, int(np.ceil(2 * length / min(volume.GetSpacing()))) + 1)
    part = np.linspace(0, 1, count)
    world = ends[0] + part[:, None] * (ends[1] - ends[0])
    toIndex = np.linalg.inv(indexToWorld(volume))
    return part * length, world @ toIndex[:3, :3].T + toIndex[:3, 3]


def profile(distance: np.ndarray, index: np.ndarray, before: np.ndarray, after: np.ndarray | None) -> PlotData:
    """CT numbers along a line, interpolated linearly; gaps outside of the volume.

    Parameters
    ----------
    distance, index : arrays
        As :func:`profilePoints` gives them.
    before, after : (slices, rows, columns) arrays
        HU; after may be None.

    Raises
    ------
    UserError
        ``no-voxel``, where the line lies wholly outside.
    """
    series = {_("before"): sampled(before, index)}
    if np.isnan(series[_("before")]).all():
        raise UserError("no-voxel", _("The line lies outside of the volume."), _("Draw it on the volume."))
    if after is not None:
        series[_("after")] = sampled(after, index)
    return PlotData("profile", _("Profile"), _("Distance (mm)"), _("CT number (HU)"), distance, series)


def sampled(voxels: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Voxels at (n, 3) positions (column, row, slice), trilinear; NaN beyond the outermost voxel centres."""
    last = np.array(voxels.shape[::-1]) - 1
    inside = np.all((index >= -1e-6) & (index <= last + 1e-6), axis=1)
    at = np.clip(index, 0, last)
    low = np.minimum(np.floor(at).astype(int), np.maximum(last - 1, 0))
    part = at - low
    total = np.zeros(len(index))
    for corner in np.ndindex(2, 2, 2):
        weight = np.prod(np.where(corner, part, 1 - part), axis=1)
        i, j, k = np.minimum(low + corner, last).T
        total += np.where(weight > 0, weight * voxels[k, j, i], 0)
    return np.where(inside, total, np.nan)


def noisePower(before: np.ndarray, after: np.ndarray | None, spacing: tuple) -> PlotData:
    """Noise power spectra in the flattest soft-tissue patches of the less noisy volume.

    Parameters
    ----------
    before, after : (slices, rows, columns) arrays
        HU; after may be None.
    spacing : (x, y, z)
        mm.

    Raises
    ------
    UserError
        ``no-flat-patch``.
    """
    place = before if after is None else after
    chosen = np.unique(np.linspace(0, len(before) - 1, NPS_SLICES).astype(int))
    corners = {k: flat_corners(place[k], NPS_PATCHES) for k in chosen}
    if not any(corners.values()):
        raise UserError(
            "no-flat-patch",
            _("There is no flat soft tissue of 64 x 64 pixels to measure the noise on."),
            _("Measure the noise in ROIs instead."),
        )
    centres = bin_centres()
    shown = centres <= 0.5  # beyond it only diagonal frequencies exist
    volumes = {_("before"): before, _("after"): after}
    series = {
        name: noise_power_spectrum([p for k in chosen for p in patches_at(volume[k], corners[k])], spacing[:2])[shown]
        for name, volume in volumes.items()
        if volume is not None
    }
    return PlotData(
        "nps", _("Noise power spectrum, soft tissue"), _("Spatial frequency (1/mm)"), _("NPS (HU2 mm2)"),
        centres[shown] / np.sqrt(spacing[0] * spacing[1]), series,
    )  # fmt: skip


def showInChart(data: PlotData):
    """Put numbers into the scene's chart of their kind, made where there is none.

    Returns
    -------
    vtkMRMLPlotChartNode
    """
    chart = next(
        (node for node in slicer.util.getNodesByClass("vtkMRMLPlotChartNode")
         if node.GetAttribute(PLOT_ATTRIBUTE) == data.kind), None,
    )  # fmt: skip
    if chart is None:
        chart = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotChartNode", plotText(data.kind))
        chart.SetAttribute(PLOT_ATTRIBUTE, data.kind)
    series = [chart.GetNthPlotSeriesNode(number) for number in range(chart.GetNumberOfPlotSeriesNodes())]
    table = series[0].GetTableNode() if series and series[0] else None
    if table is None:
        table = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", plotText(data.kind))
    _fillTable(table, data)
    wasModified = chart.StartModify()
    chart.RemoveAllPlotSeriesNodeIDs()
    for old in series:
        if old and old.GetName() not in data.series:
            slicer.mrmlScene.RemoveNode(old)
    old = {node.GetName(): node for node in series if node and node.GetScene()}
    for name, color in zip(data.series, COLORS, strict=False):
        node = old.get(name) or slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotSeriesNode", name)
        _setSeries(node, table, name, data, color)
        chart.AddAndObservePlotSeriesNodeID(node.GetID())
    chart.SetTitle(data.title)
    chart.SetXAxisTitle(data.xTitle)
    chart.SetYAxisTitle(data.yTitle)
    chart.EndModify(wasModified)
    return chart


def _fillTable(table, data: PlotData) -> None:
    wasModified = table.StartModify()
    table.RemoveAllColumns()
    columns = {data.xTitle or _("Number"): data.x, **data.series}
    for name, values in columns.items():
        array = vtk.vtkDoubleArray()
        array.SetName(name)
        for value in values:
            array.InsertNextValue(float(value))
        table.AddColumn(array)
    if data.labels is not None:
        names = vtk.vtkStringArray()
        names.SetName(_("ROI"))
        for label in data.labels:
            names.InsertNextValue(label)
        table.AddColumn(names)
    table.EndModify(wasModified)


def _setSeries(node, table, name: str, data: PlotData, color: tuple) -> None:
    node.SetAndObserveTableNodeID(table.GetID())
    node.SetXColumnName(data.xTitle or _("Number"))
    node.SetYColumnName(name)
    node.SetLabelColumnName(_("ROI") if data.labels is not None else "")
    node.SetPlotType(node.PlotTypeBar if data.labels is not None else node.PlotTypeScatter)
    node.SetMarkerStyle(node.MarkerStyleNone)
    node.SetLineWidth(2)
    node.SetColor(*color)
