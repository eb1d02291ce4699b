"""``stytr2_translator``: StyTR2 with one style, a translator of frames.

Deng, Tang, Dong, Ma, Pan, Wang, Xu, StyTr2: image style transfer with transformers (CVPR 2022). The style is that of
one picture, kept with the weights as what the style encoder makes of its patches. Parameters have the names of the
published weights.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inference_core.models.networks.vgg_autoencoder import vgg_decoder

PATCH = 8  # pixels a side
HEADS, LAYERS = 8, 3
POOLED = 18  # a side, of the places that positions are told by


class _EncoderLayer(nn.Module):
    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.self_attn = nn.MultiheadAttention(width, HEADS, batch_first=True)
        self.linear1, self.linear2 = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, x: Tensor, place: Tensor | None) -> Tensor:
        placed = x if place is None else x + place
        x = self.norm1(x + self.self_attn(placed, placed, x, need_weights=False)[0])
        y: Tensor = self.norm2(x + self.linear2(self.linear1(x).relu()))
        return y


class _DecoderLayer(nn.Module):
    """Both attentions look from the content at the style: in the published code the first one does, too."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.self_attn = nn.MultiheadAttention(width, HEADS, batch_first=True)
        self.multihead_attn = nn.MultiheadAttention(width, HEADS, batch_first=True)
        self.linear1, self.linear2 = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.norm1, self.norm2, self.norm3 = nn.LayerNorm(width), nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, x: Tensor, style: Tensor, place: Tensor) -> Tensor:
        x = self.norm1(x + self.self_attn(x + place, style, style, need_weights=False)[0])
        x = self.norm2(x + self.multihead_attn(x + place, style, style, need_weights=False)[0])
        y: Tensor = self.norm3(x + self.linear2(self.linear1(x).relu()))
        return y


class _Layers(nn.Module):
    def __init__(self, layers: list[nn.Module], norm: nn.Module | None = None) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        if norm is not None:
            self.norm = norm

    def forward(self, x: Tensor, *given: Tensor | None) -> Tensor:
        for layer in self.layers:
            x = layer(x, *given)
        if hasattr(self, "norm"):
            x = self.norm(x)
        return x


class _Transformer(nn.Module):
    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.encoder_c = _Layers([_EncoderLayer(width, hidden) for _ in range(LAYERS)])
        self.encoder_s = _Layers([_EncoderLayer(width, hidden) for _ in range(LAYERS)])
        self.decoder = _Layers([_DecoderLayer(width, hidden) for _ in range(LAYERS)], nn.LayerNorm(width))
        self.new_ps = nn.Conv2d(width, width, 1)


class _Embedding(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, PATCH, PATCH)


class Stytr2Translator(nn.Module):
    """Frame in, frame in the look of the style picture out.

    Parameters
    ----------
    divisor : int
        Of all numbers of channels; 1 as published.
    places : int
        Patches of the style picture: 1024 of one of 256 pixels.
    """

    factor = PATCH
    """Sides of an input are multiples of this."""
    sees_all = True
    """Every patch looks at all others."""

    def __init__(self, divisor: int = 1, places: int = 1024) -> None:
        super().__init__()
        width, hidden = 512 // divisor, 2048 // divisor
        self.embedding, self.transformer = _Embedding(width), _Transformer(width, hidden)
        self.decode = vgg_decoder(divisor)
        self.style = nn.Parameter(torch.zeros(1, places, width))

    def learn_style(self, picture: Tensor) -> None:
        """Take the style of a picture, (1, 3, H, W), 0 ... 1, that has as many patches as ``places``."""
        with torch.no_grad():
            self.style.copy_(self.transformer.encoder_s(_flat(self.embedding.proj(picture)), None))

    def forward(self, image: Tensor) -> Tensor:
        """Translate.

        Parameters
        ----------
        image : (N, 3, H, W) tensor
            0 ... 1; H and W multiples of 8, at least 16.

        Returns
        -------
        (N, 3, H, W) tensor, about 0 ... 1
        """
        patches = self.embedding.proj(image)
        size = patches.shape[2:]
        pooled = F.adaptive_avg_pool2d(patches, POOLED)
        place = _flat(F.interpolate(self.transformer.new_ps(pooled), size=size, mode="bilinear"))
        content = self.transformer.encoder_c(_flat(patches), place)
        style = self.style.expand(len(image), -1, -1)
        found = self.transformer.decoder(content, style, place)
        translated: Tensor = self.decode(found.transpose(1, 2).unflatten(2, size))
        return translated


def _flat(patches: Tensor) -> Tensor:
    """(N, C, H, W) to (N, H W, C)."""
    return patches.flatten(2).transpose(1, 2)
