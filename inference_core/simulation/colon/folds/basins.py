"""Hills of a height on a surface, told apart where the saddle between two is low."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def hills(graph: Any, height: NDArray[np.float64], least: float, saddle: float) -> NDArray[np.int64]:
    """Number of the hill of each vertex that is higher than ``least``.

    Vertices are taken from the highest down; each goes to the hill of its highest neighbour. Where two hills meet, they
    become one if the place is at least ``saddle`` times as high as the lower one's top (watershed by persistence).

    Parameters
    ----------
    graph : sparse (N, N)
        Links between neighbours.
    height : (N,)
    least : float
        In the height's unit.
    saddle : float
        Between 0 and 1.

    Returns
    -------
    (N,) int64
        From 1, the highest hill first; 0 where there is none.

    References
    ----------
    Chazal, Guibas, Oudot, Skraba: Persistence-based clustering in Riemannian manifolds, J. ACM 2013.
    """
    found = np.zeros(len(height), np.int64)
    high = np.flatnonzero(height > least)
    order = high[np.lexsort((high, -height[high]))].tolist()
    starts, links, heights = graph.indptr.tolist(), graph.indices, height.tolist()
    parent: dict[int, int] = {}

    def top(vertex: int) -> int:
        while parent[vertex] != vertex:
            parent[vertex] = parent[parent[vertex]]
            vertex = parent[vertex]
        return vertex

    for vertex in order:
        higher = [n for n in links[starts[vertex] : starts[vertex + 1]].tolist() if n in parent]
        if not higher:
            parent[vertex] = vertex
            continue
        highest = max(higher, key=lambda n: (heights[n], -n))
        parent[vertex] = top(highest)
        for neighbour in higher:
            mine, theirs = top(vertex), top(neighbour)
            low, tall = (mine, theirs) if (heights[mine], -mine) < (heights[theirs], -theirs) else (theirs, mine)
            if mine != theirs and heights[vertex] >= saddle * heights[low]:
                parent[low] = tall
    number: dict[int, int] = {}
    for vertex in order:
        found[vertex] = number.setdefault(top(vertex), len(number) + 1)
    return found
