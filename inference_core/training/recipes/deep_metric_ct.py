"""Recipe ``deep_metric_ct``: the CT paper's method, on unpaired low-dose and full-dose scans.

Jung, Lee, You, Ye, Patch-wise Deep Metric Learning for Unsupervised Low-Dose CT Denoising (MICCAI 2022): a generator on
the wavelet high band learns by an adversarial loss (look like full dose), an identity loss (leave full dose as it is)
and the patch metric loss (what lies at one place in input and output is alike, what lies at two places is not).

    inference-core train denoiser --config dml_aapm low_dose='[QUARTER]' full_dose='[FULL]' out=runs/dml

``dml_aapm`` and ``dml_temporal`` are the paper's two runs. ``dml_robust`` has the same three losses, but the network
gives a residual whose low band is projected away, the discriminator sees the high band at a scale at which it can tell
the doses apart, and training starts from the default model.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from torch import Tensor, nn

from inference_core.denoiser.wavelet import remove_low_band
from inference_core.errors import UserError
from inference_core.models.networks import build_network
from inference_core.models.networks.rrdb_sn import RrdbSn, folded
from inference_core.training.ct_folders import check_apart_from
from inference_core.training.ct_task import denoiser_task, set_up
from inference_core.training.ct_unpaired import UnpairedCtConfig, card_data, check_weights, draw_crops, read_unpaired
from inference_core.training.loop import Task, check_positive, constant_then_linear, fit, update
from inference_core.training.losses.adversarial import lsgan_discriminator_loss, lsgan_generator_loss
from inference_core.training.losses.patch_metric import Diagonal, patch_metric_loss
from inference_core.training.networks.patch_projector import PatchProjectors, check_patches
from inference_core.training.networks.patchgan_sn_se import PatchGanSnSe
from inference_core.training.start_from import start_from

PAPER_UNIT_HU = 2000  # per unit of the paper's network


@dataclass(frozen=True, kw_only=True)
class DeepMetricCtConfig(UnpairedCtConfig):
    """As every run on unpaired doses, and:"""

    network: str = "rrdb_sn"
    """Generator: ``rrdb_sn`` (the paper's) or ``unshuffle_unet`` (the default model's)."""
    arguments: dict[str, Any] = field(default_factory=dict)
    """Of the network, e.g. {share_blocks: false}."""
    start_from: str | None = None
    """Model whose weights to start from (id or card)."""
    start_strength: float = 1.0
    """Share of that model's residual to start with; 0.6 of the default's leaves about the noise of full dose."""
    discriminator_rate: float = 2e-4
    """Learning rate of discriminator and heads."""
    discriminator_unit_hu: float = 2000.0
    """HU per unit of what the discriminator sees. The paper's 2000 leaves noise at about 0.02 there."""
    weight_adversarial: float = 1.0
    weight_identity: float = 5.0
    """lambda_idt of the paper's equation (5). The loss is measured in the paper's unit of 2000 HU, so that a weight
    means the same whatever unit the network works in."""
    weight_metric: float = 0.1
    """lambda_m."""
    temperature: float = 0.15
    """tau of the metric loss."""
    positions: int = 128
    """Patches that the metric loss compares, anew in each step."""
    pool: int = 1
    """Pixels a side of a patch."""
    scale_by_dim: bool = True
    """Divide the metric loss by the vectors' length, as the released code does."""
    diagonal: Diagonal = "counted"
    """Pairs of a patch with itself: ``counted`` (as nothing) in the released code, or ``left_out``."""


def train(config: DeepMetricCtConfig) -> None:
    """Run the recipe.

    Raises
    ------
    UserError
        Where there is nothing to train on, a value cannot work, or the run's folder holds another run.
    """
    check_apart_from(config.out, [*config.low_dose, *config.full_dose])
    fit(config, "deep_metric_ct", prepare)


def prepare(config: DeepMetricCtConfig, fabric: Fabric) -> Task:
    """Read the data, make the networks, and say what a step is."""
    check_positive(config, "discriminator_rate", "discriminator_unit_hu")
    check_weights(config, "weight_adversarial", "weight_identity", "weight_metric")
    check_patches(config.network, config.crop, config.pool, config.positions, config.temperature)
    if not 0 <= config.start_strength <= 1:
        message = f"start_strength is {config.start_strength}."
        raise UserError("out-of-range", message, "Give start_strength= 0 to 1.")
    architecture: dict[str, Any] = {"name": config.network, "arguments": config.arguments}
    network = build_network(config.network, config.arguments)
    if config.start_from:
        start_from(config.start_from, architecture, network, config.start_strength)
    data = read_unpaired(config)
    heads = PatchProjectors(network.feature_channels, config.pool)  # type: ignore[arg-type]
    unit, kept = config.input.unit_hu, _kept_levels(config)
    judged = unit / config.discriminator_unit_hu
    parts = {
        "denoiser": set_up(fabric, network, config.learning_rate),
        "heads": set_up(fabric, heads, config.discriminator_rate),
        "discriminator": set_up(fabric, PatchGanSnSe(), config.discriminator_rate),
    }
    (denoise, _), (project, _), (judge, _) = parts.values()

    def translated(x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """What the pipeline would give for a crop, and the network's features of the crop."""
        output, features = denoise(x, with_features=True)
        if config.input.output == "residual":
            output = x + output
        if kept:
            output = x + remove_low_band(output - x, kept, config.input.wavelet)
        return output, features

    def step(rng: np.random.Generator) -> dict[str, Tensor]:
        low, full = (x.to(fabric.device) for x in draw_crops(data, config, rng))
        judge.requires_grad_(False)
        output, before = translated(low)
        losses = {
            "adversarial": lsgan_generator_loss(judge(judged * output)),
            # In the paper's unit, not the network's: else a smaller unit would weigh this loss more. (The adversarial
            # loss is in the discriminator's unit, the metric loss of unit vectors.)
            "identity": F.l1_loss(translated(full)[0], full) * (unit / PAPER_UNIT_HU),
        }
        if config.weight_metric:
            after = denoise(output, with_features=True)[1]
            pairs = project(before, after, config.positions)
            losses["metric"] = torch.stack([
                patch_metric_loss(z, w, config.temperature, config.scale_by_dim, config.diagonal) for z, w in pairs
            ]).mean()  # fmt: skip
        weights = {name: getattr(config, f"weight_{name}") for name in losses}
        total = torch.stack([weights[name] * loss for name, loss in losses.items()]).sum()
        update(fabric, total, config.clip, parts["denoiser"], *([parts["heads"]] if config.weight_metric else []))
        judge.requires_grad_(True)
        decided = lsgan_discriminator_loss(judge(judged * full), judge(judged * output.detach()))
        update(fabric, decided, config.clip, parts["discriminator"])
        return losses | {"discriminator": decided}

    return denoiser_task(
        config,
        fabric,
        step,
        parts,
        partial(constant_then_linear, steps=config.steps, epochs=config.epochs),
        architecture,
        data.validation,
        card_data(data, "deep_metric_ct", config),
        plain=partial(_plain, network, config.arguments) if isinstance(network, RrdbSn) else None,
    )


def _plain(network: RrdbSn, arguments: dict[str, Any]) -> tuple[nn.Module, dict[str, Any]]:
    """The generator with its spectral norms folded into plain weights, as it is published."""
    return folded(network), {"name": "rrdb_sn", "arguments": arguments | {"spectral_norm": False}}


def _kept_levels(config: DeepMetricCtConfig) -> tuple[int, ...]:
    kept, level = config.input.kept_level, config.input.wavelet_level
    return (kept, level) if kept else ()
