"""Slices of CT side by side as one PNG, each under a caption with its window."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_core.image.volume import Volume
from inference_core.image.windows import WINDOWS, window_level

PANEL = 512  # pixels; smaller slices are enlarged by whole factors to about this
BAR = 28  # pixels of caption above a panel
GAP = 6


@dataclass(frozen=True)
class Panel:
    """One slice of a picture.

    Attributes
    ----------
    name : str
    image : (H, W) array
        HU, the right way up (:func:`upright`).
    window : (lower, upper)
        HU shown as black and white.
    """

    name: str
    image: NDArray[Any]
    window: tuple[float, float]


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
    index = len(before.voxels) // 2 if index is None else index
    one, two = (upright(v.voxels[index].astype(np.float32), v) for v in (before, after))
    wide, narrow = WINDOWS["temporal bone"], WINDOWS["difference"]
    panels = [
        Panel("before", one, wide),
        Panel("after (DENOISED, research use)", two, wide),
        Panel("difference: after - before", two - one, narrow),
    ]
    write_panels(panels, path)


def write_panels(panels: list[Panel], path: Path, columns: int = 3) -> None:
    """Write slices of one size in rows of ``columns``.

    Raises
    ------
    OSError
    """
    from PIL import Image, ImageDraw, ImageFont

    shape = panels[0].image.shape
    factor = max(1, round(PANEL / max(shape)))
    height, width = (n * factor for n in shape)
    across = min(columns, len(panels))
    down = -(-len(panels) // across)
    size = (across * (width + GAP) - GAP, down * (height + BAR + GAP) - GAP)
    picture = Image.new("L", size, 0)
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(size=14)
    for k, panel in enumerate(panels):
        x, y = k % across * (width + GAP), k // across * (height + BAR + GAP)
        gray = Image.fromarray(_gray(panel.image, panel.window)).resize((width, height), Image.Resampling.NEAREST)
        picture.paste(gray, (x, y + BAR))
        w, level = window_level(*panel.window)
        draw.text((x + 6, y + 6), f"{panel.name}   W {w:g} L {level:g} HU", fill=230, font=font)
    picture.save(path, format="PNG", optimize=True)


def _gray(image: NDArray[Any], window: tuple[float, float]) -> NDArray[np.uint8]:
    low, high = window
    gray: NDArray[np.uint8] = (np.clip((image - low) / (high - low), 0, 1) * 255 + 0.5).astype(np.uint8)
    return gray


def upright(image: NDArray[Any], volume: Volume) -> NDArray[Any]:
    """Turn an axial slice the radiologist's way: patient's left on the right, front on top."""
    direction = np.reshape(volume.direction, (3, 3))
    if direction[0, 0] < -0.5:
        image = image[:, ::-1]
    if direction[1, 1] < -0.5:
        image = image[::-1]
    return image
