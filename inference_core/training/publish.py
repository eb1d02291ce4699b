"""Put trained weights beside their card: copy, export to ONNX, check one against the other, write the sha256.

    python -m inference_core.training.publish runs/ct/model.safetensors inference_core/models/weights/low-dose-ct.json

The card is written by hand first, all but its ``sha256``.
"""

from __future__ import annotations

import json
import logging
import shutil
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from inference_core.errors import UserError, told_plainly
from inference_core.image.writing import write_aside
from inference_core.models.card import sha256_of
from inference_core.models.quiet_onnxruntime import quiet_onnxruntime

ROUNDING = 1e-5
"""Largest difference of two engines in network units, where units are large: that of float32 through many layers."""


def publish(weights: Path, card: Path) -> None:
    """Make ``weights`` the model of ``card``.

    Parameters
    ----------
    weights : Path
        safetensors.
    card : Path
        JSON card; the two files of weights are written beside it, its ``sha256`` is filled in.

    Raises
    ------
    UserError
        ``export-differs`` where onnxruntime does not give what torch gives.
    """
    publish_with(weights, json.loads(card.read_text(encoding="utf-8")), card)


def publish_with(weights: Path, text: dict[str, Any], card: Path) -> None:
    """As :func:`publish`, for a card that is not written yet: it is, last, when the model is whole."""
    safetensors = card.with_suffix(".safetensors")
    onnx = card.with_suffix(".onnx")
    if weights.resolve() != safetensors.resolve():
        shutil.copyfile(weights, safetensors)
    kind = _kind(text)
    difference = kind.scale * export_onnx(safetensors, text["architecture"], onnx, kind)
    if difference > kind.allowed:
        raise UserError(
            "export-differs", f"ONNX and torch differ by {difference:g} {kind.unit}.", "Check the exporter's version."
        )
    text["sha256"] = {"safetensors": sha256_of(safetensors), "onnx": sha256_of(onnx)}
    content = json.dumps(text, indent=2, ensure_ascii=False) + "\n"
    write_aside(card, lambda aside: aside.write_text(content, encoding="utf-8"))
    print(f"{card.stem}: {onnx.stat().st_size / 1e3:.0f} kB, ONNX within {difference:.1g} {kind.unit} of torch")


class Kind(NamedTuple):
    """What a kind of network takes and gives, and how closely two engines must agree on it."""

    channels: int
    values: tuple[float, float] | None  # range of its input; None: noise of standard deviation 1 is tried
    names: tuple[str, str]  # of its input and its output
    scale: float  # in ``unit``, per network unit
    unit: str
    allowed: float  # in ``unit``


DENOISER = Kind(1, None, ("high_band", "residual"), 1.0, "HU", 0.01)


def _kind(text: dict[str, Any]) -> Kind:
    if text["task"] == "denoise-ct":
        unit_hu = text["input"]["unit_hu"]
        return DENOISER._replace(scale=unit_hu, allowed=max(DENOISER.allowed, ROUNDING * unit_hu))
    low, high = text["input"]["values"]
    if text["task"] == "depth":
        return Kind(3, (low, high), ("frame", "depth"), 1.0, "mm", 0.05)
    if text["task"] == "segment-folds":
        return Kind(3, (low, high), ("frame", "logits"), 1.0, "of a logit", 0.01)
    return Kind(3, (low, high), ("frame", "translated"), 255 / (high - low), "grey levels", 0.1)


def export_onnx(weights: Path, architecture: dict[str, object], onnx: Path, kind: Kind = DENOISER) -> float:
    """Export a network, with free height and width if it takes any; return its largest difference from torch.

    The difference is in network units.
    """
    import torch
    from safetensors.torch import load_file

    from inference_core.models.networks import build_network

    network = build_network(str(architecture["name"]), dict(architecture["arguments"]))  # type: ignore[call-overload]
    network.load_state_dict(load_file(weights))
    network.eval()
    factor = int(network.factor)  # type: ignore[arg-type]
    one_size = getattr(network, "frame_size", None)
    sides = (one_size, one_size) if one_size else (64, 96)
    example = torch.from_numpy(np.random.default_rng(0).standard_normal((1, kind.channels, *sides), np.float32))
    if kind.values:
        low, high = kind.values
        example = low + (high - low) * torch.special.ndtr(example)
    parts = {2: torch.export.Dim("rows") * factor, 3: torch.export.Dim("columns") * factor}
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it misses torchvision, which nothing here needs
    with warnings.catch_warnings():
        # torch's exporter warns of what it does itself.
        warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)` is deprecated", FutureWarning)
        torch.onnx.export(
            network,
            (example,),
            str(onnx),
            input_names=[kind.names[0]],
            output_names=[kind.names[1]],
            dynamo=True,
            dynamic_shapes=None if one_size else (parts,),
            external_data=False,
            verbose=False,
        )
    _strip_metadata(onnx)
    session = quiet_onnxruntime().InferenceSession(str(onnx), providers=["CPUExecutionProvider"])
    with torch.inference_mode():
        other = example.flip(3) if one_size else example[:, :, : 64 - factor, : 96 - 2 * factor]
        expected = network(other).numpy()
    got = session.run(None, {kind.names[0]: other.numpy()})[0]
    return float(np.abs(got - expected).max())


def _strip_metadata(path: Path) -> None:
    """Take out what the exporter notes of the machine it ran on (source paths, stack traces)."""
    import onnx

    model = onnx.load(path)
    for holder in (
        model,
        model.graph,
        *model.graph.node,
        *model.graph.value_info,
        *model.graph.input,
        *model.graph.output,
        *model.graph.initializer,
        *model.functions,
    ):
        del holder.metadata_props[:]
    onnx.save(model, path)


if __name__ == "__main__":
    from jsonargparse import auto_cli

    with told_plainly():
        auto_cli(publish)
