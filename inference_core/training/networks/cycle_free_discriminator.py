"""The discriminator of the cycle-free CycleGAN: judges overlapping patches of 34x34 pixels.

Kwon, Ye, Cycle-free CycleGAN using invertible generator for unsupervised low-dose CT denoising (IEEE TCI 2021).
"""

from __future__ import annotations

from torch import Tensor, nn


class CycleFreeDiscriminator(nn.Module):
    """Image in, one score a patch out.

    Parameters
    ----------
    width : int
        Channels after the first convolution.
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.model = nn.Sequential(
            nn.Conv2d(1, width, 4, stride=2, padding=1, bias=False),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, 2 * width, 4, stride=2, padding=1),
            nn.BatchNorm2d(2 * width),
            nn.LeakyReLU(0.2),
            nn.Conv2d(2 * width, 4 * width, 4, padding=1),
            nn.BatchNorm2d(4 * width),
            nn.LeakyReLU(0.2),
            nn.Conv2d(4 * width, 1, 4, padding=1),
        )

    def forward(self, image: Tensor) -> Tensor:
        """Scores.

        Parameters
        ----------
        image : (N, 1, H, W) tensor
            H and W multiples of 4, at least 16.

        Returns
        -------
        (N, 1, H / 4 - 2, W / 4 - 2) tensor
        """
        scores: Tensor = self.model(image)
        return scores
