"""``timesformer_block``: attention over the frames of a clip, then over the places of each frame, then two layers.

Source: Bertasius, Wang, Torresani, Is space-time attention all you need for video understanding? (ICML 2021), divided
space-time attention; the form of Endo-FM (Wang et al., MICCAI 2023), whose names of parameters these are.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EPSILON = 1e-6  # of layer normalisations


class TimesformerBlock(nn.Module):
    """Tokens in, tokens out.

    Parameters
    ----------
    width, heads : int
        Of the tokens; ``heads`` divides ``width``.
    drop_path : float
        Share of residual branches that are left out in training (stochastic depth).
    """

    def __init__(self, width: int, heads: int, drop_path: float = 0.0) -> None:
        super().__init__()
        self.drop_path = drop_path
        self.norm1 = nn.LayerNorm(width, eps=EPSILON)
        self.attn = Attention(width, heads)
        self.temporal_norm1 = nn.LayerNorm(width, eps=EPSILON)
        self.temporal_attn = Attention(width, heads)
        self.temporal_fc = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width, eps=EPSILON)
        self.mlp = Mlp(width)

    def forward(self, token: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        """One block.

        Parameters
        ----------
        token : (B, 1, width) tensor
            The class token of each clip.
        places : (B, T, S, width) tensor
            Of T frames with S places each.

        Returns
        -------
        Both, in the same shapes. A clip is independent of the others; its frames see each other.
        """
        clips, frames, count, width = places.shape
        across = places.transpose(1, 2).reshape(clips * count, frames, width)
        change = self.temporal_fc(self._some(self.temporal_attn(self.temporal_norm1(across))))
        places = places + change.reshape(clips, count, frames, width).transpose(1, 2)

        repeated = token[:, None].expand(clips, frames, 1, width)
        within = torch.cat([repeated, places], 2).reshape(clips * frames, 1 + count, width)
        change = self._some(self.attn(self.norm1(within))).reshape(clips, frames, 1 + count, width)
        token = token + change[:, :, 0].mean(1, keepdim=True)
        places = places + change[:, :, 1:]

        both = torch.cat([token, places.reshape(clips, frames * count, width)], 1)
        both = both + self._some(self.mlp(self.norm2(both)))
        return both[:, :1], both[:, 1:].reshape(clips, frames, count, width)

    def _some(self, change: Tensor) -> Tensor:
        """In training, leave some rows out and enlarge the rest accordingly."""
        if not (self.training and self.drop_path):
            return change
        keep = 1 - self.drop_path
        return change * (torch.rand(len(change), 1, 1, device=change.device) < keep).to(change.dtype) / keep


class Attention(nn.Module):
    """Each token of a row attends to all tokens of that row: (N, L, width) to the same."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"{heads} heads do not divide a width of {width}.")
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Attend."""
        rows, length, width = x.shape
        parts = self.qkv(x).reshape(rows, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        query, key, value = parts.unbind(0)
        mixed = F.scaled_dot_product_attention(query, key, value)
        return self.proj(mixed.transpose(1, 2).reshape(rows, length, width))


class Mlp(nn.Module):
    """Two layers, four times as wide between."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(..., width) to the same."""
        return self.fc2(F.gelu(self.fc1(x)))
