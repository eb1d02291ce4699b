"""``endofm_transunet``: the endoscopy paper's segmenter, TransUNet around the video transformer of Endo-FM.

Tomasini, Riazuelo, Murillo (SASHIMI 2024) take TransUNet (Chen et al., 2021) with the blocks of Endo-FM (Wang et al.,
MICCAI 2023), as Endo-FM's released code wires them: the class token and the blocks with their last normalisation are
Endo-FM's; the stem, the patch and position embeddings and the decoder are new. Names of parameters are those of that
code, so that its weights load as they are.

Two things differ from that code. It takes the batch for time, so that the frames of a batch see each other; here
``temporal_mode`` says which frames do. And it runs at 224 pixels only; here at any multiple of 16.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from inference_core.models.networks.timesformer_block import EPSILON, TimesformerBlock
from inference_core.models.networks.transunet_decoder import TransunetDecoder
from inference_core.models.networks.transunet_embeddings import TransunetEmbeddings, as_map

TEMPORAL_MODES = ("per_image", "pair", "clip")
DROP_PATH = 0.1  # of the last block; the first leaves nothing out


class EndofmTransunet(nn.Module):
    """Frames in, two class logits a pixel out.

    Parameters
    ----------
    image_size : int
        Pixels a side of a frame, a multiple of 16: 224 as in the released code, 256 as in the endoscopy paper.
    temporal_mode : str
        Which frames see each other. ``per_image``: none. ``pair``: in training, a simulated frame and its translated
        twin; in evaluation none, as a real frame has no twin. ``clip``: those of a clip.
    width, depth, heads : int
        Of the transformer.
    stem_width, stem_units
        Of the stem.
    first_width, decoder_widths
        Of the decoder.
    classes : int
        Background and fold.
    """

    def __init__(
        self,
        image_size: int = 224,
        temporal_mode: str = "per_image",
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
        if temporal_mode not in TEMPORAL_MODES:
            raise ValueError(f"temporal_mode is one of {', '.join(TEMPORAL_MODES)}, not {temporal_mode!r}.")
        self.frame_size = image_size
        self.factor = image_size
        self.temporal_mode = temporal_mode
        embeddings = TransunetEmbeddings(image_size, width, stem_width, stem_units)
        self.transformer = _Transformer(embeddings, TimesformerEncoder(width, depth, heads))
        skips = (8 * stem_width, 4 * stem_width, stem_width)
        self.decoder = TransunetDecoder(width, first_width, decoder_widths, skips)
        self.segmentation_head = nn.Sequential(nn.Conv2d(decoder_widths[-1], classes, 3, padding=1))

    def forward(self, frames: Tensor) -> Tensor:
        """Segment.

        Parameters
        ----------
        frames : (N, 3, H, W) or (N, T, 3, H, W) tensor
            N single frames, or N clips (or pairs) of T; RGB from -1 to 1, ``image_size`` pixels a side.

        Returns
        -------
        (N, classes, H, W) or (N, T, classes, H, W) tensor of logits.
        """
        seen = self._frames_that_see_each_other(frames)
        every = frames.reshape(-1, *frames.shape[-3:])
        tokens, skips = self.transformer.embeddings(every)
        tokens = tokens.reshape(-1, seen, *tokens.shape[1:])
        encoded = self.transformer.encoder(tokens).flatten(0, 1)
        logits: Tensor = self.segmentation_head(self.decoder(as_map(encoded), skips))
        return logits.reshape(*frames.shape[:-3], *logits.shape[1:])

    def _frames_that_see_each_other(self, frames: Tensor) -> int:
        if frames.ndim == 4 or self.temporal_mode == "per_image":
            return 1
        if self.temporal_mode == "clip":
            return frames.shape[1]
        if frames.shape[1] != 2:
            raise ValueError(f"A pair is two frames, not {frames.shape[1]}.")
        return 2 if self.training else 1


class _Transformer(nn.Module):
    """Two parts under the names that they have in checkpoints."""

    def __init__(self, embeddings: TransunetEmbeddings, encoder: TimesformerEncoder) -> None:
        super().__init__()
        self.embeddings = embeddings
        self.encoder = encoder


class TimesformerEncoder(nn.Module):
    """The blocks of Endo-FM with their class token and last normalisation.

    Parameters
    ----------
    width, depth, heads : int
        Of the tokens, blocks in a row, and heads of each attention.
    """

    def __init__(self, width: int, depth: int, heads: int) -> None:
        super().__init__()
        rates = torch.linspace(0, DROP_PATH, depth, device="cpu").tolist()
        self.layer = nn.ModuleList(TimesformerBlock(width, heads, rate) for rate in rates)
        self.encoder_norm = nn.LayerNorm(width, eps=EPSILON)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        nn.init.trunc_normal_(self.cls_token, std=0.02)
        for part in self.modules():
            if isinstance(part, nn.Linear):
                nn.init.trunc_normal_(part.weight, std=0.02)
                nn.init.zeros_(part.bias)
        for block in list(self.layer)[1:]:  # attention over time starts as none, but in the first block
            nn.init.zeros_(block.temporal_fc.weight)  # type: ignore[union-attr, arg-type]

    def forward(self, places: Tensor) -> Tensor:
        """Encode (clips, frames, places, width) tokens; the class token is dropped at the end."""
        token = self.cls_token.expand(len(places), 1, -1)
        for block in self.layer:
            token, places = block(token, places)
        encoded: Tensor = self.encoder_norm(places)
        return encoded
