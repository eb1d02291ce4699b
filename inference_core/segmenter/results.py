"""A folder of segmented frames: what lies where, written so that a stopped run can go on.

::

    OUT/segmentation.json       model, settings, counts, warnings; "complete" is true when all else is there
    OUT/masks/000000.png        255 on folds
    OUT/instances/000000.png    16-bit lasting number of the fold, 0 off the folds
    OUT/overlay.mp4             of a video; of pictures OUT/overlays/000000.png
    OUT/folds.csv, frames.csv   one row a fold in a frame, one row a frame

Each file is written aside and moved into place. A frame's confidences stand in its instances' file too, beside a check
sum of the frame, so that what a network found once is not asked again.
"""

from __future__ import annotations

import csv
import json
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from inference_core.errors import UserError
from inference_core.scratch import PREFIX
from inference_core.segmenter.components import Labels
from inference_core.segmenter.frame_sources import Frame
from inference_core.simulation.colon.dataset.dataset import ZLIB_LEVEL, write_json, written

CARD = "segmentation.json"
FOLDERS = ("masks", "instances", "overlays")
OVERLAY, FOLDS, FRAMES = "overlay.mp4", "folds.csv", "frames.csv"
NOTE = "faithful-imaging"  # keyword of a PNG's text
IDS = 65535  # of 16 bits; numbers begin again after it

FOLD_COLUMNS = ("frame", "time_s", "fold", "pixels", "share", "centre_x", "centre_y", "confidence")
FRAME_COLUMNS = ("frame", "file", "time_s", "folds", "view", "reasons")


@dataclass(frozen=True)
class Found:
    """What was found in a frame.

    Attributes
    ----------
    labels : (H, W) int32 array
        Its folds, 0 where there is none.
    confidence : dict
        By number in ``labels``.
    reasons : tuple of str
        Why it is no view of a lumen.
    """

    labels: Labels
    confidence: dict[int, float]
    reasons: tuple[str, ...]


def start(out: Path, card: dict[str, Any], pictures: bool) -> None:
    """Make the folder, or go on in one that a run with the same model and input left.

    Raises
    ------
    UserError
        ``output-format``, ``no-such-folder``, ``not-writable``, ``folder``, ``other-run``, ``write-failed``.
    """
    if out.exists() and not out.is_dir():
        raise UserError("output-format", f"{out} is a file.", "Name a new folder.")
    if not out.parent.is_dir():
        raise UserError("no-such-folder", f"The folder {out.parent} does not exist.", "Make it first.")
    if not os.access(out if out.exists() else out.parent, os.W_OK):
        raise UserError("not-writable", f"{out} cannot be written.", "Choose a folder where you may write.")
    if (out / CARD).exists():
        _check_same(out, card)
    elif out.exists():
        foreign = [path.name for path in sorted(out.iterdir()) if not path.name.startswith(PREFIX)]
        if foreign:
            raise UserError("folder", f"{out} holds other files ({foreign[0]}).", "Name a new or an empty folder.")
    with written(out):
        for folder in FOLDERS if pictures else FOLDERS[:2]:
            (out / folder).mkdir(parents=True, exist_ok=True)
        write_json(out / CARD, {**card, "complete": False})


