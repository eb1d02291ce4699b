"""Tubes with known axis, width and folds."""

import numpy as np

from inference_core.simulation.colon.mesh.surface import Surface
from inference_core.simulation.colon.path.curve import evenly_spaced, parallel_transport


def tube(axis, radius=20.0, around=48, capped=True):
    """A tube around an axis of (K, 3) points; radius a number or one for each point. Normals point outwards."""
    axis = np.asarray(axis, float)
    frames = parallel_transport(axis)
    angles = np.linspace(0, 2 * np.pi, around, endpoint=False)
    rays = np.cos(angles)[:, None] * frames.normals[:, None] + np.sin(angles)[:, None] * frames.binormals[:, None]
    rings = axis[:, None] + np.broadcast_to(radius, len(axis))[:, None, None] * rays
    here = np.arange(len(axis) - 1)[:, None] * around + np.arange(around)
    beside = np.arange(len(axis) - 1)[:, None] * around + (np.arange(around) + 1) % around
    faces = [
        np.stack([here, beside, beside + around], axis=2).reshape(-1, 3),
        np.stack([here, beside + around, here + around], axis=2).reshape(-1, 3),
    ]
    vertices = rings.reshape(-1, 3)
    if capped:
        last = (len(axis) - 1) * around
        ring, turned = np.arange(around), (np.arange(around) + 1) % around
        faces.append(np.stack([turned, ring, np.full(around, len(vertices))], axis=1))
        faces.append(np.stack([last + ring, last + turned, np.full(around, len(vertices) + 1)], axis=1))
        vertices = np.concatenate([vertices, axis[[0, -1]]])
    return Surface(vertices, np.concatenate(faces).astype(np.int64))


def straight_axis(length=200.0, step=2.0):
    return evenly_spaced(np.array([[0.0, 0, 0], [0, 0, length]]), step)


def arc_axis(bend=80.0, angle=np.pi, step=2.0):
    """Part of a circle in the x-z plane: the axis of a piece of a torus."""
    way = np.linspace(0, angle, round(bend * angle / step) + 1)
    return np.stack([bend * np.cos(way), np.zeros_like(way), bend * np.sin(way)], axis=1)


def with_ring_fold(axis, radius=20.0, height=8.0, width=2.0):
    """The radius of a tube with one ring fold in its middle."""
    way = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(axis, axis=0), axis=1))])
    return radius - height * np.exp(-0.5 * ((way - way[-1] / 2) / width) ** 2)
