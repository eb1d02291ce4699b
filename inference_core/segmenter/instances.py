"""Single folds from the probabilities of a frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_core.segmenter.components import Labels, components

THRESHOLD = 0.5
LEAST_SHARE = 0.001
"""Of the frame: what is smaller is no fold but a speck; holes that are smaller are filled."""
GROWTH = 8  # pixels that the cores of touching folds grow back, at most


@dataclass(frozen=True)
class Instances:
    """The folds of a frame.

    Attributes
    ----------
    labels : (H, W) int32 array
        0 where there is no fold, else 1 ... n, in the order of first pixels.
    confidence : (n,) float32 array
        Mean probability over the pixels of each.
    """

    labels: Labels
    confidence: NDArray[np.float32]


def find_instances(
    fold: NDArray[Any], touch: NDArray[Any] | None = None, least_share: float = LEAST_SHARE
) -> Instances:
    """Folds as connected regions, smoothed; folds that touch are parted where the network says that they do.

    Parameters
    ----------
    fold : (H, W) float array
        Probability that a pixel is of a fold.
    touch : (H, W) float array, optional
        Probability that two folds touch there.
    least_share : float
        Of the frame, see :data:`LEAST_SHARE`.
    """
    least = max(1, round(least_share * fold.size))
    mask = _filled(_smoothed(fold) >= THRESHOLD, least)
    if touch is None or not (touch >= THRESHOLD).any():
        labels, sizes = components(mask)
    else:
        labels, sizes = _parted(mask, touch >= THRESHOLD, least)
    kept = sizes >= least
    kept[0] = False
    number = np.where(kept, np.cumsum(kept), 0).astype(np.int32)
    labels = number[labels]
    count = int(kept.sum())
    sums = np.bincount(labels.ravel(), fold.ravel(), count + 1)[1:]
    return Instances(labels, (sums / np.maximum(sizes[kept], 1)).astype(np.float32))


def _smoothed(image: NDArray[Any]) -> NDArray[np.float32]:
    """Mean over 3x3 pixels, edges replicated."""
    padded = np.pad(image.astype(np.float32), 1, mode="edge")
    across = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    mean: NDArray[np.float32] = (across[:-2] + across[1:-1] + across[2:]) * np.float32(1 / 9)
    return mean


def _filled(mask: NDArray[np.bool_], least: int) -> NDArray[np.bool_]:
    """The mask with its holes of fewer than ``least`` pixels; what reaches the frame's edge is no hole."""
    labels, sizes = components(~mask, diagonal=False)
    small = sizes < least
    small[0] = False
    small[np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])] = False
    return mask | small[labels]


def _parted(mask: NDArray[np.bool_], touch: NDArray[np.bool_], least: int) -> tuple[Labels, NDArray[np.intp]]:
    """Components of the mask without the places of touch, grown back into them; labels in the order of first pixels."""
    cores, sizes = components(mask & ~touch)
    big = sizes >= max(1, least // 4)
    big[0] = False
    labels = _grown(np.where(big[cores], cores, 0), mask)
    rest, more = components(mask & (labels == 0))
    labels = np.where(rest > 0, rest + len(sizes), labels)
    pixels = np.flatnonzero(labels)[::-1]
    first = np.full(len(sizes) + len(more), labels.size)
    first[labels.ravel()[pixels]] = pixels  # of a label's pixels the one written last, which is its first
    number = np.zeros(len(first), np.int32)
    used = np.argsort(first)[: np.count_nonzero(first < labels.size)]
    number[used] = np.arange(1, len(used) + 1)
    ordered = number[labels]
    return ordered, np.bincount(ordered.ravel(), minlength=len(used) + 1)


def _grown(labels: Labels, mask: NDArray[np.bool_]) -> Labels:
    """Labels spread into the rest of the mask, a pixel a step, :data:`GROWTH` steps."""
    padded = np.pad(labels, 1)
    flat, width = padded.reshape(-1), padded.shape[1]
    pending = np.flatnonzero(np.pad(mask, 1).reshape(-1) & (flat == 0))
    for _ in range(GROWTH):
        around = [flat[pending + step] for step in (-width, -1, 1, width)]
        reached = np.maximum.reduce(around)
        if not reached.any():
            break
        flat[pending] = reached
        pending = pending[reached == 0]
    return padded[1:-1, 1:-1]
