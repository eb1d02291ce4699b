"""Recipe ``cycle_free_ct``: the cycle-free CycleGAN, on unpaired low-dose and full-dose scans.

Kwon, Ye, Cycle-free CycleGAN using invertible generator for unsupervised low-dose CT denoising (IEEE TCI 2021): the
generator can be inverted, so there and back gives the input by construction; one generator, one discriminator. The
generator sees the wavelet high band, the discriminator the slice with the new high band in the place of the old.

    inference-core train denoiser --config cycle_free low_dose='[QUARTER]' full_dose='[FULL]' out=runs/cycle-free
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor

from inference_core.denoiser.pipeline import network_input
from inference_core.errors import UserError
from inference_core.models.networks import build_network
from inference_core.training.ct_folders import check_apart_from
from inference_core.training.ct_publish import DenoiserInput
from inference_core.training.ct_task import denoiser_task, set_up
from inference_core.training.ct_unpaired import (
    UnpairedCt,
    UnpairedCtConfig,
    card_data,
    check_gives_image,
    check_weights,
    draw_crops,
    read_unpaired,
)
from inference_core.training.loop import Task, check_positive, fit, update
from inference_core.training.losses.adversarial import lsgan_discriminator_loss, lsgan_generator_loss
from inference_core.training.networks.cycle_free_discriminator import CycleFreeDiscriminator

BETAS = (0.9, 0.999)  # of Adam


@dataclass(frozen=True, kw_only=True)
class CycleFreeCtConfig(UnpairedCtConfig):
    """As every run on unpaired doses, and:"""

    batch: int = 1
    crop: int = 512
    """Pixels a side; 512 are whole slices."""
    margin: int = 0
    """Pixels at the slice's edges that no crop is drawn from."""
    learning_rate: float = 1e-4
    """Of Adam with betas 0.9 and 0.999."""
    epochs: int = 3
    """Stairs of the learning rate, each half as high as the one before."""
    width: int = 64
    """Channels that each convolution of the generator's dense blocks adds."""
    blocks: int = 4
    """Of the generator."""
    discriminator_width: int = 64
    """Channels of the discriminator's first layer."""
    weight_unchanged: float = 10.0
    """Of the mean absolute difference of output and input."""
    input: DenoiserInput = field(
        default_factory=lambda: DenoiserInput("high", 4000.0, "image", "db3", wavelet_level=6, kept_level=0)
    )


def train(config: CycleFreeCtConfig) -> None:
    """Run the recipe.

    Raises
    ------
    UserError
        Where there is nothing to train on, a value cannot work, or the run's folder holds another run.
    """
    check_apart_from(config.out, [*config.low_dose, *config.full_dose])
    fit(config, "cycle_free_ct", prepare)


def prepare(config: CycleFreeCtConfig, fabric: Fabric) -> Task:
    """Read the data, make the networks, and say what a step is."""
    check_positive(config, "width", "blocks", "discriminator_width")
    check_weights(config, "weight_unchanged")
    check_gives_image(config, least_crop=16)
    if config.input.band != "high":
        raise UserError("out-of-range", "This generator sees the high band only.", "Give input.band=high.")
    slices = read_unpaired(replace(config, input=replace(config.input, band="whole")))
    bands = _high_bands(slices, config.input)
    architecture: dict[str, Any] = {
        "name": "invertible_generator",
        "arguments": {"width": config.width, "blocks": config.blocks},
    }
    network = build_network("invertible_generator", architecture["arguments"])
    parts = {
        "denoiser": set_up(fabric, network, config.learning_rate, BETAS),
        "judge": set_up(fabric, CycleFreeDiscriminator(config.discriminator_width), config.learning_rate, BETAS),
    }
    (denoise, _), (judge, _) = parts.values()
    water = 1000 / config.input.unit_hu  # the discriminator sees slices counted from water

    def step(rng: np.random.Generator) -> dict[str, Tensor]:
        same = copy.deepcopy(rng)  # the same crops of both
        low, full = (x.to(fabric.device) - water for x in draw_crops(slices, config, rng))
        high = draw_crops(bands, config, same)[0].to(fabric.device)
        judge.requires_grad_(False)
        output = low - high + denoise(high)
        adversarial, change = lsgan_generator_loss(judge(output)), F.l1_loss(output, low)
        update(fabric, adversarial + config.weight_unchanged * change, config.clip, parts["denoiser"])
        judge.requires_grad_(True)
        decided = lsgan_discriminator_loss(judge(full), judge(output.detach()))
        update(fabric, decided, config.clip, parts["judge"])
        return {"adversarial": adversarial, "change": change, "discriminator": decided}

    said = card_data(bands, "cycle_free_ct", config)
    schedule = partial(_halving, config=config)
    return denoiser_task(config, fabric, step, parts, schedule, architecture, bands.validation, said)


def _high_bands(slices: UnpairedCt, seen: DenoiserInput) -> UnpairedCt:
    """The same data, the low dose as its high bands (no network sees the high band of the full dose)."""

    def high(image: NDArray[np.int16]) -> NDArray[np.int16]:
        band = network_input(image.astype(np.float64), "high", seen.wavelet_level, seen.wavelet)
        return np.clip(np.rint(band), -32768, 32767).astype(np.int16)

    return replace(slices, low=[high(image) for image in slices.low])


def _halving(optimiser: torch.optim.Optimizer, config: CycleFreeCtConfig) -> Any:
    """Learning rate down a staircase of equal steps, each half as high as the one before."""

    def factor(step: int) -> float:
        return 0.5 ** (step * config.epochs // config.steps)

    return torch.optim.lr_scheduler.LambdaLR(optimiser, factor)
