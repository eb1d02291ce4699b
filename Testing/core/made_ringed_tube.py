"""A closed straight tube with ring folds, of known shape, and cameras in it; for tests of what is drawn."""

from __future__ import annotations

import numpy as np

from inference_core.simulation.colon.mesh.surface import Surface

LENGTH, RADIUS = 120.0, 20.0  # mm; the axis is z from 0 to LENGTH, the ends are flat
FOLDS = (35.0, 60.0, 85.0)  # mm on the axis
FOLD_HEIGHT, FOLD_WIDTH = 6.0, 2.5  # mm


def ringed_tube(folds: tuple[float, ...] = FOLDS, around: int = 96, along: int = 160) -> Surface:
    """Wall of radius RADIUS with a Gaussian ring at each of ``folds``; its score is 0.5 at half its height."""
    z = np.linspace(0, LENGTH, along)
    heights = np.array([np.exp(-0.5 * ((z - fold) / FOLD_WIDTH) ** 2) for fold in folds]).reshape(len(folds), along)
    height = heights.max(axis=0, initial=0)
    angle = np.arange(around) * 2 * np.pi / around
    radius = (RADIUS - FOLD_HEIGHT * height)[:, np.newaxis]
    wall = np.stack([radius * np.cos(angle), radius * np.sin(angle), np.repeat(z[:, np.newaxis], around, 1)], axis=-1)
    first = np.arange(along - 1)[:, np.newaxis] * around + np.arange(around)
    right = np.arange(along - 1)[:, np.newaxis] * around + (np.arange(around) + 1) % around
    faces = [np.stack([first, right, right + around], -1), np.stack([first, right + around, first + around], -1)]
    bottom, top = along * around, along * around + 1
    ring = np.arange(around)
    after = (ring + 1) % around
    last = (along - 1) * around
    caps = [np.stack([after, ring, np.full(around, bottom)], -1)]
    caps += [np.stack([last + ring, last + after, np.full(around, top)], -1)]
    vertices = np.concatenate([wall.reshape(-1, 3), [[0, 0, 0], [0, 0, LENGTH]]])
    score = np.concatenate([np.repeat(height, around), [0, 0]]).astype(np.float32)
    nearest = np.argmin(np.abs(z - np.array(folds)[:, np.newaxis]), axis=0) + 1 if folds else np.zeros(along, int)
    number = np.concatenate([np.repeat(nearest, around), [0, 0]])
    return Surface(
        vertices,
        np.concatenate([part.reshape(-1, 3) for part in faces + caps]).astype(np.int64),
        {"fold_score": score, "fold_instance": np.where(score >= 0.5, number, 0).astype(np.int32)},
    )


def looking(place: tuple[float, float, float], forward: tuple[float, float, float]) -> np.ndarray:
    """Camera-to-world: x right, y down, z forward."""
    z = np.array(forward, float) / np.linalg.norm(forward)
    x = np.cross([0.3, 1.0, 0.2], z)
    x /= np.linalg.norm(x)
    pose = np.eye(4)
    pose[:3, :4] = np.stack([x, np.cross(z, x), z, place], axis=1)
    return pose


POSES = (
    looking((0.7, 0.4, 5), (0.02, 0.03, 1)),
    looking((4, -6, 20), (0.3, 0.2, 1)),
    looking((-8, 3, 70), (0.5, -0.4, -1)),
    looking((2, 9, 48), (1, -0.2, 0.1)),
)
