"""Frames with their folds to train a segmenter on: single, or pairs of a simulated frame and its translated twin."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inference_core.errors import UserError
from inference_core.simulation.colon.dataset.dataset import CARD
from inference_core.simulation.colon.dataset.frames import ColonFrames, read_frame
from inference_core.training.endoscopy_augment import change_look, draw_covers
from inference_core.training.fold_touch import fold_touch
from inference_core.training.frame_crops import Crop, CropConfig, check_crops, cut, draw_simulated

KEPT_BYTES = 1 << 30
"""Frames are read once and kept as uint8 until they take so much; what is beyond is read each time."""

Frame = NDArray[np.uint8]
Labels = NDArray[Any]


@dataclass(frozen=True)
class FoldBatch:
    """Crops of frames, each in V versions: one, or a simulated one and its twin.

    Attributes
    ----------
    rgb : (N, V, 3, S, S) float32 tensor
        -1 to 1.
    fold : (N, S, S) bool tensor
        Where a fold is seen.
    touch : (N, S, S) bool tensor
        Where another fold is near (:func:`~inference_core.training.fold_touch.fold_touch`).
    """

    rgb: Tensor
    fold: Tensor
    touch: Tensor


class FoldFrames:
    """Frames of one folder of datasets, or of two that show the same.

    Parameters
    ----------
    folders : list of Path
        One or two; each a dataset that simulate-colon or translate wrote, or a folder of such datasets. Twins are
        datasets of one name and frames of one number.
    split : str
        ``train`` or ``validation``.
    crops : CropConfig
        ``simulated_share`` is what counts of the two shares.

    Raises
    ------
    UserError
        ``folders``, ``twins``, ``small-frame``, ``crop``, or what
        :class:`~inference_core.simulation.colon.dataset.frames.ColonFrames` raises.
    """

    def __init__(self, folders: list[Path], split: str, crops: CropConfig) -> None:
        if len(folders) not in (1, 2):
            raise UserError(
                "folders",
                f"{len(folders)} folders of data are given.",
                "Give data= one folder of datasets, or two: simulated frames, and the same frames translated.",
            )
        check_crops(crops)
        self.crops = crops
        self.versions = [ColonFrames(folder, split=split) for folder in folders]
        self._order = _twins(self.versions) if len(folders) == 2 else [(k,) for k in range(len(self.versions[0]))]
        self._kept: dict[int, tuple[list[Frame], Labels]] = {}
        self._kept_bytes = 0
        for path in self.versions[0].datasets:
            size = _settings(path)["size"]
            if size < crops.size:
                raise UserError(
                    "small-frame",
                    f"{path} has frames of {size} pixels, which is smaller than the crops of {crops.size}.",
                    "Give a smaller crops.size, or take it out of the folder.",
                )

    def __len__(self) -> int:
        return len(self._order)

    def draw(self, count: int, rng: np.random.Generator) -> FoldBatch:
        """Random crops of random frames, as an endoscope might show them.

        Parameters
        ----------
        count : int
            Images, all versions counted; a multiple of the number of versions.
        rng : Generator
        """
        frames: list[list[Frame]] = []
        folds, touches = [], []
        for _ in range(count // len(self.versions)):
            pictures, labels = self._read(int(rng.integers(len(self))))
            seen, instances = self._view(pictures, labels, rng)
            frames.append(seen)
            folds.append(instances > 0)
            touches.append(fold_touch(instances))
        fold, touch = (torch.from_numpy(np.stack(maps)) for maps in (folds, touches))
        return FoldBatch(as_values(np.stack([np.stack(seen) for seen in frames])), fold, touch)

    def _view(self, pictures: list[Frame], labels: Labels, rng: np.random.Generator) -> tuple[list[Frame], Labels]:
        """One crop, turn and cover for all versions; the look is each one's own."""
        crop = draw_simulated(labels.shape, self.crops, rng)
        opaque, strokes, drawn = draw_covers(self.crops.size, rng)
        over = (opaque | strokes)[..., None]
        seen = []
        for picture in pictures:
            image = change_look(np.divide(cut(picture, crop, smooth=True), 255, dtype=np.float32), rng)
            seen.append(np.rint(255 * np.where(over, drawn, image)).astype(np.uint8))
        return seen, np.where(opaque, 0, cut(labels, crop, smooth=False))

    def whole(self, number: int, size: int) -> tuple[Tensor, NDArray[np.bool_]]:
        """A frame as it is, (V, 3, size, size) from -1 to 1, and its folds, (size, size)."""
        pictures, labels = self._read(number)
        crop = Crop(0, 0, len(labels), size)
        return as_values(np.stack([cut(one, crop, smooth=True) for one in pictures])), cut(labels, crop, False) > 0

    def spread(self, count: int) -> list[int]:
        """Numbers of frames from first to last."""
        return [int(k) for k in np.linspace(0, len(self) - 1, min(count, len(self))).round()]

    def _read(self, number: int) -> tuple[list[Frame], Labels]:
        """All versions of a frame, and the numbers of its folds where it is seen, 0 elsewhere."""
        if number in self._kept:
            return self._kept[number]
        found = [frames[k] for frames, k in zip(self.versions, self._order[number], strict=True)]
        visible = np.logical_and.reduce([one["visible"] for one in found])
        labels = np.where(visible, found[0]["instances"], 0).astype(np.uint16)
        read = [one["rgb"] for one in found], labels
        taken = labels.nbytes + sum(picture.nbytes for picture in read[0])
        if self._kept_bytes + taken <= KEPT_BYTES:
            self._kept[number] = read
            self._kept_bytes += taken
        return read


