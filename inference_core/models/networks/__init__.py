"""The networks, one file each."""

from __future__ import annotations

import importlib
import inspect
from typing import TYPE_CHECKING, Any

from inference_core.errors import UserError, is_out_of_memory

if TYPE_CHECKING:
    from torch import nn

    from inference_core.models.card import ModelCard


CLASSES = {
    "unshuffle_cnn": "UnshuffleCnn",
    "unshuffle_unet": "UnshuffleUnet",
    "rrdb_sn": "RrdbSn",
    "resnet_generator": "ResnetGenerator",
    "munit_translator": "MunitTranslator",
    "adain_translator": "AdainTranslator",
    "stytr2_translator": "Stytr2Translator",
    "gan_circle_generator": "GanCircleGenerator",
    "invertible_generator": "InvertibleGenerator",
    "depth_net": "DepthNet",
    "disp_resnet": "DispResnet",
    "fold_unet": "FoldUnet",
    "foldit_segmenter": "FolditSegmenter",
    "endofm_transunet": "EndofmTransunet",
    "transunet": "Transunet",
}
"""Each network's class, in the file of the network's name."""


def build_network(name: str, arguments: dict[str, Any]) -> nn.Module:
    """An untrained network by its name on a card.

    Raises
    ------
    UserError
        ``no-such-network``, or ``bad-arguments`` where the network cannot be made with these.
    """
    if name not in CLASSES:
        raise UserError(
            "no-such-network",
            f"There is no network {name!r} in this version, but {', '.join(CLASSES)}.",
            "Choose one of them, or update Faithful Imaging.",
        )
    made = getattr(importlib.import_module(f"inference_core.models.networks.{name}"), CLASSES[name])
    try:
        network: nn.Module = made(**arguments)
        if not all(parameter.numel() for parameter in network.parameters()):
            raise ValueError("a layer has no channel")
    except (TypeError, ValueError, RuntimeError, ArithmeticError) as error:
        taken = ", ".join(inspect.signature(made).parameters) or "none"
        raise UserError(
            "bad-arguments",
            f"The network {name} cannot be made with the arguments {arguments}: {error}",
            f"It takes these arguments: {taken}.",
        ) from error
    return network


def load_network(card: ModelCard) -> nn.Module:
    """A card's network with its weights, checked and strict, in evaluation mode on the CPU.

    Raises
    ------
    UserError
        ``model-incomplete``, ``model-damaged``, or as `build_network`.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    network = build_network(card.architecture, card.arguments)
    path = card.file("safetensors")
    try:
        network.load_state_dict(load_file(path))
    except (SafetensorError, RuntimeError, ValueError, KeyError) as error:
        if is_out_of_memory(error):
            raise
        raise UserError(
            "model-damaged",
            f"{path.name} does not hold the weights of the network {card.architecture} as its card describes it.",
            "Get the model again; do not use these weights.",
        ) from error
    return network.eval()
