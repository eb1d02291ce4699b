"""Where air, soft tissue and bone are in a CT slice, for measuring CT-number shifts.

The slice is smoothed by a Gaussian with a standard deviation of 2 pixels, so that noise does not choose the mask; each
range of CT numbers becomes a mask, eroded by 2 pixels, so that edges stay out. The result is that of scipy's
``gaussian_filter(slice, 2)`` and ``binary_erosion(mask, iterations=2)`` (their defaults), without needing scipy.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

RANGES_HU = {"air": (-1020.0, -850.0), "soft": (-20.0, 120.0), "bone": (250.0, np.inf)}
SIGMA = 2.0  # pixels
EROSION = 2  # pixels


def tissue_masks(slice_hu: NDArray[Any]) -> dict[str, NDArray[np.bool_]]:
    """Masks of air, soft tissue and bone.

    Parameters
    ----------
    slice_hu : (H, W) array
        HU; H and W at least 8.

    Returns
    -------
    dict
        ``"air"`` (-1020 to -850 HU), ``"soft"`` (-20 to 120 HU), ``"bone"`` (over 250 HU): (H, W) bool arrays. A mask
        may be empty.
    """
    smooth = _smooth_rows(_smooth_rows(slice_hu.astype(np.float32)).T).T
    return {name: _erode((smooth > low) & (smooth < high)) for name, (low, high) in RANGES_HU.items()}


def _smooth_rows(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Gaussian along the first axis; beyond the edge the image is mirrored (edge pixel repeated)."""
    radius = int(4 * SIGMA)
    weights = np.exp(-0.5 * (np.arange(radius + 1) / SIGMA) ** 2)
    weights /= weights[0] + 2 * weights[1:].sum()
    weights = weights.astype(np.float32)
    padded = np.pad(image, ((radius, radius), (0, 0)), mode="symmetric")
    length = image.shape[0]
    smooth: NDArray[np.float32] = weights[0] * padded[radius : radius + length]
    for k in range(1, radius + 1):
        smooth += weights[k] * (padded[radius - k :][:length] + padded[radius + k :][:length])
    return smooth


def _erode(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Keep pixels whose four neighbours are set, :data:`EROSION` times; outside the slice nothing is set."""
    for _ in range(EROSION):
        kept = np.zeros_like(mask)
        kept[1:-1, 1:-1] = mask[1:-1, 1:-1] & mask[:-2, 1:-1] & mask[2:, 1:-1] & mask[1:-1, :-2] & mask[1:-1, 2:]
        mask = kept
    return mask