def held_out(folders: list[Path], crops: CropConfig) -> FoldFrames | None:
    """The frames of the split validation; None where a folder has none."""
    try:
        return FoldFrames(folders, "validation", crops)
    except UserError as error:
        if error.code == "no-dataset":
            return None
        raise


def as_values(pictures: Frame) -> Tensor:
    """(..., H, W, 3) uint8 as a (..., 3, H, W) float32 tensor from -1 to 1."""
    return torch.from_numpy(pictures).movedim(-1, -3).float() / 127.5 - 1


def _twins(versions: list[ColonFrames]) -> list[tuple[int, ...]]:
    """For each frame of the first, its number in the first and its twin's in the second.

    Labels are compared before a run starts, so that none ends amid its steps.
    """
    simulated, translated = (_by_name(frames) for frames in versions)
    apart = sorted(set(simulated) ^ set(translated))
    if apart:
        raise _no_twins(f"Only one of the two folders has {', '.join(apart[:5])}.")
    order: list[tuple[int, ...]] = []
    for name, (path, start) in simulated.items():
        twin, twin_start = translated[name]
        one, other = _settings(path), _settings(twin)
        for what in ("size", "frames"):
            if one[what] != other[what]:
                raise _no_twins(f"{what} of {name} is {one[what]} in one folder and {other[what]} in the other.")
        for number in range(one["frames"]):
            if not _same_folds(path, twin, number, one["size"]):
                raise _no_twins(f"The folds of {name}, frame {number}, are not the same in the two folders.")
            order.append((start + number, twin_start + number))
    return order


def _by_name(frames: ColonFrames) -> dict[str, tuple[Path, int]]:
    """Each dataset, and the number of its first frame, by the dataset's folder name."""
    counts = [_settings(path)["frames"] for path in frames.datasets]
    starts = np.cumsum([0, *counts[:-1]]).tolist()
    named = {path.name: (path, start) for path, start in zip(frames.datasets, starts, strict=True)}
    if len(named) < len(frames.datasets):
        raise _no_twins("Two datasets of one folder have the same name.")
    return named


def _same_folds(one: Path, other: Path, number: int, size: int) -> bool:
    """Whether two datasets have the same folds in a frame; translate copies these files byte for byte."""
    files = [path / "instances" / f"{number:06d}.png" for path in (one, other)]
    if all(file.is_file() for file in files) and files[0].read_bytes() == files[1].read_bytes():
        return True
    first, second = (read_frame(path, number, size)["instances"] for path in (one, other))
    return np.array_equal(first, second)


def _settings(dataset: Path) -> dict[str, int]:
    """``size`` and ``frames`` of a dataset."""
    settings = json.loads((dataset / CARD).read_text(encoding="utf-8"))["settings"]
    return {"size": int(settings["size"]), "frames": int(settings["frames"])}


def _no_twins(message: str) -> UserError:
    return UserError(
        "twins",
        message,
        "Give data= a folder of simulated datasets and what translate made of that same folder, unchanged.",
    )
