"""What all recipes for CT denoisers hand to the loop: a step, and around it the same validation and publishing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from inference_core.training.ct_publish import DenoiserRun, publish_denoiser
from inference_core.training.ct_slice_pairs import SlicePair
from inference_core.training.ct_validation import CtValidation
from inference_core.training.image_pool import ImagePool
from inference_core.training.loop import Task

Part = tuple[nn.Module, torch.optim.Optimizer]
BETAS = (0.5, 0.999)  # of Adam in the adversarial papers
ADAM_BETAS = (0.9, 0.999)  # its own


def set_up(fabric: Fabric, network: nn.Module, rate: float, betas: tuple[float, float] = BETAS) -> Part:
    """A network and its Adam, ready for the loop."""
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    wrapped, optimiser = fabric.setup(network, torch.optim.Adam(network.parameters(), rate, betas=betas))
    return wrapped, optimiser


def denoiser_task(
    config: DenoiserRun,
    fabric: Fabric,
    step: Callable[[np.random.Generator], dict[str, Tensor]],
    parts: dict[str, Part],
    schedule: Callable[[torch.optim.Optimizer], Any],
    architecture: dict[str, Any],
    validation: list[SlicePair],
    said: dict[str, Any],
    pools: dict[str, ImagePool] | None = None,
    plain: Callable[[], tuple[nn.Module, dict[str, Any]]] | None = None,
) -> Task:
    """A step as a task; its part ``denoiser`` is validated and published.

    Parameters
    ----------
    config : DenoiserRun
    fabric : Fabric
    step : callable
        See :class:`~inference_core.training.loop.Task`.
    parts : dict
        Networks with their optimisers, as :func:`set_up` gives them.
    schedule : callable
        Makes the learning-rate schedule of an optimiser.
    architecture : dict
        ``name`` and ``arguments`` of the denoiser.
    validation : list of SlicePair
        May be empty.
    said : dict
        What the card says of the data.
    pools : dict, optional
        For the checkpoints.
    plain : callable, optional
        Gives the network that is published and its architecture, where it is not the one that is trained.
    """
    denoiser = parts["denoiser"][0]
    look = CtValidation(validation, config, architecture, denoiser, fabric.device) if validation else None

    def publish(folder: Path) -> None:
        network, published = plain() if plain else (denoiser, architecture)
        publish_denoiser(folder, network, published, config, said, look.scores if look else dict)

    return Task(
        networks={name: network for name, (network, _) in parts.items()},
        optimisers={name: optimiser for name, (_, optimiser) in parts.items()},
        schedules={name: schedule(optimiser) for name, (_, optimiser) in parts.items()},
        step=step,
        validate=look.scores if look else None,
        pictures=look.panels if look else None,
        publish=publish,
        own={**(pools or {})},
    )
