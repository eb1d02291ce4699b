r"""Pairs of low and full dose from a simulated scanner, with nothing but noise between them, to train on.

    python -m inference_core.training.simulated_pairs phantom runs/pairs-phantom
    python -m inference_core.training.simulated_pairs details runs/pairs-details
    python -m inference_core.training.simulated_pairs clean CLEAN_CT.nrrd runs/pairs-head --enlarge 2

``phantom`` makes heads with temporal bones (no patient), ``details`` heads crowded with small detail; ``clean`` takes a
CT with little noise. All project each slice, give the projections photon noise of a random dose, and reconstruct them
with several kernels, with and without noise. Half of the noisy slices are clipped at -1024 HU, as many scanners do,
and half are not.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference_core.image.reading import read_volume
from inference_core.image.volume import Volume
from inference_core.image.writing import write_volume
from inference_core.simulation.forward_projection import project
from inference_core.simulation.head_anatomy import head
from inference_core.simulation.projection import (
    WATER_ATTENUATION,
    Bodies,
    Float32Array,
    add_photon_noise,
    filtered_back_projection,
    line_integrals,
    reconstruction_circle,
)
from inference_core.simulation.temporal_bone import DETECTORS, ELECTRONIC_NOISE, SIZE, SPACING, VIEWS
from inference_core.training.detail_heads import detail_head

KERNELS = (1.0, 0.6, 0.3, 0.0)  # flat_to of filtered_back_projection, sharp to smooth
PHOTONS = (4e3, 3e5)  # per ray: noise of about 350 to 15 HU in a brain
HELD_BACK = ((27, 37), (66, 78))  # slices of the clean head CT that figures in docs/denoiser.md are measured on
PADDING = -1024


def phantom(out: Path, heads: int = 6, first_seed: int = 100, slices: int = 32, every: int = 4, draws: int = 2,
            photons: tuple[float, float] = PHOTONS) -> None:  # fmt: skip
    """Pairs of made heads with temporal bones.

    Parameters
    ----------
    out : Path
        Gets the folders ``low`` and ``full``.
    heads, first_seed : int
        Seeds are far from those that samples are made with.
    slices, every : int
        Slices of 0.6 mm in a head, and which of them are used: neighbours are nearly alike.
    draws : int
        Doses for the sharpest kernel; half as many, at least one, for each other one.
    photons : (low, high)
        Range of the doses, photons a ray.
    """
    for seed in range(first_seed, first_seed + heads):
        _made_head(head(seed)[0].bodies, f"HEAD{seed}", out, slices, every, draws, photons, seed)


def details(out: Path, heads: int = 6, first_seed: int = 100, slices: int = 32, every: int = 4, draws: int = 2,
            photons: tuple[float, float] = PHOTONS) -> None:  # fmt: skip
    """Pairs of heads crowded with small detail (:mod:`~inference_core.training.detail_heads`); as :func:`phantom`."""
    for seed in range(first_seed, first_seed + heads):
        _made_head(detail_head(seed), f"DETAIL{seed}", out, slices, every, draws, photons, seed)


def _made_head(
    bodies: Bodies, name: str, out: Path, slices: int, every: int, draws: int, photons: tuple[float, float], seed: int
) -> None:
    rng = np.random.default_rng([seed, 3])
    attenuation = {body: density * WATER_ATTENUATION for body, density in bodies.items()}
    sinogram = line_integrals(attenuation, VIEWS, DETECTORS, SPACING, slices, SPACING)
    for k in range(every // 4, slices, every):
        _write_pairs(sinogram[:, :, k : k + 1], SIZE, SPACING, name, k, out, draws, photons, rng)
    print(name, flush=True)


def clean(ct: Path, out: Path, enlarge: int = 1, slices: list[int] | None = None, draws: int = 4, seed: int = 0,
          photons: tuple[float, float] = PHOTONS) -> None:  # fmt: skip
    """Pairs of a CT with little noise.

    Parameters
    ----------
    ct : Path
        Square slices.
    out : Path
        Gets the folders ``low`` and ``full``.
    enlarge : int
        Slices are interpolated to this many times the pixels a side first: scanners reconstruct heads at 512.
    slices : list of int, optional
        Which slices are used; by default every fourth outside :data:`HELD_BACK`.
    draws : int
        Doses for the sharpest kernel; half as many, at least one, for each other one.
    seed : int
    photons : (low, high)
        Range of the doses, photons a ray.
    """
    volume = read_volume(ct)
    rng = np.random.default_rng(seed)
    name = ct.name.split(".")[0].replace("_", "-")
    if slices is None:
        kept = range(1, len(volume.voxels), 4)
        slices = [k for k in kept if not any(first <= k <= last for first, last in HELD_BACK)]
    for k in slices:
        image = np.maximum(_enlarged(volume.voxels[k].astype(np.float64), enlarge), PADDING)
        pixel = volume.spacing[0] / enlarge
        detectors = math.ceil(len(image) * math.sqrt(2) / 2) * 2 + 12
        sinogram = project(WATER_ATTENUATION * (1 + image[None] / 1000), pixel, VIEWS, detectors, pixel)
        _write_pairs(sinogram, len(image), pixel, name, k, out, draws, photons, rng)
        print(f"slice {k}", flush=True)


def _write_pairs(
    sinogram: Float32Array,
    size: int,
    pixel: float,
    name: str,
    number: int,
    out: Path,
    draws: int,
    photons: tuple[float, float],
    rng: np.random.Generator,
) -> None:
    """Reconstruct one slice's projections (views, detectors, 1) with and without noise, and write the pairs."""
    circle = reconstruction_circle(size, pixel, sinogram.shape[1], pixel)
    for kernel, flat_to in enumerate(KERNELS):
        count = draws if kernel == 0 else max(draws // 2, 1)
        doses = np.exp(rng.uniform(math.log(photons[0]), math.log(photons[1]), count))
        noisy = [add_photon_noise(sinogram, dose, ELECTRONIC_NOISE, rng) for dose in doses]
        images = filtered_back_projection(np.concatenate([sinogram, *noisy], axis=2), size, pixel, pixel, flat_to)
        hu = 1000 * (images / WATER_ATTENUATION - 1)
        for draw in range(1, len(hu)):
            if rng.random() < 0.5:
                hu[draw] = np.maximum(hu[draw], PADDING)
        hu[:, ~circle] = PADDING
        for draw in range(1, len(hu)):
            file = f"{name}_k{kernel}_{number:03d}d{draw}.nrrd"  # patient, scan, slice
            _write(hu[0], pixel, out / "full" / file)
            _write(hu[draw], pixel, out / "low" / file)


def _write(image: Float32Array, pixel: float, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    voxels = np.rint(np.clip(image, -2048, 3071)).astype(np.int16)[None]
    write_volume(Volume(voxels, spacing=(pixel, pixel, pixel), modality="CT", padding_value=PADDING), path)


def _enlarged(image: NDArray[np.float64], factor: int) -> NDArray[np.float64]:
    """Linear interpolation to ``factor`` times the pixels a side."""
    at = np.clip((np.arange(len(image) * factor) + 0.5) / factor - 0.5, 0, len(image) - 1)
    lower = np.minimum(at.astype(int), len(image) - 2)
    weight = at - lower
    rows = image[lower] * (1 - weight)[:, None] + image[lower + 1] * weight[:, None]
    columns: NDArray[np.float64] = rows[:, lower] * (1 - weight) + rows[:, lower + 1] * weight
    return columns


if __name__ == "__main__":
    from jsonargparse import auto_cli

    from inference_core.errors import told_plainly

    with told_plainly():
        auto_cli({"phantom": phantom, "details": details, "clean": clean})
