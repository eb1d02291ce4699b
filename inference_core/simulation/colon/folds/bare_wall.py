"""The wall as it would be without its folds, and how far they stand off it into the lumen.

The bare wall is a smooth surface drawn through the floor of the haustra and beneath the folds: a smoothing spline that
lets go of whatever stands into the lumen (an asymmetric baseline, as for spectra, on a surface). It is stiff along the
path and lithe around it, so that it spans a fold but follows taeniae, lobes and, with the wall, a flexure: a bend is no
fold. It needs neither a centreline nor a radius of the lumen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_core.simulation.colon.folds.operators import laplacian, mass, neighbours, solve, within
from inference_core.simulation.colon.mesh.surface import Points, Surface, vertex_normals

STIFFNESS = 3.2  # mm: waves along the path that are shorter than 2 pi times this are smoothed away
STIFFNESS_BLIND = 8.0  # mm: before the path's direction is known, for haustra hide it as folds do
SIDEWAYS = 0.2  # of that stiffness, around the path
SLACK = 0.6  # mm: what rises less is held to be wall and its roughness
REACH = 3.5  # mm that a fold's flanks reach beyond the ridge of its crest
ROUNDS_BLIND, ROUNDS = 2, 4  # before and after the path's direction is known
ALONG = 0.6  # cosine between the path and the direction across a ridge that may be a fold
LET_GO = 1e-4  # weight of what certainly is no wall
AROUND = 25.0  # mm over which normals are gathered to find the path's direction: about a radius of the lumen


@dataclass(frozen=True)
class BareWall:
    """The wall beneath the folds; one row per vertex.

    Attributes
    ----------
    vertices : (N, 3)
        mm; where a vertex would be without the fold it is on.
    axis : (N, 3)
        Unit direction of the path there; its sign means nothing.
    height : (N,)
        mm that the surface stands off it into the lumen; negative where it bulges outwards.
    """

    vertices: Points
    axis: Points
    height: NDArray[np.float64]


def bare_wall(
    surface: Surface,
    ridge: NDArray[np.bool_],
    across: Points,
    each: Callable[[int], None] = lambda done: None,
) -> BareWall:
    """Find the wall beneath the folds.

    Parameters
    ----------
    surface : Surface
    ridge : (N,) bool
        Where crests may be; what is missing here is found in the course of the rounds.
    across : (N, 3)
        Unit direction in which a ridge bends. Ridges along the path (taeniae) are left to the wall.
    each : callable
        Told how many of the rounds are done.

    References
    ----------
    Eilers: A perfect smoother, Anal. Chem. 2003 (asymmetric least squares).
    """
    from scipy.sparse import diags

    areas = mass(surface)
    graph = neighbours(surface)

    def drawn(bending: Any, start: NDArray[np.bool_], rounds: int, before: int) -> Points:
        wall = surface.vertices
        weights = np.where(within(graph, start, REACH), LET_GO, 1.0)
        for done in range(rounds):
            wall = solve(diags(areas * weights) + bending, (areas * weights)[:, None] * surface.vertices)
            rise = np.maximum(_height(surface, wall), 0) / SLACK
            weights = np.maximum(1 / (1 + rise**4), LET_GO)
            each(before + done + 1)
        return wall

    blind = drawn(_bending(laplacian(surface), areas, STIFFNESS_BLIND), ridge, ROUNDS_BLIND, 0)
    axis = wall_axis(surface, blind)
    lies_across = np.abs((across * axis).sum(axis=1)) > ALONG
    bending = _bending(laplacian(surface, axis, SIDEWAYS), areas, STIFFNESS)
    wall = drawn(bending, ridge & lies_across, ROUNDS, ROUNDS_BLIND)
    return BareWall(wall, axis, _height(surface, wall))


def wall_axis(surface: Surface, wall: Points) -> Points:
    """Direction of the path at each vertex: the one that the normals of the wall around it have least of.

    Parameters
    ----------
    surface : Surface
    wall : (N, 3)
        Its vertices without the folds, whose normals point along the path too.

    Returns
    -------
    (N, 3)
        Unit vectors; their sign means nothing.
    """
    from scipy.sparse import diags

    areas = mass(surface)
    normals = vertex_normals(Surface(wall, surface.faces))
    products = (normals[:, :, None] * normals[:, None, :]).reshape(-1, 9)
    spread = diags(areas) + AROUND**2 / 2 * laplacian(surface)
    gathered = solve(spread, areas[:, None] * products).reshape(-1, 3, 3)
    return np.asarray(np.linalg.eigh(gathered)[1][:, :, 0])


def _bending(matrix: Any, areas: NDArray[np.float64], stiffness: float) -> Any:
    from scipy.sparse import diags

    return stiffness**4 * (matrix @ diags(1 / areas) @ matrix)


def _height(surface: Surface, wall: Points) -> NDArray[np.float64]:
    normals = vertex_normals(Surface(wall, surface.faces))
    return np.asarray(((wall - surface.vertices) * normals).sum(axis=1))
