"""``depth_net``: depth of an endoscopy frame in mm, small enough to train and to run on two CPU cores.

A U-Net (Ronneberger, Fischer, Brox, MICCAI 2015) of residual pairs of 3x3 convolutions, from full to 1/16 resolution.
The endoscope carries its light, so that brightness falls with the square of the distance: group normalisation would
take a frame's brightness away, which is why there is none at full and half resolution.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NEAREST, FARTHEST = 0.2, 1000.0  # mm; what the network can say
USUAL = 30.0  # mm; what it says untrained: about the depth of a frame's middle


class DepthNet(nn.Module):
    """Frame in, depth along the camera's axis out.

    Parameters
    ----------
    width : int
        Channels at full resolution; twice as many at each level below, up to ``widest``.
    widest : int
    """

    factor = 16
    """Sides of an input are multiples of this."""
    sees_all = True
    """Group normalisation takes mean and variance of the whole frame."""

    def __init__(self, width: int = 16, widest: int = 128) -> None:
        super().__init__()
        widths = [min(width * 2**level, widest) for level in range(5)]
        self.first = nn.Conv2d(3, widths[0], 3, padding=1)
        self.down = nn.ModuleList(_Pair(w, normed=level > 1) for level, w in enumerate(widths))
        self.narrow = nn.ModuleList(
            nn.Conv2d(a, b, 2, stride=2) for a, b in zip(widths[:-1], widths[1:], strict=True)
        )  # to the next level down
        self.widen = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in zip(widths[:-1], widths[1:], strict=True))
        self.up = nn.ModuleList(_Pair(w, normed=level > 1) for level, w in enumerate(widths[:-1]))
        self.last = nn.Conv2d(widths[0], 1, 3, padding=1)
        nn.init.zeros_(self.last.weight)
        nn.init.constant_(self.last.bias, math.log(USUAL))  # type: ignore[arg-type]

    def forward(self, frames: Tensor) -> Tensor:
        """Depth.

        Parameters
        ----------
        frames : (N, 3, H, W) tensor
            RGB from 0 to 1; H and W multiples of 16, at least 32.

        Returns
        -------
        (N, 1, H, W) tensor, mm
        """
        x = self.first(2 * frames - 1)
        seen = []
        for level, pair in enumerate(self.down):
            x = pair(x if level == 0 else self.narrow[level - 1](x))
            seen.append(x)
        for level in reversed(range(len(self.up))):
            x = self.up[level](seen[level] + F.interpolate(self.widen[level](x), scale_factor=2.0))
        log_depth: Tensor = self.last(x)
        return torch.exp(log_depth.clamp(math.log(NEAREST), math.log(FARTHEST)))


class _Pair(nn.Module):
    """x + f(x), f of two 3x3 convolutions."""

    def __init__(self, width: int, normed: bool) -> None:
        super().__init__()
        self.one = nn.Conv2d(width, width, 3, padding=1)
        self.two = nn.Conv2d(width, width, 3, padding=1)
        self.norm = nn.GroupNorm(math.gcd(8, width), width) if normed else nn.Identity()
        nn.init.zeros_(self.two.weight)  # it begins as the identity
        nn.init.zeros_(self.two.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        residual: Tensor = self.two(F.relu(self.norm(self.one(x))))
        return F.relu(x + residual)
