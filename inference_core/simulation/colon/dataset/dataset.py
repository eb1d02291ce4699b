"""A folder of labelled endoscopy frames: what lies where, written so that a killed run can go on.

::

    OUT/dataset.json        what it is, from what, how made; "complete" is true when all frames are there
    OUT/cameras.json        intrinsics, and a camera-to-world matrix and time for each frame
    OUT/rgb/000000.png      8-bit RGB
    OUT/depth/000000.png    16-bit, 1/200 mm along the camera's axis, 0 where no wall is seen
    OUT/mask/000000.png     8-bit, 255 on folds
    OUT/instances/000000.png  16-bit number of the fold, 0 off the folds
    OUT/depth_float/000000.npy  float32 mm, on request
    OUT/visible.png         255 where the appearance's frame lets the picture be seen
    OUT/surface.vtp, centreline.vtp, contact_sheet.png

Each file is written aside and moved into place, so a file that has its name is whole.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inference_core.errors import UserError
from inference_core.image.writing import write_aside
from inference_core.scratch import PREFIX

if TYPE_CHECKING:
    from inference_core.simulation.colon.rendering.render import Frame

CARD = "dataset.json"
VISIBLE = "visible.png"
CAMERAS = "cameras.json"
FORMAT = 1
PICTURES = ("rgb", "depth", "mask", "instances")
DEPTH_FLOAT = "depth_float"
DEPTH_STEPS = 200  # of a 16-bit depth in a millimetre: 0.005 mm, up to 327 mm
ZLIB_LEVEL = 1  # higher ones cost three times as much and save a tenth
PNG_END = b"\x00\x00\x00\x00IEND\xaeB`\x82"


def frame_files(number: int, depth_float: bool) -> list[str]:
    """Paths of a frame's files within a dataset."""
    files = [f"{folder}/{number:06d}.png" for folder in PICTURES]
    return [*files, f"{DEPTH_FLOAT}/{number:06d}.npy"] if depth_float else files


def start(out: Path, card: dict[str, Any]) -> None:
    """Make the folder for a dataset, or go on in one that an unfinished run with the same settings left.

    Raises
    ------
    UserError
        ``no-such-folder``, ``output-format``, ``not-writable``; ``folder`` for one that holds something else;
        ``other-run`` for a dataset with other settings; ``write-failed``.
    """
    check_output(out)
    if (out / CARD).exists():
        _check_same(out, card)
    with written(out):
        for folder in (*PICTURES, *([DEPTH_FLOAT] if card["settings"]["depth_float"] else [])):
            (out / folder).mkdir(parents=True, exist_ok=True)
    if not (out / CARD).exists():
        write_card(out, card, complete=False)


def check_output(out: Path) -> None:
    """Refuse a place where no dataset can be written, before any work is done for it."""
    if out.exists() and not out.is_dir():
        raise UserError("output-format", f"{out} is a file.", "Name a new folder.")
    if not out.parent.is_dir():
        raise UserError("no-such-folder", f"The folder {out.parent} does not exist.", "Make it first.")
    if not os.access(out if out.exists() else out.parent, os.W_OK):
        raise UserError("not-writable", f"{out} cannot be written.", "Choose a folder where you may write.")
    if out.exists() and not (out / CARD).exists():
        foreign = [path.name for path in sorted(out.iterdir()) if not path.name.startswith(PREFIX)]
        if set(foreign) - {*PICTURES, DEPTH_FLOAT} or any(_files_in(out / name) for name in foreign):
            raise UserError("folder", f"{out} holds other files ({foreign[0]}).", "Name a new or an empty folder.")


