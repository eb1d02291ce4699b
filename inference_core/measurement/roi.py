"""Regions of interest: which voxels of a volume belong to one.

The rule for every shape: a voxel belongs to a ROI when its centre lies inside, the boundary included (to 1e-6 mm).
All points are in mm, LPS.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from inference_core.image.volume import Volume

Vector: TypeAlias = NDArray[np.float64]
Block: TypeAlias = tuple[slice, slice, slice]

TOLERANCE = 1e-6


@dataclass(frozen=True)
class Box:
    """A box with any orientation.

    Attributes
    ----------
    name : str
    center : (3,) array
    size : (3,) array
        Whole edge lengths in mm.
    axes : (3, 3) array
        Its columns are the unit vectors of the edges.
    """

    name: str
    center: Vector
    size: Vector
    axes: Vector


@dataclass(frozen=True)
class Sphere:
    """A ball: centre and radius in mm."""

    name: str
    center: Vector
    radius: float


@dataclass(frozen=True)
class Circle:
    """A disc in one slice of the volume: the slice nearest to ``center``, in whichever way the slices lie."""

    name: str
    center: Vector
    radius: float


@dataclass(frozen=True)
class LabelMask:
    """The voxels of a label map that hold one value.

    Attributes
    ----------
    name : str
    labels : (slices, rows, columns) integer array
        The label map on the volume's grid; ROIs of one file share it.
    value : int
    bounds : Box or None
        Encloses the label in its own file; None when no voxel there has this value.
    """

    name: str
    labels: NDArray[Any]
    value: int
    bounds: Box | None


Roi: TypeAlias = Box | Sphere | Circle | LabelMask


def voxels_inside(volume: Volume, roi: Roi) -> tuple[Block, NDArray[np.bool_]]:
    """Find the voxels of a ROI, looking only at the index range that encloses it.

    Parameters
    ----------
    volume : Volume
    roi : Box, Sphere, Circle or LabelMask

    Returns
    -------
    block : three slices
        Index range (slices, rows, columns) of ``volume.voxels``; empty ranges when the ROI lies outside.
    inside : bool array
        One entry for each voxel of ``volume.voxels[block]``.
    """
    if isinstance(roi, LabelMask) and roi.bounds is None:
        return (slice(0, 0),) * 3, np.zeros((0, 0, 0), dtype=bool)
    block = _clip(volume, *_index_bounds(volume, roi))
    if isinstance(roi, LabelMask):
        return block, roi.labels[block] == roi.value
    inside = np.zeros([part.stop - part.start for part in block], dtype=bool)
    if isinstance(roi, Box):
        half = roi.size / 2 + TOLERANCE
        for plane, (x, y, z) in zip(inside, _offsets(volume, block, roi.center, roi.axes), strict=True):
            plane[:] = (np.abs(x) <= half[0]) & (np.abs(y) <= half[1]) & (np.abs(z) <= half[2])
        return block, inside
    center = _center_in_slice(volume, roi) if isinstance(roi, Circle) else roi.center
    reach = (roi.radius + TOLERANCE) ** 2
    for plane, (x, y, z) in zip(inside, _offsets(volume, block, center, np.eye(3)), strict=True):
        plane[:] = x * x + y * y + z * z <= reach
    return block, inside


def why_empty(volume: Volume, roi: Roi) -> str:
    """Say, for a ROI without a voxel, why it has none."""
    if isinstance(roi, LabelMask) and roi.bounds is None:
        return f"ROI {roi.name!r} is empty in its file."
    low, high = _index_bounds(volume, roi)
    last = np.array(volume.voxels.shape[::-1]) - 1
    if np.any(high < -0.5) or np.any(low > last + 0.5):
        return (
            f"ROI {roi.name!r} lies wholly outside the volume. Check that it was drawn on this volume; if it was under"
            " a transform in Slicer, give that transform too."
        )
    return (
        f"ROI {roi.name!r} holds no voxel centre: it is smaller than a voxel or only touches the edge of the volume."
        " Make it larger."
    )


def _index_bounds(volume: Volume, roi: Roi) -> tuple[Vector, Vector]:
    """Lowest and highest (column, row, slice) index that the shape reaches, as real numbers."""
    to_index = np.linalg.inv(volume.index_to_lps)
    shape = roi.bounds if isinstance(roi, LabelMask) else roi
    assert shape is not None  # an empty label was turned away before
    center = to_index[:3, :3] @ shape.center + to_index[:3, 3]
    if isinstance(shape, Box):
        reach = np.abs(to_index[:3, :3] @ (shape.axes * (shape.size / 2))).sum(axis=1)
    else:
        reach = shape.radius * np.linalg.norm(to_index[:3, :3], axis=1)
    if isinstance(shape, Circle):
        center[2], reach[2] = np.floor(center[2] + 0.5), 0.0  # this slice and no other
    return center - reach, center + reach


def _clip(volume: Volume, low: Vector, high: Vector) -> Block:
    """The whole indices around ``low`` to ``high``, as far as the volume reaches."""
    size = np.array(volume.voxels.shape[::-1])
    start = np.clip(np.floor(low), 0, size).astype(int)
    stop = np.clip(np.ceil(high) + 1, start, size).astype(int)
    columns, rows, slices = (slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
    return slices, rows, columns


def _offsets(volume: Volume, block: Block, center: Vector, axes: Vector) -> Iterator[list[Vector]]:
    """For each slice of the block, how far its voxels lie from ``center`` along the three ``axes``, in mm.

    One slice at a time, so that a large ROI needs little memory.
    """
    slices, rows, columns = (np.arange(part.start, part.stop, dtype=np.float64) for part in block)
    matrix = axes.T @ volume.index_to_lps[:3, :3]
    start = axes.T @ (volume.index_to_lps[:3, 3] - center)
    for slice_index in slices:
        yield [
            (start[axis] + matrix[axis, 2] * slice_index + matrix[axis, 1] * rows)[:, None] + matrix[axis, 0] * columns
            for axis in range(3)
        ]


def _center_in_slice(volume: Volume, circle: Circle) -> Vector:
    """The circle's centre moved along the slice axis onto its slice."""
    index = np.linalg.solve(volume.index_to_lps, np.append(circle.center, 1.0))
    index[2] = np.floor(index[2] + 0.5)
    point: Vector = (volume.index_to_lps @ index)[:3]
    return point
