"""Grow blood vessels on a square that repeats: trees that reach for unsupplied tissue, thick where they carry much.

Space colonisation (Runions, Lane, Prusinkiewicz 2007, "Modeling trees with a space colonization algorithm") on a torus;
calibres by Murray's law (the cube of a vessel's radius is the sum of its branches' cubes).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float64]

STEP = 0.5  # of the spacing of the tissue's points: how far a vessel grows at a time
REACHED = 0.6  # of that spacing: closer than this a point is supplied
WINDING = 0.5  # spread of each step's direction
MOST_STEPS = 400


def grow_vessels(
    size: float, spacing: float, roots: int, rng: np.random.Generator
) -> tuple[Rows, NDArray[np.int64], Rows]:
    """Grow trees that leave no place much farther than ``spacing`` from a vessel.

    Parameters
    ----------
    size : float
        Side of the square in mm; what leaves it on one side enters on the other.
    spacing : float
        Between the tissue's points that ask for supply, mm.
    roots : int
        Number of trees.
    rng : numpy Generator

    Returns
    -------
    places : (N, 2) float64
        Points of the vessels, 0 to ``size``.
    parents : (N,) int64
        The point each grew from; itself for a root.
    calibres : (N,) float64
        Radius relative to that of the finest branch, at least 1.
    """
    from scipy.spatial import cKDTree

    per_side = max(int(size / spacing), 2)
    grid = np.stack(np.meshgrid(*[np.arange(per_side)] * 2), axis=-1).reshape(-1, 2)
    hungry = (grid + rng.uniform(0, 1, grid.shape)) % per_side * (size / per_side)
    places = rng.uniform(0, size, (roots, 2))
    parents = np.arange(roots)
    for _ in range(MOST_STEPS):
        distance, nearest = cKDTree(places, boxsize=size).query(hungry)
        left = distance > REACHED * spacing
        hungry, nearest = hungry[left], nearest[left]
        if not len(hungry):
            break
        pull = _unit(_shortest(hungry - places[nearest], size))
        growing, inverse = np.unique(nearest, return_inverse=True)
        direction = np.stack([np.bincount(inverse, pull[:, axis]) for axis in range(2)], axis=1).astype(np.float64)
        direction = _unit(_unit(direction) + rng.normal(0, WINDING, direction.shape))
        grown = (places[growing] + STEP * spacing * direction) % size
        places = np.concatenate([places, np.where(grown < size, grown, 0)])  # rounding may leave the size itself
        parents = np.concatenate([parents, growing])
    return places, parents, _calibres(parents)


def _calibres(parents: NDArray[np.int64]) -> Rows:
    """Murray's law from the tips to the roots; a point's number is above its parent's."""
    cubes = np.zeros(len(parents))
    for point in range(len(parents) - 1, -1, -1):
        cubes[point] = max(cubes[point], 1.0)
        if parents[point] != point:
            cubes[parents[point]] += cubes[point]
    return np.cbrt(cubes)


def draw_vessels(places: Rows, parents: NDArray[np.int64], widths: Rows, size: float, pixels: int) -> NDArray[np.uint8]:
    """Draw each vessel from its parent, ``widths`` mm wide, on a square that repeats; (pixels, pixels), 255 inside."""
    from PIL import Image, ImageDraw

    image = Image.new("L", (pixels, pixels))
    brush = ImageDraw.Draw(image)
    scale = pixels / size
    ends = places * scale
    starts = ends + _shortest(places[parents] - places, size) * scale
    for start, end, width in zip(starts, ends, np.maximum(widths * scale, 1.0), strict=True):
        corners = np.concatenate([start, end])
        for x in (-pixels, 0, pixels):
            for y in (-pixels, 0, pixels):
                moved = corners + np.array((x, y, x, y))
                if (moved > -width).all() and (moved < pixels + width).all():
                    brush.line(moved.tolist(), fill=255, width=round(width))
    return np.asarray(image)


def _shortest(vectors: Rows, size: float) -> Rows:
    return np.asarray((vectors + size / 2) % size - size / 2)


def _unit(vectors: Rows) -> Rows:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9))
