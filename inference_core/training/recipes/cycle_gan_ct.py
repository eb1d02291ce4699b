"""Recipe ``cycle_gan_ct``: CycleGAN on unpaired low-dose and full-dose scans, on whole slices or on their high band.

Zhu, Park, Isola, Efros (ICCV 2017): two generators, low to full dose and back, learn by an adversarial loss (look like
the other dose), the cycle loss (there and back gives the input) and an identity loss (leave alone what is of the target
dose already). On the wavelet high band it stands for wavCycleGAN (Gu, Yang, Ye, Yang, Medical Image Analysis 2021),
whose authors published no code: the networks are CycleGAN's here.

    inference-core train denoiser --config cyclegan_ct low_dose='[QUARTER]' full_dose='[FULL]' out=runs/cyclegan
    inference-core train denoiser --config wavcyclegan low_dose='[QUARTER]' full_dose='[FULL]' out=runs/wavcyclegan
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

import numpy as np
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
from inference_core.training.loop import Task, check_positive, constant_then_linear, fit, update
from inference_core.training.losses.adversarial import lsgan_discriminator_loss, lsgan_generator_loss
from inference_core.training.networks.patchgan70 import PatchGan70


@dataclass(frozen=True, kw_only=True)
class CycleGanCtConfig(UnpairedCtConfig):
    """As every run on unpaired doses, and:"""

    width: int = 64
    """Channels of the generators at full resolution."""
    blocks: int = 9
    """Residual blocks of the generators."""
    discriminator_width: int = 64
    """Channels of the discriminators' first layer."""
    weight_cycle: float = 10.0
    weight_identity: float = 5.0
    pool: int = 50
    """Generated images of each dose that are kept for the discriminators; 0: only the newest are judged."""
    input: DenoiserInput = field(
        default_factory=lambda: DenoiserInput("whole", 2000.0, "image", "db3", wavelet_level=6, kept_level=0)
    )


def train(config: CycleGanCtConfig) -> None:
    """Run the recipe.

    Raises
    ------
    UserError
        Where there is nothing to train on, a value cannot work, or the run's folder holds another run.
    """
    check_apart_from(config.out, [*config.low_dose, *config.full_dose])
    fit(config, "cycle_gan_ct", prepare)


def prepare(config: CycleGanCtConfig, fabric: Fabric) -> Task:
    """Read the data, make the networks, and say what a step is."""
    check_positive(config, "width", "blocks", "discriminator_width")
    check_weights(config, "weight_cycle", "weight_identity", "pool")
    check_gives_image(config, LEAST_CROP)
    data = read_unpaired(config)
    architecture = {"name": "resnet_generator", "arguments": {"width": config.width, "blocks": config.blocks}}
    network = build_network("resnet_generator", architecture["arguments"])  # type: ignore[arg-type]
    other_way = build_network("resnet_generator", architecture["arguments"])  # type: ignore[arg-type]
    parts = {
        "denoiser": set_up(fabric, network, config.learning_rate),
        "other_way": set_up(fabric, other_way, config.learning_rate),
        "judge_full": set_up(fabric, PatchGan70(width=config.discriminator_width), config.learning_rate),
        "judge_low": set_up(fabric, PatchGan70(width=config.discriminator_width), config.learning_rate),
    }
    (denoise, _), (go_back, _), (judge_full, _), (judge_low, _) = parts.values()
    pools = {"pool_full": ImagePool(config.pool), "pool_low": ImagePool(config.pool)}

    def step(rng: np.random.Generator) -> dict[str, Tensor]:
        low, full = (x.to(fabric.device) for x in draw_crops(data, config, rng))
        judge_full.requires_grad_(False)
        judge_low.requires_grad_(False)
        made_full, made_low = denoise(low), go_back(full)
        adversarial = lsgan_generator_loss(judge_full(made_full)) + lsgan_generator_loss(judge_low(made_low))
        cycle = F.l1_loss(go_back(made_full), low) + F.l1_loss(denoise(made_low), full)
        total = adversarial + config.weight_cycle * cycle
        losses = {"adversarial": adversarial, "cycle": cycle}
        if config.weight_identity:
            losses["identity"] = F.l1_loss(denoise(full), full) + F.l1_loss(go_back(low), low)
            total = total + config.weight_identity * losses["identity"]
        update(fabric, total, config.clip, parts["denoiser"], parts["other_way"])
        judge_full.requires_grad_(True)
        judge_low.requires_grad_(True)
        seen_full, seen_low = (
            pool.exchange(made, rng) for pool, made in zip(pools.values(), (made_full, made_low), strict=True)
        )
        decided = lsgan_discriminator_loss(judge_full(full), judge_full(seen_full))
        decided = decided + lsgan_discriminator_loss(judge_low(low), judge_low(seen_low))
        update(fabric, decided, config.clip, parts["judge_full"], parts["judge_low"])
        return losses | {"discriminators": decided}

    schedule = partial(constant_then_linear, steps=config.steps, epochs=config.epochs)
    said = card_data(data, "cycle_gan_ct", config)
    return denoiser_task(config, fabric, step, parts, schedule, architecture, data.validation, said, pools)
