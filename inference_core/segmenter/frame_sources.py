"""Where frames come from: a video, a folder of pictures, or a dataset of ``simulate-colon`` or ``translate``."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from inference_core.errors import UserError
from inference_core.image.visible_area import Mask, text_area
from inference_core.simulation.colon.dataset.dataset import CAMERAS, CARD, VISIBLE

Rgb = NDArray[np.uint8]
Look = Callable[[int], None]
Warn = Callable[[str], None]

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
LOOKED_AT = 60  # frames in which text is searched
TEXT_SIDE = 480  # pixels of short side, at least, in which it is


@dataclass(frozen=True)
class Frame:
    """A frame of a source.

    Attributes
    ----------
    number : int
        From 0 on; a picture that cannot be read leaves a gap.
    rgb : (H, W, 3) uint8
    time_s : float or None
        Since the source's time 0.
    name : str
        Of its file; empty in a video.
    stamp, lasts : int or None
        Of a video: when it is shown, and for how long, in the video's own unit of time.
    """

    number: int
    rgb: Rgb
    time_s: float | None = None
    name: str = ""
    stamp: int | None = None
    lasts: int | None = None


LONGEST = 8
"""Times its short side that a picture may be long; a strip would be enlarged to more than memory holds."""


class Source(Protocol):
    """Frames in their order.

    Attributes
    ----------
    count : int
        Of frames; known after :meth:`survey`.
    """

    kind: str
    name: str
    count: int

    def survey(self, look: Look) -> None:
        """Look through the frames once, before anything is made of them; ``look`` hears how many are done."""

    def frames(self, warn: Warn) -> Iterator[Frame]:
        """Frames one by one; ``warn`` hears of those that cannot be read."""

    def hidden(self, shape: tuple[int, ...]) -> Mask | None:
        """Where frames of a size show other things than the patient, beside the black border that each has."""

    def visible(self) -> Mask | None:
        """Where frames show the patient, if that is known without looking."""


@dataclass
class Pictures:
    """A folder of pictures."""

    paths: list[Path]
    name: str
    kind: str = "pictures"
    times: list[float] | None = None
    shown: Mask | None = None
    count: int = 0
    _text: dict[tuple[int, ...], Mask | None] = field(default_factory=dict)

    def survey(self, look: Look) -> None:
        """Count the pictures; search text in those of one size."""
        from PIL import Image

        self.count = len(self.paths)
        if self.shown is not None:
            return
        by_shape: dict[tuple[int, ...], list[Path]] = {}
        for path in self.paths:
            try:
                with Image.open(path) as image:
                    by_shape.setdefault((image.height, image.width), []).append(path)
            except Exception:  # told when its turn comes
                continue
        done = 0
        for shape, paths in by_shape.items():
            self._text[shape] = text_in(_readable(some(paths)), shape)
            done += len(paths)
            look(done)

    def frames(self, warn: Warn) -> Iterator[Frame]:
        """Pictures by name; those that cannot be read are left out."""
        read = 0
        for number, path in enumerate(self.paths):
            try:
                rgb = read_picture(path)
            except UserError as error:
                warn(f"{error.message} It is left out.")
                continue
            read += 1
            yield Frame(number, rgb, self.times[number] if self.times else None, path.name)
        if not read:
            raise UserError(
                "no-frames", f"None of the {self.count} pictures of {self.name} can be read.", "Give other pictures."
            )

    def hidden(self, shape: tuple[int, ...]) -> Mask | None:
        """Text that lies over many pictures of this size."""
        return self._text.get(shape)

    def visible(self) -> Mask | None:
        """What a dataset says of its frames."""
        return self.shown


def open_source(path: Path) -> Source:
    """The frames of a path.

    Raises
    ------
    UserError
        ``no-such-file``, ``no-frames``, ``several-datasets``, ``bad-dataset``; ``missing-package`` or ``bad-video``.
    """
    if not path.exists():
        raise UserError("no-such-file", f"{path} does not exist.", "Give a video or a folder of pictures.")
    if path.is_dir():
        return _dataset(path) if (path / CARD).exists() else _folder(path)
    if path.suffix.lower() in SUFFIXES:
        return Pictures([path], path.name)
    from inference_core.segmenter.video import Video

    return Video(path)


def read_picture(path: Path) -> Rgb:
    """A picture as (H, W, 3) uint8; grey ones with three equal channels.

    Raises
    ------
    UserError
        ``bad-frame``: damaged, of other than 8 bits, or a strip that no endoscope took.
    """
    from PIL import Image

    try:
        with Image.open(path) as image:
            if max(image.size) > LONGEST * min(image.size):
                raise UserError(
                    "bad-frame", f"{path.name} is no frame: {image.width} x {image.height} pixels.", "Take it out."
                )
            if image.mode[0] in "IF":  # 16 bits and more; Pillow would clip them
                raise ValueError(image.mode)
            return np.array(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:  # as Pillow raises for damage
        raise UserError("bad-frame", f"{path.name} cannot be read as a picture of 8 bits.", "Take it out.") from error


def text_in(frames: Iterable[Rgb], shape: tuple[int, ...]) -> Mask | None:
    """Where text often lies over frames of one size; large ones are reduced to look for it."""
    step = max(1, min(shape[:2]) // TEXT_SIDE)
    found = text_area(_reduced(frame, step) for frame in frames)
    if found is None or not found.any():
        return None
    return found.repeat(step, 0).repeat(step, 1)[: shape[0], : shape[1]]


def some(things: list[Any]) -> list[Any]:
    """Those that text is searched in, spread over all."""
    return things[:: -(-len(things) // LOOKED_AT)]


def natural(name: str) -> list[tuple[bool, int, str]]:
    """For sorting: frame10 after frame9."""
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in re.split(r"([0-9]+)", name.lower())]


def _folder(path: Path) -> Pictures:
    paths = [file for file in path.iterdir() if file.suffix.lower() in SUFFIXES and not file.name.startswith(".")]
    if paths:
        return Pictures(sorted(paths, key=lambda file: (natural(file.name), file.name)), path.name)
    datasets = sorted(card.parent for card in path.rglob(CARD))
    if datasets:
        raise UserError(
            "several-datasets",
            f"{path} holds {len(datasets)} datasets.",
            f"Give them one by one, such as {datasets[0]}.",
        )
    raise UserError(
        "no-frames", f"{path} holds no picture ({', '.join(SUFFIXES)}).", "Give the folder that your frames lie in."
    )


def _dataset(path: Path) -> Pictures:
    from inference_core.simulation.colon.dataset.frames import ColonFrames

    ColonFrames(path)  # complete, and of a version that we read
    poses = json.loads((path / CAMERAS).read_text(encoding="utf-8"))["frames"]
    paths = [path / "rgb" / f"{k:06d}.png" for k in range(len(poses))]
    missing = [file for file in paths if not file.is_file()]
    if missing:
        raise UserError("bad-dataset", f"{missing[0]} is missing.", "Make the dataset again: it makes what is missing.")
    shown = read_picture(path / VISIBLE)[..., 0] > 0
    return Pictures(paths, path.name, "dataset", [float(pose["time_s"]) for pose in poses], shown)


def _readable(paths: list[Path]) -> Iterator[Rgb]:
    for path in paths:
        try:
            yield read_picture(path)
        except UserError:
            continue


def _reduced(rgb: Rgb, step: int) -> Rgb:
    from PIL import Image

    return rgb if step == 1 else np.asarray(Image.fromarray(rgb).reduce(step))
