"""Fine-tuned checkpoints of Endo-FM's released segmentation code (``cvc.pth``, ``epoch_149.pth``), and of TransUNet's.

A file is a bare state dictionary. Our networks name their parameters as that code does; sizes are those of the weights.
The heads of the attention leave no trace in the weights: 64 channels a head are taken, as in ViT-B.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from inference_core.errors import UserError
from inference_core.models.importers.imported import Imported
from inference_core.models.importers.state import REMEDY, check_state, count, read_state_dict, side
from inference_core.models.networks import build_network

if TYPE_CHECKING:
    from torch import Tensor

HEAD = 64  # channels
PATCH = 16  # pixels a side of what becomes a token
STEM = "transformer.embeddings.hybrid_model."


def read_endofm_transunet(path: Path) -> Imported:
    """Read a checkpoint of TransUNet around Endo-FM.

    Raises
    ------
    UserError
        ``no-such-file``, ``bad-checkpoint``.
    """
    imported = _read(path, "endofm_transunet", "Endo-FM in TransUNet (Wang et al., MICCAI 2023)")
    imported.notes.append("Trained on clips whose frames saw each other; here each frame is segmented by itself.")
    return imported


def read_transunet(path: Path) -> Imported:
    """Read a checkpoint of TransUNet with ResNet-50 and ViT-B/16.

    Raises
    ------
    UserError
        ``no-such-file``, ``bad-checkpoint``.
    """
    return _read(path, "transunet", "TransUNet (Chen et al., 2021)")


def _read(path: Path, name: str, title: str) -> Imported:
    import torch

    state = read_state_dict(path)
    sizes = _sizes(state)
    if sizes["image_size"] ** 2 != side(state, "transformer.embeddings.position_embeddings", 1, 196) * PATCH**2:
        raise UserError("bad-checkpoint", f"{path} is of frames that are not square.", REMEDY)
    try:
        with torch.device("meta"):  # its shapes only
            network = build_network(name, sizes)
    except UserError as error:
        raise UserError("bad-checkpoint", f"{path} is of sizes that no {name} has: {sizes}.", REMEDY) from error
    check_state(state, {key: tuple(value.shape) for key, value in network.state_dict().items()}, path)
    return Imported(
        title=title,
        network=name,
        arguments=sizes,
        weights={key: value.contiguous() for key, value in state.items()},
        task="segment-folds",
        notes=[
            "The original stretches each frame's values to the range from 0 to 1 first.",
            "What its classes are, the checkpoint does not say.",
        ],
    )


def _sizes(state: dict[str, Tensor]) -> dict[str, Any]:
    width = side(state, "transformer.embeddings.position_embeddings", 2, 768)
    places = side(state, "transformer.embeddings.position_embeddings", 1, 196)
    return {
        "image_size": PATCH * round(places**0.5),
        "width": width,
        "depth": count(state, "transformer.encoder.layer.", 12),
        "heads": max(1, width // HEAD),
        "stem_width": side(state, f"{STEM}root.conv.weight", 0, 64),
        "stem_units": [count(state, f"{STEM}body.block{k + 1}.", usual) for k, usual in enumerate((3, 4, 9))],
        "first_width": side(state, "decoder.conv_more.0.weight", 0, 512),
        "decoder_widths": [
            side(state, f"decoder.blocks.{k}.conv2.0.weight", 0, usual) for k, usual in enumerate((256, 128, 64, 16))
        ],
        "classes": side(state, "segmentation_head.0.weight", 0, 2),
    }
