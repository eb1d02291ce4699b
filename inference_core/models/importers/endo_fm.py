"""The backbone of Endo-FM (Wang et al., MICCAI 2023), ``endo_fm.pth``: where training of ``endofm_transunet`` starts.

The file holds the teacher of a self-supervised run: a TimeSformer of 8 frames of 224 pixels under ``backbone.``, and
a projection head. As in Endo-FM's released segmentation code its blocks, last normalisation and class token are taken;
the embeddings of patches, places and times are not, since TransUNet brings its own. That code takes what fits and is
silent about the rest; here all that should be there must be there.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from inference_core.models.importers.state import check_state, count, read_state_dict, side

if TYPE_CHECKING:
    from torch import Tensor

    from inference_core.models.networks.endofm_transunet import EndofmTransunet

PART = "teacher"
PREFIX = "backbone."
HEADS = ("head.", "backbone.head.")  # of the self-supervised task: not taken
LAYERS = ("norm1", "attn.qkv", "attn.proj", "temporal_norm1", "temporal_attn.qkv", "temporal_attn.proj", "temporal_fc",
          "norm2", "mlp.fc1", "mlp.fc2")  # fmt: skip


def read_endo_fm(path: Path) -> dict[str, Tensor]:
    """Read a checkpoint.

    Returns
    -------
    Weights by their names in :class:`~inference_core.models.networks.endofm_transunet.TimesformerEncoder`; sizes are
    those of the file.

    Raises
    ------
    UserError
        ``no-such-file``, ``bad-checkpoint``.
    """
    state = {name: value for name, value in read_state_dict(path, PART).items() if not name.startswith(HEADS)}
    check_state(state, _keys(state), path)
    backbone = {name.removeprefix(PREFIX): value.contiguous() for name, value in state.items()}
    ours = {"blocks.": "layer.", "norm.": "encoder_norm.", "cls_token": "cls_token"}
    return {
        new + name.removeprefix(old): value
        for old, new in ours.items()
        for name, value in backbone.items()
        if name.startswith(old)
    }


def start_from_endo_fm(network: EndofmTransunet, path: Path) -> None:
    """Give a network the weights of a checkpoint.

    Raises
    ------
    UserError
        As :func:`read_endo_fm`; ``bad-checkpoint`` too where its sizes are not the network's.
    """
    weights = read_endo_fm(path)
    encoder = network.transformer.encoder
    check_state(weights, {name: tuple(value.shape) for name, value in encoder.state_dict().items()}, path)
    encoder.load_state_dict(weights)


def _keys(state: dict[str, Tensor]) -> dict[str, tuple[int, ...]]:
    width = side(state, "backbone.cls_token", 2, 768)
    places = side(state, "backbone.pos_embed", 1, 197)
    frames = side(state, "backbone.time_embed", 1, 8)
    sizes = {"attn.qkv": (3 * width, width), "temporal_attn.qkv": (3 * width, width), "mlp.fc1": (4 * width, width),
             "mlp.fc2": (width, 4 * width)}  # fmt: skip
    keys: dict[str, tuple[int, ...]] = {
        "cls_token": (1, 1, width),
        "pos_embed": (1, places, width),
        "time_embed": (1, frames, width),
        "patch_embed.proj.weight": (width, 3, 16, 16),
        "patch_embed.proj.bias": (width,),
        "norm.weight": (width,),
        "norm.bias": (width,),
    }
    for block in range(count(state, "backbone.blocks.", 12)):
        for layer in LAYERS:
            shape = (width,) if "norm" in layer else sizes.get(layer, (width, width))
            keys[f"blocks.{block}.{layer}.weight"] = shape
            keys[f"blocks.{block}.{layer}.bias"] = shape[:1]
    return {PREFIX + name: shape for name, shape in keys.items()}
