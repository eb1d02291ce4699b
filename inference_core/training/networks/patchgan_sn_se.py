"""``patchgan_sn_se``: the CT paper's discriminator, spectrally normalised, with squeeze-and-excitation.

Source: Jung et al. (MICCAI 2022), figure 2 (b); sizes from its released code. 401,373 parameters.
Squeeze-and-excitation: Hu, Shen, Sun (CVPR 2018).
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

SLOPE = 0.2  # of LeakyReLU
DEVIATION = 0.01  # of the normal distribution that plain weights are drawn from


class PatchGanSnSe(nn.Module):
    """Scores of overlapping patches: near 1 where they look real.

    Parameters
    ----------
    width : int
        Channels of the first convolution.
    reduction : int
        Of squeeze-and-excitation.
    """

    def __init__(self, width: int = 32, reduction: int = 16) -> None:
        super().__init__()
        widths = (1, width, 2 * width, 4 * width, 8 * width, 1)
        strides = (2, 2, 2, 1, 1)
        self.convolutions = nn.ModuleList(
            spectral_norm(nn.Conv2d(channels, wide, 3, stride=stride, padding=1))
            for channels, wide, stride in zip(widths, widths[1:], strides, strict=False)
        )
        self.excitations = nn.ModuleList(SqueezeExcitation(wide, reduction) for wide in widths[2:5])
        for layer in self.convolutions:
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, image: Tensor) -> Tensor:
        """(N, 1, H, W) to (N, 1, H / 8, W / 8) scores."""
        x = F.leaky_relu(self.convolutions[0](image), SLOPE)
        for convolution, excitation in zip(self.convolutions[1:4], self.excitations, strict=True):
            x = excitation(F.leaky_relu(convolution(x), SLOPE))
        scores: Tensor = self.convolutions[4](x)
        return scores


class SqueezeExcitation(nn.Module):
    """Each channel times a weight that all of them decide on."""

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, channels // reduction, 1)
        self.excite = nn.Conv2d(channels // reduction, channels, 1)
        for layer in (self.squeeze, self.excite):
            nn.init.normal_(layer.weight, std=DEVIATION)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape."""
        pooled = x.mean(dim=(2, 3), keepdim=True)
        return x * self.excite(F.relu(self.squeeze(pooled))).sigmoid()
