"""Noisy CT slices and what a network should add to them: made once, held in memory, cropped at random.

Each slice gets many draws of noise of random strength and direction (:mod:`inference_core.simulation.inserted_noise`);
half of the draws are blurred, slice and noise alike, to stand for smoother reconstruction kernels, and some are drawn
on the slice at half size, to stand for larger fields of view. Pairs of a low-dose and a full-dose scan, true or
simulated, are taken as they are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from inference_core.denoiser.wavelet import split
from inference_core.errors import UserError
from inference_core.simulation.inserted_noise import NoisePower, draw_noise, measure_noise_power
from inference_core.training.ct_folders import Scan

FloatArray = NDArray[np.float32]

AIR_CLIP = -1024.0  # HU; most scanners clip here, so the noisy slice is clipped as well
STEPS_PER_HU = 8  # of the int16 that samples are held in
LEAST_NOISE = 3.0  # HU; weights of samples are 1 / noise, down to this


@dataclass(frozen=True)
class NoiseConfig:
    """How noise is inserted."""

    strength: tuple[float, float] = (1.3, 3.2)
    """Inserted noise over the slice's own noise: quarter dose is 1.7 to 2.1."""
    strong_share: float = 0.15
    """Share of draws with up to three times that strength, so that much noisier scans are not new to the network."""
    streak: tuple[float, float] = (0.3, 1.0)
    """Range of gamma of :func:`draw_noise`."""
    blur: tuple[float, float] = (0.45, 1.1)
    """Standard deviation in pixels of the Gaussian that stands for a smoother kernel, on half of the draws."""
    half_size_share: float = 0.14
    """Share of draws on slices of half the size (2x2 means)."""


@dataclass(frozen=True)
class Sample:
    """One noisy slice.

    Attributes
    ----------
    planes : (2, H, W) int16 array
        High band of the input and of target - input, in 1 / :data:`STEPS_PER_HU` HU.
    noise : float
        Mean absolute difference x 1.25, HU: the standard deviation, were it Gaussian.
    """

    planes: NDArray[np.int16]
    noise: float


def make_sample(noisy: FloatArray, target: FloatArray, level: int, wavelet: str) -> Sample:
    """A sample of a noisy slice and its target ((H, W), HU), split by a wavelet at a level."""
    high = split(noisy, level, wavelet)[1]
    change = split(target, level, wavelet)[1] - high
    planes = np.clip(np.rint(np.stack([high, change]) * STEPS_PER_HU), -32768, 32767).astype(np.int16)
    inside = (target > -900) & (target < 900)
    noise = float(np.abs(change[inside] if inside.any() else change).mean()) * 1.25
    return Sample(planes, max(noise, LEAST_NOISE))


