"""Which pixels lie inside a closed curve."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def pixels_in_polygon(points: NDArray[Any], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels whose centre lies inside a polygon, by the even-odd rule: where it crosses itself, twice inside is out.

    Of centres on its border those above and to the left of the inside count, so that polygons that share a border share
    no pixel.

    Parameters
    ----------
    points : (n, 2) array
        Corners (row, column) in order, in pixels; the last is joined to the first.
    shape : (rows, columns)

    Returns
    -------
    bool array of that shape
    """
    inside = np.zeros(shape, bool)
    if len(points) < 3:
        return inside
    start = np.asarray(points, np.float64)
    end = np.roll(start, -1, axis=0)
    first = max(0, int(np.ceil(start[:, 0].min())))
    last = min(shape[0] - 1, int(np.floor(start[:, 0].max())))
    columns = np.arange(shape[1])
    for row in range(first, last + 1):
        crossing = (start[:, 0] <= row) != (end[:, 0] <= row)
        one, two = start[crossing], end[crossing]
        at = one[:, 1] + (row - one[:, 0]) / (two[:, 0] - one[:, 0]) * (two[:, 1] - one[:, 1])
        inside[row] = np.searchsorted(np.sort(at), columns, side="right") % 2 == 1
    return inside
