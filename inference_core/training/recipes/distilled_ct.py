"""Recipe ``distilled_ct``: a small network learns from a larger one (Hinton et al., Distilling the knowledge, 2015).

As ``supervised_ct``, but the target of a sample is what a trained model, the teacher, makes of it. A full-dose slice is
itself noisy, the teacher's answer is not: the small network gets as far in a fraction of the steps.

    inference-core train denoiser --config distilled_ct teacher=runs/ct/model.json full_dose='[FULL]' out=runs/small
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from inference_core.denoiser.wavelet import remove_low_band
from inference_core.errors import UserError
from inference_core.models.card import Card
from inference_core.training.ct_publish import training_data
from inference_core.training.ct_samples import batch
from inference_core.training.ct_task import denoiser_task
from inference_core.training.loop import Task, fit, update, warm_up_and_cosine
from inference_core.training.recipes import supervised_ct


@dataclass(frozen=True, kw_only=True)
class DistilledCtConfig(supervised_ct.SupervisedCtConfig):
    """As ``supervised_ct``, and:"""

    teacher: str = "low-dose-ct-large"
    """Model to learn from: its id or its card. It sees what ``input`` says, and gives a residual."""


def train(config: DistilledCtConfig) -> None:
    """Run the recipe; see :func:`inference_core.training.recipes.supervised_ct.train`.

    Raises
    ------
    UserError
        ``other-input`` where the teacher does not see what the network will.
    """
    supervised_ct.check_folder(config)
    fit(config, "distilled_ct", prepare)


def prepare(config: DistilledCtConfig, fabric: Fabric) -> Task:
    """Read the data and the teacher, make the network, and say what a step is."""
    card, teacher = load_teacher(config, fabric.device)
    data, architecture, network, optimiser = supervised_ct.read_and_build(config, fabric, noisy_target=False)
    unit = config.input.unit_hu
    levels = (config.input.kept_level, config.input.wavelet_level)

    def step(rng: np.random.Generator) -> dict[str, Tensor]:
        noisy, _, noise = (x.to(fabric.device) for x in batch(data.groups, config.batch, config.crop, rng))
        with torch.no_grad(), fabric.autocast():
            wanted = teacher(noisy / unit).float()
        error = unit * (network(noisy / unit).float() - wanted)
        kept = remove_low_band(error, levels, config.input.wavelet)  # what the pipeline lets through
        loss = (kept.abs().mean(dim=(1, 2, 3)) / noise).mean()
        update(fabric, loss, config.clip, (network, optimiser))
        return {"l1_over_noise": loss}

    said = training_data(data.scans, data.groups, "distilled_ct", config)
    said["text"] += f"; targets made by the model {card.id}, which has its own training data"
    return denoiser_task(
        config,
        fabric,
        step,
        {"denoiser": (network, optimiser)},
        partial(warm_up_and_cosine, steps=config.steps),
        architecture,
        data.validation,
        said,
    )


def load_teacher(config: DistilledCtConfig, device: torch.device) -> tuple[Card, nn.Module]:
    """The teacher's card and its network, ready to answer."""
    from inference_core.models.networks import load_network
    from inference_core.models.registry import find_model

    card = find_model(config.teacher, "denoise-ct")
    told = config.input
    sees = (card.band, card.unit_hu, card.output, card.wavelet, card.wavelet_level)
    wanted = (told.band, told.unit_hu, told.output, told.wavelet, told.wavelet_level)
    if sees != wanted:
        raise UserError(
            "other-input",
            f"The teacher {card.id} takes {sees}, the run {wanted} (band, unit, output, wavelet, level).",
            "Choose another teacher, or set the fields of input to its.",
        )
    network = load_network(card).eval().to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return card, network