def write_card(out: Path, card: dict[str, Any], complete: bool) -> None:
    """Write dataset.json; ``complete`` comes last, when all else is in place."""
    write_json(out / CARD, {**card, "complete": complete})


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write JSON whole or not at all; of a name that is no UTF-8, what it cannot say is escaped as JSON does."""
    text = json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    write_aside(path, lambda aside: aside.write_text(text, encoding="utf-8", errors="backslashreplace"))


def is_complete(out: Path) -> bool:
    """Whether a finished run left its card there."""
    return (out / CARD).exists() and bool(_read_card(out).get("complete"))


def missing_frames(out: Path, frames: int, size: int, depth_float: bool) -> list[int]:
    """Frames of which a file is not there or, after a crash of the computer, not whole."""
    return [
        number
        for number in range(frames)
        if not all(_is_whole(out / file, size) for file in frame_files(number, depth_float))
    ]


def write_frame(out: Path, aside: Path, number: int, frame: Frame, depth_float: bool) -> None:
    """Write a frame's files; ``aside`` is a folder on the same disk."""
    from PIL import Image

    images: dict[str, NDArray[Any]] = {
        "rgb": frame.rgb,
        "depth": depth_steps(frame.depth),
        "mask": frame.mask.astype(np.uint8) * np.uint8(255),
        "instances": frame.instances,
    }
    for folder, pixels in images.items():
        made = aside / f"{folder}-{number:06d}.png"
        Image.fromarray(pixels).save(made, format="PNG", compress_level=ZLIB_LEVEL)
        os.replace(made, out / folder / f"{number:06d}.png")
    if depth_float:
        made = aside / f"{number:06d}.npy"
        np.save(made, frame.depth)
        os.replace(made, out / DEPTH_FLOAT / made.name)


def depth_steps(depth: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Depth in mm as 16-bit steps of 1/200 mm; 0 stays none, and no wall that is seen becomes 0."""
    steps = np.clip(np.rint(depth * np.float32(DEPTH_STEPS)), 1, np.iinfo(np.uint16).max)
    return np.where(depth > 0, steps, 0).astype(np.uint16)


@contextmanager
def written(out: Path) -> Iterator[None]:
    """Tell plainly what stops a run from writing, and that nothing is lost."""
    try:
        yield
    except OSError as error:
        raise UserError(
            "write-failed",
            f"{error.filename or out} could not be written: {error.strerror}.",
            "Check the free space on that disk and your rights; the same command goes on where this run stopped.",
        ) from error


def _files_in(folder: Path) -> bool:
    return not folder.is_dir() or any(folder.iterdir())


def _is_whole(file: Path, size: int) -> bool:
    try:
        length = file.stat().st_size
        if file.suffix == ".npy":
            return length == 128 + 4 * size * size
        with file.open("rb") as stream:
            stream.seek(max(0, length - len(PNG_END)))
            return stream.read() == PNG_END
    except OSError:
        return False


def _read_card(out: Path) -> dict[str, Any]:
    try:
        card = json.loads((out / CARD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        card = None
    if not isinstance(card, dict):
        raise UserError("folder", f"{out / CARD} cannot be read.", "Name a new or an empty folder.")
    return card


def _check_same(out: Path, card: dict[str, Any]) -> None:
    """A folder is gone on with only if it would come out the same from the beginning."""
    theirs = _flat({**_read_card(out), "complete": None})
    mine = _flat(json.loads(json.dumps({**card, "complete": None})))
    differ = [name for name in {**mine, **theirs} if mine.get(name) != theirs.get(name)]
    if not differ:
        return
    name = min(differ, key=lambda name: (not name.startswith("settings"), differ.index(name)))
    raise UserError(
        "other-run",
        f"{out} holds a dataset made otherwise: its {name.removeprefix('settings.')} is"
        f" {json.dumps(theirs.get(name))}, not {json.dumps(mine.get(name))}.",
        "Name another folder, or delete this one, or give the command with the settings in its dataset.json.",
    )


def _flat(content: Any, name: str = "") -> dict[str, Any]:
    """Nested dicts as one, with dotted names."""
    if not isinstance(content, dict):
        return {name: content}
    flat: dict[str, Any] = {}
    for key, value in content.items():
        flat |= _flat(value, f"{name}.{key}" if name else key)
    return flat
