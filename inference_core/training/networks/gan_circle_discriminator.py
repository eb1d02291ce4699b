"""The discriminator of GAN-CIRCLE: a critic of patches, as CycleGAN's, with a learned scale and offset after each norm.

You et al., CT super-resolution GAN constrained by the identical, residual, and cycle learning ensemble (IEEE TMI 2020).
"""

from __future__ import annotations

from torch import Tensor, nn


class GanCircleDiscriminator(nn.Module):
    """Image in, one score a patch out.

    Parameters
    ----------
    width : int
        Channels after the first convolution.
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(1, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        for wide, stride in ((width, 2), (2 * width, 2), (4 * width, 1)):
            layers.append(nn.Conv2d(wide, 2 * wide, 4, stride=stride, padding=1))
            layers += [nn.InstanceNorm2d(2 * wide, affine=True), nn.LeakyReLU(0.2)]
        layers.append(nn.Conv2d(8 * width, 1, 4, padding=1))
        self.model = nn.Sequential(*layers)
        for layer in layers:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, a=0.2)
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, image: Tensor) -> Tensor:
        """Scores.

        Parameters
        ----------
        image : (N, 1, H, W) tensor
            H and W multiples of 8, at least 32.

        Returns
        -------
        (N, 1, H / 8 - 2, W / 8 - 2) tensor
        """
        scores: Tensor = self.model(image)
        return scores
