"""Closed tubes with folds whose place, height and width are known."""

from __future__ import annotations

import numpy as np

from inference_core.simulation.colon.mesh.surface import Surface

RADIUS = 22.0  # mm
LENGTH = 160.0
HEIGHT, THICKNESS = 6.0, 2.0  # mm, of the fold in the middle: its crest, and the standard deviation of its profile
BORDER = THICKNESS * np.sqrt(2 * np.log(4))  # mm from the crest to where a Gaussian is a quarter as high


def tube(depth=lambda way, angle: 0 * way, bend: float = 0.0, step: float = 2.0, seed: int | None = None) -> Surface:
    """A closed tube of 22 mm radius whose wall stands ``depth`` mm into the lumen; bent with that radius in mm.

    Way and angle are jittered, so that the triangles are as uneven as those of a CT.
    """
    rows, columns = round(LENGTH / step) + 1, round(2 * np.pi * RADIUS / step)
    way, angle = np.meshgrid(np.linspace(0, LENGTH, rows), np.arange(columns) / columns * 2 * np.pi, indexing="ij")
    rng = np.random.default_rng(0)
    way[1:-1] += rng.uniform(-0.25, 0.25, way[1:-1].shape) * step
    angle = angle + rng.uniform(-0.25, 0.25, angle.shape) * step / RADIUS
    radius = RADIUS - depth(way, angle)
    if seed is not None:
        radius = radius + np.random.default_rng(seed).normal(0, 0.15, radius.shape)
    x, y, z = radius * np.cos(angle), radius * np.sin(angle), way
    if bend:
        turn = way / bend
        x, z = bend - (bend - x) * np.cos(turn), (bend - x) * np.sin(turn)
    points = np.stack([x, y, z], axis=-1)
    ring = np.arange(rows * columns).reshape(rows, columns)
    a, b = ring[:-1], ring[1:]
    a2, b2 = np.roll(a, -1, axis=1), np.roll(b, -1, axis=1)
    sides = [np.stack([a, a2, b2], -1).reshape(-1, 3), np.stack([a, b2, b], -1).reshape(-1, 3)]
    first, last = rows * columns, rows * columns + 1
    ends = [
        np.stack([np.roll(ring[0], -1), ring[0], np.full(columns, first)], -1),
        np.stack([ring[-1], np.roll(ring[-1], -1), np.full(columns, last)], -1),
    ]
    vertices = np.vstack([points.reshape(-1, 3), points[0].mean(axis=0), points[-1].mean(axis=0)])
    return Surface(vertices, np.vstack([*sides, *ends]).astype(np.int64))


def ring_fold(way, angle):
    return HEIGHT * np.exp(-0.5 * ((way - LENGTH / 2) / THICKNESS) ** 2)


def semilunar_fold(way, angle):
    return ring_fold(way, angle) * np.cos(np.clip(angle - np.pi, -1, 1) * np.pi / 2)


def taenia(way, angle):
    return 2.5 * np.exp(-0.5 * (RADIUS * (angle - np.pi) / 3) ** 2)
