"""``inference-core models``: what models there are and what they are for."""

from __future__ import annotations

import json


def models(model: str | None = None) -> None:
    """List the models, or print the card of one.

    Args:
        model: Id of a model whose whole card to print.
    """
    from inference_core.models.registry import find_model, list_models

    if model is not None:
        known = {card.id: card for card in list_models()}
        print(json.dumps((known.get(model) or find_model(model, "denoise-ct")).text, indent=2, ensure_ascii=False))
        return
    for card in list_models():
        note = "" if card.automatic else "  (only by name)"
        print(f"{card.id:<20} {card.task:<12} {card.summary}{note}")
