"""The worker's job ``colon-path``: from a colon's surface to the line along its middle."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from inference_core import __version__
from inference_core.errors import UserError
from inference_core.simulation.colon.teller import Teller

FIELDS = ("input", "output", "start", "end", "label")


def run(job: dict[str, Any], emit: Callable[..., None], cancelled: Callable[[], bool]) -> dict[str, Any]:
    """Read, check, find the centreline, write.

    Parameters
    ----------
    job : dict
        ``input``: surface, label map or segmentation; ``output``: ``.vtp`` (every point, with its radius) or
        ``.mrk.json`` (a curve for Slicer with few control points); optionally ``start`` and ``end``, [x, y, z] in mm,
        LPS, and ``label``: number of the lumen in a label map.
    emit : callable
        As for :func:`inference_core.denoiser.job.run`.
    cancelled : callable
        Asked at each step.

    Returns
    -------
    dict
        ``length_mm``; ``points``, [x, y, z] in mm, LPS, 1 mm apart; ``radius_mm``, to the nearest wall, one a point;
        ``points_written`` (control points, of a curve), ``input``, ``output``, ``repairs``, ``warnings``, ``time_s``,
        ``version``.

    Raises
    ------
    UserError
    Cancelled
        Nothing has been written then.
    """
    from inference_core.simulation.colon.mesh.surface_check import checked
    from inference_core.simulation.colon.mesh.surface_files import read_surface
    from inference_core.simulation.colon.path.centreline import find_centreline
    from inference_core.simulation.colon.path.path_files import write_path

    check_job(job)
    begun = time.perf_counter()
    teller = Teller(emit, cancelled)
    teller.begin("read")
    surface = teller.wait_for(lambda: read_surface(Path(job["input"]), job.get("label")))
    teller.begin("check")
    surface, repairs = teller.wait_for(lambda: checked(surface))
    for repair in repairs:
        teller.warn(repair)
    teller.begin("centreline")
    start, end = (np.array(job[name], np.float64) if job.get(name) else None for name in ("start", "end"))
    line = teller.wait_for(lambda: find_centreline(surface, start, end))
    teller.begin("write")
    count = write_path(line, Path(job["output"]))
    return {
        "version": __version__,
        "input": Path(job["input"]).name,
        "output": job["output"],
        "length_mm": round(float(line.arc_length[-1]), 1),
        "points": np.round(line.points, 3).tolist(),
        "radius_mm": np.round(line.radius, 3).tolist(),
        "points_written": count,
        "repairs": repairs,
        "warnings": teller.warnings,
        "time_s": round(time.perf_counter() - begun, 2),
    }


def check_job(job: dict[str, Any]) -> None:
    """Refuse a job before any work is done for it.

    Raises
    ------
    UserError
        ``bad-job``, ``path-format``, ``same-file``, or a folder that cannot be written to.
    """
    from inference_core.image.writing import check_folder
    from inference_core.simulation.colon.path.path_files import path_suffix

    fits = (
        set(job) - {"job"} <= set(FIELDS)
        and all(isinstance(job.get(name), str) for name in ("input", "output"))
        and isinstance(job.get("label"), (int, type(None)))
        and all(_is_point(job.get(name)) for name in ("start", "end"))
    )
    if not fits:
        raise UserError("bad-job", f"A colon-path job takes {', '.join(FIELDS)}.", "Send the documented fields.")
    output = Path(job["output"])
    path_suffix(output)
    if output.resolve() == Path(job["input"]).resolve():
        raise UserError("same-file", f"{output} is the input.", "Give the output another name.")
    check_folder(output)


def _is_point(value: Any) -> bool:
    return value is None or (
        isinstance(value, list) and len(value) == 3 and all(isinstance(x, (int, float)) for x in value)
    )
