"""From pixels back to the wall, and from the wall to the pixels that show it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_core.simulation.colon.dataset.dataset import DEPTH_STEPS
from inference_core.simulation.colon.mesh.surface import Points, Surface, face_vectors, vertex_normals
from inference_core.simulation.colon.path.curve import unit
from inference_core.simulation.colon.rendering.camera import Camera, pixel_rays, project, rays_through

QUANTUM = 0.5 / DEPTH_STEPS  # mm by which rounding moves a depth at most
STEEPEST = np.cos(np.radians(80.0))  # a wall that is seen more edge-on is taken for one at this angle
NEAREST = 0.1  # mm in front of the lens


def back_project(
    pixels: NDArray[Any], depth: NDArray[Any], camera: Camera, pose: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The places that pixels show.

    Parameters
    ----------
    pixels : (..., 2)
        Column and row; the centre of the first pixel is (0, 0).
    depth : (...)
        mm along the camera's axis.
    camera : Camera
    pose : (4, 4)
        Camera to world.

    Returns
    -------
    (..., 3) float64
        mm, in the world.
    """
    places = rays_through(camera, pixels) * np.asarray(depth, np.float64)[..., np.newaxis]
    return places @ pose[:3, :3].T + pose[:3, 3]


class SeenWall:
    """Tells which vertices of a surface a frame shows.

    Parameters
    ----------
    surface : Surface
        Outward normals, mm, in the frame of the poses.
    camera : Camera
    visible : (height, width) bool
        Where pictures show the wall and no black frame.
    """

    def __init__(self, surface: Surface, camera: Camera, visible: NDArray[np.bool_]) -> None:
        self._vertices, self._normals = surface.vertices, vertex_normals(surface)
        self._spread = _spread(surface, self._normals)
        self._camera, self._visible = camera, visible
        self._rays = pixel_rays(camera)

    def seen(
        self, depth: NDArray[np.float32], pose: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The vertices that a frame shows, and the pixel, counted row by row, that shows each.

        A vertex is seen where it falls into a pixel that shows the wall, turns its inner side to the lens, and the
        pixel's depth is its own. A vertex lies up to half a pixel beside the pixel's centre, and there a slanted wall
        has another depth: on a facet whose normal lies at the angle t to the pixel's ray, the depth differs by
        ``z d / cos t`` at most, where z is the vertex's depth and d its distance from the ray at the depth 1, in units
        of the ray's length. The facets around a vertex lie within a known angle of its normal, which is added to t;
        t is kept below 80 degrees, so that a wall behind a fold's edge is not taken for the edge. Half a step of the
        stored depth is added.

        Parameters
        ----------
        depth : (height, width)
            mm along the camera's axis; 0 where no wall is seen.
        pose : (4, 4)
            Camera to world.
        """
        offset = self._vertices - pose[:3, 3]
        z = offset @ pose[:3, 2]
        numbers = np.flatnonzero((z > NEAREST) & (z < 1.01 * depth.max(initial=0) + 1))
        offset, z = offset[numbers], z[numbers]
        facing = (offset * self._normals[numbers]).sum(axis=1) / np.linalg.norm(offset, axis=1)
        turned = np.arccos(np.clip(facing, -1, 1))
        spread = self._spread[numbers]
        kept = turned - spread < np.pi / 2
        numbers, z, slant = numbers[kept], z[kept], (turned + spread)[kept]
        places = offset[kept] @ pose[:3, :3]

        pixels = np.rint(project(self._camera, places))
        width, height = self._camera.width, self._camera.height
        inside = ((pixels >= 0) & (pixels < (width, height))).all(axis=1)
        numbers, z, slant, places = numbers[inside], z[inside], slant[inside], places[inside]
        at = (pixels[inside] @ (1, width)).astype(np.int64)
        rays = self._rays.reshape(-1, 3)[at]
        beside = np.linalg.norm(places / z[:, None] - rays, axis=1) / np.linalg.norm(rays, axis=1)
        steepness = np.maximum(np.cos(np.minimum(slant, np.pi / 2)), STEEPEST)
        shown = depth.ravel()[at]
        found = self._visible.ravel()[at] & (shown > 0) & (np.abs(shown - z) <= QUANTUM + z * beside / steepness)
        return numbers[found], at[found]


def _spread(surface: Surface, normals: Points) -> NDArray[np.float64]:
    """Largest angle between the normal of a vertex and those of the faces around it, radians; (N,)."""
    faces = surface.faces.ravel()
    cosines = (np.repeat(unit(face_vectors(surface)), 3, axis=0) * normals[faces]).sum(axis=1)
    smallest = np.ones(len(surface.vertices))
    np.minimum.at(smallest, faces, cosines)
    return np.asarray(np.arccos(np.clip(smallest, -1, 1)), np.float64)
