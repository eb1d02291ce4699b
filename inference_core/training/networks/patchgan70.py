"""The discriminator of CycleGAN: judges overlapping patches of 70x70 pixels.

Isola, Zhu, Zhou, Efros, Image-to-image translation with conditional adversarial networks (CVPR 2017). Layers are
numbered as in published weights (``model.0`` ... ``model.11``).
"""

from __future__ import annotations

from torch import Tensor, nn


class PatchGan70(nn.Module):
    """Image in, one score a patch out.

    Parameters
    ----------
    channels : int
        Of the image.
    width : int
        Channels after the first convolution.
    """

    def __init__(self, channels: int = 1, width: int = 64) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        for wide, stride in ((width, 2), (2 * width, 2), (4 * width, 1)):
            layers.append(nn.Conv2d(wide, 2 * wide, 4, stride=stride, padding=1))
            layers += [nn.InstanceNorm2d(2 * wide), nn.LeakyReLU(0.2)]
        layers.append(nn.Conv2d(8 * width, 1, 4, padding=1))
        self.model = nn.Sequential(*layers)
        for layer in layers:
            if isinstance(layer, nn.Conv2d):
                nn.init.normal_(layer.weight, 0.0, 0.02)
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, image: Tensor) -> Tensor:
        """Scores.

        Parameters
        ----------
        image : (N, channels, H, W) tensor
            H and W multiples of 8, at least 32.

        Returns
        -------
        (N, 1, H / 8 - 2, W / 8 - 2) tensor
        """
        scores: Tensor = self.model(image)
        return scores
