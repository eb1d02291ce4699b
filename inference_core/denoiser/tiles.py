"""Run a network on whole slices, or in tiles that give the same result with less memory."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from inference_core.errors import UserError

FloatArray = NDArray[np.float32]
Run = Callable[[FloatArray], FloatArray]

TILE_LADDER = (None, 256, 128, 64)  # pixels a side; None is the whole slice


def run_network(run: Run, image: FloatArray, multiple_of: int, halo: int, tile: int | None = None) -> FloatArray:
    """A network's output for slices of any size.

    Sides that are no multiple of ``multiple_of`` are padded by reflection and cropped. Tiles start on multiples too and
    are read with ``halo`` pixels around them, cut at the slice's edge, where the network's own padding acts as it does
    on the whole slice: the result is the same.

    Parameters
    ----------
    run : callable
        (N, 1, h, w) float32 to the same.
    image : (H, W) or (N, H, W) float32 array
    multiple_of, halo, tile : int
        Pixels; ``halo`` is at least the network's reach.

    Returns
    -------
    float32 array of the image's shape
    """
    height, width = image.shape[-2:]
    stack = image.reshape(-1, 1, height, width)
    edges = ((0, 0), (0, 0), (0, -height % multiple_of), (0, -width % multiple_of))
    padded = np.pad(stack, edges, mode="reflect") if any(map(any, edges)) else stack
    if tile is None:
        output = run(np.ascontiguousarray(padded))
    else:
        tile, halo = (-(-n // multiple_of) * multiple_of for n in (tile, halo))
        output = np.empty_like(padded)
        for y in range(0, padded.shape[2], tile):
            for x in range(0, padded.shape[3], tile):
                top, left = max(0, y - halo), max(0, x - halo)
                part = padded[:, :, top : y + tile + halo, left : x + tile + halo]
                result = run(np.ascontiguousarray(part))
                kept = result[:, :, y - top : y - top + tile, x - left : x - left + tile]
                output[:, :, y : y + tile, x : x + tile] = kept
    return output[:, 0, :height, :width].reshape(image.shape)


class MemoryLadder:
    """Runs slices together, and steps down, for good, each time the memory runs out: to single ones, then to tiles.

    Parameters
    ----------
    run, multiple_of, halo
        As for :func:`run_network`.
    tile : int, optional
        What to start with, where an engine asks for tiles: one of :data:`TILE_LADDER`.
    together : bool
        Whether several slices are given at a time.

    Attributes
    ----------
    tile : int or None
        Pixels a side of the tiles now in use; None is the whole slice.
    """

    def __init__(self, run: Run, multiple_of: int, halo: int, tile: int | None = None, together: bool = False) -> None:
        self._run, self._multiple_of, self._halo = run, multiple_of, halo
        singly = [(False, size) for size in TILE_LADDER[TILE_LADDER.index(tile) :]]
        self._rungs = [(True, tile), *singly] if together else singly
        self._step = 0
        self._lock = threading.Lock()

    @property
    def tile(self) -> int | None:
        """Tile size in use."""
        return self._rungs[self._step][1]

    def __call__(self, image: FloatArray) -> FloatArray:
        """As :func:`run_network`.

        Raises
        ------
        UserError
            ``out-of-memory`` where even the smallest tile does not fit.
        """
        while True:
            step = self._step
            together, tile = self._rungs[step]
            try:
                if together or image.ndim == 2:
                    return run_network(self._run, image, self._multiple_of, self._halo, tile)
                singles = [run_network(self._run, one, self._multiple_of, self._halo, tile) for one in image]
                return np.stack(singles)
            except MemoryError as error:
                with self._lock:
                    if step + 1 == len(self._rungs):
                        raise UserError(
                            "out-of-memory",
                            "The memory does not suffice even for a tile of 64 x 64 pixels.",
                            "Close other programs, or use fewer threads.",
                        ) from error
                    self._step = max(self._step, step + 1)
