"""Colours of folds: the same number, the same colour, in every picture and every run."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rgb = NDArray[np.uint8]

GOLDEN = 0.618033988749895  # steps of the hue by it never come close to one that was soon before
SHADES = ((0.75, 1.0), (1.0, 0.85), (0.5, 0.95))  # saturation and brightness, in turn


def colours(ids: NDArray[Any]) -> Rgb:
    """Colours of folds, (..., 3), by their numbers (...); 0, no fold, is black. None is white or near it."""
    ids = np.asarray(ids)
    saturation, value = np.moveaxis(np.asarray(SHADES)[ids % len(SHADES)], -1, 0)
    turn = (ids[..., None] * GOLDEN + np.array([0.0, 2 / 3, 1 / 3])) % 1.0
    full = np.clip(np.abs(6 * turn - 3) - 1, 0, 1)
    rgb = value[..., None] * (1 - saturation[..., None] * (1 - full))
    return np.where(ids[..., None] > 0, np.rint(255 * rgb), 0).astype(np.uint8)


def painted(labels: NDArray[Any], white: Collection[int] = ()) -> Rgb:
    """A picture of folds.

    Parameters
    ----------
    labels : (H, W) int array
        Their numbers, 0 where there is none.
    white : collection of int
        Numbers that are painted white: in comparisons, segments without a matching truth.

    Returns
    -------
    (H, W, 3) uint8 array
    """
    table = np.zeros((int(labels.max(initial=0)) + 1, 3), np.uint8)
    ids = np.flatnonzero(np.bincount(labels.ravel()))
    table[ids] = colours(ids)
    table[[id for id in white if id < len(table)]] = 255
    picture: Rgb = table[labels]
    return picture


def overlaid(frame: Rgb, picture: Rgb, opacity: float = 0.45) -> Rgb:
    """A picture of folds over its frame, both (H, W, 3) uint8; where the picture is black the frame stays as it is."""
    marked = np.flatnonzero(picture.max(axis=-1))
    out = frame.copy()
    mixed = frame.reshape(-1, 3)[marked] * (1 - opacity) + picture.reshape(-1, 3)[marked] * opacity
    out.reshape(-1, 3)[marked] = np.rint(mixed).astype(np.uint8)
    return out
