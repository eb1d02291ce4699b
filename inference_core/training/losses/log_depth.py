"""Mean of |log predicted - log true| depth: the relative error, the scale's included."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def log_depth_l1(predicted: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Mean over an image's valid pixels, then over images; one that has none counts as 0.

    Parameters
    ----------
    predicted, target : (N, 1, H, W) tensors
        Depth in one unit, > 0 where valid.
    valid : (N, 1, H, W) bool tensor

    Returns
    -------
    Scalar tensor
    """
    one = torch.ones((), dtype=predicted.dtype, device=predicted.device)
    error = torch.where(valid, predicted, one).log() - torch.where(valid, target, one).log()
    return (error.abs().sum(dim=(1, 2, 3)) / valid.sum(dim=(1, 2, 3)).clamp(min=1)).mean()


class LogDepthL1(nn.Module):
    """Twin of :func:`log_depth_l1`."""

    def forward(self, predicted: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """See :func:`log_depth_l1`."""
        return log_depth_l1(predicted, target, valid)
