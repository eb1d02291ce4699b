"""``inference-core models``: what models there are and what they are for."""

from __future__ import annotations

import json
from pathlib import Path

from inference_core.errors import UserError


def models(model: str | None = None, add: Path | None = None, name: str | None = None) -> None:
    """List the models, print the card of one, or add one's own.

    Args:
        model: Id of a model whose whole card to print.
        add: Card (.json) of a trained model to copy, with its weights, among one's own.
        name: Id to give the added model; by default its card's.
    """
    from inference_core.models.registry import add_model, find_model, list_models

    if name is not None and add is None:
        raise UserError("name", "--name is given without --add.", "Give --add with the model's card, or --model NAME.")
    if add is not None:
        card = add_model(add, name)
        print(f"added {card.id}: {card.path}")
        return
    if model is not None:
        known = {card.id: card for card in list_models()}
        print(json.dumps((known.get(model) or find_model(model, "denoise-ct")).text, indent=2, ensure_ascii=False))
        return
    for card in list_models():
        note = "" if card.automatic else "  (only by name)"
        print(f"{card.id:<20} {card.task:<12} {card.summary}{note}")