def _check_same(out: Path, card: dict[str, Any]) -> None:
    try:
        theirs = json.loads((out / CARD).read_text(encoding="utf-8"))
        differ = [f"{part}.{name}" for part in card for name in card[part] if card[part][name] != theirs[part][name]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError("folder", f"{out / CARD} cannot be read.", "Name a new or an empty folder.") from error
    if differ:
        raise UserError(
            "other-run",
            f"{out} holds a segmentation made otherwise: its {differ[0]} is another.",
            "Name another folder, or give the same input, model and settings.",
        )


def checksum(frame: Frame) -> str:
    """By which a frame is known again."""
    return f"{zlib.crc32(np.ascontiguousarray(frame.rgb).data):08x}-{frame.rgb.shape[1]}x{frame.rgb.shape[0]}"


def found_before(out: Path, frame: Frame) -> Found | None:
    """What an earlier run found in the same frame, if its file is whole."""
    from PIL import Image

    path = out / "instances" / f"{frame.number:06d}.png"
    if not path.exists():
        return None
    try:
        with Image.open(path) as image:
            labels = np.array(image).astype(np.int32)
            note = json.loads(image.text[NOTE])  # type: ignore[attr-defined]
        if note["frame"] != checksum(frame) or labels.shape != frame.rgb.shape[:2]:
            return None
        return Found(labels, {int(id): float(c) for id, c in note["confidence"].items()}, tuple(note["reasons"]))
    except (OSError, SyntaxError, ValueError, KeyError, TypeError, AttributeError):
        return None


def write_frame(out: Path, aside: Path, frame: Frame, found: Found, overlay: NDArray[np.uint8] | None) -> None:
    """Write a frame's pictures; ``aside`` is a folder on the same disk. The instances come last: with them it is done.

    Parameters
    ----------
    found : Found
        Under its lasting numbers.
    """
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    note = PngInfo()
    confidence = {str(id): round(value, 4) for id, value in sorted(found.confidence.items())}
    note.add_text(
        NOTE, json.dumps({"frame": checksum(frame), "confidence": confidence, "reasons": list(found.reasons)})
    )
    pictures: dict[str, Any] = {
        "masks": (found.labels > 0).astype(np.uint8) * np.uint8(255),
        "overlays": overlay,
        "instances": found.labels.astype(np.uint16),
    }
    for folder, pixels in pictures.items():
        if pixels is not None:
            name = f"{frame.number:06d}.png"
            Image.fromarray(pixels).save(
                aside / f"{folder}-{name}",
                format="PNG",
                compress_level=ZLIB_LEVEL,
                pnginfo=note if folder == "instances" else None,
            )
            os.replace(aside / f"{folder}-{name}", out / folder / name)


class Tables:
    """``folds.csv`` and ``frames.csv``, row by row, so that memory does not grow with a video."""

    def __init__(self, aside: Path) -> None:
        self.aside = aside
        self._files: list[IO[str]] = [
            (aside / name).open(
                "w", newline="", encoding="utf-8", errors="backslashreplace"
            )  # of names that are no UTF-8
            for name in (FOLDS, FRAMES)
        ]
        self._folds, self._frames = (csv.writer(file, lineterminator="\n") for file in self._files)
        self._folds.writerow(FOLD_COLUMNS)
        self._frames.writerow(FRAME_COLUMNS)

    def add(self, frame: Frame, found: Found) -> int:
        """Write a frame's rows; return how many folds it has."""
        time_s = "" if frame.time_s is None else f"{frame.time_s:.6f}"
        width = found.labels.shape[1]
        pixels = np.flatnonzero(found.labels)
        ids, place, sizes = np.unique(found.labels.ravel()[pixels], return_inverse=True, return_counts=True)
        where = pixels % width, pixels // width
        x, y = (np.bincount(place, values, len(ids)) / np.maximum(sizes, 1) for values in where)
        for k, id in enumerate(ids.tolist()):
            share = f"{sizes[k] / found.labels.size:.6f}"
            row = (f"{x[k]:.2f}", f"{y[k]:.2f}", f"{found.confidence[id]:.4f}")
            self._folds.writerow((frame.number, time_s, id, int(sizes[k]), share, *row))
        view = "no lumen view" if found.reasons else "lumen"
        self._frames.writerow((frame.number, frame.name, time_s, len(ids), view, "; ".join(found.reasons)))
        return len(ids)

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            file.close()


def remove_others(out: Path, numbers: set[int]) -> None:
    """Remove pictures of frames that this run has not made; they are of an earlier one."""
    for folder in FOLDERS:
        for path in (out / folder).glob("[0-9]*.png"):
            if path.stem.isdigit() and int(path.stem) not in numbers:
                path.unlink()
