"""The networks, one file each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inference_core.errors import UserError

if TYPE_CHECKING:
    from torch import nn

    from inference_core.models.card import Card


def build_network(name: str, arguments: dict[str, Any]) -> nn.Module:
    """An untrained network by its name on a card.

    Raises
    ------
    UserError
        ``no-such-network``.
    """
    if name == "unshuffle_cnn":
        from inference_core.models.networks.unshuffle_cnn import UnshuffleCnn

        return UnshuffleCnn(**arguments)
    if name == "unshuffle_unet":
        from inference_core.models.networks.unshuffle_unet import UnshuffleUnet

        return UnshuffleUnet(**arguments)
    if name == "rrdb_sn":
        from inference_core.models.networks.rrdb_sn import RrdbSn

        return RrdbSn(**arguments)
    if name == "resnet_generator":
        from inference_core.models.networks.resnet_generator import ResnetGenerator

        return ResnetGenerator(**arguments)
    if name == "gan_circle_generator":
        from inference_core.models.networks.gan_circle_generator import GanCircleGenerator

        return GanCircleGenerator(**arguments)
    if name == "invertible_generator":
        from inference_core.models.networks.invertible_generator import InvertibleGenerator

        return InvertibleGenerator(**arguments)
    raise UserError("no-such-network", f"There is no network {name!r} in this version.", "Update Faithful Imaging.")


def load_network(card: Card) -> nn.Module:
    """A card's network with its weights, checked and strict, in evaluation mode on the CPU."""
    from safetensors.torch import load_file

    network = build_network(card.architecture, card.arguments)
    network.load_state_dict(load_file(card.file("safetensors")))
    return network.eval()
