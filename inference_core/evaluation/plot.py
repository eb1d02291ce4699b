"""Curves over frequency as a PNG, drawn with Pillow alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

COLOURS = ("#000000", "#E69F00", "#0072B2", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#B8A800", "#7F7F7F", "#8B4513")
"""After Okabe and Ito: told apart by colour-blind readers too; the first curve is black."""
WIDTH, HEIGHT = 900, 520
LEFT, TOP, RIGHT, BOTTOM = 80, 44, 640, 460  # of the plot's own frame
SCALE = 2  # drawn larger and reduced, for smooth lines
DECADES = 5  # of the vertical axis at most
SMALLEST = 1e-9  # stands for zero


def write_curves(
    frequency: FloatArray, curves: Mapping[str, FloatArray], path: Path, title: str, x_label: str, y_label: str
) -> None:
    """Draw positive curves over one frequency axis, the vertical axis logarithmic.

    Parameters
    ----------
    frequency : (n,) array
    curves : mapping of (n,) arrays
        By name; the legend lists them in order.
    path : Path
        PNG.
    title, x_label, y_label : str

    Raises
    ------
    OSError
    """
    from PIL import Image, ImageDraw, ImageFont

    top = math.ceil(math.log10(max(SMALLEST, *(float(curve.max()) for curve in curves.values()))))
    lowest = max(SMALLEST, min(float(curve.min()) for curve in curves.values()))
    bottom = min(max(math.floor(math.log10(lowest)), top - DECADES), top - 1)
    end = float(frequency[-1])

    def place(x: float, y: float) -> tuple[float, float]:
        height = min(max((math.log10(max(y, SMALLEST)) - bottom) / (top - bottom), 0.0), 1.0)
        return SCALE * (LEFT + (RIGHT - LEFT) * x / end), SCALE * (BOTTOM - (BOTTOM - TOP) * height)

    picture = Image.new("RGB", (SCALE * WIDTH, SCALE * HEIGHT), "white")
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(size=14 * SCALE)

    def write(x: float, y: float, text: str, anchor: str) -> None:
        draw.text((x, y), text, fill="#202020", font=font, anchor=anchor)

    for exponent in range(bottom, top + 1):
        (x, y), (last, _) = place(0, 10.0**exponent), place(end, 1)
        draw.line([(x, y), (last, y)], fill="#DDDDDD", width=SCALE)
        write(x - 8 * SCALE, y, f"{10.0**exponent:g}", "rm")
    for tick in np.arange(0, end + 1e-9, 0.1 if end <= 1 else 0.2):
        x, y = place(float(tick), 10.0**bottom)
        draw.line([(x, y), (x, y + 5 * SCALE)], fill="#202020", width=SCALE)
        write(x, y + 8 * SCALE, f"{tick:.1f}", "mt")
    draw.rectangle([place(0, 10.0**top), place(end, 10.0**bottom)], outline="#202020", width=SCALE)
    for k, (name, curve) in enumerate(curves.items()):
        colour: Any = COLOURS[k % len(COLOURS)]
        points = [place(float(x), float(y)) for x, y in zip(frequency, curve, strict=True)]
        draw.line(points, fill=colour, width=2 * SCALE, joint="curve")
        y = SCALE * (TOP + 10 + 22 * k)
        draw.line([(SCALE * (RIGHT + 16), y), (SCALE * (RIGHT + 44), y)], fill=colour, width=3 * SCALE)
        write(SCALE * (RIGHT + 52), y, name, "lm")
    write(SCALE * LEFT, SCALE * 12, f"{title}   ({y_label})", "lt")
    write(SCALE * (LEFT + RIGHT) / 2, SCALE * (HEIGHT - 8), x_label, "mb")
    picture.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS).save(path, format="PNG", optimize=True)
