"""``resnet_generator``: the generator of CycleGAN, for CT slices (1 channel) and for endoscopy (3 channels, tanh).

Zhu, Park, Isola, Efros, Unpaired image-to-image translation using cycle-consistent adversarial networks (ICCV 2017),
after Johnson, Alahi, Fei-Fei (ECCV 2016). Layers are numbered as in published weights (``model.1`` ... ``model.26`` at
9 blocks), so that those load as they are.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

Enlarge = Literal["transposed", "resize"]


class ResnetGenerator(nn.Module):
    """Image in, translated image out.

    Parameters
    ----------
    width : int
        Channels at full resolution; twice as many at half, four times as many at quarter resolution.
    blocks : int
        Residual blocks at quarter resolution.
    channels : int
        Of the image.
    tanh : bool
        Whether the output is limited to -1 ... 1. CT is not: its range is not known beforehand.
    enlarge : str
        How a layer doubles the sides: ``transposed`` convolution, as published, or ``resize``: each pixel four times,
        then a convolution, which leaves no checkerboard (Odena, Dumoulin, Olah, Distill 2016).
    skip : bool
        Whether the last layer sees the image beside the features. Ours: instance normalisation takes the image's
        brightness away and quarter resolution its edges, and a small network need not learn to draw both again.
    """

    factor = 4
    """Sides of an input are multiples of this."""
    sees_all = True
    """Instance normalisation takes mean and variance of the whole image: tiles would differ from it."""

    def __init__(
        self,
        width: int = 64,
        blocks: int = 9,
        channels: int = 1,
        tanh: bool = False,
        enlarge: Enlarge = "transposed",
        skip: bool = False,
    ) -> None:
        super().__init__()
        if enlarge not in ("transposed", "resize"):
            raise ValueError(f"enlarge is transposed or resize, not {enlarge!r}.")
        layers = [nn.ReflectionPad2d(3), nn.Conv2d(channels, width, 7), *_norm_relu(width)]
        for wide in (width, 2 * width):
            layers += [nn.Conv2d(wide, 2 * wide, 3, stride=2, padding=1), *_norm_relu(2 * wide)]
        layers += [_ResidualBlock(4 * width) for _ in range(blocks)]
        for wide in (4 * width, 2 * width):
            layers += [_doubling(wide, enlarge), *_norm_relu(wide // 2)]
        self.skip = skip
        self.body = len(layers)
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(width + channels * skip, channels, 7)]
        if tanh:
            layers.append(nn.Tanh())
        self.model = nn.Sequential(*layers)
        self.apply(_initialise)

    def forward(self, image: Tensor) -> Tensor:
        """Translate.

        Parameters
        ----------
        image : (N, channels, H, W) tensor
            H and W multiples of 4, at least 8.

        Returns
        -------
        (N, channels, H, W) tensor in the same unit.
        """
        features: Tensor = self.model[: self.body](image)
        if self.skip:
            features = torch.cat([features, image], dim=1)
        translated: Tensor = self.model[self.body :](features)
        return translated


class _ResidualBlock(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(width, width, 3),
            *_norm_relu(width),
            nn.ReflectionPad2d(1),
            nn.Conv2d(width, width, 3),
            nn.InstanceNorm2d(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        residual: Tensor = self.conv_block(x)
        return x + residual


def _doubling(width: int, enlarge: Enlarge) -> nn.Module:
    """One numbered layer in both forms, so that those behind it keep their names."""
    if enlarge == "transposed":
        return nn.ConvTranspose2d(width, width // 2, 3, stride=2, padding=1, output_padding=1)
    return nn.Sequential(nn.Upsample(scale_factor=2), nn.ReflectionPad2d(1), nn.Conv2d(width, width // 2, 3))


def _norm_relu(width: int) -> list[nn.Module]:
    return [nn.InstanceNorm2d(width), nn.ReLU()]


def _initialise(layer: nn.Module) -> None:
    if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.normal_(layer.weight, 0.0, 0.02)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
