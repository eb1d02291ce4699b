"""``transunet_decoder``: from the tokens of a transformer back to pixels, with the skips of its convolutional stem.

Source: Chen et al., TransUNet (arXiv:2102.04306, 2021), whose names of parameters these are. It normalises over the
batch in training, and by fixed numbers afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class TransunetDecoder(nn.Module):
    """Map of tokens and skips in, features at full resolution out.

    Parameters
    ----------
    channels : int
        Of the map.
    first_width : int
        Channels after the first convolution, at a sixteenth of the frame.
    widths : sequence of int
        Channels at an eighth, a quarter, a half, and full resolution.
    skips : sequence of int
        Channels of the skips at the first three of these.
    """

    def __init__(
        self,
        channels: int = 768,
        first_width: int = 512,
        widths: Sequence[int] = (256, 128, 64, 16),
        skips: Sequence[int] = (512, 256, 64),
    ) -> None:
        super().__init__()
        self.conv_more = _layer(channels, first_width)
        before = [first_width, *widths[:-1]]
        self.blocks = nn.ModuleList(_Up(a + skip, b) for a, b, skip in zip(before, widths, [*skips, 0], strict=True))

    def forward(self, tokens: Tensor, skips: list[Tensor]) -> Tensor:
        """Decode.

        Parameters
        ----------
        tokens : (N, channels, h, w) tensor
        skips : list of tensors
            At 2 h, 4 h and 8 h rows.

        Returns
        -------
        (N, widths[-1], 16 h, 16 w) tensor
        """
        x: Tensor = self.conv_more(tokens)
        for level, block in enumerate(self.blocks):
            x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=True)
            x = block(torch.cat([x, skips[level]], 1) if level < len(skips) else x)
        return x


class _Up(nn.Module):
    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.conv1 = _layer(channels, width)
        self.conv2 = _layer(width, width)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv2(self.conv1(x))
        return y


def _layer(channels: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
