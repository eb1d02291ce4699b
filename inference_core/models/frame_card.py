"""What is written on the card of a network for endoscopy frames."""

from __future__ import annotations

from typing import Any

INTENDED = {
    "depth": "Research. Depth of simulated and translated colonoscopy frames along the camera's axis, in mm. Not for"
    " measuring in patients.",
    "translate-frames": "Research: training and testing of other networks. Gives simulated frames the look of those it"
    " was trained on. What it shows is no patient's; never for diagnosis.",
    "segment-folds": "Research. Marks haustral folds in colonoscopy frames. Learned from simulated colons: on patients'"
    " frames it is not validated; not for diagnosis.",
}


def frame_card_text(
    identifier: str,
    title: str,
    task: str,
    architecture: dict[str, Any],
    values: tuple[float, float],
    size: int,
    said: dict[str, Any],
) -> dict[str, Any]:
    """A card's text, all but the sha256 of its weights.

    Parameters
    ----------
    identifier, title : str
    task : str
        ``depth`` (RGB to mm), ``translate-frames`` (RGB to RGB) or ``segment-folds`` (RGB to logits).
    architecture : dict
        ``name`` and ``arguments``.
    values : (low, high)
        What 0 and 255 of a frame are to the network.
    size : int
        Side of the squares that it was trained on, pixels; of ``segment-folds``, of whole frames as it is to see them.
    said : dict
        Further fields; they replace those that are here: ``training_data``, ``training_command``, ``metrics``,
        ``licence``, ``known_failures`` at least are worth giving.
    """
    from inference_core.models.networks import build_network

    network = build_network(architecture["name"], architecture["arguments"])
    return {
        "id": identifier,
        "title": title,
        "summary": title + ".",
        "task": task,
        "architecture": architecture,
        "input": {"values": list(values), "size": size, "multiple_of": int(network.factor)},  # type: ignore[arg-type]
        "automatic": False,
        "training_data": "Not stated.",
        "training_command": "None.",
        "metrics": {"definition": "not measured"},
        "licence": "Not stated: as the training data allow.",
        "intended_use": INTENDED[task],
        "known_failures": ["Not evaluated beyond the metrics above."],
        **said,
        "sha256": {},
    }
