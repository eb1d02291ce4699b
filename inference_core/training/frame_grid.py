"""Frames side by side as one picture, to see how a run goes."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

GAP, BAR = 4, 20  # pixels between frames, and of a row's caption
NEAR, FAR = 2.0, 200.0  # mm; shown as white and as black
SHOWN = 160  # pixels; smaller frames are enlarged by whole factors to about this


def frame_grid(rows: dict[str, Tensor]) -> NDArray[np.uint8]:
    """Rows of frames, each under its caption.

    Parameters
    ----------
    rows : dict of (N, 3, H, W) tensors
        RGB from 0 to 1, all of one height and width.

    Returns
    -------
    (rows, columns, 3) uint8 array
    """
    from PIL import Image, ImageDraw, ImageFont

    across = max(len(frames) for frames in rows.values())
    height, width = next(iter(rows.values())).shape[2:]
    factor = max(1, round(SHOWN / max(height, width)))
    height, width = height * factor, width * factor
    picture = Image.new("RGB", (across * (width + GAP) - GAP, len(rows) * (height + BAR + GAP) - GAP))
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(size=13)
    for row, (caption, frames) in enumerate(rows.items()):
        y = row * (height + BAR + GAP)
        draw.text((4, y + 2), caption, fill=(230, 230, 230), font=font)
        for column, frame in enumerate(as_pictures(frames)):
            shown = Image.fromarray(frame).resize((width, height), Image.Resampling.NEAREST)
            picture.paste(shown, (column * (width + GAP), y + BAR))
    return np.asarray(picture)


def as_pictures(frames: Tensor) -> NDArray[np.uint8]:
    """(N, 3, H, W) from 0 to 1 as (N, H, W, 3) uint8, rounded."""
    levels = (255 * frames.detach().float().clamp(0, 1)).round()
    return levels.permute(0, 2, 3, 1).cpu().numpy().astype(np.uint8)


def depth_shades(depth: Tensor) -> Tensor:
    """Depth in mm, (N, 1, H, W), as grey frames from 0 to 1: near is bright, and none is black."""
    share = (depth.clamp(min=NEAR, max=FAR) / NEAR).log() / math.log(FAR / NEAR)
    return ((1 - share) * (depth > 0)).expand(-1, 3, -1, -1)
