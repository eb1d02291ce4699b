"""Two small pictures that repeat over the wall without a seam: what lies in the mucosa, and the ripples of its film."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from inference_core.simulation.colon.rendering.vessels import draw_vessels, grow_vessels

PIXELS = 1024
RIPPLE_PIXELS = 512
Field = NDArray[np.float32]

BEND = 0.45  # mm: how far vessels wind from their straight pieces
AFAR = 0.3  # mm: blur of what is seen from afar


@lru_cache(maxsize=4)
def mucosa_pattern(size: float, seed: int) -> NDArray[np.uint8]:
    """Draw what lies in ``size`` x ``size`` mm of mucosa; (PIXELS, PIXELS, 4).

    Red: vessels near the surface. Green: broader, blurred ones below. Blue: patches of other colour (128 is none).
    Alpha: the red ones as they blur from afar.
    """
    from scipy.ndimage import gaussian_filter, map_coordinates

    rng = np.random.default_rng((seed, 1))
    scale = PIXELS / size
    bends = [_noise(PIXELS, rng, low=3, high=60, slope=1.8) * BEND * scale for _ in range(2)]
    bent = [position + bend for position, bend in zip(np.indices((PIXELS, PIXELS)), bends, strict=True)]

    def layer(spacing: float, roots: int, finest: float, widest: float, blur: float) -> Field:
        places, parents, calibres = grow_vessels(size, spacing, roots, rng)
        widths = np.minimum(finest * calibres, widest)
        drawn = draw_vessels(places, parents, widths, size, PIXELS).astype(np.float32) / 255
        soft = gaussian_filter(drawn, blur * scale, mode="wrap")
        return np.asarray(map_coordinates(soft, bent, order=1, mode="grid-wrap"))

    trees = layer(spacing=2.2, roots=7, finest=0.11, widest=0.8, blur=0.06)
    net = layer(spacing=1.1, roots=40, finest=0.10, widest=0.2, blur=0.07)
    near = np.maximum(trees, 0.35 * net)
    below = layer(spacing=6.0, roots=5, finest=0.35, widest=1.6, blur=0.30)
    patches = _noise(PIXELS, rng, low=2, high=60, slope=1.5)
    afar = gaussian_filter(near, AFAR * scale, mode="wrap")
    channels = [near * 255, below * 255, 128 + 45 * patches, afar * 255]
    return np.clip(np.stack(channels, axis=-1) + 0.5, 0, 255).astype(np.uint8)


def ripples(seed: int) -> NDArray[np.uint8]:
    """Slopes of the film along both axes, 128 is level; (RIPPLE_PIXELS, RIPPLE_PIXELS, 4): near, then as from afar."""
    rng = np.random.default_rng((seed, 2))
    channels = []
    for high in (45, 20):
        height = _noise(RIPPLE_PIXELS, rng, low=3, high=high, slope=1.9)
        slopes = [np.roll(height, -1, axis) - np.roll(height, 1, axis) for axis in (1, 0)]
        channels += [128 + 36 * slope / float(np.std(slopes)) for slope in slopes]
    return np.clip(np.stack(channels, axis=-1) + 0.5, 0, 255).astype(np.uint8)


def _noise(pixels: int, rng: np.random.Generator, low: float, high: float, slope: float) -> Field:
    """Noise that repeats, between ``low`` and ``high`` waves a side, falling with the frequency; unit variance."""
    spectrum = np.fft.rfft2(rng.standard_normal((pixels, pixels)))
    waves = np.hypot(*np.meshgrid(np.fft.rfftfreq(pixels), np.fft.fftfreq(pixels))) * pixels
    band = np.exp(-((waves / high) ** 4)) * (1 - np.exp(-((waves / low) ** 4))) / np.maximum(waves, 1) ** slope
    field = np.fft.irfft2(spectrum * band, s=(pixels, pixels))
    return np.asarray(field / field.std(), dtype=np.float32)
