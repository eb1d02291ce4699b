"""A trained network for endoscopy frames as a model: its card, and the weights beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from inference_core.image.writing import write_aside
from inference_core.training.publish import publish_with


def publish_frames(folder: Path, network: nn.Module, text: dict[str, Any]) -> None:
    """Write ``model.safetensors``, ``model.onnx`` and ``model.json`` into the run's folder.

    Parameters
    ----------
    folder : Path
    network : Module
        With the weights to publish.
    text : dict
        Of the card (:func:`~inference_core.models.frame_card.frame_card_text`).
    """
    from safetensors.torch import save_file

    own = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    with torch.no_grad():
        write_aside(folder / "model.safetensors", lambda path: save_file(own, path))
    publish_with(folder / "model.safetensors", text, folder / "model.json")
    print(f"The model: {folder / 'model.json'}")
