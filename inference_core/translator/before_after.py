"""Frames in columns, in rows their looks, as one picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_core.image.writing import write_aside
from inference_core.simulation.colon.sheet import FAINT, GAP, GROUND, INK, MARGIN

TILE = 192  # pixels
HEADER, CAPTION, FOOTER, SIDE = 70, 24, 40, 150
MOVED = (255, 92, 92)

Rgb = NDArray[np.uint8]


def write_before_after(path: Path, rows: dict[str, list[Rgb]], captions: list[str], title: str, subtitle: str) -> None:
    """Draw rows of frames.

    Parameters
    ----------
    path : Path
        PNG.
    rows : dict
        By name, (H, W, 3) uint8 frames, as many as there are captions.
    captions : list of str
        Of columns; one that begins with ``!`` is drawn red, without it.
    title, subtitle : str

    Raises
    ------
    UserError
        ``write-failed``.
    """
    from PIL import Image, ImageDraw, ImageFont

    width = max(900, 2 * MARGIN + SIDE + len(captions) * (TILE + GAP) - GAP)
    height = MARGIN + HEADER + CAPTION + len(rows) * (TILE + GAP) - GAP + FOOTER
    sheet = Image.new("RGB", (width, height), GROUND)
    draw = ImageDraw.Draw(sheet)
    large, medium, small = (ImageFont.load_default(size=size) for size in (25, 15, 13))
    draw.text((MARGIN, MARGIN - 6), title, fill=INK, font=large)
    draw.text((MARGIN, MARGIN + 28), subtitle, fill=FAINT, font=small)
    top, left = MARGIN + HEADER, MARGIN + SIDE
    for k, caption in enumerate(captions):
        place = (left + k * (TILE + GAP) + TILE / 2, top + CAPTION - 9)
        ink = MOVED if caption.startswith("!") else FAINT
        draw.text(place, caption.removeprefix("!"), fill=ink, font=small, anchor="ms")
    for r, (name, frames) in enumerate(rows.items()):
        y = top + CAPTION + r * (TILE + GAP)
        _draw_name(draw, (MARGIN, y + TILE / 2), name, medium)
        for k, frame in enumerate(frames):
            tile: Any = Image.fromarray(frame)
            tile.thumbnail((TILE, TILE), Image.Resampling.LANCZOS)
            if max(tile.size) < TILE:
                factor = TILE / max(tile.size)
                tile = tile.resize((round(tile.width * factor), round(tile.height * factor)), Image.Resampling.BICUBIC)
            sheet.paste(tile, (left + k * (TILE + GAP) + (TILE - tile.width) // 2, y + (TILE - tile.height) // 2))
    note = "Faithful Imaging · simulated, research use only"
    draw.text((width - MARGIN, height - 16), note, fill=FAINT, font=small, anchor="rs")
    write_aside(path, lambda aside: sheet.save(aside, format="PNG"))


def _draw_name(draw: Any, place: tuple[float, float], name: str, font: Any) -> None:
    """In as many lines as it takes."""
    lines = [""]
    for letter in name:
        if draw.textlength(lines[-1] + letter, font=font) > SIDE - 10:
            lines.append("")
        lines[-1] += letter
    for k, line in enumerate(lines):
        y = place[1] + 19 * (k - (len(lines) - 1) / 2)
        draw.text((place[0], y), line.strip(), fill=INK, font=font, anchor="lm")
