"""Run a network on a whole slice, or in tiles that give the same result with less memory."""

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
    """A network's output for one slice of any size.

    Sides that are no multiple of ``multiple_of`` are padded by reflection and cropped. Tiles start on multiples too and
    are read with ``halo`` pixels around them, cut at the slice's edge, where the network's own padding acts as it does
    on the whole slice: the result is the same.

    Parameters
    ----------
    run : callable
        (1, 1, h, w) float32 to the same.
    image : (H, W) float32 array
    multiple_of, halo, tile : int
        Pixels; ``halo`` is at least the network's reach.

    Returns
    -------
    (H, W) float32 array
    """
    height, width = image.shape
    padded = np.pad(image, ((0, -height % multiple_of), (0, -width % multiple_of)), mode="reflect")
    if tile is None:
        return run(np.ascontiguousarray(padded)[None, None])[0, 0, :height, :width]
    tile, halo = (-(-n // multiple_of) * multiple_of for n in (tile, halo))
    output = np.empty_like(padded)
    for y in range(0, padded.shape[0], tile):
        for x in range(0, padded.shape[1], tile):
            top, left = max(0, y - halo), max(0, x - halo)
            part = padded[top : y + tile + halo, left : x + tile + halo]
            result = run(np.ascontiguousarray(part)[None, None])[0, 0]
            output[y : y + tile, x : x + tile] = result[y - top : y - top + tile, x - left : x - left + tile]
    return output[:height, :width]


class MemoryLadder:
    """Runs whole slices, and steps down to smaller tiles, for good, each time the memory runs out.

    Attributes
    ----------
    tile : int or None
        Pixels a side of the tiles now in use; None is the whole slice.
    """

    def __init__(self, run: Run, multiple_of: int, halo: int) -> None:
        self._run, self._multiple_of, self._halo = run, multiple_of, halo
        self._step = 0
        self._lock = threading.Lock()

    @property
    def tile(self) -> int | None:
        """Tile size in use."""
        return TILE_LADDER[self._step]

    def __call__(self, image: FloatArray) -> FloatArray:
        """As :func:`run_network`.

        Raises
        ------
        UserError
            ``out-of-memory`` where even the smallest tile does not fit.
        """
        while True:
            step = self._step
            try:
                return run_network(self._run, image, self._multiple_of, self._halo, TILE_LADDER[step])
            except MemoryError as error:
                with self._lock:
                    if step + 1 == len(TILE_LADDER):
                        raise UserError(
                            "out-of-memory",
                            "The memory does not suffice even for a tile of 64 x 64 pixels.",
                            "Close other programs, or use fewer threads.",
                        ) from error
                    self._step = max(self._step, step + 1)
