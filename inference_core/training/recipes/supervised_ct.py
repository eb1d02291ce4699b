"""Recipe ``supervised_ct``: learn to take inserted noise out of real CT slices.

Input: full-dose slices (DICOM or volume files), no low-dose scan. Each slice gets many draws of noise of random
strength and direction (:mod:`inference_core.simulation.inserted_noise`); half of the draws are blurred, slice and
noise alike, to stand for smoother reconstruction kernels. The network sees the wavelet high band and is trained, by L1
on crops, to give the residual that leads back to the full-dose slice. Validation is by patient, elsewhere
(:mod:`inference_core.evaluation.paired_ct`); nothing is selected on it: the last weights are the result.

    python -m inference_core.training.recipes.supervised_ct --slices FOLDER --out ct-sharp.safetensors
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from inference_core.denoiser.wavelet import remove_low_band, split
from inference_core.image.reading import read_volume
from inference_core.models.networks.unshuffle_cnn import UnshuffleCnn
from inference_core.simulation.inserted_noise import NoisePower, draw_noise, measure_noise_power

AIR_CLIP = -1024.0  # HU; scanners clip here, so the noisy input is clipped as well


@dataclass(frozen=True)
class SupervisedCtConfig:
    """What one run is made of."""

    slices: Path
    """Folder of full-dose CT files, one scan a name prefix (PATIENT_KERNEL_NUMBER): spectra are measured per prefix."""
    out: Path
    """Weights to write (.safetensors); the configuration and the loss curve go beside it (.json)."""
    leave_out: str = ""
    """Files whose name starts with this are not opened (leave-one-patient-out)."""
    seed: int = 0
    steps: int = 45_000
    batch: int = 4
    crop: int = 96
    """Pixels a side."""
    learning_rate: float = 1e-3
    """Of Adam; 50 steps of warm-up, then cosine to zero."""
    draws: int = 32
    """Noisy versions of each slice."""
    strength: tuple[float, float] = (1.3, 3.2)
    """Inserted noise over the slice's own noise: quarter dose is 1.7 to 2.1."""
    strong_share: float = 0.15
    """Share of draws with up to three times that strength, so that much noisier scans are not new to the network."""
    streak: tuple[float, float] = (0.3, 1.0)
    """Range of gamma of :func:`draw_noise`."""
    blur: tuple[float, float] = (0.45, 1.1)
    """Standard deviation in pixels of the Gaussian that stands for a smoother kernel."""
    width: int = 32
    depth: int = 8
    unit_hu: float = 100.0
    level: int = 6
    """Of the wavelet split."""
    kept_level: int = 3
    """Of the finest low band that the pipeline keeps."""


Pair = tuple[NDArray[np.float32], NDArray[np.float32]]
"""High band of a noisy slice, and what to add to it, both in HU."""


def train(config: SupervisedCtConfig) -> UnshuffleCnn:
    """Run the recipe; write weights and record.

    Raises
    ------
    ValueError
        Where no slice is left to train on.
    """
    rng = np.random.default_rng(config.seed)
    torch.manual_seed(config.seed)
    pairs = make_pairs(config, rng)
    print(f"{len(pairs)} noisy slices", flush=True)
    network = UnshuffleCnn(config.width, config.depth)
    optimiser = torch.optim.Adam(network.parameters(), config.learning_rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser,
        lambda step: min(1.0, (step + 1) / 50) * 0.5 * (1 + math.cos(math.pi * step / config.steps)),
    )
    curve: list[tuple[int, float]] = []
    running, started = 0.0, time.process_time()
    for step, (noisy, target) in zip(range(1, config.steps + 1), batches(pairs, config, rng), strict=False):
        error = network(noisy / config.unit_hu) - target / config.unit_hu
        kept = remove_low_band(error, (config.kept_level, config.level))  # what the pipeline lets through
        loss = kept.abs().mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        running += loss.item()
        if step % 2000 == 0 or step == config.steps:
            curve.append((step, running / (step - (curve[-1][0] if curve else 0))))
            print(
                f"step {step}: L1 {curve[-1][1] * config.unit_hu:.3f} HU, {time.process_time() - started:.0f} CPU s",
                flush=True,
            )
            running = 0.0
            save(network, config, curve, time.process_time() - started)
    return network


def make_pairs(config: SupervisedCtConfig, rng: np.random.Generator) -> list[Pair]:
    """Draw every noisy version of every slice."""
    pairs: list[Pair] = []
    for scan in load_scans(config.slices, config.leave_out):
        power = measure_noise_power([image for image, _ in scan])
        for image, pixel_size in scan:
            pairs.extend(_noisy_versions(image, pixel_size, power, config, rng))
    return pairs


