"""Image quality against a reference slice, and CT-number shift against the input.

:func:`psnr` and :func:`ssim`, so that numbers from different places can be compared: CT numbers as they are stored,
nothing clipped, and a fixed data range of 2000 HU.

:func:`psnr_slice_max` and :func:`ssim_slice_max`, for tables beside the papers': their code (Jung et al., MICCAI 2022)
takes images as (HU + 1000) / 2000, unclipped, and each slice's own maximum as the data range. That moves PSNR by
several dB with the brightest pixel, so these compare only on the same slices.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

DATA_RANGE = 2000.0
"""Peak value in PSNR and SSIM, HU."""


def psnr(output: NDArray[Any], reference: NDArray[Any]) -> float:
    """Peak signal-to-noise ratio in dB; infinite where the arrays are equal.

    Parameters
    ----------
    output, reference : arrays of one shape
        HU.
    """
    _check_shapes(output, reference)
    error = np.mean(np.square(output.astype(np.float64) - reference))
    return 10 * math.log10(DATA_RANGE**2 / error) if error > 0 else math.inf


def ssim(output: NDArray[Any], reference: NDArray[Any]) -> float:
    """Mean structural similarity: scikit-image's default (7x7 uniform window, sample covariance). Needs scikit-image.

    Parameters
    ----------
    output, reference : (H, W) arrays of one shape
        HU.

    References
    ----------
    Wang, Bovik, Sheikh, Simoncelli, IEEE Trans. Image Process. 13 (2004).
    """
    from skimage.metrics import structural_similarity

    _check_shapes(output, reference)
    one, other = reference.astype(np.float64), output.astype(np.float64)
    return float(structural_similarity(one, other, data_range=DATA_RANGE))


def psnr_slice_max(output: NDArray[Any], reference: NDArray[Any]) -> float:
    """PSNR in dB whose peak is the brightest pixel of the reference, max(reference) + 1000 HU (air is 0).

    Parameters
    ----------
    output, reference : (H, W) arrays of one shape
        HU.
    """
    _check_shapes(output, reference)
    return psnr(output, reference) + 20 * math.log10(_slice_max(reference) / DATA_RANGE)


def ssim_slice_max(output: NDArray[Any], reference: NDArray[Any]) -> float:
    """SSIM on HU + 1000 with the data range max(reference) + 1000, else as :func:`ssim`. Needs scikit-image.

    The offset counts: SSIM compares means, and those are relative to air here.

    Parameters
    ----------
    output, reference : (H, W) arrays of one shape
        HU.
    """
    from skimage.metrics import structural_similarity

    _check_shapes(output, reference)
    one, other = reference.astype(np.float64) + 1000, output.astype(np.float64) + 1000
    return float(structural_similarity(one, other, data_range=_slice_max(reference)))


def _slice_max(reference: NDArray[Any]) -> float:
    """HU above air of the brightest pixel; at least 1, for slices of nothing but air."""
    return max(float(reference.max()) + 1000, 1.0)


def mean_shift(output: NDArray[Any], input: NDArray[Any], mask: NDArray[np.bool_] | None = None) -> float:
    """Mean of output - input in HU, over ``mask`` where given; NaN where the mask is empty.

    The shift is measured against what was denoised, not against a full-dose scan: that one differs by itself (air is
    clipped at -1024 HU, so the mean of noisy air is higher).

    Parameters
    ----------
    output, input : arrays of one shape
        HU.
    mask : bool array of that shape, optional
    """
    _check_shapes(output, input)
    difference = output.astype(np.float64) - input
    if mask is not None:
        _check_shapes(mask, output)
        difference = difference[mask]
    return float(difference.mean()) if difference.size else math.nan


def _check_shapes(one: NDArray[Any], other: NDArray[Any]) -> None:
    if one.shape != other.shape:
        raise ValueError(f"Arrays of one shape are needed, not {one.shape} and {other.shape}.")
