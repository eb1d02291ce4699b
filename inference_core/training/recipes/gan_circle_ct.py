"""Recipe ``gan_circle_ct``: GAN-CIRCLE without pairs, on unpaired low-dose and full-dose scans.

You et al., CT super-resolution GAN constrained by the identical, residual, and cycle learning ensemble (IEEE TMI 2020):
as CycleGAN, with Wasserstein critics and their gradient penalty, and with total variation to keep the output smooth
and, more strongly, what was taken off it. Here the generator keeps the image's size.

    inference-core train denoiser --config gan_circle low_dose='[QUARTER]' full_dose='[FULL]' out=runs/gan-circle
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from torch import Tensor

from inference_core.models.networks import build_network
from inference_core.training.ct_folders import check_apart_from
from inference_core.training.ct_publish import DenoiserInput
from inference_core.training.ct_task import denoiser_task, set_up
from inference_core.training.ct_unpaired import (
    LEAST_CROP,
    UnpairedCtConfig,
    card_data,
    check_gives_image,
    check_weights,
    draw_crops,
    read_unpaired,
)
from inference_core.training.image_pool import ImagePool
from inference_core.training.loop import Task, check_positive, fit, update
from inference_core.training.losses.gradient_penalty import gradient_penalty
from inference_core.training.losses.total_variation import total_variation
from inference_core.training.networks.gan_circle_discriminator import GanCircleDiscriminator


@dataclass(frozen=True, kw_only=True)
class GanCircleCtConfig(UnpairedCtConfig):
    """As every run on unpaired doses, and:"""

    batch: int = 64
    crop: int = 64
    """Pixels a side."""
    flips: bool = True
    """Flip and turn the crops."""
    learning_rate: float = 1e-5
    """Of Adam with betas 0.5 and 0.999."""
    epochs: int = 150
    """Stairs of the learning rate: constant for two thirds, then falling to zero."""
    critic_width: int = 64
    """Channels of the critics' first layer."""
    weight_cycle: float = 2048.0
    """Of the mean absolute difference a pixel."""
    weight_identity: float = 1024.0
    """Of the mean absolute difference a pixel."""
    weight_smooth: float = 20.48
    """Of the total variation a pixel of the denoised image."""
    weight_removed: float = 184.32
    """Of the total variation a pixel of what was taken off the image."""
    weight_penalty: float = 1.0
    """Of the critics' gradient penalty."""
    pool: int = 50
    """Generated images of each dose that are kept for the critics; 0: only the newest are judged."""
    input: DenoiserInput = field(
        default_factory=lambda: DenoiserInput("whole", 2000.0, "image", "db3", wavelet_level=6, kept_level=0)
    )


def train(config: GanCircleCtConfig) -> None:
    """Run the recipe.

    Raises
    ------
    UserError
        Where there is nothing to train on, a value cannot work, or the run's folder holds another run.
    """
    check_apart_from(config.out, [*config.low_dose, *config.full_dose])
    fit(config, "gan_circle_ct", prepare)


def prepare(config: GanCircleCtConfig, fabric: Fabric) -> Task:
    """Read the data, make the networks, and say what a step is."""
    check_positive(config, "critic_width")
    check_weights(config, "weight_cycle", "weight_identity", "weight_smooth", "weight_removed", "weight_penalty")
    check_weights(config, "pool")
    check_gives_image(config, LEAST_CROP)
    data = read_unpaired(config)
    architecture: dict[str, Any] = {"name": "gan_circle_generator", "arguments": {}}
    network, other_way = (build_network("gan_circle_generator", {}) for _ in range(2))
    critics = {dose: GanCircleDiscriminator(config.critic_width) for dose in ("full", "low")}
    parts = {
        "denoiser": set_up(fabric, network, config.learning_rate),
        "other_way": set_up(fabric, other_way, config.learning_rate),
        "judge_full": set_up(fabric, critics["full"], config.learning_rate),
        "judge_low": set_up(fabric, critics["low"], config.learning_rate),
    }
    (denoise, _), (go_back, _), (judge_full, _), (judge_low, _) = parts.values()
    pools = {"pool_full": ImagePool(config.pool), "pool_low": ImagePool(config.pool)}

    def step(rng: np.random.Generator) -> dict[str, Tensor]:
        low, full = (x.to(fabric.device) for x in draw_crops(data, config, rng))
        judge_full.requires_grad_(False)
        judge_low.requires_grad_(False)
        made_full, made_low = denoise(low), go_back(full)
        losses = {
            "adversarial": -judge_full(made_full).mean() - judge_low(made_low).mean(),
            "cycle": F.l1_loss(go_back(made_full), low) + F.l1_loss(denoise(made_low), full),
            "identity": F.l1_loss(denoise(full), full) + F.l1_loss(go_back(low), low),
            "smooth": total_variation(made_full),
            "removed": total_variation(low - made_full),
        }
        weights = {name: 1.0 if name == "adversarial" else getattr(config, f"weight_{name}") for name in losses}
        total = torch.stack([weights[name] * loss for name, loss in losses.items()]).sum()
        update(fabric, total, config.clip, parts["denoiser"], parts["other_way"])
        judge_full.requires_grad_(True)
        judge_low.requires_grad_(True)
        seen_full, seen_low = pools["pool_full"].exchange(made_full, rng), pools["pool_low"].exchange(made_low, rng)
        distance = judge_full(full).mean() - judge_full(seen_full).mean()
        distance = distance + judge_low(low).mean() - judge_low(seen_low).mean()
        # By the critics themselves, not as Fabric wraps them: in mixed precision it forbids gradients within a step.
        penalty = gradient_penalty(critics["full"], full, seen_full) + gradient_penalty(critics["low"], low, seen_low)
        update(fabric, config.weight_penalty * penalty - distance, config.clip, parts["judge_full"], parts["judge_low"])
        return losses | {"distance": distance, "penalty": penalty}

    said = card_data(data, "gan_circle_ct", config)
    schedule = partial(_two_thirds, config=config)
    return denoiser_task(config, fabric, step, parts, schedule, architecture, data.validation, said, pools)


def _two_thirds(optimiser: torch.optim.Optimizer, config: GanCircleCtConfig) -> Any:
    """Learning rate as it is for two thirds of the epochs, then down a staircase, one stair an epoch."""

    def factor(step: int) -> float:
        return min(1.0, 3 * (1 - step * config.epochs // config.steps / config.epochs))

    return torch.optim.lr_scheduler.LambdaLR(optimiser, factor)
