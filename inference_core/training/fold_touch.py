"""Where two folds touch in a frame: what the second output of ``fold_unet`` learns."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def fold_touch(instances: NDArray[Any], reach: int = 2) -> NDArray[np.bool_]:
    """Pixels of a fold that have another fold within ``reach`` pixels, in a square around them.

    Parameters
    ----------
    instances : (H, W) array of integers
        Numbers of folds, 0 where there is none.
    reach : int
        Pixels.

    Returns
    -------
    (H, W) bool array
    """
    ids = instances.astype(np.int64)
    none = np.iinfo(np.int64).max
    greatest = _greatest(ids, reach, 0)
    least = -_greatest(-np.where(ids > 0, ids, none), reach, -none)
    return (ids > 0) & (greatest != least)


def _greatest(values: NDArray[np.int64], reach: int, outside: int) -> NDArray[np.int64]:
    """Greatest value in the square around each pixel."""
    for axis in (0, 1):
        width = [(0, 0), (0, 0)]
        width[axis] = (reach, reach)
        windows = np.lib.stride_tricks.sliding_window_view(
            np.pad(values, width, constant_values=outside), 2 * reach + 1, axis
        )
        values = windows.max(axis=-1)
    return values
