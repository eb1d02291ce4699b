"""``munit_translator``: one direction of MUNIT with one style, a translator of frames.

The content encoder of one look, the decoder of the other, and a style code that is kept with the weights: the
translation of a frame is then one picture, not a draw. Huang, Liu, Belongie, Kautz (ECCV 2018).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from inference_core.models.networks.munit_parts import ContentEncoder, Decoder, MunitGenerator, StyleMlp


class MunitTranslator(nn.Module):
    """Frame in, translated frame out.

    Parameters
    ----------
    width, style, blocks, hidden : int
        As of :class:`~inference_core.models.networks.munit_parts.MunitGenerator`.
    """

    factor = 4
    """Sides of an input are multiples of this."""
    sees_all = True
    """Norms take mean and variance of the whole image: tiles would differ from it."""

    def __init__(self, width: int = 64, style: int = 8, blocks: int = 4, hidden: int = 256) -> None:
        super().__init__()
        self.enc_content = ContentEncoder(width, blocks)
        self.dec = Decoder(width, blocks)
        self.mlp = StyleMlp(style, hidden, 2 * blocks, 4 * width)
        self.style = nn.Parameter(torch.zeros(1, style))

    def forward(self, image: Tensor) -> Tensor:
        """Translate.

        Parameters
        ----------
        image : (N, 3, H, W) tensor
            -1 ... 1; H and W multiples of 4, at least 8.

        Returns
        -------
        (N, 3, H, W) tensor, -1 ... 1
        """
        translated: Tensor = self.dec(self.enc_content(image), self.mlp(self.style))
        return translated


def translator_of(
    sizes: dict[str, Any], content: MunitGenerator, look: MunitGenerator, style: Tensor
) -> MunitTranslator:
    """Frames of the look of ``content`` into that of ``look``.

    Parameters
    ----------
    sizes : dict
        Arguments that both were made with.
    content, look : MunitGenerator
    style : (1, style) tensor
    """
    made = MunitTranslator(**sizes)
    made.enc_content.load_state_dict(content.enc_content.state_dict())
    made.dec.load_state_dict(look.dec.state_dict())
    made.mlp.load_state_dict(look.mlp.state_dict())
    with torch.no_grad():
        made.style.copy_(style)
    return made
