"""What the tests of the module share."""

from __future__ import annotations

import time

import numpy as np


def turn(axis: int, degrees: float) -> np.ndarray:
    """(3, 3) rotation about a coordinate axis."""
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    matrix = np.eye(3)
    one, two = [i for i in range(3) if i != axis]
    matrix[[one, one, two, two], [one, two, one, two]] = c, -s, s, c
    return matrix


OBLIQUE = np.eye(4)
OBLIQUE[:3, :3] = turn(0, 25) @ turn(2, -40) @ np.diag([-0.7, -0.7, 2.5])
OBLIQUE[:3, 3] = [31.7, -12.3, 1001.1]


def until(condition, seconds: float = 60.0) -> None:
    """Wait for a condition that polls by itself."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"


def polled(run) -> bool:
    """Poll a run once; whether it has ended."""
    run.poll()
    return not run.running
