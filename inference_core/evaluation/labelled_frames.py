"""Frames with true folds to test segmenters on: simulated datasets, or pictures that people have labelled.

A folder of manual labels::

    images/NAME.png or .jpg     frames in colour, of any size
    masks/NAME.png              of the same size: 0 where there is no fold

Masks hold 0 and one other value (255 as a rule), or a number or a colour a fold. Where each mask of the folder has one
value at most beside 0, its connected parts are taken for the folds. Frames whose names are the same up to the last
``_`` are of one patient (``HCULB_00012_0451.jpg``: HCULB_00012).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from inference_core.errors import UserError
from inference_core.segmenter.components import components
from inference_core.segmenter.segment import where_visible
from inference_core.simulation.colon.dataset.frames import ColonFrames

IMAGES, MASKS = "images", "masks"
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
MOST_FOLDS = 100
"""In a frame; a mask of more values was smoothed or saved with losses."""


@dataclass(frozen=True)
class LabelledFrame:
    """A frame and its true folds.

    Attributes
    ----------
    colon : str
        Or patient: frames of one resemble each other.
    name : str
        Of the frame, within the set.
    rgb : (H, W, 3) uint8
    instances : (H, W) int32
        Numbers of folds, 0 where there is none; in simulated frames, 0 behind a black frame too.
    visible : (H, W) bool
        Where segmenters may mark folds: False behind a black frame, which manual labels stand for as they are.
    """

    colon: str
    name: str
    rgb: NDArray[np.uint8]
    instances: NDArray[np.int32]
    visible: NDArray[np.bool_]


class LabelledFrames(Protocol):
    """Frames by their place."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int) -> LabelledFrame: ...


def open_frames(folder: Path, split: str | None = "test") -> LabelledFrames:
    """An evaluation set.

    Parameters
    ----------
    folder : Path
        Of ``simulate-colon`` or ``translate``, or of manual labels.
    split : str, optional
        Of the simulated colons; None: all. Manual labels have no splits: all of them are taken.

    Raises
    ------
    UserError
        ``no-such-folder``, ``no-labels``, ``bad-mask``, ``bad-frame``, or what reading a dataset raises.
    """
    if not folder.is_dir():
        raise UserError("no-such-folder", f"{folder} is not a folder.", "Name one that holds labelled frames.")
    if (folder / IMAGES).is_dir() or (folder / MASKS).is_dir():
        return ManualFrames(folder)
    return SimulatedFrames(folder, split)


class SimulatedFrames:
    """Of one dataset, or of all datasets below a folder."""

    def __init__(self, folder: Path, split: str | None) -> None:
        self._root = folder
        self._frames = ColonFrames(folder, split)

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int) -> LabelledFrame:
        frame = self._frames[index]
        path = Path(frame["dataset"])
        instances = np.where(frame["visible"], frame["instances"], 0).astype(np.int32)
        name = f"{path.relative_to(self._root).as_posix()}/{frame['frame']:06d}".removeprefix("./")
        return LabelledFrame(path.name, name, frame["rgb"], instances, frame["visible"])


class ManualFrames:
    """Pictures that people have labelled."""

    def __init__(self, folder: Path) -> None:
        self._pairs = _pairs(folder)
        self._numbered = any(len(_values(_read_mask(mask))) > 1 for _, mask in self._pairs)

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, index: int) -> LabelledFrame:
        image, path = self._pairs[index]
        rgb, mask = _read(image, "RGB"), _read_mask(path)
        if mask.shape != rgb.shape[:2]:
            raise UserError(
                "bad-mask",
                f"{path} is {_size(mask)} pixels, its frame {image.name} is {_size(rgb)}.",
                "Save the mask at the size of its frame.",
            )
        if self._numbered:
            instances = np.searchsorted(_values(mask), mask, side="right").astype(np.int32)
        else:
            instances, _ = components(mask > 0)
        patient = image.stem.rpartition("_")[0] or image.stem
        return LabelledFrame(patient, image.stem, rgb, instances, where_visible(rgb))


def _pairs(folder: Path) -> list[tuple[Path, Path]]:
    """Frames and their masks, by name."""
    images, masks = _by_name(folder / IMAGES), _by_name(folder / MASKS)
    if not images:
        raise UserError("no-labels", f"{folder / IMAGES} holds no picture.", f"Put frames there, masks into {MASKS}.")
    lonely = sorted(set(images) ^ set(masks))
    if lonely:
        frames = [name for name in lonely if name in images]
        what = f"{len(frames)} frames have no mask" if frames else f"{len(lonely)} masks have no frame"
        first = ", ".join((frames or lonely)[:3])
        raise UserError(
            "no-labels",
            f"In {folder} {what}, first: {first}.",
            f"Frame and mask have one name: {IMAGES}/NAME.jpg, {MASKS}/NAME.png. Without folds, the mask is black.",
        )
    return [(images[name], masks[name]) for name in sorted(images)]


def _by_name(folder: Path) -> dict[str, Path]:
    there: dict[str, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.suffix.lower() not in SUFFIXES or path.name.startswith("."):
            continue
        if path.stem in there:
            raise UserError("no-labels", f"{there[path.stem]} and {path} have one name.", "Keep one of them.")
        there[path.stem] = path
    return there


def _read_mask(path: Path) -> NDArray[Any]:
    """(H, W) whole numbers, 0 where there is no fold; a colour becomes a number."""
    if path.suffix.lower() in (".jpg", ".jpeg"):
        raise UserError("bad-mask", f"{path} is a JPEG, which changes values.", "Save masks as PNG.")
    mask = _read(path)
    if mask.ndim == 3:  # of a colour a fold; what a fourth channel says of transparency is no label
        channels = mask[..., : 1 if mask.shape[2] == 2 else 3].astype(np.int64)
        mask = channels @ (256 ** np.arange(channels.shape[2]))
    if mask.dtype.kind not in "biu":
        raise UserError("bad-mask", f"{path} does not hold whole numbers.", "Save it as an 8-bit PNG.")
    if len(_values(mask)) > MOST_FOLDS:
        raise UserError(
            "bad-mask",
            f"{path} has {len(_values(mask))} different values: it was smoothed, scaled or saved with losses.",
            "Save it with 0 and 255, or with a number a fold, as PNG.",
        )
    return mask.astype(np.int64)


def _values(mask: NDArray[Any]) -> NDArray[Any]:
    found = np.unique(mask)
    return found[found != 0]


def _read(path: Path, mode: str | None = None) -> NDArray[Any]:
    from PIL import Image

    try:
        with Image.open(path) as image:
            # The numbers of a palette are the folds', not its colours.
            return np.asarray(image.convert(mode) if mode else image)
    except (OSError, SyntaxError, ValueError) as error:
        raise UserError("bad-frame", f"{path} is damaged or no picture.", "Save it again, or remove it.") from error


def _size(pixels: NDArray[Any]) -> str:
    return f"{pixels.shape[1]} x {pixels.shape[0]}"


def check_sets(sets: Sequence[tuple[str, LabelledFrames]]) -> None:
    """Read all frames once, so that a damaged one is told before hours of work.

    Raises
    ------
    UserError
        What reading raises.
    """
    for _, frames in sets:
        for k in range(len(frames)):
            frames[k]
