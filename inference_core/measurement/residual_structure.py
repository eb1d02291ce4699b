"""Did a denoiser take out anatomy? A search for structure in the difference image, where noise has none.

Pure noise that was taken out looks alike everywhere in a neighbourhood. An erased ossicle or a blurred canal wall does
not: it stands out once the difference is averaged over a shape like its own. So each slice of the difference (before -
after) is filtered by five kernels, a round Gaussian and lines in four directions, and divided by the standard
deviation that noise has there after the same filter. The largest of the five, with its sign, is the score z of a
pixel: positive where something bright was taken out.

The standard deviation of noise is measured in blocks of 32 x 32 pixels by the median of absolute values, which
structure in less than half of a block hardly moves: the larger of (a) that of the unfiltered difference, the largest
of the 3 x 3 blocks around, times how much the filter lets through (median over all blocks of some slices), and (b)
that of the filtered difference, the mean of the 3 x 3 blocks around.

**False alarms.** A pixel is flagged where |z| is above the quantile of the normal distribution for false_alarm /
(number of pixels x 5) (Bonferroni): were the difference Gaussian noise whose level and spectrum change slowly, a flag
anywhere in the CT would come up with a probability of false_alarm at most. A streak that a denoiser removed is flagged
too: it is structure, though no anatomy. What is taken out evenly everywhere, and what is fainter than the threshold,
is not seen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]

FALSE_ALARM = 0.05  # probability of a flag anywhere in a CT, from noise alone
WIDTH_MM = 0.3  # standard deviation of the round kernel, and of a line across; one pixel at least
LENGTH_MM = 1.0  # standard deviation of a line along; three times its width at least
DIRECTIONS = (0.0, 45.0, 90.0, 135.0)  # degrees
BLOCK = 32  # pixels a side
MOST_SLICES = 16  # on which the filters' share of the noise is measured
ROUNDING_HU = 0.3  # the least noise that is taken for possible: that of rounding to whole HU
MAD = NormalDist().inv_cdf(0.75)  # median of absolute values of standard normal noise
KERNELS = 1 + len(DIRECTIONS)


@dataclass(frozen=True)
class FlaggedRegion:
    """Pixels above the threshold that touch each other (also by corners and across slices).

    Attributes
    ----------
    index : (slice, row, column)
        Of the largest |z|.
    voxels : int
    volume_mm3 : float
    z : float
        The largest, with its sign: positive where something bright was taken out.
    """

    index: tuple[int, int, int]
    voxels: int
    volume_mm3: float
    z: float


@dataclass(frozen=True)
class ResidualStructure:
    """What was found in a difference image.

    Attributes
    ----------
    z : (slices, rows, columns) float32 array
        Score of each voxel, 0 where nothing was changed.
    threshold : float
        Of ``|z|``.
    false_alarm : float
        Probability that noise alone flags anything.
    regions : list of FlaggedRegion
        The largest ``|z|`` first.
    """

    z: FloatArray
    threshold: float
    false_alarm: float
    regions: list[FlaggedRegion]


def residual_structure(
    before: NDArray[Any],
    after: NDArray[Any],
    spacing: tuple[float, float, float],
    false_alarm: float = FALSE_ALARM,
    each: Callable[[int], None] | None = None,
) -> ResidualStructure:
    """Search the difference of two volumes for structure.

    Parameters
    ----------
    before, after : (slices, rows, columns) arrays
        HU, on the same grid.
    spacing : (x, y, z)
        mm.
    false_alarm : float
        Probability that pure noise is flagged anywhere, above 0 and below 1.
    each : callable, optional
        ``each(index)``, called before each slice; what it raises ends the search.
    """
    kernels = _kernels(before.shape[1:], spacing)
    chosen = np.unique(np.linspace(0, len(before) - 1, MOST_SLICES).astype(int))
    passed = _passed([_difference(before, after, index) for index in chosen], kernels)
    z = np.zeros(before.shape, np.float32)
    for index in range(len(before)):
        if each is not None:
            each(index)
        z[index] = _score(_difference(before, after, index), kernels, passed)
    tests = before.size * KERNELS
    threshold = -NormalDist().inv_cdf(false_alarm / tests / 2)
    return ResidualStructure(z, threshold, false_alarm, _regions(z, threshold, math.prod(spacing)))


def format_structure(found: ResidualStructure, index_to_lps: NDArray[np.float64]) -> str:
    """What was found as lines for a terminal, with the place of each region in mm (LPS); the ten strongest."""
    volume = sum(region.volume_mm3 for region in found.regions)
    lines = [
        f"structure in the difference: {len(found.regions)} regions, {volume:.1f} mm3, |z| above {found.threshold:.2f}"
        f" (noise alone flags anything with a probability of {100 * found.false_alarm:g} % at most)"
    ]
    for region in found.regions[:10]:
        x, y, z = (index_to_lps @ [*region.index[::-1], 1.0])[:3]
        place = f"({x:.1f}, {y:.1f}, {z:.1f})"
        what = "bright" if region.z > 0 else "dark"
        lines.append(f"  {what} taken out at {place}: {region.volume_mm3:.2f} mm3, z {region.z:+.1f}")
    return "\n".join(lines)


def _difference(before: NDArray[Any], after: NDArray[Any], index: int) -> FloatArray:
    """before - after of one slice; 0 where either is no number."""
    return np.nan_to_num(before[index].astype(np.float32) - after[index].astype(np.float32), posinf=0.0, neginf=0.0)


@dataclass(frozen=True)
class _Kernels:
    """Transfer functions on a slice with a margin of zeros, for a real transform."""

    margin: int
    transfers: list[FloatArray]


def _kernels(shape: tuple[int, ...], spacing: tuple[float, float, float]) -> _Kernels:
    width = max(WIDTH_MM, *spacing[:2])
    length = max(LENGTH_MM, 3 * width)
    margin = min(math.ceil(3 * length / min(spacing[:2])), *shape)
    fy = np.fft.fftfreq(shape[0] + 2 * margin)[:, None] / spacing[1]
    fx = np.fft.rfftfreq(shape[1] + 2 * margin)[None] / spacing[0]  # cycles a mm
    transfers = [np.exp(-2 * (np.pi * width) ** 2 * (fx**2 + fy**2))]
    for angle in np.deg2rad(DIRECTIONS):
        along, across = fx * np.cos(angle) + fy * np.sin(angle), fy * np.cos(angle) - fx * np.sin(angle)
        transfers.append(np.exp(-2 * np.pi**2 * ((length * along) ** 2 + (width * across) ** 2)))
    return _Kernels(margin, [transfer.astype(np.float32) for transfer in transfers])


def _filtered(image: FloatArray, kernels: _Kernels) -> Iterator[FloatArray]:
    """The image under each kernel, one at a time."""
    rows, columns = image.shape
    wide = np.pad(image, kernels.margin)
    spectrum = np.fft.rfft2(wide)
    for transfer in kernels.transfers:
        smooth = np.fft.irfft2(spectrum * transfer, s=wide.shape)[kernels.margin :, kernels.margin :]
        yield smooth[:rows, :columns].astype(np.float32)


def _passed(images: list[FloatArray], kernels: _Kernels) -> list[float]:
    """Which part of the noise's standard deviation each kernel lets through."""
    parts: list[list[FloatArray]] = [[] for _ in kernels.transfers]
    for image in images:
        active = image != 0
        noise = _block_noise(image, active)
        for found, smooth in zip(parts, _filtered(image, kernels), strict=True):
            found.append(_block_noise(smooth, active)[noise > 0] / noise[noise > 0])
    return [float(np.median(np.concatenate(found))) if np.size(np.concatenate(found)) else 1.0 for found in parts]


