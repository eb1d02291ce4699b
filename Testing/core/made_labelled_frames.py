"""Segmenters that mark what is bright, and labelled frames, for tests."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from inference_core.evaluation.segmenter import Segmenter
from inference_core.models.card import card_from
from inference_core.models.engines import Engine

SIZE = 64


def made_card(size=SIZE, **said):
    text = {
        "id": "bright", "task": "segment-folds", "summary": "Marks what is bright.", "automatic": False, "sha256": {},
        "architecture": {"name": "fold_unet", "arguments": {}}, "output": "fold-and-touch",
        "input": {"values": [0, 255], "size": size, "multiple_of": 16}, **said,
    }  # fmt: skip
    return card_from(text, Path("made.json"))


def by_brightness(method, training="one", limit=128.0, slope=0.2, **said):
    """Marks red above a limit, the surer the brighter."""

    def run(x):
        fold = slope * (x[:, :1] - limit)
        return np.concatenate([fold, np.full_like(fold, -9)], axis=1).astype(np.float32)

    return Segmenter(method, training, made_card(**said), Engine("made", "cpu", run))


def write_manual(folder, frames, suffix=".png"):
    """``frames``: by name, a frame and its mask."""
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name, (rgb, mask) in frames.items():
        Image.fromarray(rgb).save(folder / "images" / f"{name}{suffix}")
        Image.fromarray(mask).save(folder / "masks" / f"{name}.png")
    return folder


def two_bars(bright=200, size=SIZE):
    """A frame with two folds, and their numbers."""
    labels = np.zeros((size, size), np.uint8)
    labels[size // 4 : size // 4 + 8, 8:-8] = 1
    labels[-size // 4 - 8 : -size // 4, 8:-8] = 2
    grey = np.full((size, size), 60, np.uint8)
    return np.where(labels[..., None] > 0, np.uint8([bright, bright // 2, bright // 3]), grey[..., None]), labels


def written_card(folder, card):
    """A card on disk without weights."""
    (folder / "made.json").write_text(json.dumps(card.text))
    return folder / "made.json"
