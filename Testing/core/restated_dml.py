"""The CT paper's networks once more, as functions of plain weights by their names in the original checkpoints."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

BLOCKS, LAYERS = 3, 5


def generator_shapes(features: int = 32, growth: int = 8) -> dict[str, tuple[int, ...]]:
    """Of the generator's weights; its blocks' are listed for each block, whether or not they are the same."""
    shapes: dict[str, tuple[int, ...]] = {"conv_first": (features, 1, 3, 3), "conv_last": (1, features, 3, 3)}
    shapes["conv_mid"] = (features, features, 1, 1)
    for block in range(BLOCKS):
        for i in range(LAYERS):
            out = features if i == LAYERS - 1 else growth
            shapes[f"rrdb.layers.{block}.nets.{i}"] = (out, features + i * growth, 3, 3)
    return shapes


def unfold_norms(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """``name.weight`` and ``name.bias`` of a state with ``name.weight_orig``, ``weight_u`` and ``weight_v``."""
    plain = {name: value for name, value in state.items() if name.endswith("bias")}
    for name, weight in state.items():
        if name.endswith("weight_orig"):
            layer = name.removesuffix("_orig")
            sigma = state[f"{layer}_u"] @ weight.flatten(1) @ state[f"{layer}_v"]
            plain[layer] = weight / sigma
    return plain


def leaky(x: Tensor) -> Tensor:
    return torch.where(x > 0, x, 0.2 * x)


def generator(weights: dict[str, Tensor], image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Output, the encoder's features, and those after the 1x1 convolution."""

    def conv(name: str, x: Tensor) -> Tensor:
        rim = weights[f"{name}.weight"].shape[-1] // 2
        padded = F.pad(x, (rim, rim, rim, rim), mode="replicate") if rim else x
        return F.conv2d(padded, weights[f"{name}.weight"], weights[f"{name}.bias"])

    first = conv("conv_first", image)
    x = first
    for block in range(BLOCKS):
        seen = [x]
        for i in range(LAYERS):
            seen.append(leaky(conv(f"rrdb.layers.{block}.nets.{i}", torch.cat(seen, dim=1))))
        x = x + 0.1 * seen[-1]
    encoded = first + 0.1 * x
    middle = conv("conv_mid", encoded)
    return conv("conv_last", leaky(middle)), encoded, middle


def discriminator(weights: dict[str, Tensor], image: Tensor) -> Tensor:
    """``model.{0,2,6,10,14}`` are the convolutions, ``model.{5,9,13}.layer.{1,3}`` squeeze and excite."""
    x = image
    for index, stride in ((0, 2), (2, 2), (6, 2), (10, 1)):
        x = leaky(F.conv2d(x, weights[f"model.{index}.weight"], weights[f"model.{index}.bias"], stride, 1))
        if index:
            layer = f"model.{index + 3}.layer"
            pooled = F.adaptive_avg_pool2d(x, 1)
            squeezed = torch.relu(F.conv2d(pooled, weights[f"{layer}.1.weight"], weights[f"{layer}.1.bias"]))
            x = x * torch.sigmoid(F.conv2d(squeezed, weights[f"{layer}.3.weight"], weights[f"{layer}.3.bias"]))
    return F.conv2d(x, weights["model.14.weight"], weights["model.14.bias"], 1, 1)
