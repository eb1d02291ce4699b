"""Folds through a video: each keeps its number, and so its colour, as long as it overlaps itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int32]

LEAST_OVERLAP = 0.1
"""Intersection over union with where a fold was last seen: from here on it is the same fold."""
PATIENCE = 12
"""Frames for which a fold that is not seen is remembered: about half a second."""


@dataclass
class _Track:
    id: int
    pixels: NDArray[np.intp]  # where it was last seen, in the flattened frame
    unseen: int = 0  # frames since


class Tracker:
    """Gives folds numbers that last.

    Memory does not grow with the video: what was not seen for ``patience`` frames is forgotten, and its number is not
    given again.

    Parameters
    ----------
    least_overlap : float
        See :data:`LEAST_OVERLAP`.
    patience : int
        See :data:`PATIENCE`.
    """

    def __init__(self, least_overlap: float = LEAST_OVERLAP, patience: int = PATIENCE) -> None:
        self.least_overlap = least_overlap
        self.patience = patience
        self._tracks: list[_Track] = []
        self._next = 1
        self._shape: tuple[int, ...] | None = None

    def update(self, labels: NDArray[Any]) -> Labels:
        """Take the next frame.

        Parameters
        ----------
        labels : (H, W) int array
            Its folds, 0 where there is none; how they are numbered does not matter.

        Returns
        -------
        (H, W) int32 array of the same folds under their lasting numbers, from 1 on.
        """
        if labels.shape != self._shape:  # nothing can be compared with what was before
            self._tracks, self._shape = [], labels.shape
        regions = _regions(labels)
        ids = self._continued(regions, labels.size)
        for region in range(len(regions)):  # in the order of first pixels
            if region not in ids:
                ids[region] = self._next
                self._next += 1
        seen = {id: regions[region] for region, id in ids.items()}
        waiting = [_Track(old.id, old.pixels, old.unseen + 1) for old in self._tracks if old.id not in seen]
        self._tracks = [track for track in waiting if track.unseen <= self.patience]
        self._tracks += [_Track(id, pixels) for id, pixels in seen.items()]
        out = np.zeros(labels.size, np.int32)
        for id, pixels in seen.items():
            out[pixels] = id
        return out.reshape(labels.shape)

    def _continued(self, regions: list[NDArray[np.intp]], size: int) -> dict[int, int]:
        """Numbers of the regions that were seen before: the pairs that overlap most first, each thing once."""
        where = np.zeros(size, np.intp)
        for region, pixels in enumerate(regions):
            where[pixels] = region + 1
        pairs = []
        for track in self._tracks:
            shared = np.bincount(where[track.pixels], minlength=len(regions) + 1)[1:]
            for region in np.flatnonzero(shared).tolist():
                both = int(shared[region])
                either = len(track.pixels) + len(regions[region]) - both
                pairs.append((-both / either, track.unseen, track.id, region))
        ids: dict[int, int] = {}
        taken: set[int] = set()
        for less, _, id, region in sorted(pairs):
            if -less >= self.least_overlap and id not in taken and region not in ids:
                ids[region] = id
                taken.add(id)
        return ids


def _regions(labels: NDArray[Any]) -> list[NDArray[np.intp]]:
    """Pixels of each fold in the flattened frame; the folds in the order of their first pixels."""
    flat = labels.ravel()
    pixels = np.flatnonzero(flat)
    values = flat[pixels]
    order = np.argsort(values, kind="stable")
    borders = np.flatnonzero(np.diff(values[order])) + 1
    regions = np.split(pixels[order], borders) if len(pixels) else []
    return sorted(regions, key=lambda region: int(region[0]))
