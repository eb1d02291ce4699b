"""A model's card: what it is, what it takes, what it was trained on, how good it is and where it fails."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference_core.errors import UserError

TASKS = ("denoise-ct", "depth", "translate-frames", "segment-folds")
WEIGHTS = ("safetensors", "onnx")  # suffixes
BANDS = ("high", "whole")
OUTPUTS = ("residual", "image")


@dataclass(frozen=True)
class ModelCard:
    """What the cards of all models have; ``text`` holds all of a card.

    Attributes
    ----------
    id : str
        Name by which the model is found.
    task : str
        One of :data:`TASKS`.
    summary : str
        One line: what it is for.
    architecture, arguments
        File in :mod:`inference_core.models.networks`, and what its class is called with.
    multiple_of : int
        Input sides must be multiples of this.
    automatic : bool
        Whether a command may choose it by itself.
    sha256 : dict
        Of the files beside the card, by suffix (``safetensors``, ``onnx``).
    path : Path
        The card's own file.
    """

    id: str
    task: str
    summary: str
    architecture: str
    arguments: dict[str, Any]
    multiple_of: int
    automatic: bool
    sha256: dict[str, str]
    path: Path
    text: dict[str, Any]

    def file(self, suffix: str) -> Path:
        """The weights in one form (``safetensors`` or ``onnx``), checked against the card.

        Raises
        ------
        UserError
            ``model-incomplete`` or ``model-damaged``.
        """
        path = self.path.with_suffix(f".{suffix}")
        if suffix not in self.sha256 or not path.is_file():
            raise UserError(
                "model-incomplete",
                f"The model {self.id} has no {path.name} beside its card.",
                "Copy the model's three files (.json, .safetensors, .onnx) together.",
            )
        if sha256_of(path) != self.sha256[suffix]:
            raise UserError(
                "model-damaged",
                f"{path.name} is not the file that its card was written for (sha256 differs).",
                "Get the model again; do not use these weights.",
            )
        return path


@dataclass(frozen=True)
class Card(ModelCard):
    """Of a denoiser of CT (``denoise-ct``).

    Attributes
    ----------
    unit_hu : float
        HU per network unit.
    band : str
        What the network sees: ``high`` (the wavelet high band) or ``whole`` (the slice, counted from air).
    output : str
        What it gives: ``residual`` (to be added) or ``image`` (the same, translated).
    wavelet : str
        PyWavelets name of the wavelet of the split.
    wavelet_level : int
        Of the split whose high band the network sees.
    kept_level : int
        Of the finest low band that the result keeps, beside that of the split (3: what is coarser than 8 pixels).
        0: nothing is kept by construction, as in the papers, so CT numbers may move.
    halo : int
        The context in pixels that makes a tile exact.
    modality : str
    noise_hu : (low, high)
        Noise levels it was trained for.
    pixel_size_mm : (low, high)
        Pixel sizes it was trained for.
    """

    unit_hu: float
    band: str
    output: str
    wavelet: str
    wavelet_level: int
    kept_level: int
    halo: int
    modality: str
    noise_hu: tuple[float, float]
    pixel_size_mm: tuple[float, float]

    @property
    def kept_levels(self) -> tuple[int, ...]:
        """Levels of the low bands that the result keeps."""
        return tuple(sorted({self.wavelet_level, self.kept_level})) if self.kept_level else ()


@dataclass(frozen=True)
class FrameCard(ModelCard):
    """Of a network for endoscopy frames (``depth``, ``translate-frames``, ``segment-folds``).

    Attributes
    ----------
    values : (low, high)
        What 0 and 255 of a frame are to the network; of what it translates, too.
    size : int
        Side of the squares that it was trained on, pixels; of ``segment-folds``, of whole frames as it is to see them.
    """

    values: tuple[float, float]
    size: int


def read_card(path: Path) -> ModelCard:
    """Read a card.

    Raises
    ------
    UserError
        ``bad-card`` where it is no JSON or a field is missing or of the wrong kind.
    """
    try:
        return card_from(json.loads(path.read_text(encoding="utf-8")), path)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise UserError(
            "bad-card",
            f"{path} is not a model card: {type(error).__name__} {error}.",
            "Compare it with the cards that inference-core models lists.",
        ) from error


def card_from(text: dict[str, Any], path: Path) -> ModelCard:
    """The card of a JSON text that is, or will be, at ``path``: by its task a :class:`Card` or a :class:`FrameCard`.

    Raises
    ------
    ValueError, KeyError, TypeError
        Where a field is missing, of the wrong kind, or of a value that is not known.
    """
    if text["task"] not in TASKS:
        raise ValueError(f"task: {text['task']!r} is not one of {', '.join(TASKS)}")
    if not set(text["sha256"]) <= set(WEIGHTS):  # they become file names
        raise ValueError(f"sha256: only {' and '.join(WEIGHTS)} are files of a model")
    common: dict[str, Any] = {
        "id": str(text["id"]),
        "task": str(text["task"]),
        "summary": str(text["summary"]),
        "architecture": str(text["architecture"]["name"]),
        "arguments": dict(text["architecture"]["arguments"]),
        "multiple_of": int(text["input"]["multiple_of"]),
        "automatic": bool(text["automatic"]),
        "sha256": dict(text["sha256"]),
        "path": path,
        "text": text,
    }
    if common["multiple_of"] < 1:
        raise ValueError("input.multiple_of is from 1 on")
    return _ct_card(common) if text["task"] == "denoise-ct" else _frame_card(common)


def _ct_card(common: dict[str, Any]) -> Card:
    """The card of a denoiser, from the parts that all cards have, its text among them."""
    text = common["text"]
    trained_for = text["trained_for"]
    card = Card(
        **common,
        unit_hu=float(text["input"]["unit_hu"]),
        band=str(text["input"].get("band", "high")),
        output=str(text.get("output", "residual")),
        wavelet=str(text["input"]["wavelet"]),
        wavelet_level=int(text["input"]["wavelet_level"]),
        kept_level=int(text["input"]["kept_level"]),
        halo=int(text["input"]["halo"]),
        modality=str(trained_for["modality"]),
        noise_hu=_range(trained_for["noise_hu"]),
        pixel_size_mm=_range(trained_for["pixel_size_mm"]),
    )
    if not (card.unit_hu > 0 and 0 <= card.kept_level <= card.wavelet_level <= 8 and card.halo >= 1):
        raise ValueError("input: unit_hu, wavelet_level (1 to 8), kept_level or halo out of range")
    if card.wavelet_level < 1 or card.band not in BANDS or card.output not in OUTPUTS:
        raise ValueError(f"input.wavelet_level is from 1 on, input.band one of {BANDS}, output one of {OUTPUTS}")
    return card


def _frame_card(common: dict[str, Any]) -> FrameCard:
    seen = common["text"]["input"]
    card = FrameCard(**common, values=_range(seen["values"]), size=int(seen["size"]))
    if not (card.values[0] < card.values[1] and card.size >= card.multiple_of):
        raise ValueError("input: values (low, high) or size out of range")
    return card


def sha256_of(path: Path) -> str:
    """Hex digest of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _range(values: Any) -> tuple[float, float]:
    low, high = (float(v) for v in values)
    return low, high
