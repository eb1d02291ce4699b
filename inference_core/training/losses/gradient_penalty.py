"""Gradient penalty of Wasserstein critics.

Source: Gulrajani et al., Improved Training of Wasserstein GANs (NeurIPS 2017), equation (3) without its weight.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

Critic = Callable[[Tensor], Tensor]


def gradient_penalty(critic: Critic, real: Tensor, fake: Tensor) -> Tensor:
    """Mean of (norm of the critic's gradient - 1)^2, each image's at a random place between a real and a fake one.

    Parameters
    ----------
    critic : callable
        (N, C, H, W) to (N, ...) scores; those of one image are averaged.
    real, fake : (N, C, H, W) tensors
        No gradient goes to them.

    Returns
    -------
    Scalar tensor, to be differentiated by the critic's weights
    """
    share = torch.rand(len(real), 1, 1, 1, device=real.device, dtype=real.dtype)
    between = torch.lerp(fake.detach(), real.detach(), share).requires_grad_()
    scores = critic(between).reshape(len(real), -1).mean(dim=1).sum()
    (gradient,) = torch.autograd.grad(scores, between, create_graph=True)
    # Where the gradient is exactly 0, that of its norm is not defined: a tiny constant keeps it a number.
    norms = (gradient.flatten(1).square().sum(dim=1) + 1e-12).sqrt()
    return (norms - 1).square().mean()


class GradientPenalty(nn.Module):
    """Twin of :func:`gradient_penalty`."""

    def forward(self, critic: Critic, real: Tensor, fake: Tensor) -> Tensor:
        """See :func:`gradient_penalty`."""
        return gradient_penalty(critic, real, fake)
