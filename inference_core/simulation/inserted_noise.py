"""CT noise inserted in the image domain: fast enough to draw while training.

Filtered back-projection makes noise whose strength depends on the place (long paths are noisier), whose direction
depends on the place (streaks run along the long paths), and whose power spectrum falls to zero at zero frequency.
The model here keeps all three: per angular sector, a map of the standard deviation from the paths through the slice
multiplies white noise filtered to that sector of the noise power spectrum.

Reference: the FBP noise analysis of Riederer, Pelc, Chesler (Phys. Med. Biol. 23, 1978); the ramp to zero is what
keeps a network from taking anatomy for low-frequency noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from inference_core.simulation.projection import WATER_ATTENUATION

FloatArray = NDArray[np.float64]

SECTORS = 8
VIEWS = 48
GRID = 128  # pixels a side of the coarse slice that is projected
RAMP_END = 0.14  # cycles a pixel: what is measured below it in a patient is anatomy as much as noise
FREQUENCY_BINS = 48
PATCH = 64


@dataclass(frozen=True)
class NoisePower:
    """Radial noise power spectrum, in any unit (only its shape is used).

    Attributes
    ----------
    power : (FREQUENCY_BINS,) array
        At the centres of equal bins from 0 to sqrt(1/2) cycles a pixel.
    """

    power: FloatArray

    def __call__(self, frequency: FloatArray) -> FloatArray:
        """Power at ``frequency`` (cycles a pixel), with the ramp to zero below :data:`RAMP_END`."""
        centres = (np.arange(FREQUENCY_BINS) + 0.5) * (np.sqrt(0.5) / FREQUENCY_BINS)
        power = np.interp(frequency, centres, self.power)
        at_ramp = np.interp(RAMP_END, centres, self.power)
        return np.where(frequency < RAMP_END, at_ramp * frequency / RAMP_END, power)


def measure_noise_power(slices: list[NDArray[np.float32]], patches_per_slice: int = 8) -> NoisePower:
    """Noise power spectrum of the flattest soft-tissue patches.

    Parameters
    ----------
    slices : list of (H, W) arrays
        HU, one scanner and kernel.
    patches_per_slice : int
        64x64 patches taken from each slice, the flattest first.

    Raises
    ------
    ValueError
        Where no slice has a soft-tissue patch.
    """
    window = np.outer(np.hanning(PATCH), np.hanning(PATCH))
    spectra = []
    for image in slices:
        for patch in _flat_patches(image, patches_per_slice):
            spectra.append(np.abs(np.fft.fft2((patch - _plane(patch)) * window)) ** 2)
    if not spectra:
        raise ValueError("No 64x64 soft-tissue patch in these slices to measure the noise on.")
    radius = np.hypot(np.fft.fftfreq(PATCH)[:, None], np.fft.fftfreq(PATCH)[None])
    bins = np.minimum((radius / np.sqrt(0.5) * FREQUENCY_BINS).astype(int), FREQUENCY_BINS - 1)
    mean = np.mean(spectra, axis=0)
    count = np.bincount(bins.ravel(), minlength=FREQUENCY_BINS)
    total = np.bincount(bins.ravel(), mean.ravel(), minlength=FREQUENCY_BINS)
    filled = np.flatnonzero(count)
    return NoisePower(np.interp(np.arange(FREQUENCY_BINS), filled, total[filled] / count[filled]))


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


def _flat_patches(image: NDArray[np.float32], count: int) -> list[FloatArray]:
    found = []
    for y in range(0, image.shape[0] - PATCH + 1, 16):
        for x in range(0, image.shape[1] - PATCH + 1, 16):
            patch = image[y : y + PATCH, x : x + PATCH].astype(np.float64)
            blocks = patch.reshape(8, 8, 8, 8).mean(axis=(1, 3))
            if blocks.min() > -20 and blocks.max() < 160:
                found.append((blocks.std(), patch))
    found.sort(key=lambda entry: entry[0])
    return [patch for _, patch in found[:count]]


def _plane(patch: FloatArray) -> FloatArray:
    """Least-squares plane through a square patch."""
    t = np.arange(len(patch)) - (len(patch) - 1) / 2
    scale = np.sum(t**2) * len(patch)
    return patch.mean() + (t @ patch.sum(1) / scale) * t[:, None] + (t @ patch.sum(0) / scale) * t[None]


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
