"""``gan_circle_generator``: the generator of GAN-CIRCLE in its form that keeps the image's size.

You et al., CT super-resolution GAN constrained by the identical, residual, and cycle learning ensemble (IEEE TMI 2020).
All convolutions but the last run at half resolution; their outputs are all put together before two narrow branches lead
to the residual. No normalisation and no pooling, so tiles with a halo equal the whole slice.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# (128 - 16) (1 - (k / 11)^(1 / 1.5)) + 16 for k = 0 ... 11, rounded down
WIDTHS = (128, 105, 92, 80, 70, 61, 53, 45, 37, 30, 22, 16)
SLOPE = 0.1


class GanCircleGenerator(nn.Module):
    """Image in, translated image out."""

    factor = 2
    """Sides of an input are multiples of this."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, WIDTHS[0], 3, stride=2, padding=1)
        pairs = zip(WIDTHS[:-1], WIDTHS[1:], strict=True)
        self.features = nn.ModuleList(nn.Conv2d(wide, narrow, 3, padding=1) for wide, narrow in pairs)
        self.branch_a = nn.Conv2d(sum(WIDTHS), 64, 1)
        self.branch_b = nn.ModuleList([nn.Conv2d(sum(WIDTHS), 32, 1), nn.Conv2d(32, 8, 3, padding=1)])
        self.join = nn.Conv2d(72, 72, 3, padding=1)
        self.up = nn.ConvTranspose2d(72, 36, 4, stride=2, padding=1)
        self.last = nn.Conv2d(36, 1, 3, padding=1, bias=False)
        self.apply(_initialise)

    def forward(self, image: Tensor) -> Tensor:
        """Translate.

        Parameters
        ----------
        image : (N, 1, H, W) tensor
            H and W even.

        Returns
        -------
        (N, 1, H, W) tensor in the same unit.
        """
        maps = [_leaky(self.first(image))]
        for layer in self.features:
            maps.append(_leaky(layer(maps[-1])))
        x = torch.cat(maps, dim=1)
        narrow, last = self.branch_b
        x = self.join(torch.cat([_leaky(self.branch_a(x)), last(_leaky(narrow(x)))], dim=1))
        residual: Tensor = self.last(_leaky(self.up(x)))
        return image + residual


def _leaky(x: Tensor) -> Tensor:
    return F.leaky_relu(x, SLOPE)


def _initialise(layer: nn.Module) -> None:
    if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.kaiming_normal_(layer.weight, a=SLOPE)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
