"""From a network's logits to probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]

OUTPUTS = ("fold-and-touch", "classes")
"""What a network gives: two independent logits (``fold_unet``), or one a class, background and fold (the others)."""


def fold_and_touch(logits: NDArray[Any], output: str) -> tuple[FloatArray, FloatArray | None]:
    """Probabilities that a pixel is of a fold, and that folds touch there.

    Parameters
    ----------
    logits : (..., 2, H, W) float array
    output : str
        One of :data:`OUTPUTS`.

    Returns
    -------
    Two (..., H, W) float32 arrays; the second is None where the network does not give it.
    """
    if output not in OUTPUTS or logits.shape[-3] != 2:
        raise ValueError(f"Two logits a pixel of a kind in {OUTPUTS} are needed, not {logits.shape} of {output!r}.")
    first, second = np.moveaxis(logits.astype(np.float32), -3, 0)
    if output == "classes":
        return _logistic(second - first), None
    return _logistic(first), _logistic(second)


def _logistic(x: FloatArray) -> FloatArray:
    return 0.5 + 0.5 * np.tanh(0.5 * x)
