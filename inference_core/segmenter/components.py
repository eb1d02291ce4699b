"""Connected components of a mask, fast enough for live video: union of the runs of its rows.

A run is a stretch of set pixels in a row. Runs of neighbouring rows that touch are linked; the least number in each
group of linked runs is found by pointer jumping (Shiloach, Vishkin, Journal of Algorithms 1982), all in numpy.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int32]
Index = NDArray[np.intp]


def components(mask: NDArray[np.bool_], diagonal: bool = True) -> tuple[Labels, Index]:
    """Connected components.

    Parameters
    ----------
    mask : (H, W) bool array
    diagonal : bool
        Whether pixels that touch at a corner belong together.

    Returns
    -------
    (H, W) int32 array, 0 where the mask is not set, else 1 ... n in the order of first pixels, row by row; and the
    (n + 1,) numbers of pixels, that of label 0 among them.
    """
    rows, columns = mask.shape
    edges = np.zeros((rows, columns + 2), np.int8)
    edges[:, 1:-1] = mask
    steps = np.diff(edges, axis=1).ravel()  # each row one wider than the mask, so runs of two rows never meet
    starts, stops = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)
    group = _groups(len(starts), *_links(starts, stops, columns + 1, int(diagonal)))
    _, number = np.unique(group, return_inverse=True)  # the least run of a group is its first
    lengths = stops - starts
    labels = np.zeros(rows * (columns + 1), np.int32)
    inside = np.repeat(starts - np.cumsum(lengths) + lengths, lengths) + np.arange(lengths.sum())
    labels[inside] = np.repeat(number + 1, lengths)
    sizes = np.bincount(number + 1, lengths, minlength=1).astype(np.intp)
    sizes[0] = mask.size - lengths.sum()
    return labels.reshape(rows, columns + 1)[:, :columns], sizes


def _links(starts: Index, stops: Index, width: int, reach: int) -> tuple[Index, Index]:
    """Pairs of runs, one below the other, that touch; rows are ``width`` apart, ``stops`` are one behind the end.

    Since a row ends with a gap, no run of another row than the next is within reach.
    """
    first = np.searchsorted(stops, starts + width - reach, side="right")
    beyond = np.searchsorted(starts, stops + width + reach, side="left")
    counts = np.maximum(beyond - first, 0)
    above = np.repeat(np.arange(len(starts)), counts)
    below = np.repeat(first - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
    return above, below


def _groups(count: int, one: Index, other: Index) -> Index:
    """For each of ``count`` things the least that it is linked to, directly or over others."""
    least = np.arange(count)
    while True:
        a, b = least[one], least[other]
        apart = a != b
        if not apart.any():
            return least
        np.minimum.at(least, np.maximum(a, b)[apart], np.minimum(a, b)[apart])
        while not np.array_equal(shorter := least[least], least):
            least = shorter
