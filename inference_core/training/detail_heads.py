"""Made heads crowded with small detail, to train on: what is rare in real slices and must not be smoothed away.

Balls of bone and cavities of air lie in a skull; in each, many small cells, canals and ossicle-like grains of random
size, shape and CT number; in the brain between them, faint spots. Nothing overlaps but what contains it, so densities
simply add up.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from inference_core.simulation.projection import Bodies, Ellipsoid

FloatArray = NDArray[np.float64]

BRAIN, SOFT_TISSUE, SKULL, AIR, FLUID = 35.0, 50.0, 1000.0, -1000.0, 10.0  # HU
HALF_THICKNESS = 12.0  # mm, of the part of the head that is filled
BALLS = 16  # of bone or air
GRAINS_TRIED = 0.25  # per mm^3 of a ball
SPOTS = 150
BALL_RADIUS = (8.0, 17.0)  # mm, as the next two
GRAIN_RADIUS = (0.25, 2.0)
SPOT_RADIUS = (1.0, 6.0)
LONGEST = 5.0  # of a canal, over its width


def detail_head(seed: int) -> Bodies:
    """Bodies of one head, density 1 being water; about 220 mm long, the middle 24 mm filled."""
    rng = np.random.default_rng([seed, 2])
    size = rng.uniform(0.8, 1.05)
    bodies: dict[frozenset[Ellipsoid], float] = {}

    def add(part: Ellipsoid, hu: float, around: float) -> None:
        bodies[frozenset({part})] = (hu - around) / 1000

    for semi_axes, hu, around in (
        ((92.0, 108.0, 150.0), SOFT_TISSUE, -1000.0),
        ((86.0, 102.0, 144.0), SKULL, SOFT_TISSUE),
        ((80.0, 96.0, 138.0), BRAIN, SKULL),
    ):
        add(Ellipsoid((0.0, 0.0, 0.0), (semi_axes[0] * size, semi_axes[1] * size, semi_axes[2] * size)), hu, around)
    inside = np.array([64.0, 80.0]) * size
    balls = _apart(rng, _in_ellipse(rng, 20 * BALLS, inside), BALL_RADIUS, BALLS, [])
    for centre, radius in balls:
        is_bone = rng.random() < 0.75
        around = float(rng.uniform(300, 2000) if is_bone else AIR)
        add(_ball(centre, radius), around, BRAIN)
        tried = _in_ball(rng, int(GRAINS_TRIED * 4 / 3 * np.pi * radius**3), radius)
        tried = tried[np.abs(tried[:, 2] + centre[2]) < HALF_THICKNESS]
        for place, reach in _apart(rng, tried, GRAIN_RADIUS, len(tried), []):
            if np.linalg.norm(place) + reach < 0.97 * radius:
                add(_grain(rng, centre + place, reach), _grain_hu(rng, around), around)
    taken = [(centre, radius + 1) for centre, radius in balls]
    for centre, reach in _apart(rng, _in_ellipse(rng, SPOTS, inside * 1.1), SPOT_RADIUS, SPOTS, taken):
        add(_grain(rng, centre, reach), BRAIN + float(rng.choice([-1, 1]) * rng.uniform(8, 80)), BRAIN)
    return bodies


def _grain_hu(rng: np.random.Generator, around: float) -> float:
    if around == AIR:
        return float(rng.uniform(0, 2200))
    kind = rng.random()
    return AIR if kind < 0.4 else FLUID if kind < 0.65 else float(rng.uniform(-900, 2400))


def _grain(rng: np.random.Generator, centre: FloatArray, reach: float) -> Ellipsoid:
    """A sphere, or an ellipsoid in any direction, that stays within ``reach`` of its centre."""
    if rng.random() < 0.5:
        return _ball(centre, reach)
    thin = max(reach / rng.uniform(1.2, LONGEST), 0.25)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    return Ellipsoid(_point(centre), (reach, thin, thin), tuple(float(value) for value in turn.ravel()))


def _apart(
    rng: np.random.Generator,
    centres: FloatArray,
    radii: tuple[float, float],
    most: int,
    taken: list[tuple[FloatArray, float]],
) -> list[tuple[FloatArray, float]]:
    """Up to ``most`` of the centres with random radii, none of which touches another nor what is ``taken``."""
    low, high = radii
    drawn = low * (high / low) ** rng.random(len(centres))
    places = np.array([centre for centre, _ in taken]).reshape(-1, 3)
    reaches = np.array([reach for _, reach in taken])
    found: list[tuple[FloatArray, float]] = []
    for centre, radius in zip(centres, drawn, strict=True):
        if len(found) < most and np.all(np.linalg.norm(places - centre, axis=1) > radius + reaches + 0.15):
            places, reaches = np.vstack([places, centre]), np.append(reaches, radius)
            found.append((centre, float(radius)))
    return found


def _in_ellipse(rng: np.random.Generator, count: int, semi_axes: FloatArray) -> FloatArray:
    """(count, 3) points in an elliptic disc of the filled thickness."""
    angle, radius = rng.uniform(0, 2 * np.pi, count), np.sqrt(rng.random(count))
    z = rng.uniform(-HALF_THICKNESS, HALF_THICKNESS, count)
    return np.stack([radius * np.cos(angle) * semi_axes[0], radius * np.sin(angle) * semi_axes[1], z], -1)


def _in_ball(rng: np.random.Generator, count: int, radius: float) -> FloatArray:
    """(count, 3) points in a ball."""
    direction = rng.normal(size=(count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    points: FloatArray = direction * radius * np.cbrt(rng.random(count))[:, None]
    return points


def _ball(centre: FloatArray, radius: float) -> Ellipsoid:
    return Ellipsoid(_point(centre), (radius, radius, radius))


def _point(centre: FloatArray) -> tuple[float, float, float]:
    x, y, z = (float(value) for value in centre)
    return x, y, z
