"""Small made CTs that the tests share."""

from __future__ import annotations

import numpy as np
import pytest

from inference_core.image.volume import Volume


def made_slice(rows: int, columns: int, noise: float, seed: int = 0, position: float = 0.0) -> np.ndarray:
    """An axial slice in HU: air, an oval body with fat, muscle, bone and an air hole; Gaussian noise on all of it."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j]
    image = np.full((rows, columns), -1000.0)
    image[(x / 0.85) ** 2 + (y / 0.7) ** 2 < 1] = -100
    image[(x / 0.78) ** 2 + (y / 0.63) ** 2 < 1] = 40
    image[(x - 0.1 * position) ** 2 + (y - 0.3) ** 2 < 0.02] = 900
    image[(x + 0.4) ** 2 + (y + 0.1) ** 2 < 0.02] = -950
    return image + noise * rng.standard_normal(image.shape)


@pytest.fixture
def ct() -> Volume:
    """Four noisy slices of 96 x 80 pixels, oblique in space."""
    angle = np.deg2rad(20)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    voxels = np.stack([made_slice(96, 80, 60, seed, seed / 4) for seed in range(4)])
    return Volume(
        np.rint(voxels).astype(np.int16),
        spacing=(0.7, 0.7, 3.0),
        origin=(-30.5, 12.25, 100.0),
        direction=tuple(turn.ravel()),
        modality="CT",
    )
