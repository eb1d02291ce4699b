"""A made haustral colon that looks as if read from a CT, with the exact truth of its folds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_core.extras import need
from inference_core.simulation.colon.mesh.surface import Points, Surface
from inference_core.simulation.colon.path.curve import Frames, bent_curve, parallel_transport
from inference_core.simulation.colon.procedural.haustra import ANGLES, BORDER, WAY_STEP, Wall, haustral_wall

LENGTH = 480.0  # mm
AXIS_STEP = 0.5  # mm
VOXEL = 0.8  # mm, as of a CT
FACES = 120_000
BLOCK = 8  # voxels: the room is searched in blocks, most of which lie far from the axis
BATCH = 200  # blocks worked on at a time
ROOM = 4.0  # mm around the wall


@dataclass(frozen=True)
class ColonShape:
    """What a procedural colon is made from.

    Attributes
    ----------
    axis : (K, 3)
        mm, ``AXIS_STEP`` apart: the true centreline.
    frames : Frames
    wall : Wall
    """

    axis: Points
    frames: Frames
    wall: Wall


def colon_shape(seed: int, length: float = LENGTH) -> ColonShape:
    """The axis and the wall that belong to a seed; length in mm."""
    need("scipy", "colon", "The procedural colon")
    rng = np.random.default_rng([seed, 20])
    axis = bent_curve(rng, length, AXIS_STEP)
    return ColonShape(axis, parallel_transport(axis), haustral_wall(rng, length))


def haustral_colon(seed: int, faces: int = FACES, length: float = LENGTH) -> Surface:
    """A procedural colon, voxelised, blurred and extracted again as from a CT of 0.8 mm voxels.

    Parameters
    ----------
    seed : int
        0 or more; the same seed gives the same surface.
    faces : int
        About how many triangles.
    length : float
        Of its axis, mm.

    Returns
    -------
    Surface
        Closed, mm. Point arrays: ``fold_score`` (float32, 0.5 at the border of a fold, which is where it rises to a
        quarter of its own height; 0 off the folds, 1 from half its height up) and ``fold_instance`` (int32, the fold's
        number from 1, 0 off the folds).
    """
    from inference_core.simulation.colon.mesh.surface_from_labels import surface_of_mask

    shape = colon_shape(seed, length)
    mask, origin = _inside(shape)
    surface = surface_of_mask(mask, (VOXEL, VOXEL, VOXEL), tuple(origin), faces=faces)
    return with_truth(surface, shape)


def with_truth(surface: Surface, shape: ColonShape) -> Surface:
    """The surface with ``fold_score`` and ``fold_instance`` read off the shape it was made from."""
    way, angle, _ = axis_coordinates(surface.vertices, shape)
    rise = _sample(shape.wall.rise, way, angle, order=1)
    number = _sample(shape.wall.fold, way, angle, order=0)
    score = np.clip(rise * (0.5 / BORDER), 0, 1).astype(np.float32)
    instance = np.where(score >= 0.5, number, 0).astype(np.int32)
    return Surface(surface.vertices, surface.faces, {"fold_score": score, "fold_instance": instance})


def axis_coordinates(
    points: Points, shape: ColonShape
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Way along the axis (mm), angle (radians) and distance from it (mm); beyond an end, the distance from that end."""
    from scipy.spatial import cKDTree

    _, nearest = cKDTree(shape.axis).query(points)
    offset = points - shape.axis[nearest]
    along = (offset * shape.frames.tangents[nearest]).sum(axis=1)
    x = (offset * shape.frames.normals[nearest]).sum(axis=1)
    y = (offset * shape.frames.binormals[nearest]).sum(axis=1)
    way = nearest * AXIS_STEP + along
    last = (len(shape.axis) - 1) * AXIS_STEP
    beyond = np.maximum(0, np.maximum(-way, way - last))
    return np.clip(way, 0, last), np.arctan2(y, x), np.sqrt(x**2 + y**2 + beyond**2)


def _inside(shape: ColonShape) -> tuple[NDArray[np.bool_], Points]:
    """The lumen as voxels [z, y, x] and the centre of the first, mm."""
    reach = float(shape.wall.radius.max()) + ROOM
    origin = shape.axis.min(axis=0) - reach
    size = np.ceil((shape.axis.max(axis=0) + reach - origin) / (BLOCK * VOXEL)).astype(int)
    mask = np.zeros(tuple(size[::-1] * BLOCK), bool)
    inner = np.stack(np.meshgrid(*[np.arange(BLOCK)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    corners = _blocks_near(shape.axis, origin, size, reach) * BLOCK
    for start in range(0, len(corners), BATCH):
        voxels = (corners[start : start + BATCH, None] + inner).reshape(-1, 3)
        way, angle, distance = axis_coordinates(origin + voxels * VOXEL, shape)
        filled = distance < _sample(shape.wall.radius, way, angle, order=1)
        x, y, z = voxels[filled].T
        mask[z, y, x] = True
    return mask, origin


def _blocks_near(axis: Points, origin: Points, size: NDArray[Any], reach: float) -> NDArray[np.int64]:
    from scipy.spatial import cKDTree

    blocks = np.stack(np.meshgrid(*[np.arange(n) for n in size], indexing="ij"), axis=-1).reshape(-1, 3)
    centres = origin + (blocks + 0.5) * (BLOCK * VOXEL)
    distance, _ = cKDTree(axis).query(centres)
    return np.asarray(blocks[distance < reach + BLOCK * VOXEL])  # its corners lie 0.87 blocks from its middle


def _sample(table: NDArray[Any], way: NDArray[Any], angle: NDArray[Any], order: int) -> NDArray[Any]:
    from scipy.ndimage import map_coordinates

    rows = way / WAY_STEP
    columns = np.mod(angle, 2 * np.pi) * (ANGLES / (2 * np.pi))
    wrapped = np.concatenate([table, table[:, :1]], axis=1)
    return np.asarray(map_coordinates(wrapped, [rows, columns], order=order, mode="nearest"))
