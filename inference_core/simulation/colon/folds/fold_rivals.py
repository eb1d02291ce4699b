"""Other ways to label folds, kept to compare with: the paper's sentence, curvature alone, and the lumen's radius.

They need the centreline, and their scores are 0 or 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from inference_core.extras import need
from inference_core.simulation.colon.folds.curvature import principal_bend
from inference_core.simulation.colon.folds.operators import laplacian, mass, neighbours, numbered, pieces, solve, within
from inference_core.simulation.colon.mesh.surface import Points, Surface, vertex_areas, vertex_normals

if TYPE_CHECKING:
    from inference_core.simulation.colon.path.centreline import Centreline

WITHIN_45_DEGREES = float(np.cos(np.pi / 4))
SEED, KEPT = 0.15, 0.6  # 1/mm of weighted curvature, and the share of it that is enough beside a seed
SMOOTHED = 1.5  # mm, about a standard deviation: three steps over neighbours on a mesh of 120,000 triangles
GROWN = 3.0  # mm
SPAN = 26.0  # mm along the path that the lumen's envelope bridges
LEAST_RISE = 1.5  # mm below that envelope
LEAST_AREA = 40.0  # mm²
RADIUS_STEP, SECTORS = 1.0, 72  # mm along the path, and parts around it, of the lumen's radius


def direction(surface: Surface, centreline: Centreline) -> Surface:
    """The paper's sentence, "folds correspond to areas where that direction changes", taken literally.

    A vertex is on a fold where the direction of its strongest curvature, of either sign, lies within 45 degrees of the
    path; on a plain tube it lies across.

    References
    ----------
    Tomasini, Riazuelo, Murillo: Sim2Real in endoscopy segmentation with a novel structure aware image translation.
    """
    bend = principal_bend(surface)
    inwards_rules = (np.abs(bend.inwards) >= np.abs(bend.other))[:, None]
    strongest = np.where(inwards_rules, bend.across, np.cross(bend.across, vertex_normals(surface)))
    return _labelled(surface, _cosine(strongest, surface, centreline) > WITHIN_45_DEGREES)


def signed_direction(surface: Surface, centreline: Centreline) -> Surface:
    """As :func:`direction`, but only where the strongest bend is into the lumen."""
    bend = principal_bend(surface)
    ridge = (bend.inwards > 0) & (bend.inwards >= np.abs(bend.other))
    return _labelled(surface, ridge & (_cosine(bend.across, surface, centreline) > WITHIN_45_DEGREES))


def curvature(surface: Surface, centreline: Centreline) -> Surface:
    """Strong bends into the lumen along the path (hysteresis), each grown by 3 mm."""
    from scipy.sparse import diags

    bend = principal_bend(surface)
    strength = np.maximum(bend.inwards, 0) * _cosine(bend.across, surface, centreline)
    graph = neighbours(surface)
    weights = mass(surface)
    strength = solve(diags(weights) + SMOOTHED**2 / 2 * laplacian(surface), weights * strength)
    part = pieces(graph, (strength > SEED * KEPT).astype(np.int64))
    strong = np.bincount(part, strength > SEED) > 0
    large = np.bincount(part, vertex_areas(surface)) >= LEAST_AREA
    core = (part > 0) & (strong & large)[part]
    return _labelled(surface, within(graph, core, GROWN))


def lumen_radius(surface: Surface, centreline: Centreline) -> Surface:
    """Where the distance from the centreline dips for less than 26 mm of the path, by more than 1.5 mm.

    Right where the path is exact and the colon straight; on a real one it takes whole flexures for folds.
    """
    from scipy.ndimage import distance_transform_edt, grey_closing
    from scipy.spatial import cKDTree

    _, nearest = cKDTree(centreline.points).query(surface.vertices)
    offset = surface.vertices - centreline.points[nearest]
    x, y = ((offset * frame[nearest]).sum(axis=1) for frame in (centreline.normals, centreline.binormals))
    radius = np.hypot(x, y)
    row = np.round(centreline.arc_length[nearest] / RADIUS_STEP).astype(int)
    column = np.floor(np.mod(np.arctan2(y, x), 2 * np.pi) / (2 * np.pi) * SECTORS).astype(int) % SECTORS
    shape = (int(row.max()) + 1, SECTORS)
    cell = row * SECTORS + column
    count = np.bincount(cell, minlength=shape[0] * SECTORS).reshape(shape)
    total = np.bincount(cell, radius, minlength=shape[0] * SECTORS).reshape(shape)
    table = np.tile(total / np.maximum(count, 1), (1, 3))
    filled = distance_transform_edt(np.tile(count == 0, (1, 3)), return_distances=False, return_indices=True)
    table = table[tuple(filled)][:, SECTORS : 2 * SECTORS]
    envelope = grey_closing(table, (round(SPAN / RADIUS_STEP), 1), mode="nearest")
    part = pieces(neighbours(surface), (envelope[row, column] - radius > LEAST_RISE).astype(np.int64))
    large = np.bincount(part, vertex_areas(surface)) >= LEAST_AREA
    return _labelled(surface, (part > 0) & large[part])


RIVALS: dict[str, Callable[[Surface, Centreline], Surface]] = {
    "direction": direction,
    "signed-direction": signed_direction,
    "curvature": curvature,
    "lumen-radius": lumen_radius,
}


def rival_labels(surface: Surface, method: str, centreline: Centreline) -> Surface:
    """Label folds with the rival of that name; point arrays as of ``label_folds``."""
    need("scipy", "colon", "Labelling folds")
    return RIVALS[method](surface, centreline)


def _cosine(vectors: Points, surface: Surface, centreline: Centreline) -> NDArray[np.float64]:
    """Of the angle to the path at its nearest point; (N,)."""
    from scipy.spatial import cKDTree

    _, nearest = cKDTree(centreline.points).query(surface.vertices)
    return np.asarray(np.abs((vectors * centreline.tangents[nearest]).sum(axis=1)))


def _labelled(surface: Surface, fold: NDArray[np.bool_]) -> Surface:
    """The surface with its connected folds numbered, the largest first."""
    part = pieces(neighbours(surface), fold.astype(np.int64))
    instance = numbered(part, vertex_areas(surface), np.ones(int(part.max()) + 1, bool))
    labels = {"fold_score": (instance > 0).astype(np.float32), "fold_instance": instance.astype(np.int32)}
    return replace(surface, point_arrays={**surface.point_arrays, **labels})
