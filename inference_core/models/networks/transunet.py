"""``transunet``: TransUNet with ResNet-50 and ViT-B/16, a frame at a time.

Source: Chen et al., TransUNet: Transformers make strong encoders for medical image segmentation (arXiv:2102.04306,
2021). Names of parameters are those of its released code, so that its weights load as they are.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from inference_core.models.networks.timesformer_block import EPSILON
from inference_core.models.networks.transunet_decoder import TransunetDecoder
from inference_core.models.networks.transunet_embeddings import DROPOUT, TransunetEmbeddings, as_map


class Transunet(nn.Module):
    """Frames in, class logits out.

    Parameters
    ----------
    image_size, width, depth, heads, stem_width, stem_units, first_width, decoder_widths, classes
        See :class:`~inference_core.models.networks.endofm_transunet.EndofmTransunet`.
    """

    def __init__(
        self,
        image_size: int = 224,
        width: int = 768,
        depth: int = 12,
        heads: int = 12,
        stem_width: int = 64,
        stem_units: Sequence[int] = (3, 4, 9),
        first_width: int = 512,
        decoder_widths: Sequence[int] = (256, 128, 64, 16),
        classes: int = 2,
    ) -> None:
        super().__init__()
        self.frame_size = image_size
        self.factor = image_size
        embeddings = TransunetEmbeddings(image_size, width, stem_width, stem_units)
        self.transformer = _Transformer(embeddings, _Encoder(width, depth, heads))
        skips = (8 * stem_width, 4 * stem_width, stem_width)
        self.decoder = TransunetDecoder(width, first_width, decoder_widths, skips)
        self.segmentation_head = nn.Sequential(nn.Conv2d(decoder_widths[-1], classes, 3, padding=1))

    def forward(self, frames: Tensor) -> Tensor:
        """Segment (N, 3, image_size, image_size) frames, RGB from -1 to 1: (N, classes, H, W) logits."""
        tokens, skips = self.transformer.embeddings(frames)
        encoded = self.transformer.encoder(tokens)
        logits: Tensor = self.segmentation_head(self.decoder(as_map(encoded), skips))
        return logits


class _Transformer(nn.Module):
    """Two parts under the names that they have in checkpoints."""

    def __init__(self, embeddings: TransunetEmbeddings, encoder: _Encoder) -> None:
        super().__init__()
        self.embeddings = embeddings
        self.encoder = encoder


class _Encoder(nn.Module):
    def __init__(self, width: int, depth: int, heads: int) -> None:
        super().__init__()
        self.layer = nn.ModuleList(_Block(width, heads) for _ in range(depth))
        self.encoder_norm = nn.LayerNorm(width, eps=EPSILON)

    def forward(self, tokens: Tensor) -> Tensor:
        for block in self.layer:
            tokens = block(tokens)
        encoded: Tensor = self.encoder_norm(tokens)
        return encoded


class _Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width, eps=EPSILON)
        self.ffn_norm = nn.LayerNorm(width, eps=EPSILON)
        self.ffn = _Ffn(width)
        self.attn = _Attention(width, heads)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.attention_norm(x))
        y: Tensor = x + self.ffn(self.ffn_norm(x))
        return y


class _Ffn(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)
        for layer in (self.fc1, self.fc2):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.normal_(layer.bias, std=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        x = F.dropout(F.gelu(self.fc1(x)), DROPOUT, self.training)
        return F.dropout(self.fc2(x), DROPOUT, self.training)


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"{heads} heads do not divide a width of {width}.")
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (part(x).unflatten(2, (self.heads, -1)).transpose(1, 2) for part in self._parts())
        mixed: Tensor = self.out(F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2))
        return mixed

    def _parts(self) -> tuple[nn.Module, nn.Module, nn.Module]:
        return self.query, self.key, self.value
