"""Recipe ``metric_noise2noise_ct``: the patch metric loss as a friend of the noise-free image.

As ``noise2noise_ct``, with one more loss. The paper's metric loss compares a noisy image with its denoised one; here it
compares the denoised images of two noise realisations of one slice: what lies at one place is to be alike in both
(its noise differs, its anatomy does not), what lies at two places is to differ. No image without noise is seen, and
nothing asks for full-dose texture.

    inference-core train denoiser --config metric_noise2noise_ct full_dose='[SCANS]' out=runs/mine
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from torch import Tensor

from inference_core.denoiser.wavelet import remove_low_band
from inference_core.training.ct_publish import training_data
from inference_core.training.ct_samples import batch
from inference_core.training.ct_task import ADAM_BETAS, denoiser_task, set_up
from inference_core.training.ct_unpaired import check_weights
from inference_core.training.loop import Task, fit, update, warm_up_and_cosine
from inference_core.training.losses.patch_metric import patch_metric_loss
from inference_core.training.networks.patch_projector import PatchProjectors, check_patches
from inference_core.training.recipes import supervised_ct


@dataclass(frozen=True, kw_only=True)
class MetricNoise2NoiseCtConfig(supervised_ct.SupervisedCtConfig):
    """As ``supervised_ct``, and:"""

    weight_metric: float = 0.1
    weight_consistency: float = 0.0
    """Of the plain L1 distance between the two denoised images, over the noise: the control."""
    temperature: float = 0.15
    """tau of the metric loss."""
    positions: int = 128
    """Patches that the metric loss compares, anew in each step."""


def train(config: MetricNoise2NoiseCtConfig) -> None:
    """Run the recipe; see :func:`inference_core.training.recipes.supervised_ct.train`."""
    supervised_ct.check_folder(config)
    fit(config, "metric_noise2noise_ct", prepare)


def prepare(config: MetricNoise2NoiseCtConfig, fabric: Fabric) -> Task:
    """Read the data, make the networks, and say what a step is."""
    check_patches(config.network, config.crop, 1, config.positions, config.temperature)
    check_weights(config, "weight_metric", "weight_consistency")
    data, architecture, network, optimiser = supervised_ct.read_and_build(config, fabric, noisy_target=True)
    projectors = PatchProjectors(network.feature_channels)  # type: ignore[arg-type]
    heads, head_optimiser = set_up(fabric, projectors, config.learning_rate, ADAM_BETAS)
    unit = config.input.unit_hu
    levels = (config.input.kept_level, config.input.wavelet_level)

    def denoised(noisy: Tensor) -> Tensor:
        residual = remove_low_band(network(noisy / unit).float(), levels, config.input.wavelet)
        return noisy + unit * residual

    def step(rng: np.random.Generator) -> dict[str, Tensor]:
        one, change, noise = (x.to(fabric.device) for x in batch(data.groups, config.batch, config.crop, rng))
        other = one + change
        first, second = denoised(one), denoised(other)
        missed = remove_low_band(first - other, levels, config.input.wavelet)
        losses: dict[str, Any] = {
            "l1_over_noise": (missed.abs().mean(dim=(1, 2, 3)) / noise).mean(),
            "metric": torch.zeros((), device=fabric.device),
            "consistency": F.l1_loss(first / noise[:, None, None, None], second / noise[:, None, None, None]),
        }
        parts = [(network, optimiser)]
        if config.weight_metric:
            features = [network(image / unit, with_features=True)[1] for image in (first, second)]
            pairs = heads(*features, config.positions)
            losses["metric"] = torch.stack([
                patch_metric_loss(z, w, config.temperature, scale_by_dim=True) for z, w in pairs
            ]).mean()  # fmt: skip
            parts.append((heads, head_optimiser))
        total = losses["l1_over_noise"] + config.weight_metric * losses["metric"]
        update(fabric, total + config.weight_consistency * losses["consistency"], config.clip, *parts)
        return losses

    return denoiser_task(
        config,
        fabric,
        step,
        {"denoiser": (network, optimiser), "heads": (heads, head_optimiser)},
        partial(warm_up_and_cosine, steps=config.steps),
        architecture,
        data.validation,
        training_data(data.scans, data.groups, "metric_noise2noise_ct", config),
    )
