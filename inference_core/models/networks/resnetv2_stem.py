"""``resnetv2_stem``: the convolutions of TransUNet, down to a sixteenth of the frame, with three skips.

ResNet-50 without its last stage, in the form of BiT: weight-standardised convolutions without biases and group
normalisation, so nothing depends on batch mates. Parameters are named as in TransUNet's released code
(``root.conv``, ``body.block1.unit1.conv1`` ...), so that its weights load as they are.

Sources: Chen et al., TransUNet (arXiv:2102.04306, 2021), ``vit_seg_modeling_resnet_skip.py``; Kolesnikov et al., Big
Transfer (ECCV 2020).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

GROUPS = 32
EPSILON = 1e-6  # of the group normalisations, but those of the shortcuts


class ResnetV2Stem(nn.Module):
    """Frames in, features and skips out.

    Parameters
    ----------
    width : int
        Channels at half resolution, a multiple of 32; 4, 8 and 16 times as many at a quarter, an eighth, a sixteenth.
    units : sequence of int
        Residual units at each of these.
    """

    def __init__(self, width: int = 64, units: Sequence[int] = (3, 4, 9)) -> None:
        super().__init__()
        self.width = width
        self.root = nn.Sequential()
        self.root.add_module("conv", StandardisedConv2d(3, width, 7, stride=2, padding=3, bias=False))
        self.root.add_module("gn", nn.GroupNorm(GROUPS, width, eps=EPSILON))
        self.body = nn.Sequential()
        channels = width
        for stage, count in enumerate(units):
            block = nn.Sequential()
            for unit in range(count):
                stride = 2 if stage and not unit else 1
                block.add_module(f"unit{unit + 1}", _Unit(channels, width << stage, stride))
                channels = 4 * width << stage
            self.body.add_module(f"block{stage + 1}", block)

    def forward(self, frames: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Features.

        Parameters
        ----------
        frames : (N, 3, H, W) tensor
            H and W multiples of 16.

        Returns
        -------
        (N, 16 width, H / 16, W / 16) tensor, and the skips at an eighth, a quarter and a half, 8, 4 and 1 times
        ``width`` channels.
        """
        x = F.relu(self.root(frames))
        skips = [x]
        x = F.max_pool2d(x, 3, stride=2)
        *earlier, last = self.body
        for stage, block in enumerate(earlier):
            x = block(x)
            # The pooling is not padded, so the first stage is one short of a quarter; only its skip is filled up.
            skips.append(x if stage else F.pad(x, (0, 1, 0, 1)))
        return last(x), skips[::-1]


class StandardisedConv2d(nn.Conv2d):
    """Convolution whose filters have mean 0 and variance 1."""

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (N, C, H, W)."""
        variance, mean = torch.var_mean(self.weight, dim=(1, 2, 3), keepdim=True, correction=0)
        return F.conv2d(x, (self.weight - mean) / (variance + 1e-5).sqrt(), None, self.stride, self.padding)


class _Unit(nn.Module):
    """1x1, 3x3 (strided), 1x1 convolutions beside a shortcut; it gives 4 times ``width`` channels."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        wide = 4 * width
        self.gn1 = nn.GroupNorm(GROUPS, width, eps=EPSILON)
        self.conv1 = StandardisedConv2d(channels, width, 1, bias=False)
        self.gn2 = nn.GroupNorm(GROUPS, width, eps=EPSILON)
        self.conv2 = StandardisedConv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.gn3 = nn.GroupNorm(GROUPS, wide, eps=EPSILON)
        self.conv3 = StandardisedConv2d(width, wide, 1, bias=False)
        self.projects = stride != 1 or channels != wide
        if self.projects:
            self.downsample = StandardisedConv2d(channels, wide, 1, stride=stride, bias=False)
            self.gn_proj = nn.GroupNorm(wide, wide)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = self.gn_proj(self.downsample(x)) if self.projects else x
        y = F.relu(self.gn1(self.conv1(x)))
        y = F.relu(self.gn2(self.conv2(y)))
        return F.relu(shortcut + self.gn3(self.conv3(y)))
