"""A frame with its folds in colour, and a word where it is no view of a lumen."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_core.image.instance_colours import overlaid, painted

Rgb = NDArray[np.uint8]

INK, GROUND = (255, 220, 120), (0, 0, 0)


def overlay(rgb: Rgb, instances: NDArray[Any], reasons: tuple[str, ...] = ()) -> Rgb:
    """Draw a frame's folds over it.

    Parameters
    ----------
    rgb : (H, W, 3) uint8
    instances : (H, W) int array
        Lasting numbers; each has its colour.
    reasons : tuple of str
        Why it is no view of a lumen; written into its upper left corner.
    """
    drawn = overlaid(rgb, painted(instances)) if instances.any() else rgb.copy()
    if not reasons:
        return drawn
    from PIL import Image, ImageDraw, ImageFont

    picture = Image.fromarray(drawn)
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(size=max(9, round(min(rgb.shape[:2]) / 22)))
    text = f"no lumen view: {', '.join(reasons)}"
    left, top, right, bottom = draw.textbbox((4, 3), text, font=font)
    draw.rectangle((left - 3, top - 3, right + 3, bottom + 3), fill=GROUND)
    draw.text((4, 3), text, fill=INK, font=font)
    return np.asarray(picture)
