"""The worker's job ``colon-coverage``: from a dataset to its surface with how often each place was seen."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from inference_core import __version__
from inference_core.errors import UserError
from inference_core.simulation.colon.teller import Teller

FIELDS = {"dataset": str, "output": str, "surface": (str, type(None)), "masks": (str, type(None))}
KEEPS_ARRAYS = (".vtp", ".vtk", ".ply")


def run(job: dict[str, Any], emit: Callable[..., None], cancelled: Callable[[], bool]) -> dict[str, Any]:
    """Read, lay every frame back onto the surface, write.

    Parameters
    ----------
    job : dict
        ``dataset``: folder that simulate-colon wrote; ``output``: surface file that keeps point arrays; optionally
        ``surface``: the filmed surface with other labels (by default the dataset's own), and ``masks``: folder with a
        mask for each frame, as segment-folds writes it.
    emit : callable
        As for :func:`inference_core.denoiser.job.run`.
    cancelled : callable
        Asked at each frame.

    Returns
    -------
    dict
        That of :func:`~inference_core.simulation.colon.coverage.coverage.coverage_report`, with ``frames``,
        ``dataset``, ``surface``, ``masks``, ``output``, ``warnings``, ``time_s``, ``version``. It is written beside the
        output too (OUT.json). The output has the point array ``seen`` (frames), and with masks ``marked``.

    Raises
    ------
    UserError
    Cancelled
        Nothing has been written then.
    """
    from inference_core.image.writing import write_aside
    from inference_core.simulation.colon.coverage.coverage import (
        coverage,
        coverage_report,
        masks_folder,
        open_film,
    )
    from inference_core.simulation.colon.mesh.surface_files import read_surface, write_surface

    check_job(job)
    begun = time.perf_counter()
    teller = Teller(emit, cancelled)
    teller.begin("read")
    folder, source = Path(job["dataset"]), surface_path(job)
    film = teller.wait_for(lambda: open_film(folder))
    masks = masks_folder(Path(job["masks"]), film) if job.get("masks") else None
    surface = teller.wait_for(lambda: read_surface(source))
    if not any(surface.point_arrays.get("fold_instance", [])):
        teller.warn(f"{source.name} has no folds: only the wall is measured.")
    teller.begin("coverage", len(film.poses))
    found = coverage(film, surface, masks, teller.progress)
    teller.begin("write")
    arrays = {**surface.point_arrays, "seen": found.seen}
    if found.marked is not None:
        arrays["marked"] = found.marked
    report = {
        "version": __version__,
        "dataset": folder.name,
        "surface": source.name,
        "masks": masks.parent.name if masks else None,
        "frames": len(film.poses),
        **coverage_report(surface, found),
    }
    write_surface(replace(surface, point_arrays=arrays), Path(job["output"]))
    text = json.dumps({**report, "warnings": teller.warnings}, indent=1, allow_nan=False) + "\n"
    write_aside(report_path(Path(job["output"])), lambda path: path.write_text(text, encoding="utf-8"))
    seconds = round(time.perf_counter() - begun, 2)
    return {**report, "output": job["output"], "warnings": teller.warnings, "time_s": seconds}


def surface_path(job: dict[str, Any]) -> Path:
    """The surface that the frames are laid onto."""
    return Path(job["surface"]) if job.get("surface") else Path(job["dataset"], "surface.vtp")


def report_path(output: Path) -> Path:
    """Where the report goes."""
    return output.with_suffix(".json")


def check_job(job: dict[str, Any]) -> None:
    """Refuse a job before any work is done for it.

    Raises
    ------
    UserError
        ``bad-job``, ``surface-format``, ``same-file``, or a folder that cannot be written to.
    """
    from inference_core.image.writing import check_folder

    wrong = [name for name, kind in FIELDS.items() if name in job and not isinstance(job[name], kind)]  # type: ignore[arg-type]
    if set(job) - {*FIELDS, "job"} or not {"dataset", "output"} <= set(job) or wrong:
        raise UserError("bad-job", f"A colon-coverage job takes {', '.join(FIELDS)}.", "Send the documented fields.")
    output = Path(job["output"])
    if output.suffix.lower() not in KEEPS_ARRAYS:
        raise UserError(
            "surface-format", f"{output} cannot hold what was seen.", f"Give one of {', '.join(KEEPS_ARRAYS)}."
        )
    if output.resolve() in (surface_path(job).resolve(), Path(job["dataset"], "surface.vtp").resolve()):
        raise UserError("same-file", f"{output} is the input.", "Give the output another name.")
    taken = {"dataset.json", "cameras.json"}
    if output.resolve().parent == Path(job["dataset"]).resolve() and report_path(output).name in taken:
        raise UserError("same-file", f"{report_path(output)} is part of the dataset.", "Give the output another name.")
    check_folder(output)
    check_folder(report_path(output))
