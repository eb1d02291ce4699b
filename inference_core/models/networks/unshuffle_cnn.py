"""``unshuffle_cnn``: a small residual estimator for the wavelet high band of CT.

Pixel-unshuffle by 2, plain 3x3 convolutions with ReLU at half resolution, pixel-shuffle. At width 32 and depth 8 it
has 57,828 weights and 14,400 multiply-adds a pixel, 1/7 of the papers' generator.
No normalisation and no pooling: a pixel sees 16 or 17 pixels in each direction, so tiles with a halo
equal the whole slice (see :mod:`inference_core.denoiser.tiles`).
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class UnshuffleCnn(nn.Module):
    """High band in, residual out.

    Parameters
    ----------
    width : int
        Channels of the body.
    depth : int
        3x3 convolutions in all, first and last included; even, >= 4. Each two body layers carry a skip connection.
    """

    factor = 2
    """Sides of an input are multiples of this (the pipeline pads by reflection and crops)."""

    def __init__(self, width: int = 32, depth: int = 8) -> None:
        super().__init__()
        if depth < 4 or depth % 2:
            raise ValueError(f"depth counts the first, the last and pairs of body layers: even and >= 4, not {depth}.")
        self.first = nn.Conv2d(4, width, 3, padding=1)
        self.body = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(depth - 2))
        self.last = nn.Conv2d(width, 4, 3, padding=1)
        nn.init.zeros_(self.last.weight)  # the untrained network is the identity: it adds nothing
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]

    def forward(self, high_band: Tensor) -> Tensor:
        """Residual to add.

        Parameters
        ----------
        high_band : (N, 1, H, W) tensor
            In the card's unit (100 HU); H and W even.

        Returns
        -------
        (N, 1, H, W) tensor in the same unit.
        """
        x = F.relu(self.first(F.pixel_unshuffle(high_band, 2)))
        for one, two in zip(self.body[::2], self.body[1::2], strict=True):
            x = F.relu(x + two(F.relu(one(x))))
        return F.pixel_shuffle(self.last(x), 2)
