"""The connected parts of a surface, and how to take some of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_core.extras import need
from inference_core.simulation.colon.mesh.surface import Surface, face_areas


def part_of_faces(surface: Surface) -> NDArray[np.int64]:
    """Number of the connected part (joined by shared vertices) that each face belongs to; (M,)."""
    need("scipy", "colon", "Work on a colon surface")
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    starts, ends = surface.faces[:, [0, 1]].ravel(), surface.faces[:, [1, 2]].ravel()
    size = len(surface.vertices)
    graph = coo_matrix((np.ones(len(starts), bool), (starts, ends)), shape=(size, size))
    _, parts = connected_components(graph, directed=False)
    return np.unique(parts[surface.faces[:, 0]], return_inverse=True)[1].astype(np.int64)


def with_faces(surface: Surface, kept: NDArray[np.bool_]) -> Surface:
    """Only the faces that are kept, and the vertices that they use, in their order."""
    faces = surface.faces[kept]
    used = np.zeros(len(surface.vertices), bool)
    used[faces] = True
    number = np.cumsum(used) - 1
    return Surface(
        surface.vertices[used],
        number[faces].astype(np.int64),
        {name: values[used] for name, values in surface.point_arrays.items()},
    )


def largest_part(surface: Surface) -> Surface:
    """The connected part with the largest area."""
    parts = part_of_faces(surface)
    if not parts.any():
        return surface
    areas = np.bincount(parts, face_areas(surface))
    return with_faces(surface, parts == int(np.argmax(areas)))


def merged_duplicates(surface: Surface) -> Surface:
    """Vertices at exactly the same place become one, the first; vertices keep their order otherwise."""
    places = surface.vertices + 0.0  # turns -0 into 0
    _, first, number = np.unique(places, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    kept = first[order]
    return Surface(
        places[kept],
        rank[number.ravel()][surface.faces].astype(np.int64),
        {name: values[kept] for name, values in surface.point_arrays.items()},
    )


def polygon_triangles(polygons: Sequence[Any] | NDArray[Any]) -> NDArray[np.int64]:
    """Split polygons, given by their vertex numbers, into fans of triangles; (M, 3).

    Polygons with fewer than three corners are left out.
    """
    if isinstance(polygons, np.ndarray):
        return polygons.astype(np.int64)
    by_corners: dict[int, list[tuple[int, Any]]] = {}
    for number, polygon in enumerate(polygons):
        if len(polygon) >= 3:
            by_corners.setdefault(len(polygon), []).append((number, polygon))
    parts, owners = [np.empty((0, 3), np.int64)], [np.empty(0, np.int64)]
    for corners, group in by_corners.items():
        table = np.array([polygon for _, polygon in group]).astype(np.int64)
        numbers = np.array([number for number, _ in group], np.int64)
        for second in range(1, corners - 1):
            parts.append(table[:, [0, second, second + 1]])
            owners.append(numbers)
    return np.concatenate(parts)[np.argsort(np.concatenate(owners), kind="stable")]


def strip_triangles(strips: Sequence[Any] | NDArray[Any]) -> NDArray[np.int64]:
    """Unroll triangle strips, given by their vertex numbers, every second one turned over; (M, 3)."""
    parts = [np.empty((0, 3), np.int64)]
    for strip in strips:
        numbers = np.asarray(strip, np.int64)
        triangles = np.stack([numbers[:-2], numbers[1:-1], numbers[2:]], axis=1)
        triangles[1::2] = triangles[1::2, ::-1]
        parts.append(triangles)
    return np.concatenate(parts)
