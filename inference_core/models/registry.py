"""The models that are there, and the one that fits."""

from __future__ import annotations

import json
import os
import re
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, overload

from inference_core.errors import UserError
from inference_core.models.card import Card, FrameCard, ModelCard, read_card
from inference_core.scratch import scratch_folder

BUNDLED = Path(__file__).parent / "weights"
NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"  # of a user's own model


def own_models() -> Path:
    """Folder of the user's own models: FAITHFUL_IMAGING_MODELS, else ``.faithful-imaging/models`` in the home.

    Raises
    ------
    UserError
        ``no-home`` for a user who has none, as in some containers.
    """
    given = os.environ.get("FAITHFUL_IMAGING_MODELS")
    try:
        return Path(given) if given else Path.home() / ".faithful-imaging" / "models"
    except RuntimeError as error:
        raise UserError(
            "no-home",
            "You have no home folder, so there is no place for models of your own.",
            "Set the environment variable FAITHFUL_IMAGING_MODELS to a folder.",
        ) from error


@overload
def list_models(task: Literal["denoise-ct"]) -> list[Card]: ...
@overload
def list_models(task: str | None = None) -> list[ModelCard]: ...


def list_models(task: str | None = None) -> Any:
    """The bundled models, by id, then the user's own; only those of ``task`` where given."""
    cards = [read_card(path) for path in sorted(BUNDLED.glob("*.json"))]
    own: list[Path] = []
    with suppress(UserError):
        own = sorted(own_models().glob("*/*.json"))
    for path in own:
        with suppress(UserError):  # a file that is no card must not hide the others
            cards.append(read_card(path))
    return [card for card in cards if task in (None, card.task)]


def add_model(path: Path, name: str | None = None) -> ModelCard:
    """Copy a trained model's card and weights among the user's own, where every command and Slicer list it.

    Parameters
    ----------
    path : Path
        Its card (.json); the weights lie beside it.
    name : str, optional
        Id to give it; by default the card's.

    Raises
    ------
    UserError
        ``model-exists``, ``model-name``, or as reading the card and its weights does.
    """
    card = _read_given(path)
    name = card.id if name is None else name
    if not re.fullmatch(NAME, name):
        raise UserError(
            "model-name",
            f"{name!r} cannot name a model.",
            "Give --name with letters, digits, dots, dashes and underscores, at most 64, a letter or digit first.",
        )
    if not card.sha256:
        raise UserError(
            "model-incomplete", f"{path} names no weights (sha256 is empty).", "Give the card of a trained model."
        )
    # Whatever their case: a model's folder has its name, and not every disk tells cases apart.
    if any(known.id.lower() == name.lower() for known in list_models()):
        raise UserError("model-exists", f"A model {name!r} is there already.", "Give it another --name.")
    home = _made(own_models())
    for folder in home.iterdir():
        if folder.name.lower() == name.lower():
            raise UserError(
                "model-exists",
                f"{folder} is there already, without a model of that name.",
                "Remove it, or give another --name.",
            )
    text = card.text | {"id": name, "automatic": False}
    with scratch_folder(home) as aside:
        for suffix in card.sha256:
            shutil.copyfile(card.file(suffix), aside / f"{name}.{suffix}")
        (aside / f"{name}.json").write_text(json.dumps(text, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        whole = aside.rename(home / name)
    return read_card(whole / f"{name}.json")


def _read_given(path: Path) -> ModelCard:
    """A card that is not from our own folders; its wavelet is looked up too, which listing has no time for."""
    import pywt

    card = read_card(path)
    if isinstance(card, Card) and card.wavelet not in pywt.wavelist(kind="discrete"):
        raise UserError(
            "bad-card", f"{path}: there is no wavelet {card.wavelet!r}.", "Give one of PyWavelets, such as sym8."
        )
    return card


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@overload
def find_model(name: str, task: Literal["denoise-ct"]) -> Card: ...
@overload
def find_model(name: str, task: Literal["depth", "translate-frames", "segment-folds"]) -> FrameCard: ...
@overload
def find_model(name: str, task: None = None) -> ModelCard: ...


def find_model(name: str, task: str | None = None) -> Any:
    """A model by its id, or by the path of its card or weights; where ``task`` is given, of that task.

    Raises
    ------
    UserError
        ``no-such-model``, ``wrong-task``, or what :func:`~inference_core.models.card.read_card` raises.
    """
    card = next((card for card in list_models() if card.id == name), None)
    if card is None:
        path = Path(name)
        path = path.with_suffix(".json") if path.name else path
        if not path.is_file():
            known = ", ".join(card.id for card in list_models(task))
            raise UserError(
                "no-such-model",
                f"There is no model {name!r}.",
                f"Choose one of: {known}; or give the path of a model's card (.json).",
            )
        card = _read_given(path)
    if task not in (None, card.task):
        fit = ", ".join(one.id for one in list_models(task)) or "there is none yet"
        message = f"The model {card.id} is for {card.task}, not for {task}."
        raise UserError("wrong-task", message, f"Choose one of that kind: {fit}.")
    return card


def suggest_denoiser(modality: str | None, kernel: str | None, noise_hu: float) -> tuple[Card, str]:
    """The denoiser that fits a CT, and why, in words for the user.

    Parameters
    ----------
    modality, kernel : str or None
        DICOM values, where known.
    noise_hu : float
        Measured noise (:func:`inference_core.measurement.noise.noise_level`).

    Raises
    ------
    UserError
        ``no-such-model`` where no model is installed for the modality.
    """
    cards = [card for card in list_models("denoise-ct") if card.automatic and card.modality == (modality or "CT")]
    if not cards:
        raise UserError("no-such-model", f"No model is installed that fits {modality}.", "Choose a model by its name.")

    def distance(card: Card) -> float:
        low, high = card.noise_hu
        return max(low / max(noise_hu, 1e-3), noise_hu / high, 1.0)

    card = min(cards, key=lambda card: (distance(card), card.noise_hu[1] - card.noise_hu[0]))
    low, high = card.noise_hu
    known = modality or "modality unknown, treated as CT"
    what = f"{known}{f', kernel {kernel}' if kernel else ''}, measured noise {noise_hu:.0f} HU"
    if distance(card) == 1.0:
        return card, f"{what}; {card.id} was trained for noise of {low:g} to {high:g} HU"
    return card, f"{what}; no model was trained for that, {card.id} ({low:g} to {high:g} HU) comes nearest"
