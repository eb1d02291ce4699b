"""Whether the faces of a surface fit together, and all look the same way; with the repairs that change no shape."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from inference_core.errors import UserError
from inference_core.extras import need
from inference_core.simulation.colon.mesh.surface import Surface


def half_edges(surface: Surface) -> NDArray[np.int64]:
    """The three directed edges of each face, face by face; (3M, 2)."""
    return surface.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)


def faces_at_edges(surface: Surface) -> NDArray[np.int64]:
    """How many faces meet at the edge of each half-edge: 1 at a rim, 2 inside a proper surface; (3M,)."""
    pairs = np.sort(half_edges(surface), axis=1)
    keys = pairs[:, 0] * len(surface.vertices) + pairs[:, 1]
    _, number, counts = np.unique(keys, return_inverse=True, return_counts=True)
    return np.asarray(counts[number], np.int64)


def without_useless_faces(surface: Surface, notes: list[str]) -> Surface:
    """Drop faces that use a vertex twice and faces that repeat another."""
    faces = surface.faces
    proper = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    _, first = np.unique(np.sort(faces, axis=1), axis=0, return_index=True)
    single = np.zeros(len(faces), bool)
    single[first] = True
    if not proper.all():
        notes.append(f"Dropped {np.count_nonzero(~proper)} collapsed triangles.")
    if (proper & ~single).any():
        notes.append(f"Dropped {np.count_nonzero(proper & ~single)} triangles that were there twice.")
    return Surface(surface.vertices, faces[proper & single], surface.point_arrays)


def manifold(surface: Surface, notes: list[str]) -> Surface:
    """A surface in which each edge has one or two faces, and each vertex one fan of faces.

    Raises
    ------
    UserError
        ``surface-damaged`` where more than two faces meet at an edge.
    """
    need("igl", "colon", "Checking a surface")
    import igl

    crowded = half_edges(surface)[faces_at_edges(surface) > 2]
    if len(crowded):
        edges = len(np.unique(np.sort(crowded, axis=1), axis=0))
        raise damaged(f"at {edges} edge{'s'[: edges > 1]} more than two triangles meet")
    if igl.is_vertex_manifold(surface.faces).all():
        return surface
    faces, origin = igl.split_nonmanifold(surface.faces)[:2]
    origin = np.asarray(origin).ravel()
    notes.append(f"Split {len(origin) - len(surface.vertices)} vertices at which two sheets of the wall touched.")
    return Surface(
        surface.vertices[origin],
        np.ascontiguousarray(faces, dtype=np.int64),
        {name: values[origin] for name, values in surface.point_arrays.items()},
    )


def consistent(surface: Surface, notes: list[str]) -> Surface:
    """Turn single faces over until neighbours agree which side is outside.

    Raises
    ------
    UserError
        ``surface-damaged`` for a surface with one side only.
    """
    import igl

    if _agrees(surface):
        return surface
    faces = np.ascontiguousarray(igl.bfs_orient(surface.faces)[0], dtype=np.int64)
    turned = (faces != surface.faces).any(axis=1)
    if np.count_nonzero(turned) > len(faces) / 2:  # turn the fewer
        faces, turned = np.ascontiguousarray(faces[:, ::-1]), ~turned
    result = Surface(surface.vertices, faces, surface.point_arrays)
    if not _agrees(result):
        raise damaged("it has no inside and outside: followed round, it turns over like a Möbius strip")
    notes.append(f"Turned over {np.count_nonzero(turned)} triangles that faced the other way than their neighbours.")
    return result


def _agrees(surface: Surface) -> bool:
    """Whether no directed edge occurs twice."""
    edges = half_edges(surface)
    keys = edges[:, 0] * len(surface.vertices) + edges[:, 1]
    return len(np.unique(keys)) == len(keys)


def damaged(reason: str) -> UserError:
    """For a surface that no safe repair makes whole."""
    return UserError(
        "surface-damaged",
        f"The surface is damaged: {reason}.",
        "Make it again from its segmentation, or repair it in a mesh editor (in Slicer: Surface Toolbox).",
    )
