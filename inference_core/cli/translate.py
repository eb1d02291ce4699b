"""``inference-core translate``: a simulated dataset in the look that a model gives, its labels untouched."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

from inference_core.cli.progress import run_under_bar
from inference_core.errors import UserError


def translate(
    simulated: Path,
    out: Path,
    model: str = "",
    engine: Literal["auto", "onnxruntime", "torch"] = "auto",
    device: str = "auto",
    limit: float = 1.0,
) -> None:
    """Give simulated frames another look; copy their depth, folds and cameras; measure whether edges moved.

    Each dataset gets a contact sheet, a picture of frames before and after, and a report (structure.json). The same
    command goes on with a run that was stopped.

    Args:
        simulated: Dataset that simulate-colon wrote, or a folder of such datasets.
        out: Folder to write: new, empty, or of the same run stopped earlier.
        model: Model for translate-frames: its id or card; inference-core models lists them.
        engine: What runs the network; both give the same.
        device: auto (the CPU), cpu, cuda, cuda:N or mps; all but the CPU need torch.
        limit: Pixels that a frame's edges may move in the mean; frames beyond are counted and marked.
    """
    if not model:
        raise UserError("no-model", "No model is given.", "Add --model and a model for translate-frames.")
    report = run_under_bar({
        "job": "translate", "input": os.path.abspath(simulated), "output": os.path.abspath(out),
        "model": os.path.abspath(model) if Path(model).suffix == ".json" else model,
        "engine": engine, "device": device, "limit": limit,
    })  # fmt: skip
    for made in report["datasets"]:
        before = made["frames"] - made["made"]
        print(
            f"{made['output']}: {made['frames']} frames"
            + (f" ({before} were there already)" if before else "")
            + f"; {structure_line(made['structure'])}"
        )
    print(f"wrote {report['output']} in {report['time_s']:.0f} s")


def structure_line(found: dict[str, Any]) -> str:
    """A structure report's summary, for people."""
    if found["displacement_px"] is None:
        return "too few edges to tell whether they moved"
    return (
        f"edges moved by {found['displacement_px']:.2f} px in the mean, {found['edges_found']:.0%} found again;"
        f" {found['moved']:.0%} of {found['judged']} frames moved by more than {found['limit_px']:g} px or lost edges"
    )
