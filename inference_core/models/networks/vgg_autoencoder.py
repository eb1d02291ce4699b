"""VGG-19 up to relu4_1 and its mirror image, between which AdaIN changes the features' mean and spread.

Huang, Belongie, Arbitrary style transfer in real-time with adaptive instance normalization (ICCV 2017). Layers are
numbered as in the published weights (``vgg_normalised.pth``, ``decoder.pth``).
"""

from __future__ import annotations

from torch import nn

CHANNELS = ((64, 64), (128, 128), (256, 256, 256, 256), (512, 512, 512, 512), (512, 512, 512, 512))
"""Of the convolutions between two halvings."""


def vgg_encoder(divisor: int = 1, whole: bool = False) -> nn.Sequential:
    """RGB in 0 ... 1, (N, 3, H, W), to relu4_1, (N, 512, H / 8, W / 8).

    Parameters
    ----------
    divisor : int
        Of all numbers of channels, for tests.
    whole : bool
        Up to relu5_4, as the published file has it.
    """
    layers: list[nn.Module] = [nn.Conv2d(3, 3, 1)]  # brings the picture to the mean and order that VGG knows
    before = 3
    for block, channels in enumerate(CHANNELS):
        for wide in (width // divisor for width in channels):
            layers += [nn.ReflectionPad2d(1), nn.Conv2d(before, wide, 3), nn.ReLU()]
            before = wide
            if block == 3 and not whole:
                return nn.Sequential(*layers)
        if block < len(CHANNELS) - 1:
            layers.append(nn.MaxPool2d(2, ceil_mode=True))
    return nn.Sequential(*layers)


def vgg_decoder(divisor: int = 1) -> nn.Sequential:
    """(N, 512, H / 8, W / 8) to RGB, about 0 ... 1, (N, 3, H, W).

    Parameters
    ----------
    divisor : int
        Of all numbers of channels, for tests.
    """
    layers: list[nn.Module] = []
    before = 512
    for block in ((256,), (256, 256, 256, 128), (128, 64), (64,)):
        if layers:
            layers.append(nn.Upsample(scale_factor=2))
        for wide in block:
            layers += [nn.ReflectionPad2d(1), nn.Conv2d(before // divisor, wide // divisor, 3), nn.ReLU()]
            before = wide
    return nn.Sequential(*layers, nn.ReflectionPad2d(1), nn.Conv2d(64 // divisor, 3, 3))
