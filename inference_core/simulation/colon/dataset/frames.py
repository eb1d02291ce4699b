"""Read labelled endoscopy frames back, for training or for looking: numpy in, numpy out, split by colon."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_core.errors import UserError
from inference_core.scratch import PREFIX
from inference_core.simulation.colon.dataset.dataset import CAMERAS, CARD, DEPTH_STEPS, PICTURES, VISIBLE

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class _Folder:
    path: Path
    card: dict[str, Any]
    cameras: dict[str, Any]


class ColonFrames:
    """Frames of one dataset, or of all datasets below a folder; a map-style dataset for a torch DataLoader as well.

    Parameters
    ----------
    folder : Path
        One that ``simulate-colon`` wrote, or one with such folders in it, at any depth.
    split : {"train", "validation", "test"}, optional
        Only the datasets of this split. All frames of a colon belong to one split.

    Raises
    ------
    UserError
        ``no-dataset``; ``bad-dataset`` for a folder that is unfinished, damaged or of another version; ``mixed-splits``
        where one colon is in two splits.
    """

    def __init__(self, folder: Path | str, split: str | None = None) -> None:
        root = Path(folder)
        if split is not None and split not in SPLITS:
            raise UserError("split", f"There is no split {split!r}.", f"Choose one of {', '.join(SPLITS)}.")
        cards = [root / CARD] if (root / CARD).exists() else sorted(root.rglob(CARD))
        cards = [card for card in cards if not card.parent.name.startswith(PREFIX)]  # left by a killed run
        if not cards:
            raise UserError("no-dataset", f"{root} holds no {CARD}.", "Name a folder that simulate-colon wrote.")
        folders = [_read_folder(card.parent) for card in cards]
        _check_splits(folders)
        self._folders = [found for found in folders if split in (None, found.card["split"])]
        if not self._folders:
            known = ", ".join(sorted({found.card["split"] for found in folders}))
            raise UserError(
                "no-dataset", f"{root} holds no colon of the split {split}.",
                f"It has: {known}. Choose one where the command takes --split, or all.",
            )  # fmt: skip
        self._seen: dict[Path, NDArray[np.bool_]] = {}
        self._index = [(found, number) for found in self._folders for number in range(len(found.cameras["frames"]))]

    def __len__(self) -> int:
        return len(self._index)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """One frame.

        Returns
        -------
        dict
            ``rgb`` (H, W, 3) uint8, ``depth`` (H, W) float32 mm (0: none), ``mask`` (H, W) bool, ``instances`` (H, W)
            int32, ``visible`` (H, W) bool (False behind a black frame, where labels go on), ``camera_to_world`` (4, 4)
            float64, ``intrinsics`` (3, 3) float64, ``camera_model`` "pinhole" or "fisheye" (whose rays the intrinsics
            alone do not give: see :func:`~inference_core.simulation.colon.rendering.camera.pixel_rays`), ``time_s``
            float, ``dataset``, ``split`` and ``appearance`` str, ``frame`` int.

        Raises
        ------
        UserError
            ``bad-dataset`` for a file that is missing or damaged.
        """
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        folder, number = self._index[index]
        camera, pose = folder.cameras["camera"], folder.cameras["frames"][number]
        intrinsics = [[camera["fx"], 0, camera["cx"]], [0, camera["fy"], camera["cy"]], [0, 0, 1]]
        return {
            **read_frame(folder.path, number, folder.card["settings"]["size"]),
            "camera_to_world": np.array(pose["camera_to_world"]),
            "visible": self._visible(folder),
            "intrinsics": np.array(intrinsics, np.float64),
            "camera_model": camera["model"],
            "time_s": float(pose["time_s"]),
            "dataset": str(folder.path),
            "split": folder.card["split"],
            "appearance": folder.card["settings"]["appearance"],
            "frame": number,
        }

    def _visible(self, folder: _Folder) -> NDArray[np.bool_]:
        if folder.path not in self._seen:
            self._seen[folder.path] = _read(folder.path / VISIBLE, folder.card["settings"]["size"]) > 0
        return self._seen[folder.path]

    @property
    def datasets(self) -> list[Path]:
        """Folders that the frames come from, in order."""
        return [folder.path for folder in self._folders]

    def check(self) -> None:
        """Read every frame once.

        Raises
        ------
        UserError
            ``bad-dataset`` for the first file that is missing, damaged, or does not fit the others.
        """
        for index in range(len(self)):
            frame = self[index]
            if not np.array_equal(frame["mask"], frame["instances"] > 0):
                where = Path(frame["dataset"]) / "mask" / f"{frame['frame']:06d}.png"
                raise _bad(f"{where} and the fold numbers of that frame do not agree.")


def read_frame(folder: Path, number: int, size: int) -> dict[str, NDArray[Any]]:
    """The four pictures of a frame: ``rgb``, ``depth``, ``mask``, ``instances`` as :class:`ColonFrames` gives them.

    Raises
    ------
    UserError
        ``bad-dataset``.
    """
    rgb, depth, mask, instances = (_read(folder / kind / f"{number:06d}.png", size) for kind in PICTURES)
    return {
        "rgb": rgb,
        "depth": depth.astype(np.float32) / np.float32(DEPTH_STEPS),
        "mask": mask > 0,
        "instances": instances.astype(np.int32),  # torch has few operations for 16 bits without a sign
    }


def read_depth(folder: Path, number: int, size: int) -> NDArray[np.float32]:
    """The depth of a frame alone, mm.

    Raises
    ------
    UserError
        ``bad-dataset``.
    """
    return _read(folder / "depth" / f"{number:06d}.png", size).astype(np.float32) / np.float32(DEPTH_STEPS)


def read_shown(path: Path, size: int) -> NDArray[np.bool_]:
    """A picture of yes and no, such as a mask.

    Raises
    ------
    UserError
        ``bad-dataset``.
    """
    return _read(path, size) > 0


def _read_folder(path: Path) -> _Folder:
    card, cameras = _read_json(path / CARD), _read_json(path / CAMERAS)
    try:
        if not card["complete"]:
            raise UserError(
                "bad-dataset", f"{path} is unfinished.", "Give the simulate-colon command again: it goes on there."
            )
        frames, size, split = card["settings"]["frames"], card["settings"]["size"], card["split"]
        mesh, appearance, poses = card["mesh"]["sha256"], card["settings"]["appearance"], cameras["frames"]
        camera = [float(cameras["camera"][name]) for name in ("fx", "fy", "cx", "cy")]
        lens = str(cameras["camera"]["model"])
        whole = np.array([pose["camera_to_world"] for pose in poses], float).shape == (frames, 4, 4)
    except (KeyError, TypeError, ValueError) as error:
        raise _bad(f"{path / CARD} or {CAMERAS} lacks {error}.") from error
    if not whole or split not in SPLITS or not (size and mesh and appearance and lens and all(camera)):
        raise _bad(f"{path / CARD} and {CAMERAS} do not agree.")
    return _Folder(path, card, cameras)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _bad(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise _bad(f"{path} is damaged.") from error
    if not isinstance(content, dict):
        raise _bad(f"{path} is damaged.")
    return content


def _check_splits(folders: list[_Folder]) -> None:
    """A network must never be tested on a colon that it was trained on."""
    splits: dict[str, _Folder] = {}
    for folder in folders:
        other = splits.setdefault(folder.card["mesh"]["sha256"], folder)
        if other.card["split"] != folder.card["split"]:
            raise UserError(
                "mixed-splits",
                f"{other.path} ({other.card['split']}) and {folder.path} ({folder.card['split']}) show the same colon.",
                "Make them again with one --split, or keep them in separate folders.",
            )


def _read(path: Path, size: int) -> NDArray[Any]:
    from PIL import Image

    try:
        with Image.open(path) as image:
            pixels = np.array(image)
    except FileNotFoundError as error:
        raise _bad(f"{path} is missing.") from error
    except (OSError, SyntaxError, ValueError) as error:  # Pillow raises all three for damaged files
        raise _bad(f"{path} is damaged.") from error
    bytes_each = 2 if path.parent.name in ("depth", "instances") else 1
    if pixels.dtype.kind != "u" or pixels.dtype.itemsize != bytes_each:
        raise _bad(f"{path} does not hold {8 * bytes_each} bits a pixel.")
    colour = path.parent.name == "rgb"
    if pixels.ndim != 2 + colour:
        raise _bad(f"{path} is {'not ' if colour else ''}in colour.")
    if pixels.shape[:2] != (size, size):
        raise _bad(f"{path} is {pixels.shape[1]} x {pixels.shape[0]} pixels, not {size} x {size}.")
    return pixels


def _bad(message: str) -> UserError:
    return UserError(
        "bad-dataset",
        message,
        "Delete that file and give the simulate-colon command again: it makes what is missing.",
    )
