"""A triangle mesh of the colon wall in millimetres, and the geometry that its users share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
Faces = NDArray[np.int64]


@dataclass(frozen=True)
class Surface:
    """The colon's inner wall as a closed triangle mesh.

    Attributes
    ----------
    vertices : (N, 3) float64
        Millimetres, LPS.
    faces : (M, 3) int64
        Vertex numbers, counter-clockwise seen from outside: normals point away from the lumen.
    point_arrays : dict of name to (N,) array
        What is known of each vertex, e.g. ``fold_score`` (float), ``fold_instance`` (integer, 0 where there is none).
    notes : dict of str
        What a file says of the whole: ``attribution`` (whose colon it is), ``fold_labels`` (where they come from).
    """

    vertices: Points
    faces: Faces
    point_arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)


def face_vectors(surface: Surface) -> Points:
    """Normal of each face, as long as twice its area in mm²; (M, 3)."""
    a, b, c = (surface.vertices[surface.faces[:, corner]] for corner in range(3))
    return np.cross(b - a, c - a)


def face_areas(surface: Surface) -> Points:
    """Area of each face in mm²; (M,)."""
    return np.linalg.norm(face_vectors(surface), axis=1) / 2


def vertex_areas(surface: Surface) -> Points:
    """A third of the area of the faces around each vertex, in mm²; (N,)."""
    areas = np.repeat(face_areas(surface) / 3, 3)
    return np.bincount(surface.faces.ravel(), areas, minlength=len(surface.vertices)).astype(np.float64)


def vertex_normals(surface: Surface) -> Points:
    """Unit normal of each vertex, area-weighted; outwards like the faces; (N, 3)."""
    vectors = np.repeat(face_vectors(surface), 3, axis=0)
    sums = np.stack(
        [np.bincount(surface.faces.ravel(), vectors[:, axis], minlength=len(surface.vertices)) for axis in range(3)],
        axis=1,
    )
    return sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)


def edges(surface: Surface) -> NDArray[np.int64]:
    """Each edge once, as a sorted pair of vertex numbers; (E, 2)."""
    pairs = np.sort(surface.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    return np.unique(pairs, axis=0)


def mean_edge(surface: Surface) -> float:
    """Mean length of an edge in mm."""
    pairs = edges(surface)
    ends = surface.vertices[pairs]
    return float(np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1).mean())


def enclosed_volume(surface: Surface) -> float:
    """Volume inside a closed surface in mm³; negative where its normals point inwards."""
    corners = surface.vertices - surface.vertices.mean(axis=0)
    a, b, c = (corners[surface.faces[:, corner]] for corner in range(3))
    return float((a * np.cross(b, c)).sum() / 6)
