"""A dataset's folder for translated frames: its card, and the copies of all that is not translated."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_core import __version__
from inference_core.errors import UserError
from inference_core.models.card import FrameCard
from inference_core.models.engines import Engine
from inference_core.scratch import scratch_folder
from inference_core.simulation.colon.dataset.dataset import CAMERAS, CARD, DEPTH_FLOAT, PICTURES

LABELS = tuple(name for name in PICTURES if name != "rgb")
WHOLE = (CAMERAS, "visible.png")
IF_THERE = ("surface.vtp", "centreline.vtp")


def translated_card(source: Path, card: FrameCard, engine: Engine) -> dict[str, Any]:
    """What stands in the ``dataset.json`` of a translated dataset, all but when it was made.

    Raises
    ------
    UserError
        ``bad-dataset``.
    """
    theirs = json.loads((source / CARD).read_text(encoding="utf-8"))
    if "translated" in theirs:
        raise UserError("translated-before", f"{source} is translated already.", "Give the simulated dataset itself.")
    settings = theirs["settings"]
    appearance = settings["appearance"]
    suffix = "onnx" if engine.name == "onnxruntime" else "safetensors"
    return {
        **{name: value for name, value in theirs.items() if name != "complete"},
        "what": f"Simulated colonoscopy ({appearance}) translated by the model {card.id}: a network made the pictures;"
        " depth, folds and cameras are the simulation's, copied byte for byte. Research use only.",
        "settings": {
            **settings,
            "appearance": f"{appearance}, translated by {card.id}",
            "depth_float": bool(settings.get("depth_float", False)),
        },
        "appearance": {"name": f"{appearance}, translated by {card.id}", "of_the_source": theirs.get("appearance")},
        "translated": {
            "model": {"id": card.id, "sha256": card.sha256[suffix], "file": suffix},
            "engine": engine.name,
            "source": {
                "appearance": appearance,
                "sha256_card": _sha256([source / CARD]),
                "sha256_rgb": _sha256(source / "rgb" / f"{k:06d}.png" for k in range(settings["frames"])),
            },
            "software": {"name": "faithful-imaging", "version": __version__},
            "structure": "structure.json",
        },
        "files": {
            **theirs.get("files", {}),
            "structure.json": "how far edges moved in each frame",
            "before_after.png": "some frames before and after",
        },
    }


def made_at(out: Path) -> str | None:
    """When the finished run that left its card in ``out`` was made."""
    try:
        return str(json.loads((out / CARD).read_text(encoding="utf-8"))["translated"]["at"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def copy_labels(source: Path, out: Path, aside: Path, number: int, depth_float: bool) -> None:
    """Copy a frame's depth, mask and instances; ``aside`` is a folder on the output's disk."""
    files = [f"{kind}/{number:06d}.png" for kind in LABELS]
    for file in [*files, f"{DEPTH_FLOAT}/{number:06d}.npy"] if depth_float else files:
        _copy(source / file, out / file, aside / file.replace("/", "-"))


def copy_rest(source: Path, out: Path) -> None:
    """Copy what belongs to all frames."""
    with scratch_folder(out) as aside:
        for name in (*WHOLE, *IF_THERE):
            if name in WHOLE or (source / name).exists():
                _copy(source / name, out / name, aside / name)


def read_visible(folder: Path, size: int) -> NDArray[np.bool_]:
    """Where a dataset's black frame lets the picture be seen, (size, size).

    Raises
    ------
    UserError
        ``bad-dataset``.
    """
    from PIL import Image

    path = folder / "visible.png"
    try:
        with Image.open(path) as image:
            visible = np.asarray(image.convert("L")) > 0
    except (OSError, SyntaxError, ValueError) as error:
        raise UserError("bad-dataset", f"{path} is missing or damaged.", "Make the dataset again.") from error
    if visible.shape != (size, size):
        raise UserError("bad-dataset", f"{path} is not of {size} x {size} pixels.", "Make the dataset again.")
    return visible


def _copy(source: Path, to: Path, aside: Path) -> None:
    if not source.is_file():
        raise UserError("bad-dataset", f"{source} is missing.", "Make the simulated dataset again.")
    shutil.copyfile(source, aside)
    os.replace(aside, to)


def _sha256(files: Any) -> str:
    digest = hashlib.sha256()
    for file in files:
        try:
            digest.update(file.read_bytes())
        except OSError as error:
            raise UserError("bad-dataset", f"{file} is missing.", "Make the simulated dataset again.") from error
    return digest.hexdigest()
