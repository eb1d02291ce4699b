"""``inference-core label-folds``: a colon's surface in, the same with its folds labelled out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from inference_core.cli.progress import run_under_bar


def label_folds(
    colon: Path,
    output: Path,
    method: Literal["relief", "direction", "signed-direction", "curvature", "lumen-radius"] = "relief",
    label: int | None = None,
) -> None:
    """Label the folds of a colon; print how many, how large, how sure.

    The output has the point arrays fold_score (0 to 1, 0.5 at a fold's border), fold_instance (number of the fold, 0
    where there is none) and, by the method relief, fold_height (mm over the wall without folds). Beside it goes a
    report with every fold (OUT_folds.json) and a picture (OUT_folds.png).

    Args:
        colon: Surface (.ply, .stl, .obj, .vtk, .vtp; mm), label map or segmentation.
        output: Surface to write: .vtp, .vtk or .ply.
        method: relief (hills over the wall without folds); to compare with: direction (where the direction of principal
            curvature changes, the paper's sentence), signed-direction, curvature, lumen-radius.
        label: Number of the lumen in a label map.
    """
    from inference_core.simulation.colon.folds.fold_report import format_report
    from inference_core.simulation.colon.folds.label_job import picture_path, report_path

    job = {
        "job": "label-folds",
        "input": os.path.abspath(colon),
        "output": os.path.abspath(output),
        "method": method,
        "label": label,
    }
    report = run_under_bar(job)
    print(f"{report['input']}: {format_report(report)}")
    print(f"wrote {output}, {report_path(output)}, {picture_path(output)} in {report['time_s']:.0f} s")
