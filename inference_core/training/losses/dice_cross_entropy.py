"""Half cross entropy, half Dice: the loss of TransUNet, and so of the endoscopy paper.

Source: Chen et al., TransUNet (arXiv:2102.04306, 2021), with the settings of its code: squares in the denominator, sums
over the whole batch, and the background as a class like the others. Dice: Milletari, Navab, Ahmadi, V-Net (3DV 2016).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SMOOTH = 1e-5  # keeps a class that is nowhere from dividing by zero


def dice_cross_entropy(logits: Tensor, labels: Tensor, dice_share: float = 0.5) -> Tensor:
    """Loss of classes a pixel.

    Parameters
    ----------
    logits : (N, C, H, W) tensor
        One a class; of a single logit that something is there make two by :func:`two_classes`.
    labels : (N, H, W) tensor of integers or bool
        The classes, 0 to C - 1.
    dice_share : float
        Of Dice; the rest is cross entropy.

    Returns
    -------
    Scalar tensor: (1 - d) mean cross entropy + d (1 - mean over classes of (2 sum p t + s) / (sum p^2 + sum t^2 + s)).
    """
    labels = labels.long()
    cross_entropy = F.cross_entropy(logits, labels)
    given = F.one_hot(labels, logits.shape[1]).movedim(-1, 1).to(logits.dtype)
    predicted = logits.softmax(1)
    over = (0, 2, 3)
    shared = (predicted * given).sum(over)
    total = predicted.square().sum(over) + given.square().sum(over)
    dice = 1 - ((2 * shared + SMOOTH) / (total + SMOOTH)).mean()
    return (1 - dice_share) * cross_entropy + dice_share * dice


def two_classes(logit: Tensor) -> Tensor:
    """The logits of two classes (N, 2, H, W) that say what one logit (N, H, W) does: softmax of them is its sigmoid."""
    return torch.stack([torch.zeros_like(logit), logit], 1)


class DiceCrossEntropy(nn.Module):
    """Twin of :func:`dice_cross_entropy`."""

    def __init__(self, dice_share: float = 0.5) -> None:
        super().__init__()
        self.dice_share = dice_share

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """See :func:`dice_cross_entropy`."""
        return dice_cross_entropy(logits, labels, self.dice_share)
