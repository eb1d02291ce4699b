"""Damaged weights, as fuzz_readers.py gives them to an engine: under the card's check sum, and under one that fits."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fuzz_readers import Reader

MODEL = "low-dose-ct-phantom"  # the smallest one


def weights_readers(folder: Path) -> dict[str, Reader]:
    """A reader of safetensors and one of ONNX, each by its engine."""
    from fuzz_readers import Reader

    from inference_core.models.registry import BUNDLED

    return {
        "weights (safetensors)": Reader([BUNDLED / f"{MODEL}.safetensors"], _opener(folder, "safetensors", "torch")),
        "weights (ONNX)": Reader([BUNDLED / f"{MODEL}.onnx"], _opener(folder, "onnx", "onnxruntime")),
    }


def _opener(folder: Path, suffix: str, engine: str) -> Callable[[Path], object]:
    from inference_core.errors import UserError
    from inference_core.models.engines import open_engine
    from inference_core.models.registry import BUNDLED, find_model

    text = json.loads((BUNDLED / f"{MODEL}.json").read_text(encoding="utf-8"))
    home = folder / f"models-{suffix}"
    home.mkdir()

    def opened(path: Path) -> object:
        data = path.read_bytes()
        (home / f"m.{suffix}").write_bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        (home / "m.json").write_text(json.dumps(text), encoding="utf-8")
        try:
            open_engine(find_model(str(home / "m.json"), "denoise-ct"), engine)
        except UserError as error:
            if error.code != "model-damaged":
                raise AssertionError(f"the check sum should have refused it, not {error.code}") from error
        else:
            if digest != text["sha256"][suffix]:
                raise AssertionError("weights that are not the card's were opened")
        (home / "m.json").write_text(json.dumps(text | {"sha256": {suffix: digest}}), encoding="utf-8")
        return open_engine(find_model(str(home / "m.json"), "denoise-ct"), engine)

    return opened
