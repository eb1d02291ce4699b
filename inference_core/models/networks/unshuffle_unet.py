"""A bias-free U-Net for the wavelet high band: what denoises CT by default.

Pixel-unshuffle by 2, plain 3x3 convolutions with ReLU at half resolution, a wider body at quarter resolution, and back.
Without biases the network is homogeneous, f(a x) = a f(x) for a > 0: what it learned at one noise level holds at any
other, with contrasts scaled alike, and no noise level has to be measured and told.

Homogeneity: Mohan, Kadkhodaie, Simoncelli, Fernandez-Granda, Robust and interpretable blind image denoising via
bias-free convolutional neural networks (ICLR 2020). U-Net: Ronneberger, Fischer, Brox (MICCAI 2015).
"""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn


class UnshuffleUnet(nn.Module):
    """High band in, residual out.

    Parameters
    ----------
    width, low_width : int
        Channels at half and at quarter resolution.
    depth, low_depth : int
        3x3 convolutions at half resolution on each side, and at quarter resolution; even. Each two carry a skip
        connection.
    """

    factor = 4
    """Sides of an input are multiples of this (the pipeline pads by reflection and crops)."""

    def __init__(self, width: int = 32, low_width: int = 48, depth: int = 2, low_depth: int = 4) -> None:
        super().__init__()
        if depth % 2 or low_depth % 2:
            raise ValueError(f"depth and low_depth count pairs of layers: even, not {depth} and {low_depth}.")
        self.feature_channels = (width, width)
        self.first = _convolution(4, width)
        self.before = nn.ModuleList(_convolution(width, width) for _ in range(depth))
        self.down = nn.Conv2d(width, low_width, 2, stride=2, bias=False)
        self.low = nn.ModuleList(_convolution(low_width, low_width) for _ in range(low_depth))
        self.up = nn.Conv2d(low_width, 4 * width, 1, bias=False)
        self.after = nn.ModuleList(_convolution(width, width) for _ in range(depth))
        self.last = _convolution(width, 4)
        nn.init.zeros_(self.last.weight)  # the untrained network is the identity: it adds nothing

    def forward(self, high_band: Tensor, with_features: bool = False) -> Any:
        """Residual to add.

        Parameters
        ----------
        high_band : (N, 1, H, W) tensor
            In the card's unit; H and W multiples of 4.
        with_features : bool
            Also give the features that the metric loss looks at.

        Returns
        -------
        (N, 1, H, W) tensor in the same unit; with features, it and a list of two (N, width, H / 2, W / 2) tensors:
        before the body at quarter resolution and after it.
        """
        # Shuffled weights instead of shuffled pixels, at both ends of the body: the same sums in fewer passes.
        x = F.relu(F.conv2d(high_band, F.pixel_shuffle(self.first.weight, 2), stride=2, padding=2))
        before = _pairs(x, self.before)
        low = _pairs(F.relu(self.down(before)), self.low)
        up = F.pixel_shuffle(self.up.weight.transpose(0, 1), 2)
        x = F.relu(before + F.conv_transpose2d(low, up, stride=2))
        after = _pairs(x, self.after)
        output = F.pixel_shuffle(self.last(after), 2)
        return (output, [before, after]) if with_features else output


def _convolution(channels: int, width: int) -> nn.Conv2d:
    return nn.Conv2d(channels, width, 3, padding=1, bias=False)


def _pairs(x: Tensor, layers: nn.ModuleList) -> Tensor:
    for one, two in zip(layers[::2], layers[1::2], strict=True):
        x = F.relu(x + two(F.relu(one(x))))
    return x
