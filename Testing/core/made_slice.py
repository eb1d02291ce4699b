"""A made CT slice, for tests."""

from __future__ import annotations

import numpy as np


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
