"""``resnet_generator``: the generator of CycleGAN, for CT slices (1 channel) and for endoscopy (3 channels, tanh).

Zhu, Park, Isola, Efros, Unpaired image-to-image translation using cycle-consistent adversarial networks (ICCV 2017),
after Johnson, Alahi, Fei-Fei (ECCV 2016). Layers are numbered as in published weights (``model.1`` ... ``model.26`` at
9 blocks), so that those load as they are.
"""

from __future__ import annotations

from torch import Tensor, nn


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
    """

    factor = 4
    """Sides of an input are multiples of this."""
    sees_all = True
    """Instance normalisation takes mean and variance of the whole image: tiles would differ from it."""

    def __init__(self, width: int = 64, blocks: int = 9, channels: int = 1, tanh: bool = False) -> None:
        super().__init__()
        layers = [nn.ReflectionPad2d(3), nn.Conv2d(channels, width, 7), *_norm_relu(width)]
        for wide in (width, 2 * width):
            layers += [nn.Conv2d(wide, 2 * wide, 3, stride=2, padding=1), *_norm_relu(2 * wide)]
        layers += [_ResidualBlock(4 * width) for _ in range(blocks)]
        for wide in (4 * width, 2 * width):
            up = nn.ConvTranspose2d(wide, wide // 2, 3, stride=2, padding=1, output_padding=1)
            layers += [up, *_norm_relu(wide // 2)]
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(width, channels, 7)]
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
        translated: Tensor = self.model(image)
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


def _norm_relu(width: int) -> list[nn.Module]:
    return [nn.InstanceNorm2d(width), nn.ReLU()]


def _initialise(layer: nn.Module) -> None:
    if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.normal_(layer.weight, 0.0, 0.02)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
