"""Least-squares adversarial losses.

Source: Mao et al., Least Squares Generative Adversarial Networks (ICCV 2017); Jung et al. (MICCAI 2022), equations (7)
and (8), squared as in their code and in CycleGAN's.
"""

from __future__ import annotations

from torch import Tensor, nn


def lsgan_generator_loss(fake_scores: Tensor) -> Tensor:
    """Mean of (score - 1)^2 over scores of generated images, any shape."""
    return (fake_scores - 1).square().mean()


def lsgan_discriminator_loss(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    """Half of: mean of (score - 1)^2 over real images plus mean of score^2 over generated ones, any shapes."""
    return ((real_scores - 1).square().mean() + fake_scores.square().mean()) / 2


class LsganGeneratorLoss(nn.Module):
    """Twin of :func:`lsgan_generator_loss`."""

    def forward(self, fake_scores: Tensor) -> Tensor:
        """See :func:`lsgan_generator_loss`."""
        return lsgan_generator_loss(fake_scores)


class LsganDiscriminatorLoss(nn.Module):
    """Twin of :func:`lsgan_discriminator_loss`."""

    def forward(self, real_scores: Tensor, fake_scores: Tensor) -> Tensor:
        """See :func:`lsgan_discriminator_loss`."""
        return lsgan_discriminator_loss(real_scores, fake_scores)
