"""Scale-invariant log depth loss: how far a depth map is from the true one, whatever of it a wrong scale explains.

Source: Tomasini, Riazuelo, Murillo (SASHIMI 2024), equation (1), which is Eigen, Puhrsch, Fergus (NeurIPS 2014) with
lambda 0.5: half of the charge of a wrong scale stays. With lambda 1 none does.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

Variant = Literal["paper", "released_code"]


def silog_loss(
    predicted: Tensor,
    target: Tensor,
    valid: Tensor,
    variant: Variant = "paper",
    scale_share: float = 0.5,
    eps: float = 1e-3,
) -> Tensor:
    r"""mean(d^2) - lambda mean(d)^2 over an image's valid pixels, d = log(predicted + eps) - log(target + eps).

    Parameters
    ----------
    predicted, target : (N, 1, H, W) tensors
        Depth in one unit, >= 0.
    valid : (N, 1, H, W) bool tensor
        Pixels whose target is known. An image that has none counts as 0 and gives no gradient.
    variant : str
        ``paper``: image by image, then their mean, so that no image's gradient depends on its batch mates.
        ``released_code``: over all pixels of the batch, and mean(\|d\|)^2 in the place of mean(d)^2: it forgives
        errors that are no error of scale (for Gaussian d it is 0.68 times the paper's).
    scale_share : float
        lambda, 0 to 1: the share of a wrong scale's charge that is let off.
    eps : float
        In the unit of depth, > 0 where a depth may be 0; the released code has 1e-7 for depths up to 1.

    Returns
    -------
    Scalar tensor

    Raises
    ------
    ValueError
        For other shapes, a mask that is not bool, or lambda out of range.
    """
    if predicted.ndim != 4 or not predicted.shape == target.shape == valid.shape or valid.dtype != torch.bool:
        raise ValueError(
            f"predicted, target and the bool mask are (N, 1, H, W) of one shape, not {tuple(predicted.shape)},"
            f" {tuple(target.shape)} and {tuple(valid.shape)} {valid.dtype}."
        )
    if not 0 <= scale_share <= 1:
        raise ValueError(f"scale_share is from 0 to 1, not {scale_share}.")
    # Pixels without a target are taken out before the logarithm: 0 times an infinite gradient would be no number.
    one = torch.ones((), dtype=predicted.dtype, device=predicted.device)
    error = torch.where(valid, predicted + eps, one).log() - torch.where(valid, target + eps, one).log()
    if variant == "released_code":
        pixels = valid.sum().clamp(min=1)
        return error.square().sum() / pixels - scale_share * (error.abs().sum() / pixels).square()
    pixels = valid.sum(dim=(1, 2, 3)).clamp(min=1)
    squares = error.square().sum(dim=(1, 2, 3)) / pixels
    means = error.sum(dim=(1, 2, 3)) / pixels
    return (squares - scale_share * means.square()).mean()


class SilogLoss(nn.Module):
    """Twin of :func:`silog_loss`."""

    def __init__(self, variant: Variant = "paper", scale_share: float = 0.5, eps: float = 1e-3) -> None:
        super().__init__()
        self.variant: Variant = variant
        self.scale_share = scale_share
        self.eps = eps

    def forward(self, predicted: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """See :func:`silog_loss`."""
        return silog_loss(predicted, target, valid, self.variant, self.scale_share, self.eps)
