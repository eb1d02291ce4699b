"""The noise power spectrum (NPS) of a CT, radially averaged, from flat soft-tissue patches.

Patches of 64x64 pixels, a plane removed from each, under a Hann window; the squared transforms are averaged over the
patches and over all directions. What is left of the anatomy in a patch shows at low frequencies.

Reference: ICRU Report 87 (2012), chapter on image noise.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

RAMP_END = 0.14  # cycles a pixel: what is measured below it in a patient is anatomy as much as noise
FREQUENCY_BINS = 48
PATCH = 64
STEP = 16  # pixels between the corners that are tried
SOFT_TISSUE = (-20.0, 160.0)  # HU; every 8x8 block of a patch has its mean in here
WINDOW = np.outer(np.hanning(PATCH), np.hanning(PATCH))


@dataclass(frozen=True)
class NoisePower:
    """Radial noise power spectrum as a model of noise, in any unit (only its shape is used).

    Attributes
    ----------
    power : (FREQUENCY_BINS,) array
        At :func:`bin_centres`.
    """

    power: FloatArray

    def __call__(self, frequency: FloatArray) -> FloatArray:
        """Power at ``frequency`` (cycles a pixel), with the ramp to zero below :data:`RAMP_END`."""
        centres = bin_centres()
        power = np.interp(frequency, centres, self.power)
        at_ramp = np.interp(RAMP_END, centres, self.power)
        return np.where(frequency < RAMP_END, at_ramp * frequency / RAMP_END, power)


def measure_noise_power(slices: list[NDArray[np.float32]], patches_per_slice: int = 8) -> NoisePower:
    """Noise power spectrum of the flattest soft-tissue patches, in squares of HU x window (no absolute unit).

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
    patches = [patch for image in slices for patch in patches_at(image, flat_corners(image, patches_per_slice))]
    if not patches:
        raise ValueError("No 64x64 soft-tissue patch in these slices to measure the noise on.")
    return NoisePower(_radial_power(patches))


def noise_power_spectrum(patches: Iterable[FloatArray], pixel_mm: tuple[float, float]) -> FloatArray:
    """Radial NPS in absolute units, HU^2 mm^2: for white noise, variance x area of a pixel at every frequency.

    Parameters
    ----------
    patches : iterable of (PATCH, PATCH) arrays
        HU; at least one.
    pixel_mm : (x, y)
        Pixel size.

    Returns
    -------
    (FREQUENCY_BINS,) array
        At :func:`bin_centres`; divide those by the pixel size for cycles a millimetre.
    """
    scale = pixel_mm[0] * pixel_mm[1] / float(np.sum(WINDOW**2))
    return _radial_power(list(patches)) * scale


def bin_centres() -> FloatArray:
    """Centres of FREQUENCY_BINS equal bins from 0 to sqrt(1/2) cycles a pixel; beyond 0.5 only diagonals count."""
    return (np.arange(FREQUENCY_BINS) + 0.5) * (np.sqrt(0.5) / FREQUENCY_BINS)


def flat_corners(image: NDArray[Any], count: int) -> list[tuple[int, int]]:
    """Upper left corners (row, column) of the flattest soft-tissue patches of a slice in HU, the flattest first."""
    low, high = SOFT_TISSUE
    found = []
    for y in range(0, image.shape[0] - PATCH + 1, STEP):
        for x in range(0, image.shape[1] - PATCH + 1, STEP):
            patch = image[y : y + PATCH, x : x + PATCH].astype(np.float64)
            blocks = patch.reshape(8, 8, 8, 8).mean(axis=(1, 3))
            if blocks.min() > low and blocks.max() < high:
                found.append((blocks.std(), (y, x)))
    found.sort(key=lambda entry: entry[0])
    return [corner for _, corner in found[:count]]


def patches_at(image: NDArray[Any], corners: Iterable[tuple[int, int]]) -> list[FloatArray]:
    """The (PATCH, PATCH) patches of a slice at these corners."""
    return [image[y : y + PATCH, x : x + PATCH].astype(np.float64) for y, x in corners]


def _radial_power(patches: list[FloatArray]) -> FloatArray:
    """Mean over patches and directions of the squared transform; bins that no frequency falls in are interpolated."""
    spectra = [np.abs(np.fft.fft2((patch - _plane(patch)) * WINDOW)) ** 2 for patch in patches]
    radius = np.hypot(np.fft.fftfreq(PATCH)[:, None], np.fft.fftfreq(PATCH)[None])
    bins = np.minimum((radius / np.sqrt(0.5) * FREQUENCY_BINS).astype(int), FREQUENCY_BINS - 1)
    mean = np.mean(spectra, axis=0)
    count = np.bincount(bins.ravel(), minlength=FREQUENCY_BINS)
    total = np.bincount(bins.ravel(), mean.ravel(), minlength=FREQUENCY_BINS)
    filled = np.flatnonzero(count)
    return np.interp(np.arange(FREQUENCY_BINS), filled, total[filled] / count[filled])


def _plane(patch: FloatArray) -> FloatArray:
    """Least-squares plane through a square patch."""
    t = np.arange(len(patch)) - (len(patch) - 1) / 2
    scale = np.sum(t**2) * len(patch)
    return patch.mean() + (t @ patch.sum(1) / scale) * t[:, None] + (t @ patch.sum(0) / scale) * t[None]
