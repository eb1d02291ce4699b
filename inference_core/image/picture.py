"""A slice before, after, and their difference, as one PNG."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_core.image.volume import Volume
from inference_core.image.windows import WINDOWS, window_level

PANEL = 512  # pixels; smaller slices are enlarged by whole factors to about this
BAR = 28  # pixels of caption above a panel
GAP = 6


def write_comparison(before: Volume, after: Volume, path: Path, index: int | None = None) -> None:
    """Write before | after | difference of one slice.

    Parameters
    ----------
    before, after : Volume
        On one grid.
    path : Path
        PNG.
    index : int, optional
        Slice; default: the middle one.

    Raises
    ------
    OSError
    """
    from PIL import Image, ImageDraw, ImageFont

    index = len(before.voxels) // 2 if index is None else index
    one, two = (_upright(v.voxels[index].astype(np.float32), v) for v in (before, after))
    wide, narrow = WINDOWS["temporal bone"], WINDOWS["difference"]
    panels = [
        ("before", one, wide),
        ("after (DENOISED, research use)", two, wide),
        ("difference: after - before", two - one, narrow),
    ]
    factor = max(1, round(PANEL / max(one.shape)))
    height, width = (n * factor for n in one.shape)
    picture = Image.new("L", (3 * width + 2 * GAP, height + BAR), 0)
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(size=14)
    for k, (name, image, window) in enumerate(panels):
        x = k * (width + GAP)
        gray = Image.fromarray(_gray(image, window)).resize((width, height), Image.Resampling.NEAREST)
        picture.paste(gray, (x, BAR))
        w, level = window_level(*window)
        draw.text((x + 6, 6), f"{name}   W {w:g} L {level:g} HU", fill=230, font=font)
    picture.save(path, format="PNG", optimize=True)


def _gray(image: NDArray[np.float32], window: tuple[float, float]) -> NDArray[np.uint8]:
    low, high = window
    gray: NDArray[np.uint8] = (np.clip((image - low) / (high - low), 0, 1) * 255 + 0.5).astype(np.uint8)
    return gray


def _upright(image: NDArray[Any], volume: Volume) -> NDArray[Any]:
    """Turn an axial slice the radiologist's way: patient's left on the right, front on top."""
    direction = np.reshape(volume.direction, (3, 3))
    if direction[0, 0] < -0.5:
        image = image[:, ::-1]
    if direction[1, 1] < -0.5:
        image = image[::-1]
    return image
