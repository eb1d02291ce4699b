"""``inference-core measure-coverage``: how much of the colon's wall the frames of a dataset show."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from inference_core.cli.progress import run_under_bar

MOST_ROWS = 15


def measure_coverage(
    dataset: Path, surface: Path | None = None, masks: Path | None = None, out: Path = Path("coverage.vtp")
) -> None:
    """Lay all frames of a simulated dataset back onto the colon; print what was seen, and write it as a surface.

    The output has the point array seen (number of frames) and, with masks, marked. Beside it goes a report (OUT.json).

    Args:
        dataset: Folder that simulate-colon wrote.
        surface: The same surface with other fold labels; by default the dataset's own.
        masks: Folder that segment-folds wrote for these frames: says in how many frames each fold was found.
        out: Surface to write: .vtp, .vtk or .ply.
    """
    job = {
        "job": "colon-coverage",
        "dataset": os.path.abspath(dataset),
        "surface": os.path.abspath(surface) if surface else None,
        "masks": os.path.abspath(masks) if masks else None,
        "output": os.path.abspath(out),
    }
    report = run_under_bar(job)
    print(format_coverage(report))
    print(f"wrote {out}, {out.with_suffix('.json')} in {report['time_s']:.0f} s")


def format_coverage(report: dict[str, Any]) -> str:
    """The report for a terminal; of many folds those that were seen or marked least."""
    lines = [
        f"{'':11}   cm2      %",
        f"seen       {report['seen_cm2']:6.0f} {100 * report['share']:6.1f}",
        f"never seen {report['never_seen_cm2']:6.0f} {100 - 100 * report['share']:6.1f}",
    ]
    folds = report["folds"]
    if folds:
        hidden = sum(not fold["visible_in"] for fold in folds)
        lines.append(f"{len(folds)} folds, {hidden} of them visible in no frame")
    if folds and report["masks"]:
        visible = [fold for fold in folds if fold["visible_in"]]
        never = sum(not fold["marked_in"] for fold in visible)
        lines.append(f"of the {len(visible)} visible ones {never} marked in no frame; least often:")
        lines.append("fold  marked in  of frames")
        visible.sort(key=lambda fold: fold["marked_in"] / fold["visible_in"])
        for fold in visible[:MOST_ROWS]:
            lines.append(f"{fold['id']:4} {fold['marked_in']:10} {fold['visible_in']:10}")
    return "\n".join(lines)
