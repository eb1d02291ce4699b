"""Curves in space: even spacing, parallel-transport frames, and a random bent one for the procedural colon."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from inference_core.simulation.colon.mesh.surface import Points

CLEARANCE = 70.0  # mm between parts of the procedural axis that are no neighbours: two walls and some room
MAX_TRIES = 200


@dataclass(frozen=True)
class Frames:
    """A right-handed frame at each point of a curve; (K, 3) unit vectors each."""

    tangents: Points
    normals: Points
    binormals: Points


def unit(vectors: Points) -> Points:
    """Vectors of length 1; those of length 0 stay 0."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def arc_length(points: Points) -> Points:
    """Way from the first point to each, in the points' unit; (K,)."""
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    return np.concatenate([[0.0], np.cumsum(steps)])


def evenly_spaced(points: Points, step: float) -> Points:
    """The polyline resampled from its first to its last point, about ``step`` apart; (K, 3)."""
    way = arc_length(points)
    count = max(2, round(way[-1] / step) + 1)
    wanted = np.linspace(0.0, way[-1], count)
    return np.stack([np.interp(wanted, way, points[:, axis]) for axis in range(3)], axis=1)


def parallel_transport(points: Points) -> Frames:
    """Frames that turn with the curve but never about it.

    Parameters
    ----------
    points : (K, 3)
        At least two, none twice in a row.

    References
    ----------
    Wang, Jüttler, Zheng, Liu: Computation of rotation minimizing frames, ACM TOG 2008 (double reflection).
    """
    tangents = unit(np.gradient(points, axis=0))
    normals = np.empty_like(tangents)
    normals[0] = _any_perpendicular(tangents[0])
    for k in range(len(points) - 1):
        chord = points[k + 1] - points[k]
        reflected_normal = _reflect(normals[k], chord)
        reflected_tangent = _reflect(tangents[k], chord)
        normals[k + 1] = _reflect(reflected_normal, tangents[k + 1] - reflected_tangent)
    normals = unit(normals - (normals * tangents).sum(axis=1, keepdims=True) * tangents)
    return Frames(tangents, normals, np.cross(tangents, normals))


def bent_curve(rng: np.random.Generator, length: float, step: float = 0.5) -> Points:
    """A random smooth curve with two to four bends that keeps clear of itself; (K, 3) mm, centred.

    Its radius of curvature stays above 45 mm, so that a lumen 25 mm wide on either side does not fold over.

    Raises
    ------
    RuntimeError
        Where none was found: the length is far too long for the room.
    """
    for _ in range(MAX_TRIES):
        points = _random_curve(rng, length, step)
        if _clear_of_itself(points[:: max(1, round(4 / step))], 4.0):
            return points - points.mean(axis=0)
    raise RuntimeError(f"no curve of {length:g} mm keeps clear of itself")


def _random_curve(rng: np.random.Generator, length: float, step: float) -> Points:
    count = round(length / step) + 1
    way = np.linspace(0.0, length, count)
    curvature = np.zeros((count, 2))
    bends = rng.integers(2, 5)
    centres = (np.arange(bends) + rng.uniform(0.25, 0.75, bends)) / bends * length
    for centre in centres:
        angle, width, side = rng.uniform(0.6, 1.8), rng.uniform(28, 40), rng.uniform(0, 2 * np.pi)
        bump = np.exp(-0.5 * ((way - centre) / width) ** 2) * angle / (width * np.sqrt(2 * np.pi))
        curvature += bump[:, None] * [np.cos(side), np.sin(side)]
    magnitude = np.linalg.norm(curvature, axis=1, keepdims=True)
    curvature *= np.minimum(1.0, 1 / 45 / np.maximum(magnitude, 1e-9))
    points = np.zeros((count, 3))
    tangent, normal, binormal = np.eye(3)[[2, 0, 1]]
    for k in range(count - 1):
        points[k + 1] = points[k] + step * tangent
        bend = curvature[k, 0] * normal + curvature[k, 1] * binormal
        normal = normal - step * curvature[k, 0] * tangent
        tangent = unit(tangent + step * bend)
        normal = unit(normal - (normal @ tangent) * tangent)
        binormal = np.cross(tangent, normal)
    return points


def _clear_of_itself(points: Points, step: float) -> bool:
    gaps = np.linalg.norm(points[:, None] - points[None], axis=2)
    apart = np.abs(np.subtract.outer(np.arange(len(points)), np.arange(len(points)))) * step
    return bool((gaps[apart > 1.7 * CLEARANCE] > CLEARANCE).all())


def _any_perpendicular(vector: Points) -> Points:
    axis = np.eye(3)[np.argmin(np.abs(vector))]
    return unit(np.cross(vector, axis))


def _reflect(vector: Points, mirror: Points) -> Points:
    square = mirror @ mirror
    return vector if square < 1e-24 else vector - 2 * (mirror @ vector) / square * mirror
