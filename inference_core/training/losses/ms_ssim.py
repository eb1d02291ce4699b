"""Multi-scale structural similarity: how alike two images are in structure, whatever their colours.

Source: Wang, Simoncelli, Bovik, Multiscale structural similarity for image quality assessment (Asilomar 2003); between
a frame and its translation as in Pfeiffer et al., Generating large labeled data sets for laparoscopic image processing
tasks using unpaired image-to-image translation (MICCAI 2019).
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Variant = Literal["standard", "released_code"]

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Of the scales, from fine to coarse (Wang et al., section 3.2)."""
WINDOW, SIGMA = 11, 1.5
STABLE = 0.01**2, 0.03**2  # C1, C2 for a range of 1


def ms_ssim(one: Tensor, other: Tensor, variant: Variant = "standard") -> Tensor:
    """Similarity of two images of range 1, at most 1.

    Sides below 161 pixels have no room for five scales: as many are taken as there is room for, with their weights
    brought to the same sum.

    Parameters
    ----------
    one, other : (N, 1, H, W) tensors
        Values from 0 to 1; sides of at least 11.
    variant : str
        ``standard``: contrast and structure of all scales, luminance of the coarsest.
        ``released_code``: of a public implementation that many build on: similarities are brought to 0 ... 1 by
        (x + 1) / 2, and the coarsest scale's, with its luminance, enters once for every finer scale.

    Returns
    -------
    (N,) tensor

    Raises
    ------
    ValueError
        For other shapes or smaller images.
    """
    if one.ndim != 4 or one.shape != other.shape or one.shape[1] != 1 or min(one.shape[2:]) < WINDOW:
        raise ValueError(f"The images are (N, 1, H, W) of at least {WINDOW} pixels, not {tuple(one.shape)}.")
    scales = 1
    while scales < len(WEIGHTS) and min(one.shape[2:]) >> scales >= WINDOW:
        scales += 1
    weights = torch.tensor(WEIGHTS[:scales], dtype=one.dtype, device=one.device)
    weights = weights * (sum(WEIGHTS) / weights.sum())
    structures, whole = [], one.new_zeros(len(one))
    for scale in range(scales):
        if scale:
            one, other = F.avg_pool2d(one, 2), F.avg_pool2d(other, 2)
        luminance, structure = _similarity(one, other)
        structures.append(structure.mean((1, 2, 3)))
        whole = (luminance * structure).mean((1, 2, 3))
    fine = torch.stack(structures, 1)
    if variant == "released_code":
        fine, whole = (fine + 1) / 2, (whole + 1) / 2
        return ((fine**weights)[:, :-1] * (whole ** weights[-1])[:, None]).prod(1)
    # Below 0 a power is no number; the structures are then opposite, and that is as unlike as can be.
    fine, whole = fine.clamp(min=1e-6), whole.clamp(min=1e-6)
    return (fine[:, :-1] ** weights[:-1]).prod(1) * whole ** weights[-1]


def structure_loss(one: Tensor, other: Tensor, variant: Variant = "standard") -> Tensor:
    """1 - MS-SSIM of the channels' means, averaged over the images.

    Parameters
    ----------
    one, other : (N, C, H, W) tensors
        Values from 0 to 1.
    """
    return 1 - ms_ssim(one.mean(1, keepdim=True), other.mean(1, keepdim=True), variant).mean()


class StructureLoss(nn.Module):
    """Twin of :func:`structure_loss`."""

    def __init__(self, variant: Variant = "standard") -> None:
        super().__init__()
        self.variant: Variant = variant

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        """See :func:`structure_loss`."""
        return structure_loss(one, other, self.variant)


def _similarity(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Luminance, and contrast times structure, at each place of a Gaussian window."""
    window = torch.arange(WINDOW, dtype=one.dtype, device=one.device) - WINDOW // 2
    window = (-window.square() / (2 * SIGMA**2)).exp()
    window = window / window.sum()

    def smooth(x: Tensor) -> Tensor:
        return F.conv2d(F.conv2d(x, window.view(1, 1, 1, -1)), window.view(1, 1, -1, 1))

    mean_one, mean_other = smooth(one), smooth(other)
    spread_one, spread_other = smooth(one * one) - mean_one**2, smooth(other * other) - mean_other**2
    together = smooth(one * other) - mean_one * mean_other
    luminance = (2 * mean_one * mean_other + STABLE[0]) / (mean_one**2 + mean_other**2 + STABLE[0])
    return luminance, (2 * together + STABLE[1]) / (spread_one + spread_other + STABLE[1])
