"""The folds of a colon: a score per vertex and a number per fold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_core.simulation.colon.bare_wall import ROUNDS, ROUNDS_BLIND, bare_wall
from inference_core.simulation.colon.basins import hills
from inference_core.simulation.colon.curvature import Bend, principal_bend
from inference_core.simulation.colon.operators import neighbours, numbered, pieces
from inference_core.simulation.colon.surface import Surface, vertex_areas

BORDER = 0.25  # of a fold's own height: what rises higher belongs to it
RIDGE = 0.04  # 1/mm into the lumen: a crest may be here
CREST = 0.06  # 1/mm: a ridge is one only if it gets this sharp somewhere
FLOOR = 0.5  # mm over the bare wall: below is its roughness
SADDLE = 0.5  # of the lower of two crests: two folds where the dip between them is deeper
LEAST_HEIGHT = 1.5  # mm
LEAST_AREA = 40.0  # mm²
ACROSS = 0.6  # cosine between the path and the direction across a fold: a ridge along the path is a taenia
SHARP_SHARE = 0.1  # of a fold's area is ridge

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Relief:
    """What the folds are read from; one number per vertex.

    Attributes
    ----------
    height : (N,)
        mm over the bare wall.
    share : (N,)
        Height as a share of the height of the fold it belongs to.
    ridge : (N,) bool
        Where the wall bends sharply into the lumen.
    across : (N,)
        Cosine between the path and the direction in which the wall bends most into the lumen.
    hill : (N,)
        Number of the hill, from 1; 0 on the floor.
    """

    height: NDArray[np.float64]
    share: NDArray[np.float64]
    ridge: NDArray[np.bool_]
    across: NDArray[np.float64]
    hill: NDArray[np.int64]


def label_folds(surface: Surface, progress: Progress | None = None) -> Surface:
    """Find the folds.

    A fold is a hill over the bare wall, its border where it rises to a quarter of its own height. Its crest is a
    ridge of the principal curvature, and lies across the path.

    Parameters
    ----------
    surface : Surface
        Checked: closed, mm, outward normals.
    progress : callable, optional
        Told (done, total).

    Returns
    -------
    Surface
        With ``fold_score`` (float32, 0 to 1, 0.5 at the border) and ``fold_instance`` (int32, number of the fold from
        1, the largest first; 0 off the folds, which is where the score is below 0.5).

    Raises
    ------
    UserError
        ``missing-package``.
    """
    total = ROUNDS_BLIND + ROUNDS + 3
    tell = progress or (lambda done, total: None)
    tell(0, total)
    bend = principal_bend(surface)
    tell(1, total)
    graph = neighbours(surface)
    relief = _relief(surface, graph, bend, lambda done: tell(done + 1, total))
    tell(total - 1, total)
    instance = _folds(surface, graph, relief)
    score = np.where(instance > 0, np.maximum(0.5, relief.share * (0.5 / BORDER)), 0)
    near = (instance == 0) & _kept_hills(relief.hill, instance)
    score[near] = np.clip(relief.share[near] * (0.5 / BORDER), 0, 0.499)
    labels = {"fold_score": np.minimum(score, 1).astype(np.float32), "fold_instance": instance.astype(np.int32)}
    tell(total, total)
    return replace(surface, point_arrays={**surface.point_arrays, **labels})


def _relief(surface: Surface, graph: Any, bend: Bend, each: Callable[[int], None]) -> Relief:
    ridge = _ridges(graph, bend)
    wall = bare_wall(surface, ridge, each)
    hill = hills(graph, wall.height, FLOOR, SADDLE)
    tops = _tops(wall.height, hill)
    share = np.where(hill > 0, wall.height / np.maximum(tops[hill], FLOOR), 0)
    across = np.abs((bend.across * wall.axis).sum(axis=1))
    return Relief(wall.height, share, ridge, across, hill)


def _ridges(graph: Any, bend: Bend) -> NDArray[np.bool_]:
    """Ridges into the lumen that are sharp enough somewhere (hysteresis)."""
    ridge = (bend.inwards > RIDGE) & (bend.inwards > np.abs(bend.other) / 2)
    piece = pieces(graph, ridge.astype(np.int64))
    sharp = np.zeros(piece.max() + 1, bool)
    sharp[piece[bend.inwards > CREST]] = True
    sharp[0] = False
    return sharp[piece]


def _tops(height: NDArray[np.float64], hill: NDArray[np.int64]) -> NDArray[np.float64]:
    """Height of each hill: nearly that of its highest vertex, which noise may have raised; (hills + 1,)."""
    order = np.argsort(hill, kind="stable")
    parts = np.split(height[order], np.searchsorted(hill[order], np.arange(1, hill.max() + 1)))
    return np.array([0.0] + [float(np.percentile(part, 98)) for part in parts[1:]])


def _folds(surface: Surface, graph: Any, relief: Relief) -> NDArray[np.int64]:
    """Number of the fold of each vertex, the largest first; what is low, small, blunt or along the path is none."""
    part = pieces(graph, np.where(relief.share >= BORDER, relief.hill, 0))
    areas = vertex_areas(surface)

    def mean(values: NDArray[Any], weights: NDArray[Any] = areas) -> NDArray[np.float64]:
        return np.bincount(part, weights * values) / np.maximum(np.bincount(part, weights), 1e-9)

    size = np.bincount(part, areas)
    top = np.zeros(len(size))
    np.maximum.at(top, part, relief.height)
    across = mean(relief.across, areas * (relief.ridge + 1e-6))
    kept = (top >= LEAST_HEIGHT) & (size >= LEAST_AREA) & (across > ACROSS) & (mean(relief.ridge) > SHARP_SHARE)
    return numbered(part, areas, kept)


def _kept_hills(hill: NDArray[np.int64], instance: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Where a hill is, or was, part of a fold: outside the border its score falls off, elsewhere it is 0."""
    kept = np.zeros(hill.max() + 1, bool)
    kept[hill[instance > 0]] = True
    kept[0] = False
    return kept[hill]
