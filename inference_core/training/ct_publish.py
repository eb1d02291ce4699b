"""A trained CT denoiser as a model: its card, and the weights beside it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from torch import nn

from inference_core.image.writing import write_aside
from inference_core.models.card import Card, card_from
from inference_core.training.ct_folders import Scan
from inference_core.training.ct_samples import Sample
from inference_core.training.publish import publish_with

RANGE_HU = (-2048, 3071)
WHOLE_SLICE = 65536  # the halo of a network that sees all of a slice: more than any slice has pixels


@dataclass(frozen=True)
class DenoiserInput:
    """What the network sees, and what the pipeline keeps of the input."""

    band: Literal["high", "whole"] = "high"
    """``high``: the wavelet high band; ``whole``: the slice, counted from air."""
    unit_hu: float = 100.0
    """HU per network unit."""
    output: Literal["residual", "image"] = "residual"
    """What the network gives: what is to be added, or the translated band itself."""
    wavelet: str = "sym8"
    """Of the split: db3 is the paper's, sym8 leaves no weave in clean images."""
    wavelet_level: int = 6
    kept_level: int = 3
    """Of the finest low band that is kept: 3 is what is coarser than 8 pixels; 0 keeps nothing, as in the papers."""


class DenoiserRun(Protocol):
    """What the configurations of all denoisers have."""

    @property
    def out(self) -> Path:
        """Folder of the run."""

    @property
    def title(self) -> str:
        """For the card."""

    @property
    def input(self) -> DenoiserInput:
        """What the network sees."""

    @property
    def score_by(self) -> str:
        """Validation score."""


def training_data(
    scans: list[Scan], groups: list[tuple[list[Sample], float]], recipe: str, config: DenoiserRun
) -> dict[str, Any]:
    """What a card says of the data; no name of a patient."""
    noise = sorted(sample.noise for samples, _ in groups for sample in samples)
    sizes = [scan.pixel_size for scan in scans]
    slices = sum(len(scan.slices) for scan in scans)
    said = [f"{slices} full-dose slices of {len({scan.patient for scan in scans})} patient(s), noise inserted"]
    said += [f"{len(samples)} pairs of low and full dose" for samples, _ in groups[1 if scans else 0 :]]
    return {
        "text": "; ".join(said[0 if scans else 1 :]),
        "recipe": recipe,
        "command": f"inference-core train denoiser --config {config.out / 'config.yaml'}",
        "noise_hu": [round(noise[len(noise) // 100], 1), round(noise[-1 - len(noise) // 100], 1)],
        "pixel_size_mm": [min(sizes, default=0.3), max(sizes, default=1.0)],
    }


def draft_card(
    config: DenoiserRun, architecture: dict[str, Any], halo: int, data: dict[str, Any] | None = None
) -> Card:
    """The card, all but what only training knows (metrics, sha256)."""
    from inference_core.models.networks import build_network

    data = data or {"text": "", "recipe": "", "command": "", "noise_hu": [0, 0], "pixel_size_mm": [0, 0]}
    factor = build_network(architecture["name"], architecture["arguments"]).factor
    text = {
        "id": config.out.name,
        "title": config.title,
        "summary": f"{config.title} ({data['recipe']}).",
        "task": "denoise-ct",
        "architecture": architecture,
        "output": config.input.output,
        "input": {
            "band": config.input.band,
            "unit_hu": config.input.unit_hu,
            "range_hu": list(RANGE_HU),
            "wavelet": config.input.wavelet,
            "wavelet_level": config.input.wavelet_level,
            "kept_level": config.input.kept_level,
            "multiple_of": factor,
            "halo": halo,
        },
        "trained_for": {"modality": "CT", "noise_hu": data["noise_hu"], "pixel_size_mm": data["pixel_size_mm"]},
        "automatic": False,
        "training_data": data["text"],
        "training_command": data["command"],
        "metrics": {"definition": "on validation patients, as docs/training.md says"},
        "licence": "Not stated: as the training data allow.",
        "intended_use": "Research. Reduces the noise of axial low-dose CT before viewing and measuring."
        " Not for diagnosis on the denoised image alone.",
        "known_failures": ["Not evaluated beyond the metrics above."],
        "sha256": {},
    }
    card = card_from(text, config.out / "model.json")
    assert isinstance(card, Card)
    return card


def publish_denoiser(
    folder: Path,
    network: nn.Module,
    architecture: dict[str, Any],
    config: DenoiserRun,
    data: dict[str, Any],
    scores: Callable[[], dict[str, float]],
) -> None:
    """Write ``model.safetensors``, ``model.onnx`` and ``model.json`` into the run's folder.

    Parameters
    ----------
    folder : Path
    network : Module
        With the weights to publish.
    architecture : dict
        ``name`` and ``arguments``.
    config, data
        For the card.
    scores : callable
        Validation scores for the card.
    """
    from safetensors.torch import save_file

    own = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    text = draft_card(config, architecture, reach(architecture), data).text
    text["metrics"] |= {name: round(value, 4) for name, value in scores().items() if name != "score"}
    with torch.no_grad():
        write_aside(folder / "model.safetensors", lambda path: save_file(own, path))
    card = folder / "model.json"
    publish_with(folder / "model.safetensors", text, card)
    print(f"The model: {card}\n  inference-core denoise CT.nrrd OUT.nrrd --model {card}")


def reach(architecture: dict[str, Any]) -> int:
    """Pixels that an output pixel can see in each direction: the halo that makes tiles exact."""
    from inference_core.models.networks import build_network

    network = copy.deepcopy(build_network(architecture["name"], architecture["arguments"])).double()
    if getattr(network, "sees_all", False):
        return WHOLE_SLICE
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(1e-3)  # all positive: no ReLU blocks, so every path counts
    middle, factor = 256, int(network.factor)  # type: ignore[arg-type]
    x = torch.full((1, 1, 2 * middle, 8), 1.0, dtype=torch.float64, requires_grad=True)  # all networks are square
    network(x)[0, 0, middle : middle + factor, :factor].sum().backward()
    assert x.grad is not None
    seen = x.grad[0, 0].abs().sum(1).nonzero()[:, 0]
    return int(max(middle - seen.min(), seen.max() - (middle + factor - 1)))
