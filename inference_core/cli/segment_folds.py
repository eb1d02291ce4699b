"""``inference-core segment-folds``: haustral folds of a video or of pictures, marked and numbered."""

from __future__ import annotations

import os
from pathlib import Path

from inference_core.cli.progress import run_under_bar
from inference_core.errors import UserError


def segment_folds(frames: Path, out: Path, model: str = "", device: str = "auto", no_overlay: bool = False) -> None:
    """Mark the haustral folds of a video, a folder of pictures, or a simulated dataset: masks, numbers, an overlay.

    A fold keeps its number and colour as long as it is seen. Frames that are blurred, at the wall or not of a colon
    are marked "no lumen view". The same command goes on with a run that was stopped.

    Args:
        frames: Video (mp4, mov, avi, mkv, ...), folder of pictures, or what simulate-colon or translate wrote.
        out: Folder to write: new, empty, or of the same run stopped earlier.
        model: Model for segment-folds: its id or card; inference-core models lists them.
        device: auto (the CPU), cpu, cuda, cuda:N or mps; all but the CPU need torch.
        no_overlay: Write no frames with their folds in colour (of a video: no overlay.mp4).
    """
    if not model:
        raise UserError("no-model", "No model is given.", "Add --model and a model for segment-folds.")
    report = run_under_bar({
        "job": "segment-folds", "input": os.path.abspath(frames), "output": os.path.abspath(out),
        "model": os.path.abspath(model) if Path(model).suffix == ".json" else model,
        "device": device, "overlay": not no_overlay,
    })  # fmt: skip
    before = report["frames"] - report["made"]
    marks = ", ".join(f"{count} {reason}" for reason, count in report["marks"].items())
    print(
        f"{report['frames']} frames"
        + (f" ({before} were segmented already)" if before else "")
        + f"; {report['folds']} folds; no lumen view in {report['no_lumen_view']}"
        + (f" ({marks})" if marks else "")
    )
    print(f"wrote {report['output']} in {report['time_s']:.0f} s")
