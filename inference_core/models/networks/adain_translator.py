"""``adain_translator``: AdaIN with one style, a translator of frames.

Huang, Belongie, Arbitrary style transfer in real-time with adaptive instance normalization (ICCV 2017). The style is
that of one picture, kept with the weights as mean and standard deviation of its features.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from inference_core.models.networks.vgg_autoencoder import vgg_decoder, vgg_encoder

EPS = 1e-5


def spread(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (of the unbiased variance + 1e-5) of each channel, each (N, C, 1, 1)."""
    return features.mean((2, 3), keepdim=True), (features.var((2, 3), keepdim=True) + EPS).sqrt()


class AdainTranslator(nn.Module):
    """Frame in, frame in the look of the style picture out.

    Parameters
    ----------
    divisor : int
        Of all numbers of channels; 1 as published.
    """

    factor = 8
    """Sides of an input are multiples of this."""
    sees_all = True
    """Mean and spread are those of the whole image: tiles would differ from it."""

    def __init__(self, divisor: int = 1) -> None:
        super().__init__()
        self.encoder, self.decoder = vgg_encoder(divisor), vgg_decoder(divisor)
        self.mean = nn.Parameter(torch.zeros(1, 512 // divisor, 1, 1))
        self.deviation = nn.Parameter(torch.ones(1, 512 // divisor, 1, 1))

    def learn_style(self, picture: Tensor) -> None:
        """Take the style of a picture, (1, 3, H, W), 0 ... 1."""
        with torch.no_grad():
            mean, deviation = spread(self.encoder(picture))
            self.mean.copy_(mean)
            self.deviation.copy_(deviation)

    def forward(self, image: Tensor) -> Tensor:
        """Translate.

        Parameters
        ----------
        image : (N, 3, H, W) tensor
            0 ... 1; H and W multiples of 8, at least 16.

        Returns
        -------
        (N, 3, H, W) tensor, about 0 ... 1
        """
        features = self.encoder(image)
        mean, deviation = spread(features)
        translated: Tensor = self.decoder((features - mean) / deviation * self.deviation + self.mean)
        return translated
