"""Holes in a surface: the cut ends of a tube and pinholes are closed, anything else is damage."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference_core.simulation.colon.mesh.surface import Surface, enclosed_volume, face_areas, face_vectors
from inference_core.simulation.colon.mesh.surface_winding import damaged, faces_at_edges, half_edges

_PINHOLE = 0.35  # of the width of the lumen: closed wherever it is
_WIDEST_END = 1.8  # widths of the lumen
_RAGGED = 0.3  # 4 pi area / perimeter²: 1 for a circle, 0.79 for a square, less for a rim that is torn or not flat
_ALONG_WALL = 0.6  # cosine between rim and wall: the rim of a cut tube stands across its wall, a torn wall's lies in it
_MOST_PINHOLES = 20


@dataclass(frozen=True, eq=False)
class _Hole:
    loop: NDArray[np.int64]  # vertices in the order in which new faces must run through them
    width: float  # of the circle with its area, in mm
    roundness: float
    along_wall: float


def without_holes(surface: Surface, notes: list[str]) -> Surface:
    """Close the two ends of an open tube and pinholes, each with a fan of triangles around a new vertex.

    New vertices have 0 in every point array.

    Parameters
    ----------
    surface : Surface
        Each edge with one or two faces, all facing the same side.
    notes : list of str
        What was closed is added.

    Raises
    ------
    UserError
        ``surface-damaged`` for other holes.
    """
    holes = [_measured(surface, loop) for loop in _loops(surface)]
    if not holes:
        return surface
    width = _tube_width(surface, holes)
    pinholes = [hole for hole in holes if hole.width <= _PINHOLE * width and hole.roundness >= _RAGGED]
    rest = [hole for hole in holes if hole not in pinholes]
    for hole in rest:
        if hole.roundness < _RAGGED:
            raise damaged(f"it has {len(holes)} holes, and one {hole.width:.3g} mm wide has a ragged rim")
        if hole.along_wall > _ALONG_WALL or hole.width > _WIDEST_END * width:
            raise damaged(f"a piece of the wall {hole.width:.3g} mm wide is missing")
    if len(rest) > 2:
        raise damaged(f"it has {len(rest)} open ends, where a colon has two")
    if len(pinholes) > _MOST_PINHOLES:
        raise damaged(f"it has {len(pinholes)} small holes")
    if rest:
        ends = " and ".join(f"{hole.width:.3g} mm" for hole in rest)
        notes.append(f"Closed {len(rest)} open end{'s'[: len(rest) > 1]} of the tube ({ends} wide).")
    if pinholes:
        largest = max(hole.width for hole in pinholes)
        notes.append(f"Closed {len(pinholes)} small hole{'s'[: len(pinholes) > 1]} (up to {largest:.2g} mm wide).")
    return _capped(surface, [hole.loop for hole in holes])


def _loops(surface: Surface) -> list[NDArray[np.int64]]:
    """The rims, each as vertices in the order of the faces that would close it."""
    rim = half_edges(surface)[faces_at_edges(surface) == 1][:, ::-1]
    follows = dict(rim.tolist())
    if len(follows) < len(rim):
        raise damaged("two of its holes touch")
    loops = []
    while follows:
        first, at = follows.popitem()
        loop = [first]
        while at != first:
            loop.append(at)
            at = follows.pop(at)
        loops.append(np.array(loop, np.int64))
    return sorted(loops, key=lambda loop: int(loop.min()))


def _measured(surface: Surface, loop: NDArray[np.int64]) -> _Hole:
    rim = surface.vertices[loop]
    spokes = rim - rim.mean(axis=0)
    area_vector = np.cross(spokes, np.roll(spokes, -1, axis=0)).sum(axis=0) / 2
    area = float(np.linalg.norm(area_vector))
    perimeter = float(np.linalg.norm(np.roll(rim, -1, axis=0) - rim, axis=1).sum())
    at_rim = np.isin(surface.faces, loop).any(axis=1)
    normals = face_vectors(surface)[at_rim]
    lengths = np.linalg.norm(normals, axis=1)
    cosines = np.abs(normals @ area_vector) / np.maximum(lengths * area, 1e-12)
    return _Hole(
        loop,
        2 * float(np.sqrt(area / np.pi)),
        4 * float(np.pi) * area / max(perimeter**2, 1e-12),
        float(np.average(cosines, weights=np.maximum(lengths, 1e-12))),
    )


def _tube_width(surface: Surface, holes: list[_Hole]) -> float:
    """4 volume / area of the surface with all holes closed, in mm."""
    closed = _capped(surface, [hole.loop for hole in holes])
    return 4 * abs(enclosed_volume(closed)) / float(face_areas(surface).sum())


def _capped(surface: Surface, loops: list[NDArray[np.int64]]) -> Surface:
    faces, centres = [surface.faces], []
    for number, loop in enumerate(loops, len(surface.vertices)):
        if len(loop) == 3:
            faces.append(loop[None])
            continue
        centres.append((number, surface.vertices[loop].mean(axis=0)))
        hub = np.full(len(loop), len(surface.vertices) + len(centres) - 1)
        faces.append(np.stack([loop, np.roll(loop, -1), hub], axis=1))
    places = np.array([place for _, place in centres]).reshape(-1, 3)
    return Surface(
        np.concatenate([surface.vertices, places]),
        np.concatenate(faces),
        {
            name: np.concatenate([values, np.zeros(len(places), values.dtype)])
            for name, values in surface.point_arrays.items()
        },
    )
