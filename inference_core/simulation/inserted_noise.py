"""CT noise inserted in the image domain: fast enough to draw while training.

Filtered back-projection makes noise whose strength depends on the place (long paths are noisier), whose direction
depends on the place (streaks run along the long paths), and whose power spectrum falls to zero at zero frequency.
The model here keeps all three: per angular sector, a map of the standard deviation from the paths through the slice
multiplies white noise filtered to that sector of the noise power spectrum.

Reference: the FBP noise analysis of Riederer, Pelc, Chesler (Phys. Med. Biol. 23, 1978); the ramp to zero is what
keeps a network from taking anatomy for low-frequency noise.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from inference_core.measurement.noise_power import FREQUENCY_BINS, NoisePower, measure_noise_power
from inference_core.simulation.projection import WATER_ATTENUATION

__all__ = ["FREQUENCY_BINS", "NoisePower", "draw_noise", "measure_noise_power"]

FloatArray = NDArray[np.float64]

SECTORS = 8
VIEWS = 48
GRID = 128  # pixels a side of the coarse slice that is projected


def draw_noise(
    clean: NDArray[np.float32], power: NoisePower, pixel_size: float, streak: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """One draw of noise for a slice, with standard deviation 1 over the body.

    Parameters
    ----------
    clean : (H, W) array
        HU.
    power : NoisePower
        Shape of the spectrum.
    pixel_size : float
        mm.
    streak : float
        gamma: the variance of a view is exp(gamma x path integral). 0 is stationary noise, 1 the physics without a
        bow-tie filter or tube-current modulation; scanners lie between.
    rng : Generator

    Returns
    -------
    (H, W) float32 array; add it, times the wanted standard deviation in HU, to the slice.
    """
    height, width = clean.shape
    fy, fx = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    amplitude = np.sqrt(power(np.hypot(fy, fx)))
    angle = np.mod(np.arctan2(fy, fx), np.pi)
    sector = np.minimum((angle / np.pi * SECTORS).astype(int), SECTORS - 1)
    white = np.fft.rfft2(rng.standard_normal((height, width))) * amplitude
    maps = _direction_maps(clean, pixel_size, streak)
    noise = np.zeros((height, width))
    for k in range(SECTORS):
        noise += _resize(maps[k], height, width) * np.fft.irfft2(np.where(sector == k, white, 0), s=(height, width))
    body = clean > -300
    reference = noise[body] if body.sum() > 1000 else noise
    return (noise / reference.std()).astype(np.float32)


@lru_cache(maxsize=1)
def _rays() -> tuple[NDArray[np.intp], FloatArray]:
    """Per view, the detector bin (lower one, and weight of the upper) that each pixel of the coarse grid falls on."""
    t = np.arange(GRID) - (GRID - 1) / 2
    angles = np.arange(VIEWS) * np.pi / VIEWS
    s = np.cos(angles)[:, None, None] * t[None, None, :] + np.sin(angles)[:, None, None] * t[None, :, None]
    s = np.clip(s + GRID - 0.5, 0, 2 * GRID - 2.001)
    lower = s.astype(np.intp)
    return lower, s - lower


def _direction_maps(clean: NDArray[np.float32], pixel_size: float, streak: float) -> FloatArray:
    """(SECTORS, GRID, GRID) standard deviation of the noise whose frequency vector points along each sector."""
    attenuation = WATER_ATTENUATION * np.maximum(1 + _resize(clean.astype(np.float64), GRID, GRID) / 1000, 0)
    step = pixel_size * clean.shape[0] / GRID
    lower, weight = _rays()
    variance = np.empty((VIEWS, GRID, GRID))
    for view in range(VIEWS):
        i, w = lower[view], weight[view]
        profile = np.bincount(i.ravel(), (attenuation * (1 - w)).ravel(), minlength=2 * GRID)
        profile += np.bincount(i.ravel() + 1, (attenuation * w).ravel(), minlength=2 * GRID)
        path = profile * step
        ray_variance = np.exp(streak * path)
        variance[view] = ray_variance[i] * (1 - w) + ray_variance[i + 1] * w
    return np.sqrt(variance.reshape(SECTORS, VIEWS // SECTORS, GRID, GRID).mean(1))


def _resize(image: FloatArray, height: int, width: int) -> FloatArray:
    """Block means where the size divides, else bilinear interpolation."""
    if image.shape[0] % height == 0 and image.shape[1] % width == 0:
        fy, fx = image.shape[0] // height, image.shape[1] // width
        return image.reshape(height, fy, width, fx).mean(axis=(1, 3))
    return _interpolation(image.shape[0], height) @ image @ _interpolation(image.shape[1], width).T


@lru_cache(maxsize=8)
def _interpolation(size: int, new_size: int) -> FloatArray:
    """(new_size, size) matrix of linear interpolation between pixel centres."""
    at = np.clip((np.arange(new_size) + 0.5) * size / new_size - 0.5, 0, size - 1)
    lower = np.minimum(at.astype(int), size - 2)
    matrix = np.zeros((new_size, size))
    matrix[np.arange(new_size), lower] = 1 - (at - lower)
    matrix[np.arange(new_size), lower + 1] = at - lower
    return matrix
