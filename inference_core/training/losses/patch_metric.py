"""Patch-wise deep metric loss: pull what shares anatomy, push what shares only its noise.

Source: Jung et al. (MICCAI 2022), equation (3). (Equation (2) of the paper orders vectors alike but is another
function; the released code computes (3), and so does this.)
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

Diagonal = Literal["left_out", "counted"]


def patch_metric_loss(
    inputs: Tensor,
    outputs: Tensor,
    temperature: float,
    scale_by_dim: bool = False,
    diagonal: Diagonal = "left_out",
) -> Tensor:
    r"""-E[exp(z_k w_k / tau)] + E[exp(z_k z_j / tau)] + E[exp(w_k w_j / tau)], j != k.

    Parameters
    ----------
    inputs, outputs : (N, P, C) tensors
        z and w: unit vectors of P patches of N images, of the input and of the output, at the same places.
    temperature : float
        tau, > 0.
    scale_by_dim : bool
        Divide by C, as the released code does and the paper does not say.
    diagonal : str
        Pairs of a patch with itself: ``left_out`` of the mean, or ``counted`` in it as nothing, as in the released
        code.

    Returns
    -------
    Scalar tensor

    Raises
    ------
    ValueError
        For tensors of other shapes, or fewer than two patches.
    """
    if inputs.ndim != 3 or inputs.shape != outputs.shape or inputs.shape[1] < 2:
        raise ValueError(
            f"inputs and outputs are (N, P, C) of one shape, P >= 2, not {tuple(inputs.shape)} and"
            f" {tuple(outputs.shape)}."
        )
    pulled = torch.exp((inputs * outputs).sum(dim=-1) / temperature).mean()
    loss = _likeness(inputs, temperature, diagonal) + _likeness(outputs, temperature, diagonal) - pulled
    return loss / inputs.shape[-1] if scale_by_dim else loss


class PatchMetricLoss(nn.Module):
    """Twin of :func:`patch_metric_loss`."""

    def __init__(self, temperature: float, scale_by_dim: bool = False, diagonal: Diagonal = "left_out") -> None:
        super().__init__()
        self.temperature = temperature
        self.scale_by_dim = scale_by_dim
        self.diagonal: Diagonal = diagonal

    def forward(self, inputs: Tensor, outputs: Tensor) -> Tensor:
        """See :func:`patch_metric_loss`."""
        return patch_metric_loss(inputs, outputs, self.temperature, self.scale_by_dim, self.diagonal)


def _likeness(vectors: Tensor, temperature: float, diagonal: Diagonal) -> Tensor:
    """Mean of exp(v_k v_j / tau) over pairs of one image."""
    images, patches = vectors.shape[:2]
    others = 1 - torch.eye(patches, dtype=vectors.dtype, device=vectors.device)
    pairs = patches * (patches - 1 if diagonal == "left_out" else patches)
    return (torch.exp(vectors @ vectors.transpose(1, 2) / temperature) * others).sum() / (images * pairs)
