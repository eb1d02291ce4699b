"""``foldit_segmenter``: FoldIt's generator from a real frame to an overlay of folds, and the mask read off the overlay.

Mathew, Nadeem, Kaufman, FoldIt: haustral folds detection and segmentation in colonoscopy videos (MICCAI 2021). Theirs
paints folds over the frame; how a mask is taken from that is not published, and defined here: folds are painted half
transparent in pure green, and a pixel is of a fold where its green exceeds both red and blue by a tenth of the range.
Tissue, stool and bile are never greener than they are red.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from inference_core.models.networks.resnet_generator import Enlarge, ResnetGenerator

OPACITY = 0.5
THRESHOLD = 0.1  # of the range of a picture; a painted pixel of grey has 0.5, of red tissue 0.2 to 0.4
STEEPNESS = 20.0  # logits, per range of a picture


def overlay(rgb: Tensor, mask: Tensor) -> Tensor:
    """Folds painted over frames.

    Parameters
    ----------
    rgb : (N, 3, H, W) tensor
        -1 ... 1.
    mask : (N, 1, H, W) bool tensor

    Returns
    -------
    (N, 3, H, W) tensor, -1 ... 1
    """
    green = rgb.new_tensor([-1, 1, -1]).view(1, 3, 1, 1)
    return torch.where(mask, (1 - OPACITY) * rgb + OPACITY * green, rgb)


def fold_logits(painted: Tensor) -> Tensor:
    """Background and fold, (N, 2, H, W) logits, of overlays, (N, 3, H, W), -1 ... 1."""
    red, green, blue = painted.unbind(1)
    excess = (green - torch.maximum(red, blue)) / 2
    fold = STEEPNESS * (excess - THRESHOLD)
    return torch.stack([torch.zeros_like(fold), fold], 1)


class FolditSegmenter(nn.Module):
    """Frame in, logits of background and fold out.

    Parameters
    ----------
    width, blocks, enlarge, skip
        As of :class:`~inference_core.models.networks.resnet_generator.ResnetGenerator`; 80 and 9 as published.
    """

    factor = 4
    """Sides of an input are multiples of this."""
    sees_all = True
    """Instance normalisation takes mean and variance of the whole image: tiles would differ from it."""

    def __init__(self, width: int = 80, blocks: int = 9, enlarge: Enlarge = "transposed", skip: bool = False) -> None:
        super().__init__()
        self.painter = ResnetGenerator(width, blocks, 3, True, enlarge, skip)

    def forward(self, image: Tensor) -> Tensor:
        """Segment.

        Parameters
        ----------
        image : (N, 3, H, W) tensor
            -1 ... 1; H and W multiples of 4, at least 8.

        Returns
        -------
        (N, 2, H, W) tensor of logits
        """
        return fold_logits(self.painter(image))