def inserted(
    scans: list[Scan],
    count: int,
    config: NoiseConfig,
    level: int,
    wavelet: str,
    rng: np.random.Generator,
    noisy_target: bool = False,
) -> list[Sample]:
    """Samples of full-dose scans with inserted noise.

    Parameters
    ----------
    scans : list of Scan
    count : int
        Samples to make, spread evenly over the slices; where there are more slices than that, every n-th is taken.
    config : NoiseConfig
    level, wavelet
        Of the split.
    rng : Generator
    noisy_target : bool
        The target gets noise of its own, as strong (Noise2Noise).
    """
    powers = {scan.name: noise_power_of(scan) for scan in scans}
    slices = [(image, scan) for scan in scans for image in scan.slices]
    every = -(-len(slices) // count)
    slices = slices[::every]
    samples = []
    for k in range(count):
        image, scan = slices[k % len(slices)]
        noisy, target = _draw(image, scan.pixel_size, powers[scan.name], config, rng, k // len(slices), noisy_target)
        samples.append(make_sample(noisy, target, level, wavelet))
    return samples


def batch(
    groups: list[tuple[list[Sample], float]], size: int, crop: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Random crops, flipped and turned.

    Parameters
    ----------
    groups : list of (samples, share)
        A crop comes from each group with a probability in proportion to its share.
    size, crop : int
        Crops, and pixels a side.
    rng : Generator

    Returns
    -------
    (size, 1, crop, crop) tensors of the noisy high band and of the change that is wanted, HU; (size,) tensor of the
    noise, HU.
    """
    shares = np.array([share for _, share in groups])
    crops, noise = [], []
    for group in rng.choice(len(groups), size, p=shares / shares.sum()):
        samples = groups[group][0]
        sample = samples[rng.integers(len(samples))]
        y, x = (int(rng.integers(0, n - crop + 1)) for n in sample.planes.shape[1:])
        part = np.rot90(sample.planes[:, y : y + crop, x : x + crop], int(rng.integers(4)), axes=(1, 2))
        crops.append(part[:, :, ::-1] if rng.random() < 0.5 else part)
        noise.append(sample.noise)
    both = torch.from_numpy(np.stack(crops).astype(np.float32)) / STEPS_PER_HU
    return both[:, :1], both[:, 1:], torch.tensor(noise, dtype=torch.float32)


def noise_power_of(scan: Scan) -> NoisePower:
    """Noise power spectrum of a scan.

    Raises
    ------
    UserError
        ``no-soft-tissue``.
    """
    try:
        return measure_noise_power(scan.slices)
    except ValueError as error:
        raise UserError(
            "no-soft-tissue",
            f"No slice of {scan.name} has a flat patch of soft tissue (64x64 pixels) to measure its noise on.",
            "Take it out, or give it as a pair of low and full dose.",
        ) from error


def fine_noise(image: FloatArray, anatomy: FloatArray) -> float:
    """Standard deviation of the diagonal 2x2 differences in soft tissue (median absolute deviation), HU."""
    image, anatomy = (x[: len(x) // 2 * 2, : x.shape[1] // 2 * 2] for x in (image, anatomy))
    diagonal = (image[::2, ::2] - image[1::2, ::2] - image[::2, 1::2] + image[1::2, 1::2]) / 2
    tissue = gaussian_blur(anatomy, 2.0)[::2, ::2]
    inside = (tissue > -100) & (tissue < 150)
    return float(np.median(np.abs(diagonal[inside] if inside.any() else diagonal)) / 0.6745)


def gaussian_blur(image: FloatArray, sigma: float) -> FloatArray:
    """Gaussian blur of a slice, ``sigma`` in pixels, edges replicated."""
    radius = math.ceil(4 * sigma)
    kernel = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / sigma) ** 2)
    kernel = kernel / kernel.sum()
    x = F.pad(torch.from_numpy(np.ascontiguousarray(image))[None, None], (radius,) * 4, mode="replicate")
    x = F.conv2d(F.conv2d(x, kernel[None, None, None]), kernel[None, None, :, None])
    return x[0, 0].numpy()


def _draw(
    image: FloatArray,
    pixel_size: float,
    power: NoisePower,
    config: NoiseConfig,
    rng: np.random.Generator,
    draw: int,
    noisy_target: bool,
) -> tuple[FloatArray, FloatArray]:
    """A noisy version of a slice, and its target."""
    if rng.random() < config.half_size_share and min(image.shape) >= 256:
        image, pixel_size = _half_size(image), 2 * pixel_size
    strength = rng.uniform(*config.strength)
    if rng.random() < config.strong_share:
        strength *= rng.uniform(1.0, 3.0)
    own = max(fine_noise(image, image), 1.0)
    streak = rng.uniform(*config.streak)

    def noisy_version() -> FloatArray:
        noise = draw_noise(image, power, pixel_size, streak, rng)
        amplitude = strength * own / max(fine_noise(noise, image), 1e-3)
        return np.maximum(image + noise * np.float32(amplitude), np.float32(AIR_CLIP))

    noisy = noisy_version()
    target = noisy_version() if noisy_target else image
    if draw % 2:
        sigma = rng.uniform(*config.blur)
        noisy, target = gaussian_blur(noisy, sigma), gaussian_blur(target, sigma)
    return noisy, target


def _half_size(image: FloatArray) -> FloatArray:
    rows, columns = (n // 2 for n in image.shape)
    return image[: 2 * rows, : 2 * columns].reshape(rows, 2, columns, 2).mean(axis=(1, 3))
