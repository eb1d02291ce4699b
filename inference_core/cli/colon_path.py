"""``inference-core colon-path``: the line along the middle of a colon."""

from __future__ import annotations

import os
from pathlib import Path

from inference_core.cli.points import point
from inference_core.cli.progress import run_under_bar


def colon_path(
    colon: Path, out: Path, start: str | None = None, end: str | None = None, label: int | None = None
) -> None:
    """Find the centreline of a colon, to look at, to edit in 3D Slicer, and to fly (simulate-colon --path).

    Args:
        colon: Surface (.ply, .stl, .obj, .vtk, .vtp; mm), label map or segmentation.
        out: .vtp (a point each mm, with the distance to the wall) or .mrk.json (a curve with few control points).
        start: x,y,z in mm, LPS: where the endoscope enters (rectum). By default found.
        end: x,y,z in mm, LPS: where it turns (caecum).
        label: Number of the lumen in a label map.
    """
    job = {
        "job": "colon-path",
        "input": os.path.abspath(colon),
        "output": os.path.abspath(out),
        "start": point("start", start),
        "end": point("end", end),
        "label": label,
    }
    report = run_under_bar(job)
    radius = sorted(report["radius_mm"])
    print(
        f"{report['length_mm'] / 10:.1f} cm; {radius[len(radius) // 2]:.1f} mm to the wall (median),"
        f" {radius[0]:.1f} mm where it is narrowest"
    )
    print(f"wrote {out} ({report['points_written']} points) in {report['time_s']:.0f} s")
