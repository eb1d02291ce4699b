"""Square patches that lie wholly in one tissue, drawn at random, to measure its mean and its noise on.

This is how Jung et al. (MICCAI 2022, table 2) measure: 300 patches of 60 x 60 pixels of air and of brain, the mean of
their means and the mean of their standard deviations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_core.errors import UserError

SIZE = 60  # pixels a side
COUNT = 300


@dataclass(frozen=True)
class PatchStatistics:
    """What patches show of a volume; HU.

    Attributes
    ----------
    mean : float
        Mean of the patches' means.
    std : float
        Mean of the patches' standard deviations (population).
    """

    mean: float
    std: float


def homogeneous_patches(
    reference: NDArray[Any],
    tissue_hu: tuple[float, float],
    count: int = COUNT,
    size: int = SIZE,
    seed: int = 0,
    excluded: NDArray[np.bool_] | None = None,
) -> NDArray[np.intp]:
    """Draw patches in which every pixel of a reference lies in the range of one tissue.

    Each place where a patch fits is drawn with the same probability, so patches may overlap, and where few places
    fit, be the same.

    Parameters
    ----------
    reference : (slices, rows, columns) array
        HU, free of noise or smoothed (see :func:`smoothed`): on a noisy CT, noise would decide what is homogeneous.
    tissue_hu : (lower, upper)
        Range of the tissue, both ends included.
    count, size : int
        Number of patches, and their pixels a side.
    seed : int
        The same seed gives the same patches.
    excluded : bool array of the reference's shape, optional
        Voxels that no patch may touch, e.g. padding.

    Returns
    -------
    (count, 3) array
        Slice, row and column of the first pixel of each patch, in the order of the slices.

    Raises
    ------
    UserError
        ``no-homogeneous-patch`` where none fits, ``out-of-range`` for a count or a size below 1.
    """
    if count < 1 or size < 1:
        raise UserError("out-of-range", f"{count} patches of {size} pixels a side.", "Choose numbers from 1 on.")

    def places(index: int) -> NDArray[np.intp]:
        image = reference[index]
        inside = (image >= tissue_hu[0]) & (image <= tissue_hu[1])
        return np.flatnonzero(_fits(inside if excluded is None else inside & ~excluded[index], size))

    # Twice over the slices, so that the places of one slice only are held: those of a whole volume may need gigabytes.
    found = np.cumsum([len(places(index)) for index in range(len(reference))])
    if not len(found) or not found[-1]:
        raise UserError(
            "no-homogeneous-patch",
            f"No {size} x {size} pixels lie wholly within {tissue_hu[0]:g} to {tissue_hu[1]:g} HU.",
            "Choose smaller patches or a wider range, or find the tissue on a smoother CT.",
        )
    drawn = np.sort(np.random.default_rng(seed).integers(found[-1], size=count))
    slices = np.searchsorted(found, drawn, side="right")
    across = reference.shape[2] - size + 1
    corners = np.empty((count, 3), np.intp)
    corners[:, 0] = slices
    for index in np.unique(slices):
        here = slices == index
        chosen = places(index)[drawn[here] - (found[index - 1] if index else 0)]
        corners[here, 1], corners[here, 2] = np.divmod(chosen, across)
    return corners


def patch_statistics(voxels: NDArray[Any], corners: NDArray[np.intp], size: int = SIZE) -> PatchStatistics:
    """Measure a volume on patches; NaN where there are none.

    Parameters
    ----------
    voxels : (slices, rows, columns) array
        HU.
    corners : (n, 3) array
        As :func:`homogeneous_patches` gives it for a reference of the same shape.
    size : int
        Pixels a side.
    """
    if not len(corners):
        return PatchStatistics(float("nan"), float("nan"))
    patches = [voxels[k, y : y + size, x : x + size].astype(np.float64) for k, y, x in corners]
    return PatchStatistics(float(np.mean([p.mean() for p in patches])), float(np.mean([p.std() for p in patches])))


def smoothed(voxels: NDArray[Any], sigma: float = 2.0) -> NDArray[np.float32]:
    """Each slice smoothed by a Gaussian, to find tissue on where nothing free of noise is at hand.

    Parameters
    ----------
    voxels : (slices, rows, columns) array
        HU.
    sigma : float
        Standard deviation, pixels.
    """
    import SimpleITK as sitk

    def one(image: NDArray[Any]) -> NDArray[np.float32]:
        blurred = sitk.DiscreteGaussian(sitk.GetImageFromArray(image.astype(np.float32)), [sigma**2] * 2, 64)
        return np.asarray(sitk.GetArrayFromImage(blurred), np.float32)

    return np.stack([one(image) for image in voxels])


def _fits(inside: NDArray[np.bool_], size: int) -> NDArray[np.bool_]:
    """(rows - size + 1, columns - size + 1) mask of the first pixels of squares that lie wholly inside."""
    rows, columns = inside.shape
    if min(rows, columns) < size:
        return np.zeros((0, 0), bool)
    sums = np.zeros((rows + 1, columns + 1), np.int64)
    sums[1:, 1:] = inside.cumsum(axis=0).cumsum(axis=1)
    in_square = sums[size:, size:] - sums[:-size, size:] - sums[size:, :-size] + sums[:-size, :-size]
    fits: NDArray[np.bool_] = in_square == size * size
    return fits
