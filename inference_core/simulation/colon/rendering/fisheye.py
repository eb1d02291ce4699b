"""A fisheye view made from a flat one: pictures by interpolation, truth by following each ray to the wall."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_core.simulation.colon.rendering.camera import Camera, pinhole_around, pixel_rays, project
from inference_core.simulation.colon.rendering.seen import LEVELS, Seen, Wall

INSIDE = -1e-6  # of a triangle's barycentric coordinates: a ray through an edge must not slip between two faces
WALK = 12  # faces; more are crossed only where the wall is almost seen edge-on


class FisheyeView:
    """Where each fisheye pixel looks in the flat picture of `flat`."""

    def __init__(self, camera: Camera) -> None:
        self.flat = pinhole_around(camera)
        self._rays = pixel_rays(camera)
        position = project(self.flat, self._rays)
        low = np.floor(position).astype(np.int64)
        self._share = (position - low).astype(np.float32)
        self._corner = low[..., 1] * self.flat.width + low[..., 0]
        # The four flat pixels round each ray, the nearest first.
        steps = np.array([(0, 0), (1, 0), (0, 1), (1, 1)])
        distance = np.linalg.norm(self._share[..., np.newaxis, :] - steps, axis=-1)
        order = np.argsort(distance, axis=-1, kind="stable")
        self._around = self._corner[..., np.newaxis] + (steps @ (1, self.flat.width))[order]

    def picture(self, flat: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Interpolate the flat picture at each fisheye pixel; (height, width, 3)."""
        pixels = flat.reshape(-1, 3)
        width = self.flat.width
        right, down = self._share[..., :1], self._share[..., 1:]
        upper = pixels[self._corner] * (1 - right) + pixels[self._corner + 1] * right
        lower = pixels[self._corner + width] * (1 - right) + pixels[self._corner + width + 1] * right
        return np.asarray(upper * (1 - down) + lower * down + 0.5).astype(np.uint8)

    def seen_faces(self, flat: Seen, wall: Wall, pose: NDArray[np.float64]) -> Seen:
        """What each fisheye pixel's own ray meets: the nearest place to which the faces seen around it lead.

        Where a ray meets none of them (it just misses a fold's edge), the plane of the nearest counts.
        """
        shape = self._rays.shape[:2]
        candidates = flat.faces.ravel()[self._around].reshape(-1, 4)
        rays = self._rays.reshape(-1, 3)
        best = follow(rays, candidates[:, 0], wall, pose)
        inner = flat.inner.ravel()[self._around[..., 0].ravel()]
        border = np.flatnonzero((candidates != candidates[:, :1]).any(axis=1) | ~best.hit)
        for other in range(1, 4):
            found = follow(rays[border], candidates[border, other], wall, pose)
            better = found.hit & (~best.hit[border] | (found.depth < best.depth[border]))
            best.put(border[better], found, better)
        known = best.faces < len(wall.order)
        corners = wall.scores[wall.faces[np.where(known, best.faces, 0)]]
        score = np.clip((corners * best.weights).sum(axis=1), 0, 1)
        return Seen(
            faces=best.faces.reshape(shape),
            score=np.where(known, np.floor(score * LEVELS), 0).astype(np.uint8).reshape(shape),
            depth=np.where(known, best.depth, 0).astype(np.float32).reshape(shape),
            inner=(inner & known).reshape(shape),
        )


@dataclass(frozen=True)
class Meeting:
    """Where rays meet the wall: faces (n,), depth (n,), where in the face (n, 3), and whether inside it (n,)."""

    faces: NDArray[np.int64]
    depth: NDArray[np.float64]
    weights: NDArray[np.float64]
    hit: NDArray[np.bool_]

    def put(self, places: NDArray[np.int64], other: Meeting, chosen: Any) -> None:
        """Replace the entries at ``places`` by the ``chosen`` ones of another."""
        for mine, theirs in ((getattr(self, f.name), getattr(other, f.name)) for f in fields(self)):
            mine[places] = theirs[chosen]


def follow(rays: NDArray[np.float64], faces: NDArray[np.int64], wall: Wall, pose: NDArray[np.float64]) -> Meeting:
    """Walk over the wall from the given faces to those that the rays go through, across the edge that is in the way."""
    best = _meet(rays, faces, wall, pose)
    lost = np.flatnonzero(~best.hit & (faces < len(wall.order)))
    walking, weights = faces[lost], best.weights[lost]
    for _ in range(WALK):
        if not len(lost):
            break
        found = _meet(rays[lost], wall.neighbours[walking, np.argmin(weights, axis=1)], wall, pose)
        best.put(lost[found.hit], found, found.hit)
        on = ~found.hit
        lost, walking, weights = lost[on], found.faces[on], found.weights[on]
    inside = np.clip(best.weights, 0, 1)
    return replace(best, weights=inside / np.maximum(inside.sum(axis=1, keepdims=True), 1e-12))


def _meet(rays: NDArray[np.float64], faces: NDArray[np.int64], wall: Wall, pose: NDArray[np.float64]) -> Meeting:
    """Meet the planes of faces.

    The depth is kept to that of the face's corners: a plane seen edge-on must not run away.
    """
    known = faces < len(wall.order)
    places = wall.surface.vertices[wall.faces[np.where(known, faces, 0)]]
    a, b, c = np.moveaxis((places - pose[:3, 3]) @ pose[:3, :3], 1, 0)
    # Shares of the corners in the place that is met: volumes of the tetrahedra of ray, camera and two corners.
    volumes = np.stack([(rays * np.cross(p, q)).sum(axis=1) for p, q in ((b, c), (c, a), (a, b))], axis=1)
    whole = volumes.sum(axis=1, keepdims=True)
    weights = volumes / np.where(np.abs(whole) > 1e-12, whole, 1e-12)
    z = np.stack([a[:, 2], b[:, 2], c[:, 2]], axis=1)
    depth = np.clip((weights * z).sum(axis=1), z.min(axis=1), z.max(axis=1))
    return Meeting(faces.copy(), depth, weights, known & (weights >= INSIDE).all(axis=1) & (depth > 0))
