"""Split a mesh into pieces that lie close together, so that a renderer can leave out those that are out of sight."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from inference_core.simulation.colon.mesh.surface import Surface


def compact_pieces(surface: Surface, largest: int) -> list[NDArray[np.int64]]:
    """Face numbers of each piece: halves of halves along the longest side, until no piece has more than ``largest``."""
    centres = surface.vertices[surface.faces].mean(axis=1)
    pieces, waiting = [], [np.arange(len(surface.faces))]
    while waiting:
        numbers = waiting.pop()
        if len(numbers) <= largest:
            pieces.append(np.sort(numbers))
            continue
        axis = np.argmax(np.ptp(centres[numbers], axis=0))
        middle = len(numbers) // 2
        order = np.argpartition(centres[numbers, axis], middle)
        waiting += [numbers[order[middle:]], numbers[order[:middle]]]
    return pieces
