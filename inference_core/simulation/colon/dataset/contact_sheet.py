"""One picture of a dataset: a few frames, and under each its depth, its folds and their numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_core.image.instance_colours import painted
from inference_core.image.writing import write_aside
from inference_core.simulation.colon.sheet import FAINT, GAP, GROUND, INK, MARGIN

COLUMNS = 8
TILE = 192  # pixels
HEADER = 78
SIDE = 128  # room for the rows' names
CAPTION = 26
FOOTER = 66
FOLD = (64, 224, 208)
NEAR_TO_FAR = (  # perceptually even from light to dark (the anchors of the magma map of Smith and van der Walt, CC0)
    (252, 253, 191), (254, 202, 141), (253, 150, 104), (241, 96, 93), (205, 63, 113), (158, 47, 127), (114, 31, 129),
    (68, 15, 118), (24, 15, 61), (4, 4, 10),
)  # fmt: skip

Pixels = NDArray[np.uint8]


def write_contact_sheet(
    path: Path, frames: list[dict[str, Any]], visible: NDArray[np.bool_], title: str, subtitle: str, attribution: str
) -> None:
    """Draw frames in columns, in rows RGB, depth, folds, fold numbers.

    Parameters
    ----------
    path : Path
        PNG.
    frames : list of dict
        As :class:`~inference_core.simulation.colon.dataset.frames.ColonFrames` gives them, with ``caption``.
    visible : (H, W) bool
        Pixels that the picture shows; labels are shown there alone.
    title, subtitle, attribution : str

    Raises
    ------
    UserError
        ``write-failed``.
    """
    from PIL import Image, ImageDraw, ImageFont

    deepest = _nice(max((float(np.percentile(f["depth"], 99)) for f in frames), default=1.0))
    one_colour = np.broadcast_to(np.array(FOLD, np.uint8), (*visible.shape, 3))
    rows = [
        ("RGB", "the picture", [f["rgb"] for f in frames]),
        ("Depth", "along the axis", [colour_depth(f["depth"], deepest, visible) for f in frames]),
        ("Folds", "binary mask", [_over(f, one_colour, visible) for f in frames]),
        ("Instances", "one colour a fold", [_over(f, painted(f["instances"]), visible) for f in frames]),
    ]
    width = 2 * MARGIN + SIDE + len(frames) * (TILE + GAP) - GAP
    height = MARGIN + HEADER + CAPTION + len(rows) * (TILE + GAP) - GAP + FOOTER
    sheet = Image.new("RGB", (max(width, 900), height), GROUND)
    draw = ImageDraw.Draw(sheet)
    large, medium, small = (ImageFont.load_default(size=size) for size in (25, 16, 13))
    draw.text((MARGIN, MARGIN - 6), title, fill=INK, font=large)
    draw.text((MARGIN, MARGIN + 28), subtitle, fill=FAINT, font=small)
    top = MARGIN + HEADER
    left = MARGIN + SIDE
    for k, frame in enumerate(frames):
        centre = left + k * (TILE + GAP) + TILE / 2
        draw.text((centre, top + CAPTION - 9), frame["caption"], fill=FAINT, font=small, anchor="ms")
    for r, (name, meaning, pictures) in enumerate(rows):
        y = top + CAPTION + r * (TILE + GAP)
        draw.text((MARGIN, y + TILE / 2 - 4), name, fill=INK, font=medium, anchor="ls")
        draw.text((MARGIN, y + TILE / 2 + 14), meaning, fill=FAINT, font=small, anchor="ls")
        for k, picture in enumerate(pictures):
            tile = Image.fromarray(picture).resize((TILE, TILE), Image.Resampling.LANCZOS)
            sheet.paste(tile, (left + k * (TILE + GAP), y), _rounded())
    _draw_scale(sheet, draw, (left, height - FOOTER + 22), deepest, small)
    draw.text(
        (sheet.width - MARGIN, height - FOOTER + 28),
        "Faithful Imaging · simulated, research use only",
        fill=FAINT,
        font=small,
        anchor="rs",
    )
    corner = (sheet.width - MARGIN, height - FOOTER + 47)
    draw.text(corner, f"Colon: {attribution}", fill=FAINT, font=small, anchor="rs")
    write_aside(path, lambda aside: sheet.save(aside, format="PNG", optimize=True))


def chosen(frames: int) -> list[int]:
    """Which frames stand on the sheet: evenly over the way, its ends left out."""
    count = min(COLUMNS, frames)
    return [int((k + 0.5) * frames / count) for k in range(count)]


def colour_depth(depth: NDArray[np.float32], deepest: float, visible: NDArray[np.bool_]) -> Pixels:
    """Near is light, far is dark, evenly in mm; the ground's colour where there is none. (H, W, 3)."""
    place = np.clip(depth / deepest, 0, 1)
    anchors = np.linspace(0, 1, len(NEAR_TO_FAR))
    colours = np.stack([np.interp(place, anchors, channel) for channel in np.transpose(NEAR_TO_FAR)], axis=-1)
    return np.where(((depth > 0) & visible)[..., None], colours, GROUND).astype(np.uint8)


def _over(frame: dict[str, Any], colours: Pixels, visible: NDArray[np.bool_]) -> Pixels:
    """The picture in grey, dimmed, with each fold filled and its border drawn."""
    grey = frame["rgb"].astype(float) @ [0.30, 0.59, 0.11]
    dimmed = np.repeat((18 + 0.55 * grey)[..., None], 3, axis=-1)
    shown = frame["instances"] * visible
    border = np.zeros(shown.shape, bool)
    for axis in (0, 1):
        for step in (1, -1):
            border |= shown != np.roll(shown, step, axis)
    mixed = np.where((shown > 0)[..., None], 0.30 * dimmed + 0.70 * colours, dimmed)
    mixed = np.where((border & (shown > 0))[..., None], 0.4 * 255 + 0.6 * colours, mixed)
    return np.where(visible[..., None], mixed, GROUND).astype(np.uint8)


def _nice(depth: float) -> float:
    """A round number of mm that is not below."""
    round_ones = (20, 30, 40, 50, 60, 80, 100, 120, 150, 200, 250, 300)
    return float(next((number for number in round_ones if number >= depth), 350))


def _rounded() -> Any:
    from PIL import Image, ImageDraw

    mask = Image.new("L", (4 * TILE, 4 * TILE), 0)
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, 4 * TILE - 1, 4 * TILE - 1), radius=32, fill=255)
    return mask.resize((TILE, TILE), Image.Resampling.LANCZOS)


def _draw_scale(sheet: Any, draw: Any, place: tuple[int, int], deepest: float, font: Any) -> None:
    from PIL import Image

    x, y = place
    ramp = np.tile(np.linspace(1e-3, deepest, 2 * TILE, dtype=np.float32), (12, 1))
    sheet.paste(Image.fromarray(colour_depth(ramp, deepest, np.ones_like(ramp, bool))), (x, y + 3))
    draw.text((x - 10, y + 13), "0", fill=FAINT, font=font, anchor="rs")
    draw.text((x + 2 * TILE + 10, y + 13), f"{deepest:g} mm", fill=FAINT, font=font, anchor="ls")
