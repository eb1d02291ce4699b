"""Find the padding of a CT slice: what the scanner filled in outside its circle, which is not a measurement."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

CORE_RADIUS = 2  # pixels: padding is solid; -1024 is also what noise in air is clipped to, one voxel at a time
SMALLEST = 64  # pixels
DISTINCT = -1100.0  # HU; a value below it that fills a solid region is no measurement anywhere in the slice


def padding_mask(image: NDArray[Any], declared: float | None = None, limit: float | None = None) -> NDArray[np.bool_]:
    """Padding of one slice.

    Parameters
    ----------
    image : (H, W) array
        HU.
    declared : float, optional
        DICOM PixelPaddingValue in HU. Every solid region of it is padding. Without it, padding is a solid region of
        one value that is connected to a corner of the slice.
    limit : float, optional
        DICOM PixelPaddingRangeLimit in HU: all values from ``declared`` to it count as declared.

    Returns
    -------
    (H, W) bool array. Single voxels and thin chains that happen to hold the value are never padding.
    """
    mask = np.zeros(image.shape, bool)
    if declared is not None:
        low, high = sorted((declared, declared if limit is None else limit))
        same = (image >= low) & (image <= high)
        mask |= _whole(_grow(_solid(same), same), same, high)
    for row in (0, -1):
        for column in (0, -1):
            if not mask[row, column] and (image[row, column] == _corner(image, row, column)).all():
                same = image == image[row, column]
                mask |= _whole(_connected_to_corner(same, row, column), same, float(image[row, column]))
    return mask


def _whole(region: NDArray[np.bool_], same: NDArray[np.bool_], value: float) -> NDArray[np.bool_]:
    """With the slivers at the rim of ``region``, where the value cannot be mistaken for clipped noise in air."""
    return same if value < DISTINCT and region.any() else region


def _corner(image: NDArray[Any], row: int, column: int) -> NDArray[Any]:
    size = 2 * CORE_RADIUS + 1
    rows = slice(0, size) if row == 0 else slice(-size, None)
    return image[rows, slice(0, size) if column == 0 else slice(-size, None)]


def _connected_to_corner(same: NDArray[np.bool_], row: int, column: int) -> NDArray[np.bool_]:
    import SimpleITK as sitk

    height, width = same.shape
    core = sitk.GetImageFromArray(_solid(same).astype(np.uint8))
    seed = (column % width, row % height)
    region = sitk.GetArrayFromImage(sitk.ConnectedThreshold(core, [seed], lower=1, upper=1)).astype(bool)
    region = _grow(region, same)
    return region if region.sum() >= SMALLEST else np.zeros_like(same)


def _solid(same: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels whose whole (2 CORE_RADIUS + 1)^2 neighbourhood inside the slice is ``same``."""
    for axis in (0, 1):
        same = _windowed(same, axis, np.logical_and)
    return same


def _grow(core: NDArray[np.bool_], same: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """``core`` grown by its neighbourhood, but only over ``same``: undoes the erosion of :func:`_solid`."""
    for axis in (0, 1):
        core = _windowed(core, axis, np.logical_or)
    return core & same


def _windowed(mask: NDArray[np.bool_], axis: int, combine: np.ufunc) -> NDArray[np.bool_]:
    edge = combine is np.logical_and  # outside the slice counts as padding for the erosion, as nothing for the growth
    widths = [(CORE_RADIUS, CORE_RADIUS) if a == axis else (0, 0) for a in (0, 1)]
    padded = np.pad(mask, widths, constant_values=edge)
    n = mask.shape[axis]
    result = mask.copy()
    for k in range(2 * CORE_RADIUS + 1):
        window = padded[k : k + n] if axis == 0 else padded[:, k : k + n]
        combine(result, window, out=result)
    return result
