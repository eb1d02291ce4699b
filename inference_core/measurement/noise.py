"""How noisy a CT is, measured on itself."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK = 16  # pixels a side
MOST_SLICES = 16


def noise_level(voxels: NDArray[Any]) -> float:
    """Noise in HU: the standard deviation in the flattest soft-tissue blocks.

    16x16 blocks with a mean of -150..200 HU, a plane removed, over at most 16 evenly spaced slices; the 20th
    percentile, so that blocks with anatomy in them do not count. Where there is no such block, all blocks serve.

    Parameters
    ----------
    voxels : (slices, rows, columns) array
        HU; rows and columns >= 8.
    """
    chosen = voxels[np.unique(np.linspace(0, len(voxels) - 1, MOST_SLICES).astype(int))].astype(np.float64)
    size = min(BLOCK, *chosen.shape[1:])
    rows, columns = (n // size * size for n in chosen.shape[1:])
    blocks = chosen[:, :rows, :columns].reshape(len(chosen), rows // size, size, columns // size, size)
    blocks = blocks.swapaxes(2, 3).reshape(-1, size, size)
    means = blocks.mean(axis=(1, 2))
    tissue = (means > -150) & (means < 200)
    if tissue.any():
        blocks, means = blocks[tissue], means[tissue]
    t = np.arange(size) - (size - 1) / 2
    slope_rows = np.einsum("i,nij->n", t, blocks) / (size * np.sum(t**2))
    slope_columns = np.einsum("j,nij->n", t, blocks) / (size * np.sum(t**2))
    plane = means[:, None, None] + slope_rows[:, None, None] * t[:, None] + slope_columns[:, None, None] * t
    return float(np.percentile((blocks - plane).std(axis=(1, 2)), 20))
