"""ImageNet weights of R50-ViT-B/16 as their authors publish them, ``R50+ViT-B_16.npz``: TransUNet starts there.

Dosovitskiy et al., An image is worth 16x16 words (ICLR 2021). Arrays are JAX's: filters (rows, columns, inputs,
outputs), matrices (inputs, outputs), attention split by heads. The class token and the classifier are not taken;
positions are resampled where the network sees frames of another size.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from inference_core.errors import UserError
from inference_core.models.importers.state import check_state

if TYPE_CHECKING:
    from torch import Tensor

    from inference_core.models.networks.transunet import Transunet

NOT_TAKEN = ("cls", "head/", "pre_logits/")
POSITIONS = "Transformer/posembed_input/pos_embedding"
RULES = (
    (r"embedding/(kernel|bias)", r"transformer.embeddings.patch_embeddings.\1"),
    (r"Transformer/encoder_norm/(scale|bias)", r"transformer.encoder.encoder_norm.\1"),
    (r"Transformer/encoderblock_(\d+)/LayerNorm_0/(scale|bias)", r"transformer.encoder.layer.\1.attention_norm.\2"),
    (r"Transformer/encoderblock_(\d+)/LayerNorm_2/(scale|bias)", r"transformer.encoder.layer.\1.ffn_norm.\2"),
    (r"Transformer/encoderblock_(\d+)/MlpBlock_3/Dense_0/(kernel|bias)", r"transformer.encoder.layer.\1.ffn.fc1.\2"),
    (r"Transformer/encoderblock_(\d+)/MlpBlock_3/Dense_1/(kernel|bias)", r"transformer.encoder.layer.\1.ffn.fc2.\2"),
    (r"Transformer/encoderblock_(\d+)/MultiHeadDotProductAttention_1/(query|key|value|out)/(kernel|bias)",
     r"transformer.encoder.layer.\1.attn.\2.\3"),
    (r"conv_root/kernel", r"transformer.embeddings.hybrid_model.root.conv.kernel"),
    (r"gn_root/(scale|bias)", r"transformer.embeddings.hybrid_model.root.gn.\1"),
    (r"(block\d+)/(unit\d+)/conv_proj/kernel", r"transformer.embeddings.hybrid_model.body.\1.\2.downsample.kernel"),
    (r"(block\d+)/(unit\d+)/(conv\d|gn\d|gn_proj)/(kernel|scale|bias)",
     r"transformer.embeddings.hybrid_model.body.\1.\2.\3.\4"),
)  # fmt: skip
"""Names in the file, and here."""

FloatArray = NDArray[np.float32]


def start_from_vit(network: Transunet, path: Path) -> None:
    """Give stem and encoder the weights of a file; the decoder keeps its own.

    Raises
    ------
    UserError
        ``no-such-file``; ``bad-checkpoint`` where the file holds other arrays than these parts have.
    """
    import torch

    arrays = _read(path)
    own = {name: value for name, value in network.state_dict().items() if name.startswith("transformer.")}
    places = "transformer.embeddings.position_embeddings"
    weights: dict[str, Tensor] = {}
    for name, array in arrays.items():
        if name == POSITIONS:
            weights[places] = torch.from_numpy(_resampled(array, own[places].shape[1], path))
        else:
            new, value = _translated(name, array)
            weights[new] = torch.from_numpy(np.ascontiguousarray(value))
    check_state(weights, {name: tuple(value.shape) for name, value in own.items()}, path)
    network.load_state_dict(weights, strict=False)


def _read(path: Path) -> dict[str, FloatArray]:
    if not path.is_file():
        raise UserError("no-such-file", f"There is no file {path}.", "Check its name.")
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(_taken(file))
    except (OSError, ValueError, zipfile.BadZipFile, AttributeError, TypeError) as error:
        raise UserError(
            "bad-checkpoint", f"{path} is damaged or no file of arrays.", "Give R50+ViT-B_16.npz as it is published."
        ) from error


def _taken(file: np.lib.npyio.NpzFile) -> Iterator[tuple[str, FloatArray]]:
    for name in file.files:
        if not name.startswith(NOT_TAKEN):
            yield name, np.asarray(file[name], np.float32)


def _translated(name: str, array: FloatArray) -> tuple[str, FloatArray]:
    new = name
    for rule, replaced in RULES:
        if re.fullmatch(rule, name):
            new = re.sub(rule, replaced, name)
            break
    stem, _, kind = new.rpartition(".")
    if new == name or kind == "bias":
        return new, array.reshape(-1) if kind == "bias" else array
    if kind == "kernel" and ".attn." in stem:
        inputs = array.shape[0] if not stem.endswith(".out") else int(np.prod(array.shape[:-1]))
        array = array.reshape(inputs, -1)
    if kind == "kernel":
        array = array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T
    return f"{stem}.weight", array.reshape(-1) if kind == "scale" else array


def _resampled(positions: FloatArray, count: int, path: Path) -> FloatArray:
    """Positions (1, 1 + S, width), the class token's first, on the square grid of ``count`` places."""
    import torch
    import torch.nn.functional as F

    had, side = positions.shape[1] - 1 if positions.ndim == 3 else 0, round(count**0.5)
    old = round(max(had, 0) ** 0.5)
    if not had or old * old != had:
        raise UserError("bad-checkpoint", f"{path}: {POSITIONS} is no square of places.", "Give R50+ViT-B_16.npz.")
    grid = torch.from_numpy(positions[:, 1:].reshape(1, old, old, -1)).permute(0, 3, 1, 2)
    if old != side:  # corner to corner, as the released code's zoom
        grid = F.interpolate(grid, size=(side, side), mode="bilinear", align_corners=True)
    resampled: FloatArray = grid.flatten(2).transpose(1, 2).contiguous().numpy()
    return resampled
