"""``inference-core colon-lumen``: from a CT colonography to the surface of the gas-filled colon."""

from __future__ import annotations

import os
from pathlib import Path

from inference_core.cli.points import point
from inference_core.cli.progress import run_under_bar
from inference_core.errors import UserError


def colon_lumen(ct: Path, out: Path, seed: list[str] | None = None, threshold: float = -800.0) -> None:
    """Find the gas-filled lumen of the colon in a CT colonography and write its surface.

    Gas below the threshold that is connected with the seeds is the lumen. The air around the patient is never taken,
    fluid neither, and parts that a collapsed piece divides are not joined by guess.

    Args:
        ct: Volume file, or a folder with a DICOM series.
        out: Surface to write (.vtp, .vtk, .ply, .stl, .obj).
        seed: x y z in mm, LPS: a place in the lumen. Give one or more, best both ends: --seed X Y Z --seed X Y Z.
        threshold: HU below which a voxel is gas.
    """
    if not seed:
        raise UserError("seeds", "There is no place to start from.", "Give one or two: --seed X Y Z (mm, LPS).")
    job = {
        "job": "colon-lumen",
        "input": os.path.abspath(ct),
        "output": os.path.abspath(out),
        "seeds": [point("seed", place) for place in seed],
        "threshold": threshold,
    }
    report = run_under_bar(job)
    print(f"{report['volume_ml']:.0f} ml of gas below {threshold:g} HU; a surface of {report['faces']} triangles")
    print(f"wrote {out} in {report['time_s']:.0f} s")
