"""The folds of a colon: a score per vertex and a number per fold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_core.extras import need
from inference_core.simulation.colon.folds.bare_wall import ROUNDS, ROUNDS_BLIND, BareWall, bare_wall
from inference_core.simulation.colon.folds.basins import hills
from inference_core.simulation.colon.folds.curvature import Bend, principal_bend
from inference_core.simulation.colon.folds.operators import gradient, neighbours, numbered, pieces
from inference_core.simulation.colon.mesh.surface import Surface, face_areas, vertex_areas

BORDER = 0.25  # of a fold's own height: what rises higher belongs to it
RIDGE = 0.04  # 1/mm into the lumen: a crest may be here
CREST = 0.06  # 1/mm: a ridge is one only if it gets this sharp somewhere
FLOOR = 0.5  # mm over the bare wall: below is its roughness
SADDLE = 0.5  # of the lower of two crests: two folds where the dip between them is deeper
TOP = 98  # percentile of a hill's height that counts as its top: noise may have raised the highest vertex
LEAST_HEIGHT = 1.0  # mm
LEAST_AREA = 40.0  # mm²
ACROSS = 0.6  # cosine between the path and the way up a fold: what is less steep along the path is a taenia
SHARP_SHARE = 0.1  # of a fold's area is ridge

Progress = Callable[[int, int], None]


def label_folds(surface: Surface, progress: Progress | None = None) -> Surface:
    """Find the folds.

    Sharp bends into the lumen (principal curvature) say where crests may be; beneath them the wall without its folds is
    drawn, and with it which way the path runs. A fold is a hill over that bare wall that lies across the path, its
    border where it rises to a quarter of its own height.

    Parameters
    ----------
    surface : Surface
        Checked: closed, mm, outward normals.
    progress : callable, optional
        Told (done, total).

    Returns
    -------
    Surface
        With ``fold_score`` (float32, 0 to 1, 0.5 at the border), ``fold_instance`` (int32, number of the fold from 1,
        the largest first; 0 off the folds, which is where the score is below 0.5) and ``fold_height`` (float32, mm over
        the bare wall).

    Raises
    ------
    UserError
        ``missing-package``.
    """
    need("igl", "colon", "Labelling folds")
    need("scipy", "colon", "Labelling folds")
    total = ROUNDS_BLIND + ROUNDS + 3
    tell = progress or (lambda done, total: None)
    tell(0, total)
    bend = principal_bend(surface)
    tell(1, total)
    graph = neighbours(surface)
    ridge = _ridges(graph, bend)
    wall = bare_wall(surface, ridge, bend.across, lambda done: tell(done + 1, total))
    tell(total - 1, total)
    hill = hills(graph, wall.height, FLOOR, SADDLE)
    share = _share(wall.height, hill)
    instance = _folds(surface, graph, wall, ridge, np.where(share >= BORDER, hill, 0))
    labels = {
        "fold_score": _score(share, instance, hill),
        "fold_instance": instance.astype(np.int32),
        "fold_height": wall.height.astype(np.float32),
    }
    tell(total, total)
    return replace(surface, point_arrays={**surface.point_arrays, **labels})


def _ridges(graph: Any, bend: Bend) -> NDArray[np.bool_]:
    """Ridges into the lumen that are sharp enough somewhere (hysteresis)."""
    ridge = (bend.inwards > RIDGE) & (bend.inwards > np.abs(bend.other) / 2)
    piece = pieces(graph, ridge.astype(np.int64))
    sharp = np.zeros(piece.max() + 1, bool)
    sharp[piece[bend.inwards > CREST]] = True
    sharp[0] = False
    return sharp[piece]


def _share(height: NDArray[np.float64], hill: NDArray[np.int64]) -> NDArray[np.float64]:
    """Height as a share of the top of the vertex's hill; 0 on the floor; (N,)."""
    order = np.argsort(hill, kind="stable")
    parts = np.split(height[order], np.searchsorted(hill[order], np.arange(1, hill.max() + 1)))
    tops = np.array([np.inf] + [float(np.percentile(part, TOP)) for part in parts[1:]])
    return np.asarray(height / tops[hill])


def _folds(
    surface: Surface, graph: Any, wall: BareWall, ridge: NDArray[np.bool_], hill: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Number of the fold of each vertex; what is low, small, blunt or runs along the path is none."""
    part = pieces(graph, hill)
    areas = vertex_areas(surface)
    size = np.bincount(part, areas)
    top = np.zeros(len(size))
    np.maximum.at(top, part, wall.height)
    sharp = np.bincount(part, areas * ridge) / np.maximum(size, 1e-9)
    kept = (top >= LEAST_HEIGHT) & (size >= LEAST_AREA) & (sharp > SHARP_SHARE)
    return numbered(part, areas, kept & (_across(surface, wall, part) > ACROSS))


def _across(surface: Surface, wall: BareWall, part: NDArray[np.int64]) -> NDArray[np.float64]:
    """How much of each part's rise is along the path: root mean square cosine, 1 for a ring, 0 for a taenia."""
    bare = replace(surface, vertices=wall.vertices)
    slopes = gradient(bare, wall.height)
    along = (slopes * wall.axis[surface.faces[:, 0]]).sum(axis=1) ** 2
    owner = part[surface.faces].max(axis=1)  # on a coarse mesh no triangle may lie within a fold: its flanks count too
    areas, count = face_areas(bare), int(part.max()) + 1
    all_ways = np.bincount(owner, areas * (slopes**2).sum(axis=1), minlength=count)
    return np.sqrt(np.bincount(owner, areas * along, minlength=count) / np.maximum(all_ways, 1e-12))


def _score(share: NDArray[np.float64], instance: NDArray[np.int64], hill: NDArray[np.int64]) -> NDArray[np.float32]:
    """Half at the border of a fold, falling off with the height beyond it; 0 around what is no fold."""
    has_fold = np.zeros(int(hill.max()) + 1, bool)
    has_fold[hill[instance > 0]] = True
    score = np.where(has_fold[hill] & (hill > 0), share * (0.5 / BORDER), 0)
    score = np.where(instance > 0, np.clip(score, 0.5, 1), np.clip(score, 0, 0.499))
    return score.astype(np.float32)
