"""Frames, their true folds and what segmenters marked, as one picture in the endoscopy paper's colours.

Each true fold has a colour; a segment has that of the true fold it matches; white is a segment that matches none.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_core.evaluation.labelled_frames import LabelledFrame
from inference_core.image.instance_colours import painted
from inference_core.image.writing import write_aside
from inference_core.measurement.segmentation import match_instances
from inference_core.simulation.colon.sheet import FAINT, GAP, GROUND, INK, MARGIN

Rgb = NDArray[np.uint8]

TILE = 160  # pixels
HEADER, CAPTION, FOOTER, SIDE = 70, 40, 40, 170


def truth_picture(truth: NDArray[np.int32]) -> Rgb:
    """True folds, each in a colour, (H, W, 3)."""
    return painted(_numbered(truth))


def segments_picture(labels: NDArray[np.int32], truth: NDArray[np.int32]) -> Rgb:
    """Segments in the colours of the true folds they match, white where they match none, (H, W, 3)."""
    truth = _numbered(truth)
    match = match_instances(labels, truth)
    most = int(truth.max(initial=0))
    number = np.zeros(int(labels.max(initial=0)) + 1, np.int32)
    for segment in match.segments:
        number[segment] = match.matches.get(segment, most + 1)
    return painted(number[labels], white=[most + 1])


def write_pictures(
    path: Path, shown: list[tuple[str, LabelledFrame]], segments: dict[str, list[NDArray[np.int32]]]
) -> None:
    """Draw rows: frame, truth, each method.

    Parameters
    ----------
    path : Path
        PNG.
    shown : list of (set, LabelledFrame)
        Columns.
    segments : dict
        By method, labels of each of these frames.

    Raises
    ------
    UserError
        ``write-failed``.
    """
    from PIL import Image, ImageDraw, ImageFont

    rows = {"frame": [frame.rgb for _, frame in shown], "truth": [truth_picture(frame.instances) for _, frame in shown]}
    for method, labels in segments.items():
        rows[method] = [segments_picture(one, frame.instances) for one, (_, frame) in zip(labels, shown, strict=True)]
    width = max(1000, 2 * MARGIN + SIDE + len(shown) * (TILE + GAP) - GAP)
    sheet = Image.new("RGB", (width, MARGIN + HEADER + CAPTION + len(rows) * (TILE + GAP) - GAP + FOOTER), GROUND)
    draw = ImageDraw.Draw(sheet)
    large, medium, small = (ImageFont.load_default(size=size) for size in (25, 15, 12))
    draw.text((MARGIN, MARGIN - 6), "Folds: truth and segmenters", fill=INK, font=large)
    said = "A segment has the colour of the true fold that it overlaps by more than half (IoU); white: it matches none."
    draw.text((MARGIN, MARGIN + 28), said, fill=FAINT, font=small)
    left, top = MARGIN + SIDE, MARGIN + HEADER + CAPTION
    for k, (data, frame) in enumerate(shown):
        where = f"{frame.colon} {frame.name.rpartition('/')[2]}" if frame.colon not in frame.name[:-7] else frame.name
        for line, text in enumerate((data, where)):
            place = (left + k * (TILE + GAP) + TILE / 2, top - 22 + 15 * line)
            draw.text(place, _cut(draw, text, TILE, small), fill=FAINT, font=small, anchor="ms")
    for r, (name, pictures) in enumerate(rows.items()):
        y = top + r * (TILE + GAP)
        draw.text((MARGIN, y + TILE / 2), _cut(draw, name, SIDE - 10, medium), fill=INK, font=medium, anchor="lm")
        for k, picture in enumerate(pictures):
            # Labels are enlarged without mixing, so that no colour is seen that stands for nothing.
            tile = _fitted(Image.fromarray(picture), Image.Resampling.BICUBIC if r == 0 else Image.Resampling.NEAREST)
            place_x = left + k * (TILE + GAP) + (TILE - tile.width) // 2
            sheet.paste(tile, (place_x, y + (TILE - tile.height) // 2))
    note = "Faithful Imaging · research use only"
    draw.text((width - MARGIN, sheet.height - 16), note, fill=FAINT, font=small, anchor="rs")
    write_aside(path, lambda aside: sheet.save(aside, format="PNG"))


def _numbered(truth: NDArray[np.int32]) -> NDArray[np.int32]:
    """Folds of a frame as 1 ... n: neighbours in number have colours that are far apart."""
    _, numbers = np.unique(np.append(truth.ravel(), 0), return_inverse=True)  # 0 comes first, there or not
    return numbers[:-1].reshape(truth.shape).astype(np.int32)


def _fitted(tile: Any, resample: Any) -> Any:
    factor = TILE / max(tile.size)
    return tile.resize((max(1, round(tile.width * factor)), max(1, round(tile.height * factor))), resample)


def _cut(draw: Any, text: str, width: float, font: Any) -> str:
    """The text, its beginning replaced by dots where it is too long."""
    if draw.textlength(text, font=font) <= width:
        return text
    while text and draw.textlength("…" + text, font=font) > width:
        text = text[1:]
    return "…" + text
