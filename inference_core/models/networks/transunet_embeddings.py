"""``transunet_embeddings``: from a frame to one token for each 16x16 pixels, and the skips of the stem.

Source: Chen et al., TransUNet (arXiv:2102.04306, 2021), R50-ViT-B/16, whose names of parameters these are.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inference_core.models.networks.resnetv2_stem import ResnetV2Stem

PATCH = 16  # pixels a side of what becomes a token
DROPOUT = 0.1


class TransunetEmbeddings(nn.Module):
    """Frames in, tokens and skips out.

    Parameters
    ----------
    image_size : int
        Pixels a side of a frame; a multiple of 16. The position embedding fixes it.
    width : int
        Of the tokens.
    stem_width, stem_units
        See :class:`~inference_core.models.networks.resnetv2_stem.ResnetV2Stem`.
    """

    def __init__(self, image_size: int, width: int, stem_width: int, stem_units: Sequence[int]) -> None:
        super().__init__()
        if image_size < 2 * PATCH or image_size % PATCH:
            raise ValueError(f"image_size is a multiple of {PATCH} from {2 * PATCH} on, not {image_size}.")
        self.image_size = image_size
        self.hybrid_model = ResnetV2Stem(stem_width, stem_units)
        self.patch_embeddings = nn.Conv2d(16 * stem_width, width, 1)
        self.position_embeddings = nn.Parameter(torch.zeros(1, (image_size // PATCH) ** 2, width))

    def forward(self, frames: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Embed (N, 3, image_size, image_size): (N, S, width) tokens, row by row, and three skips."""
        if frames.shape[-2:] != (self.image_size, self.image_size):
            raise ValueError(f"Frames are {self.image_size} pixels a side here, not {tuple(frames.shape[-2:])}.")
        x, skips = self.hybrid_model(frames)
        tokens = self.patch_embeddings(x).flatten(2).transpose(1, 2)
        return F.dropout(tokens + self.position_embeddings, DROPOUT, self.training), skips


def as_map(tokens: Tensor) -> Tensor:
    """Tokens (N, S, width) of a square frame as a map (N, width, side, side)."""
    side = round(tokens.shape[1] ** 0.5)
    return tokens.transpose(1, 2).reshape(len(tokens), -1, side, side)
