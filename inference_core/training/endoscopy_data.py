"""Endoscopy frames to train on: simulated ones with their depth, and real ones from any folder of pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inference_core.errors import UserError
from inference_core.image.visible_area import Mask, text_area, visible_area
from inference_core.simulation.colon.dataset.dataset import CARD
from inference_core.simulation.colon.dataset.frames import ColonFrames
from inference_core.training.frame_crops import CropConfig, check_crops, cut, draw_real, draw_simulated

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
LEAST_REAL = 4
LEAST_COLOUR = 3.0  # of 255; mean difference between the channels of a frame that is not grey
LOOKED_AT = 200  # frames in which text is searched
TAKE_OUT = "Take it out of the folder."


@dataclass(frozen=True)
class Batch:
    """Crops of simulated frames.

    Attributes
    ----------
    rgb : (N, 3, S, S) float32 tensor
        0 to 1.
    depth : (N, 1, S, S) float32 tensor
        mm along the camera's axis, 0 where there is none.
    known : (N, 1, S, S) bool tensor
        Where there is a depth, and the frame shows what lies there.
    fold : (N, 1, S, S) bool tensor
        Folds that the frame shows.
    """

    rgb: Tensor
    depth: Tensor
    known: Tensor
    fold: Tensor


class SimulatedFrames:
    """Frames that ``simulate-colon`` wrote, with their depth.

    Parameters
    ----------
    folder : Path
        One dataset, or a folder of datasets.
    split : str
        ``train``, ``validation`` or ``test``.
    crops : CropConfig

    Raises
    ------
    UserError
        ``small-frame``, or what :class:`~inference_core.simulation.colon.dataset.frames.ColonFrames` raises.
    """

    def __init__(self, folder: Path, split: str, crops: CropConfig) -> None:
        check_crops(crops)
        self.crops = crops
        self.frames = ColonFrames(folder, split=split)
        self._shown = {str(path): _shown(path) for path in self.frames.datasets}
        for path, shown in self._shown.items():
            if min(shown.shape) < crops.size:
                raise _too_small(Path(path), shown.shape, crops.size)

    def __len__(self) -> int:
        return len(self.frames)

    def draw(self, count: int, rng: np.random.Generator) -> Batch:
        """Random crops of random frames."""
        return self._batch([int(rng.integers(len(self))) for _ in range(count)], rng)

    def spread(self, count: int) -> Batch:
        """Crops of frames from first to last, the same at each call: to look at and to validate on."""
        numbers = np.linspace(0, len(self) - 1, min(count, len(self))).round().astype(int)
        return self._batch([int(k) for k in numbers], np.random.default_rng(0))

    def _batch(self, numbers: list[int], rng: np.random.Generator) -> Batch:
        rgbs, depths, knowns, folds = [], [], [], []
        for number in numbers:
            frame = self.frames[number]
            rgb, depth = frame["rgb"], frame["depth"]
            crop = draw_simulated(depth.shape, self.crops, rng)
            rgbs.append(cut(rgb, crop, smooth=True))
            depths.append(cut(depth, crop, smooth=False))
            shown = self._shown[frame["dataset"]]
            knowns.append(cut(shown & (depth > 0), crop, smooth=False))
            folds.append(cut(shown & (frame["mask"] > 0), crop, smooth=False))
        maps = (torch.from_numpy(np.stack(one))[:, None] for one in (depths, knowns, folds))
        return Batch(as_tensor(rgbs), *maps)


def held_out(folder: Path, crops: CropConfig) -> SimulatedFrames | None:
    """The frames of the split validation; None where there are none."""
    try:
        return SimulatedFrames(folder, "validation", crops)
    except UserError as error:
        if error.code == "no-dataset":
            return None
        raise


class RealFrames:
    """Frames in a folder, with what of each shows the patient.

    Parameters
    ----------
    folder : Path
        Pictures (.png, .jpg, ...) of one style, in colour; or what simulate-colon wrote in the look to be given.
    crops : CropConfig

    Attributes
    ----------
    paths : list of Path
        Frames that crops are drawn from.
    left_out : list of Path
        Frames that show too little of the patient for a crop.

    Raises
    ------
    UserError
        ``no-such-folder``, ``few-frames``, ``bad-frame``, ``grey-frame``, ``small-frame``, ``border``.
    """

    def __init__(self, folder: Path, crops: CropConfig) -> None:
        check_crops(crops)
        self.crops = crops
        paths = frame_paths(folder)
        shapes = {path: _check_frame(path, crops.size) for path in paths}
        looked_at = sorted(set(shapes.values())) if crops.least_visible else []
        texts = {shape: text_area(_some([p for p in paths if shapes[p] == shape])) for shape in looked_at}
        self.paths: list[Path] = []
        self.left_out: list[Path] = []
        self._visible: list[tuple[NDArray[np.uint8], tuple[int, int]]] = []
        for path in paths:
            shape = shapes[path]
            visible = self._of(path, texts.get(shape))
            if draw_real(visible, crops, np.random.default_rng(0)) is None:
                self.left_out.append(path)
            else:
                self.paths.append(path)
                self._visible.append((np.packbits(visible), shape))
        if len(self.paths) < LEAST_REAL:
            raise UserError(
                "border",
                f"Only {len(self.paths)} frames of {folder} have a place for a crop beside borders and text.",
                "Give a smaller crops.real_share, or crops.least_visible=0 to take frames with their borders.",
            )

    def __len__(self) -> int:
        return len(self.paths)

    def draw(self, count: int, rng: np.random.Generator) -> Tensor:
        """Random crops of random frames, (N, 3, S, S) float32 from 0 to 1."""
        return self._crops([int(rng.integers(len(self))) for _ in range(count)], rng)

    def spread(self, count: int) -> Tensor:
        """Crops of frames from first to last, the same at each call."""
        numbers = np.linspace(0, len(self) - 1, min(count, len(self))).round().astype(int)
        return self._crops([int(k) for k in numbers], np.random.default_rng(0))

    def _crops(self, numbers: list[int], rng: np.random.Generator) -> Tensor:
        crops = []
        for number in numbers:
            packed, shape = self._visible[number]
            visible = np.unpackbits(packed, count=shape[0] * shape[1]).reshape(shape).astype(bool)
            crop = draw_real(visible, self.crops, rng)
            assert crop is not None
            crops.append(cut(read_frame(self.paths[number]), crop, smooth=True))
        return as_tensor(crops)

    def _of(self, path: Path, text: Mask | None) -> Mask:
        if not self.crops.least_visible:
            return np.ones(read_frame(path).shape[:2], bool)
        visible = visible_area(read_frame(path))
        return visible if text is None else visible & ~text


def frame_paths(folder: Path) -> list[Path]:
    """The pictures in a folder, by name; of what simulate-colon wrote, the RGB frames of the split train.

    Raises
    ------
    UserError
        ``no-such-folder`` or ``few-frames``, or what reading a dataset raises.
    """
    if not folder.is_dir():
        raise UserError("no-such-folder", f"{folder} is not a folder.", "Give the folder that your frames lie in.")
    made = next(folder.rglob(CARD), None) is not None
    folders = [path / "rgb" for path in ColonFrames(folder, split="train").datasets] if made else [folder]
    there = sorted(path for one in folders for path in one.iterdir())
    paths = [p for p in there if p.suffix.lower() in SUFFIXES and not p.name.startswith(".")]
    if len(paths) < LEAST_REAL:
        raise UserError(
            "few-frames",
            f"{folder} holds {len(paths)} pictures: too few to learn a look from.",
            f"Give a folder of at least {LEAST_REAL} frames ({', '.join(SUFFIXES)}), better of hundreds; folders in it"
            " are not searched.",
        )
    return paths


def read_frame(path: Path) -> NDArray[np.uint8]:
    """A picture as (H, W, 3) uint8.

    Raises
    ------
    UserError
        ``bad-frame`` or ``grey-frame``.
    """
    from PIL import Image

    try:
        with Image.open(path) as image:
            grey = image.mode not in ("RGB", "RGBA", "RGBX", "P", "PA", "CMYK", "YCbCr", "HSV", "LAB")
            rgb = np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:  # as Pillow raises for damage
        raise UserError("bad-frame", f"{path} cannot be read as a picture.", TAKE_OUT) from error
    if grey:
        raise _grey(path)
    return rgb


def as_tensor(images: list[NDArray[np.uint8]]) -> Tensor:
    """(S, S, 3) uint8 arrays as one (N, 3, S, S) float32 tensor from 0 to 1."""
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous().float() / 255


def vary_look(rgb: Tensor, rng: np.random.Generator) -> Tensor:
    """Each frame in a look of its own: brightness, contrast, colours, noise; shapes stay.

    Parameters
    ----------
    rgb : (N, 3, H, W) tensor
        0 to 1.
    rng : Generator

    Returns
    -------
    (N, 3, H, W) tensor, 0 to 1
    """
    varied = []
    for frame in rgb:
        mix = np.diag(rng.uniform(0.7, 1.3, 3)) + rng.uniform(-0.15, 0.15, (3, 3))
        gamma, noise = rng.uniform(0.7, 1.5), rng.uniform(0, 0.04)
        colours = torch.einsum("ij,jhw->ihw", torch.from_numpy(mix).to(frame), frame).clamp(0, 1)
        grain = torch.from_numpy(rng.standard_normal(frame.shape, np.float32)).to(frame)
        varied.append((colours**gamma + noise * grain).clamp(0, 1))
    return torch.stack(varied)


def _some(paths: list[Path]) -> Any:
    """Frames spread over the paths, read one by one."""
    return (read_frame(path) for path in paths[:: -(-len(paths) // LOOKED_AT)])


def _check_frame(path: Path, size: int) -> tuple[int, int]:
    """A frame's height and width, where networks can learn from it."""
    rgb = read_frame(path)
    if min(rgb.shape[:2]) < size:
        raise _too_small(path, rgb.shape[:2], size)
    lit = rgb[rgb.max(axis=2) > 0].astype(np.int16)
    if not len(lit) or np.ptp(lit, axis=1).mean() < LEAST_COLOUR:
        raise _grey(path)
    return rgb.shape[0], rgb.shape[1]


def _grey(path: Path) -> UserError:
    return UserError("grey-frame", f"{path} has no colour.", f"Frames in colour are learned from. {TAKE_OUT}")


def _too_small(path: Path, shape: tuple[int, ...], size: int) -> UserError:
    return UserError(
        "small-frame",
        f"{path} has {shape[1]} x {shape[0]} pixels, which is smaller than the crops of {size}.",
        f"{TAKE_OUT} Or give a smaller crops.size.",
    )


def _shown(dataset: Path) -> Mask:
    """Where the appearance's black frame lets the picture be seen."""
    from PIL import Image

    try:
        with Image.open(dataset / "visible.png") as image:
            return np.asarray(image.convert("L")) > 0
    except (OSError, SyntaxError, ValueError) as error:
        message = f"{dataset / 'visible.png'} is missing or damaged."
        raise UserError("bad-dataset", message, "Make the dataset again.") from error
