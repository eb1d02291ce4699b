"""Start a training from the weights of a model."""

from __future__ import annotations

import json
from typing import Any

from torch import nn

from inference_core.errors import UserError


def start_from(model: str, architecture: dict[str, Any], network: nn.Module, strength: float = 1.0) -> None:
    """Copy a model's weights into a network.

    Parameters
    ----------
    model : str
        Id, or path of a card.
    architecture : dict
        ``name`` and ``arguments`` of the network; arguments that are not named count as the default.
    network : Module
        Its output is linear in its layer ``last``.
    strength : float
        Share of the model's output to start with.

    Raises
    ------
    UserError
        ``other-network`` or what finding and reading the model raise.
    """
    from inference_core.models.networks import load_network
    from inference_core.models.registry import find_model

    card = find_model(model, "denoise-ct")
    both = card.architecture == architecture["name"] == "rrdb_sn"
    normed = architecture["arguments"].get("spectral_norm", True)
    if both and normed and not card.arguments.get("spectral_norm", True):
        raise UserError(
            "other-network",
            f"{card.id} is published with its spectral norms folded into plain weights, which cannot be trained on in a"
            " run that trains with spectral norms.",
            f"Give arguments='{json.dumps(card.arguments)}' to train on without them; a run of your own goes on by the"
            " command that started it.",
        )
    try:
        same = card.architecture == architecture["name"]
        if same:
            network.load_state_dict(load_network(card).state_dict())
            for parameter in network.last.parameters():  # type: ignore[union-attr]
                parameter.data *= strength
    except RuntimeError:
        same = False
    if not same:
        raise UserError(
            "other-network",
            f"{card.id} is {card.architecture} {card.arguments}, the run trains {architecture['name']}"
            f" {architecture['arguments']}.",
            "Choose a model of the same network.",
        )
