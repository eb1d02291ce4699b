"""The strength: how much of what a fully denoised image differs by from its original is taken.

Pipeline and Slicer blend by this one rule, so a strength chosen before a run and one chosen after it give the same
voxels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def difference(image: NDArray[Any], full: NDArray[Any]) -> NDArray[Any]:
    """What full strength changed.

    Parameters
    ----------
    image, full : arrays of one shape
        HU, before and fully denoised.

    Returns
    -------
    array
        ``full - image``: for integers exactly, int16 wherever that holds it (else int32); else float32.
    """
    if image.dtype.kind == "f":
        return np.subtract(full, image, dtype=np.float64).astype(np.float32)
    if image.dtype == full.dtype == np.int16 and image.size:
        lowest, highest = min(image.min(), full.min()), max(image.max(), full.max())
        if int(highest) - int(lowest) < 2**15:  # any CT: no difference can overflow
            return np.subtract(full, image)
    change = full.astype(np.int32) - image
    narrow = not change.size or (change.min() >= -(2**15) and change.max() < 2**15)
    return change.astype(np.int16) if narrow else change


def blend(image: NDArray[Any], change: NDArray[Any], strength: float, out: NDArray[Any] | None = None) -> NDArray[Any]:
    """``image + strength * change``, integers rounded to nearest.

    Parameters
    ----------
    image : array
        HU; it is not changed.
    change : array of the same shape
        From :func:`difference`.
    strength : float
        0 (the image, to the bit) to 1 (of integers the fully denoised image, to the bit).
    out : array, optional
        Of the image's shape and type; where to put the result.

    Returns
    -------
    array of the image's type; ``out`` where given.
    """
    wide = np.float32 if image.dtype.itemsize <= 2 else np.float64  # float32 holds every sum of 16-bit integers
    values = np.multiply(change, wide(strength), dtype=wide)
    values += image
    if image.dtype.kind in "iu":
        np.rint(values, out=values)
    if out is None:
        return values.astype(image.dtype)
    np.copyto(out, values, casting="unsafe")
    return out