def _score(image: FloatArray, kernels: _Kernels, passed: list[float]) -> FloatArray:
    """The largest of the kernels' scores, with its sign."""
    active = image != 0
    best = np.zeros_like(image)
    if not active.any():
        return best
    raw = np.maximum(np.max(_around(_block_noise(image, active)), axis=0), ROUNDING_HU)
    for smooth, part in zip(_filtered(image, kernels), passed, strict=True):
        around = _around(_block_noise(smooth, active))
        own = around.sum(axis=0) / np.maximum((around > 0).sum(axis=0), 1)
        noise = np.maximum(raw * part, own).repeat(BLOCK, axis=0).repeat(BLOCK, axis=1)
        z = smooth / noise[: image.shape[0], : image.shape[1]]
        best = np.where(np.abs(z) > np.abs(best), z, best)
    return np.where(active, best, 0).astype(np.float32)


def _block_noise(image: FloatArray, active: NDArray[np.bool_]) -> FloatArray:
    """Standard deviation in each block, from the median of the absolute values of its active pixels.

    0 in a block of which less than a tenth is active (padding). Blocks across the border are what of them is there.
    """
    rows, columns = (-size % BLOCK for size in image.shape)
    values = np.where(active, np.abs(image), np.inf)  # sorted, what is not active comes last
    values = np.pad(values, ((0, rows), (0, columns)), constant_values=np.inf)
    down, across = (size // BLOCK for size in values.shape)
    values = np.sort(values.reshape(down, BLOCK, across, BLOCK).swapaxes(1, 2).reshape(down, across, -1), axis=-1)
    count = np.isfinite(values).sum(axis=-1)
    medians = np.take_along_axis(values, np.maximum(count // 2, 0)[..., None], axis=-1)[..., 0]
    return np.where(count >= BLOCK**2 // 10, medians / MAD, 0).astype(np.float32)


def _around(blocks: FloatArray) -> FloatArray:
    """(9, ...) array: each block and its neighbours; 0 beyond the border."""
    down, across = blocks.shape
    wide = np.pad(blocks, 1)
    return np.stack([wide[i : i + down, j : j + across] for i in range(3) for j in range(3)])


def _regions(z: FloatArray, threshold: float, voxel_mm3: float) -> list[FlaggedRegion]:
    """Connected flagged voxels, the strongest first."""
    import SimpleITK as sitk

    flagged = np.abs(z) > threshold
    if not flagged.any():
        return []
    components = sitk.ConnectedComponent(sitk.GetImageFromArray(flagged.astype(np.uint8)), True)
    where = np.argwhere(flagged)
    labels, values = sitk.GetArrayViewFromImage(components)[flagged], z[flagged]
    strongest = np.argsort(-np.abs(values), kind="stable")
    names, first = np.unique(labels[strongest], return_index=True)  # the first of each label is its strongest
    counts = np.bincount(labels)
    regions = [
        FlaggedRegion(
            (int(where[at][0]), int(where[at][1]), int(where[at][2])),
            int(counts[name]), float(counts[name] * voxel_mm3), float(values[at]),
        )
        for name, at in zip(names, strongest[first], strict=True)
    ]  # fmt: skip
    return sorted(regions, key=lambda region: -abs(region.z))