def load_scans(folder: Path, leave_out: str = "") -> list[list[tuple[NDArray[np.float32], float]]]:
    """Slices (HU) and pixel sizes (mm) of each scan; a scan is the files that share a name up to the last ``_``."""
    scans: dict[str, list[tuple[NDArray[np.float32], float]]] = {}
    for file in sorted(p for p in folder.iterdir() if p.is_file()):
        if leave_out and file.name.startswith(leave_out):
            continue
        volume = read_volume(file)
        scans.setdefault(file.stem.rpartition("_")[0], []).extend(
            (image.astype(np.float32), volume.spacing[0]) for image in volume.voxels
        )
    if not scans:
        raise ValueError(f"No slice to train on in {folder} (leave_out={leave_out!r}).")
    return list(scans.values())


def _noisy_versions(
    image: NDArray[np.float32],
    pixel_size: float,
    power: NoisePower,
    config: SupervisedCtConfig,
    rng: np.random.Generator,
) -> Iterator[Pair]:
    own_noise = fine_noise(image, image)
    for draw in range(config.draws):
        noise = draw_noise(image, power, pixel_size, rng.uniform(*config.streak), rng)
        strength = rng.uniform(*config.strength)
        if rng.random() < config.strong_share:
            strength *= rng.uniform(1.0, 3.0)
        noisy = np.maximum(image + noise * np.float32(strength * own_noise / fine_noise(noise, image)), AIR_CLIP)
        clean = image
        if draw % 2:
            kernel_blur = rng.uniform(*config.blur)
            clean, noisy = gaussian_blur(clean, kernel_blur), gaussian_blur(noisy, kernel_blur)
        high = split(noisy, config.level)[1]
        target = split(clean, config.level)[1] - high
        yield high.astype(np.float32), target.astype(np.float32)


def fine_noise(image: NDArray[np.float32], anatomy: NDArray[np.float32]) -> float:
    """Standard deviation of the diagonal 2x2 differences in soft tissue (median absolute deviation), HU."""
    diagonal = (image[::2, ::2] - image[1::2, ::2] - image[::2, 1::2] + image[1::2, 1::2]) / 2
    tissue = gaussian_blur(anatomy, 2.0)[::2, ::2]
    inside = (tissue > -100) & (tissue < 150)
    return float(np.median(np.abs(diagonal[inside] if inside.any() else diagonal)) / 0.6745)


def gaussian_blur(image: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """Gaussian blur of a slice, ``sigma`` in pixels, edges replicated."""
    radius = math.ceil(4 * sigma)
    kernel = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / sigma) ** 2)
    kernel = kernel / kernel.sum()
    x = F.pad(torch.from_numpy(image)[None, None], (radius,) * 4, mode="replicate")
    x = F.conv2d(F.conv2d(x, kernel[None, None, None]), kernel[None, None, :, None])
    return x[0, 0].numpy()


def batches(pairs: list[Pair], config: SupervisedCtConfig, rng: np.random.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless random crops, flipped and turned."""
    while True:
        crops = []
        for _ in range(config.batch):
            both = np.stack(pairs[rng.integers(len(pairs))])
            y, x = (rng.integers(0, n - config.crop + 1) for n in both.shape[1:])
            crop = np.rot90(both[:, y : y + config.crop, x : x + config.crop], int(rng.integers(4)), axes=(1, 2))
            crops.append(crop[:, :, ::-1] if rng.random() < 0.5 else crop)
        batch = torch.from_numpy(np.stack(crops))
        yield batch[:, :1], batch[:, 1:]


def save(network: UnshuffleCnn, config: SupervisedCtConfig, curve: list[tuple[int, float]], cpu_seconds: float) -> None:
    """Weights as safetensors, configuration and loss curve as JSON beside them."""
    from safetensors.torch import save_file

    config.out.parent.mkdir(parents=True, exist_ok=True)
    save_file(network.state_dict(), config.out)
    record = {
        "recipe": "supervised_ct",
        "config": {k: str(v) if isinstance(v, Path) else v for k, v in asdict(config).items()},
        "cpu_seconds": round(cpu_seconds),
        "loss_l1_units": curve,
    }
    config.out.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    from jsonargparse import auto_cli

    torch.set_num_threads(1)
    train(auto_cli(SupervisedCtConfig, as_positional=False))
