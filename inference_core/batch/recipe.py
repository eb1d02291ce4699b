"""``denoise.yaml``: how a batch denoises, the same for every study."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from inference_core import __version__
from inference_core.errors import UserError

FORMATS = (".nrrd", ".nii.gz", ".mha", "dicom")
ENGINES = ("auto", "onnxruntime", "torch")


@dataclass(frozen=True)
class Recipe:
    """Settings of ``inference-core denoise`` that a batch may set; the defaults are its."""

    model: str | None = None
    strength: float = 1.0
    engine: str = "auto"
    device: str = "auto"
    threads: int | None = 1
    """Slices at a time of one study; several studies run side by side."""
    format: str = ".nrrd"
    """Of the results: one of `FORMATS`; ``dicom`` makes derived series of DICOM input."""

    def cards(self) -> list[Any]:
        """Of the named model, or of all that may be chosen.

        Raises
        ------
        UserError
            Where the named model is not there.
        """
        from inference_core.models.registry import find_model, list_models

        if self.model is not None:
            return [find_model(self.model, "denoise-ct")]
        return [card for card in list_models("denoise-ct") if card.automatic]

    def work(self) -> str:
        """What makes a result another: all settings but the threads, the version of this package, and the models.

        Where the recipe names no model, all that may be chosen count: which of them it will be depends on each.

        Raises
        ------
        UserError
            Where the named model is not there.
        """
        settings = {name: value for name, value in asdict(self).items() if name not in ("threads", "model")}
        told = {"settings": settings, "models": [card.text for card in self.cards()], "version": __version__}
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


def read_recipe(path: Path | None) -> Recipe:
    """Read a recipe; None gives the defaults.

    Raises
    ------
    UserError
        ``bad-recipe``.
    """
    if path is None:
        return Recipe()
    import yaml

    try:
        said = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise _bad(path, f"it cannot be read ({type(error).__name__})") from error
    known = {field.name for field in fields(Recipe)}
    if not isinstance(said, dict) or set(said) - known:
        raise _bad(path, f"it may set {', '.join(sorted(known))} and nothing else")
    kinds: dict[str, Any] = {
        "model": (str, type(None)), "strength": (int, float), "engine": str, "device": str,
        "threads": (int, type(None)), "format": str,
    }  # fmt: skip
    wrong = [name for name, value in said.items() if not isinstance(value, kinds[name]) or isinstance(value, bool)]
    if wrong:
        raise _bad(path, f"its {', '.join(wrong)} is of the wrong type")
    recipe = Recipe(**said)
    if recipe.format not in FORMATS:
        raise _bad(path, f"its format is {recipe.format!r}, not one of {', '.join(FORMATS)}")
    if recipe.engine not in ENGINES:
        raise _bad(path, f"its engine is {recipe.engine!r}, not one of {', '.join(ENGINES)}")
    if not 0 <= recipe.strength <= 1:
        raise _bad(path, f"its strength is {recipe.strength:g}, not from 0 to 1")
    if recipe.threads is not None and recipe.threads < 1:
        raise _bad(path, "its threads are below 1")
    if recipe.model and Path(recipe.model).is_file():  # workers run in folders of their own
        recipe = replace(recipe, model=str(Path(recipe.model).resolve()))
    return recipe


def _bad(path: Path, why: str) -> UserError:
    return UserError("bad-recipe", f"{path} is no recipe: {why}.", "Mend it, or leave --recipe out for the defaults.")
