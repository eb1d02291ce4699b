"""Plots of a volume before and after, as MRML plot charts: noise bars, histogram, profile, noise power spectrum.

The numbers are found by functions that touch no node, so that they can run in the background;
:func:`FaithfulImagingLib.chart.showInChart` puts them into the scene.
"""

import numpy as np
from slicer.i18n import tr as _

from FaithfulImagingLib.chart import PlotData
from FaithfulImagingLib.geometry import indexToWorld, nodeToWorld
from inference_core.errors import UserError
from inference_core.measurement.noise_power import bin_centres, flat_corners, noise_power_spectrum, patches_at

PLOTS = ("noise", "histogram", "profile", "nps")
HISTOGRAM_BINS = 80
NPS_SLICES = 16
NPS_PATCHES = 8  # of a slice


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
        "noise", plotText("noise"),
        _("Noise in each ROI"), "", _("Standard deviation (HU)"), np.arange(len(rows), dtype=float), series,
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
    return PlotData(
        "histogram",
        plotText("histogram"),
        title,
        _("CT number (HU)"),
        _("Voxels"),
        (edges[1:] + edges[:-1]) / 2,
        series,
    )


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
    return PlotData(
        "profile", plotText("profile"), _("Profile"), _("Distance (mm)"), _("CT number (HU)"), distance, series
    )


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
        "nps", plotText("nps"),
        _("Noise power spectrum, soft tissue"), _("Spatial frequency (1/mm)"), _("NPS (HU2 mm2)"),
        centres[shown] / np.sqrt(spacing[0] * spacing[1]), series,
    )  # fmt: skip
