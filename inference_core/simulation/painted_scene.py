"""A phantom painted like a picture: each new ellipsoid replaces what was there before.

Line integrals want densities that add up. Painting P over a scene f gives f (1 - P) + density P, so for every body B
of f the overlap of B and P is taken away again (inclusion and exclusion): exact, whatever overlaps what.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from inference_core.simulation.projection import Ellipsoid, FloatArray

Point = tuple[float, float, float]


class Scene:
    """Ellipsoids painted one over the other, in air.

    Attributes
    ----------
    bodies : dict of a set of ellipsoids to a density
        What :func:`~inference_core.simulation.projection.line_integrals` projects; water is 1, air 0.
    """

    def __init__(self) -> None:
        self.bodies: dict[frozenset[Ellipsoid], float] = {}

    def paint(self, hu: float, *parts: Ellipsoid) -> None:
        """Fill the overlap of ``parts`` with one CT number in HU."""
        new = _without_redundant(frozenset(parts))
        changes = {new: 1 + hu / 1000}
        for body in self._near(*_ball(new)):
            if any(_relation(a, b) == "apart" for a in body for b in new):
                continue
            both = _without_redundant(body | new)
            changes[both] = changes.get(both, 0.0) - self.bodies[body]
        for body, change in changes.items():
            density = self.bodies.pop(body, 0.0) + change
            if abs(density) > 1e-9:
                self.bodies[body] = density

    def hu_at(self, points: FloatArray) -> FloatArray:
        """CT number in HU at points (..., 3) in mm."""
        density = np.zeros(points.shape[:-1])
        middle = points.reshape(-1, 3).mean(axis=0)
        reach = np.linalg.norm(points - middle, axis=-1).max()
        for body in self._near((float(middle[0]), float(middle[1]), float(middle[2])), float(reach)):
            density += self.bodies[body] * np.all([part.level(points) <= 1 for part in body], axis=0)
        hu: FloatArray = 1000 * (density - 1)
        return hu

    def _near(self, centre: Point, radius: float) -> list[frozenset[Ellipsoid]]:
        """Bodies that may reach into a ball."""
        balls = ((body, *_ball(body)) for body in self.bodies)
        return [body for body, middle, reach in balls if math.dist(middle, centre) < reach + radius]


@lru_cache(maxsize=1 << 16)
def _ball(body: frozenset[Ellipsoid]) -> tuple[Point, float]:
    """Centre and radius of a ball around a body."""
    smallest = min(body, key=lambda part: (max(part.semi_axes), part.centre))
    return smallest.centre, max(smallest.semi_axes)


def _without_redundant(parts: frozenset[Ellipsoid]) -> frozenset[Ellipsoid]:
    """The same overlap without the ellipsoids that contain another one of it."""
    kept = set(parts)
    for part in sorted(parts, key=lambda part: (part.centre, part.semi_axes)):
        # One at a time: of two that contain each other, being alike, one stays.
        if any(a != part and _relation(a, part) == "inside" for a in kept):
            kept.discard(part)
    return frozenset(kept)


@lru_cache(maxsize=1 << 20)
def _relation(a: Ellipsoid, b: Ellipsoid) -> str:
    """How ``a`` lies to ``b``: ``apart``, ``inside``, or ``other``."""
    if math.dist(a.centre, b.centre) >= max(a.semi_axes) + max(b.semi_axes):
        return "apart"
    surface_of_a = b.level(_surface(a))
    if surface_of_a.max() <= 1:
        return "inside"
    apart = surface_of_a.min() > 1 and a.level(_surface(b)).min() > 1
    return "apart" if apart and b.level(np.array(a.centre)) > 1 and a.level(np.array(b.centre)) > 1 else "other"


@lru_cache(maxsize=4096)
def _surface(part: Ellipsoid) -> FloatArray:
    """(n, 3) points all over the surface, mm."""
    return (_sphere() * part.semi_axes) @ np.reshape(part.axes, (3, 3)).T + part.centre


@lru_cache(maxsize=1)
def _sphere() -> FloatArray:
    """(n, 3) points spread evenly over the unit sphere (a golden-angle spiral)."""
    n = 600
    z = 1 - (2 * np.arange(n) + 1) / n
    turn = np.arange(n) * np.pi * (3 - np.sqrt(5))
    return np.stack([np.sqrt(1 - z * z) * np.cos(turn), np.sqrt(1 - z * z) * np.sin(turn), z], -1)
