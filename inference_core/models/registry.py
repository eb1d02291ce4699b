"""The models that are there, and the one that fits."""

from __future__ import annotations

from pathlib import Path

from inference_core.errors import UserError
from inference_core.models.card import Card, read_card

BUNDLED = Path(__file__).parent / "weights"


def list_models(task: str | None = None) -> list[Card]:
    """The bundled models, by id; only those of ``task`` where given."""
    cards = [read_card(path) for path in sorted(BUNDLED.glob("*.json"))]
    return [card for card in cards if task in (None, card.task)]


def find_model(name: str, task: str) -> Card:
    """A model by its id, or by the path of its card or weights.

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
        card = read_card(path)
    if card.task != task:
        raise UserError("wrong-task", f"The model {card.id} is for {card.task}, not for {task}.", "Choose another.")
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
