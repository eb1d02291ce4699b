"""Networks as methods of a table: by id, by card, or as bare weights that have no card yet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_core.denoiser.pipeline import denoise_volume
from inference_core.errors import UserError
from inference_core.extras import need
from inference_core.image.volume import Volume
from inference_core.models.card import Card
from inference_core.models.engines import Engine, open_engine
from inference_core.models.registry import find_model

FloatArray = NDArray[np.float32]
Denoiser = Callable[[Volume], NDArray[Any]]
"""A low-dose volume to voxels of its shape and type; it must not change the volume."""

BARE_CARD = "low-dose-ct"
"""Whose card bare weights run with."""


def network_denoiser(model: str) -> tuple[str, Denoiser, dict[str, Any]]:
    """A model, run as ``inference-core denoise`` runs it, on one thread.

    Parameters
    ----------
    model : str
        Id, path of a card (.json), or bare weights (.safetensors) of a training run, which run in torch with the card
        of ``low-dose-ct``.

    Returns
    -------
    Its name, the denoiser, and a record of what it is.

    Raises
    ------
    UserError
        ``no-such-model``, ``no-such-file``, ``other-weights``, ``missing-package``, or as reading a card does.
    """
    if model.endswith(".safetensors"):
        card, name = find_model(BARE_CARD, "denoise-ct"), Path(model).stem
        engine = Engine("torch", "cpu", _bare_network(Path(model), card))
        record: dict[str, Any] = {"weights": model, "card": card.id}
    else:
        card = find_model(model, "denoise-ct")
        name, engine = card.id, open_engine(card)
        record = {"model": model, "card": card.id, "sha256": card.sha256}

    def denoise(volume: Volume) -> NDArray[Any]:
        return denoise_volume(volume, card, engine, threads=1)[0].voxels

    return name, denoise, record | {"engine": engine.name}


def network_denoisers(models: Sequence[str]) -> tuple[dict[str, Denoiser], dict[str, dict[str, Any]]]:
    """Several models, by name; where two have one name, by how they were given. Records likewise."""
    opened = [(model, *network_denoiser(model)) for model in dict.fromkeys(models)]
    names = [name for _, name, _, _ in opened]
    denoisers, records = {}, {}
    for model, name, denoise, record in opened:
        unique = name if names.count(name) == 1 else model
        denoisers[unique], records[unique] = denoise, record
    return denoisers, records


def _bare_network(weights: Path, card: Card) -> Callable[[FloatArray], FloatArray]:
    if not weights.is_file():
        raise UserError("no-such-file", f"{weights} does not exist.", "Check the path.")
    need("torch", "torch", "A network without a card")
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from inference_core.models.networks import build_network

    torch.set_num_threads(1)
    network = build_network(card.architecture, card.arguments)
    try:
        network.load_state_dict(load_file(weights))
    except (RuntimeError, SafetensorError) as error:
        raise UserError(
            "other-weights",
            f"{weights} does not hold weights of {card.architecture} {card.arguments}, the network of {card.id}.",
            "Give the card (.json) of these weights instead.",
        ) from error
    network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def run(high: FloatArray) -> FloatArray:
        with torch.inference_mode():
            residual: FloatArray = network(torch.from_numpy(high)).numpy()
        return residual

    return run
