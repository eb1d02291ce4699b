"""Total variation.

Source: Rudin, Osher, Fatemi, Nonlinear total variation based noise removal algorithms (Physica D 1992), in its
anisotropic form.
"""

from __future__ import annotations

from torch import Tensor, nn


def total_variation(images: Tensor) -> Tensor:
    """Absolute differences of vertical and of horizontal neighbours, summed, a pixel.

    Parameters
    ----------
    images : (N, C, H, W) tensor

    Returns
    -------
    Scalar tensor
    """
    return (images.diff(dim=2).abs().sum() + images.diff(dim=3).abs().sum()) / images.numel()


class TotalVariation(nn.Module):
    """Twin of :func:`total_variation`."""

    def forward(self, images: Tensor) -> Tensor:
        """See :func:`total_variation`."""
        return total_variation(images)
