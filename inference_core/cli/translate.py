"""``inference-core translate``: a simulated dataset in the look that a model gives, its labels untouched."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, Literal

from inference_core import client
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
    report = _run({
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


def _run(job: dict[str, Any]) -> dict[str, Any]:
    """Run the job in the worker under a progress bar; warnings go to standard error."""
    from tqdm import tqdm

    with tqdm(total=None, unit="frame", file=sys.stderr, disable=None, leave=False) as bar:
        stage = None

        def show(message: dict[str, Any]) -> None:
            nonlocal stage
            if message["type"] != "progress":
                prefix = "warning: " if message["type"] == "warning" else ""
                tqdm.write(f"{prefix}{message['message']}", file=sys.stderr)
                return
            if message["stage"] != stage:
                stage = message["stage"]
                bar.reset(total=message["total"])
                bar.set_description(stage, refresh=False)
            bar.update(message["done"] - bar.n)

        return client.run(job, show)
