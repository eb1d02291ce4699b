"""``invertible_generator``: the generator of the cycle-free CycleGAN; its inverse is the other direction.

Kwon, Ye, Cycle-free CycleGAN using invertible generator for unsupervised low-dose CT denoising (IEEE TCI 2021). The
invertible 1x1 convolution in LU form is that of Kingma, Dhariwal, Glow (NeurIPS 2018). No normalisation: tiles with a
halo equal the whole slice. Parameters are named as in published weights.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PARTS = 4  # channels after the pixel-unshuffle by 2
SLOPE = 0.2


class InvertibleGenerator(nn.Module):
    """Wavelet high band in, translated high band out; the untrained network changes nothing.

    Parameters
    ----------
    width : int
        Channels that each convolution of a dense block adds.
    blocks : int
        Pairs of a 1x1 convolution and a coupling.
    """

    factor = 2
    """Sides of an input are multiples of this."""

    def __init__(self, width: int = 64, blocks: int = 4) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(_Block(width) for _ in range(blocks))

    def forward(self, high_band: Tensor) -> Tensor:
        """Translate.

        Parameters
        ----------
        high_band : (N, 1, H, W) tensor
            H and W even.

        Returns
        -------
        (N, 1, H, W) tensor in the same unit.
        """
        x = F.pixel_unshuffle(high_band, 2)
        for block in self.blocks:
            x = block(x)
        return F.pixel_shuffle(x, 2)

    def inverse(self, high_band: Tensor) -> Tensor:
        """The input that :meth:`forward` makes ``high_band`` of; shapes as there."""
        x = F.pixel_unshuffle(high_band, 2)
        for block in reversed(self.blocks):
            assert isinstance(block, _Block)
            x = block.inverse(x)
        return F.pixel_shuffle(x, 2)


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.invconv = _InvertibleConvolution()
        self.coupling = _Coupling(width)

    def forward(self, x: Tensor) -> Tensor:
        mixed: Tensor = self.coupling(self.invconv(x))
        return mixed

    def inverse(self, x: Tensor) -> Tensor:
        return self.invconv.inverse(self.coupling.inverse(x))


class _InvertibleConvolution(nn.Module):
    """Mixes the channels by W = P L (U + diag(s)): P and the sign of s fixed; L, U (triangular) and log |s| learned."""

    w_p: Tensor
    u_mask: Tensor
    l_mask: Tensor
    s_sign: Tensor
    l_eye: Tensor

    def __init__(self) -> None:
        super().__init__()
        upper = torch.triu(torch.ones(PARTS, PARTS), 1)
        self.w_l = nn.Parameter(torch.zeros(PARTS, PARTS))
        self.w_s = nn.Parameter(torch.zeros(PARTS))
        self.w_u = nn.Parameter(torch.zeros(PARTS, PARTS))
        # Constants, but part of published weights, whose P and signs may be others.
        self.register_buffer("w_p", torch.eye(PARTS))
        self.register_buffer("u_mask", upper)
        self.register_buffer("l_mask", upper.T.contiguous())
        self.register_buffer("s_sign", torch.ones(PARTS))
        self.register_buffer("l_eye", torch.eye(PARTS))

    def matrix(self) -> Tensor:
        """W, (4, 4)."""
        lower = self.w_l * self.l_mask + self.l_eye
        upper = self.w_u * self.u_mask + torch.diag(self.s_sign * torch.exp(self.w_s))
        return self.w_p @ lower @ upper

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.matrix()[:, :, None, None])

    def inverse(self, x: Tensor) -> Tensor:
        return F.conv2d(x, torch.linalg.inv(self.matrix())[:, :, None, None])


class _Coupling(nn.Module):
    """Takes from each channel in turn what a network says of the other three: additive, hence stably inverted."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.net1, self.net2, self.net3, self.net4 = (_DenseBlock(width) for _ in range(PARTS))

    def forward(self, x: Tensor) -> Tensor:
        parts = list(torch.chunk(x, PARTS, dim=1))
        for k, net in enumerate((self.net1, self.net2, self.net3, self.net4)):
            parts[k] = parts[k] - net(torch.cat(parts[:k] + parts[k + 1 :], dim=1))
        return torch.cat(parts, dim=1)

    def inverse(self, x: Tensor) -> Tensor:
        parts = list(torch.chunk(x, PARTS, dim=1))
        for k, net in reversed(list(enumerate((self.net1, self.net2, self.net3, self.net4)))):
            parts[k] = parts[k] + net(torch.cat(parts[:k] + parts[k + 1 :], dim=1))
        return torch.cat(parts, dim=1)


class _DenseBlock(nn.Module):
    """Three channels to one by five 3x3 convolutions, each of which sees the outputs of all before it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        widths = [PARTS - 1 + k * width for k in range(5)]
        self.conv1, self.conv2, self.conv3, self.conv4 = (nn.Conv2d(n, width, 3, padding=1) for n in widths[:4])
        self.conv5 = nn.Conv2d(widths[4], 1, 3, padding=1)
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            nn.init.xavier_normal_(layer.weight, gain=0.1)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        nn.init.zeros_(self.conv5.weight)
        nn.init.zeros_(self.conv5.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = torch.cat([x, F.leaky_relu(layer(x), SLOPE)], dim=1)
        out: Tensor = self.conv5(x)
        return out
