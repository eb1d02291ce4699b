"""The worker's job ``label-folds``: from a colon's surface to the same surface with its folds labelled."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from inference_core import __version__
from inference_core.errors import UserError
from inference_core.simulation.colon.folds.fold_rivals import RIVALS
from inference_core.simulation.colon.mesh.surface import Surface
from inference_core.simulation.colon.teller import Teller

OWN = "relief"
METHODS = (OWN, *RIVALS)
KEEPS_ARRAYS = (".vtp", ".vtk", ".ply")
FIELDS = {"input": str, "output": str, "label": (int, type(None)), "method": str}


def run(job: dict[str, Any], emit: Callable[..., None], cancelled: Callable[[], bool]) -> dict[str, Any]:
    """Read, check, label, measure, write.

    Parameters
    ----------
    job : dict
        ``input``: surface, label map or segmentation; ``output``: surface file that keeps point arrays; optionally
        ``label``: number of the lumen in a label map, and ``method``: one of ``METHODS``.
    emit : callable
        As for :func:`inference_core.denoiser.job.run`.
    cancelled : callable
        Asked at each step.

    Returns
    -------
    dict
        That of :func:`~inference_core.simulation.colon.folds.fold_report.fold_report`, with ``method``, ``input``,
        ``output``, ``repairs``, ``warnings``, ``time_s``, ``version``. It is written beside the output too
        (OUT_folds.json), with a picture (OUT_folds.png).

    Raises
    ------
    UserError
    Cancelled
        Nothing has been written then.
    """
    from inference_core.image.writing import write_aside
    from inference_core.simulation.colon.folds.fold_report import fold_report
    from inference_core.simulation.colon.mesh.surface_check import checked
    from inference_core.simulation.colon.mesh.surface_files import read_surface, write_surface

    check_job(job)
    method = job.get("method", OWN)
    begun = time.perf_counter()
    teller = Teller(emit, cancelled)
    teller.begin("read")
    surface = read_surface(Path(job["input"]), job.get("label"))
    notes = surface.notes
    teller.begin("check")
    surface, repairs = checked(surface)
    for repair in repairs:
        teller.warn(repair)
    labelled = _labelled(surface, method, teller)
    labelled = replace(labelled, notes={**notes, "fold_labels": f"computed (label-folds, {method}); an estimate"})
    teller.begin("measure")
    report = {
        "version": __version__,
        "input": Path(job["input"]).name,
        "output": Path(job["output"]).name,
        "method": method,
        **fold_report(labelled),
    }
    if not report["folds"]:
        teller.warn("No fold was found on this surface.")
    teller.begin("write")
    text = json.dumps({**report, "repairs": repairs, "warnings": teller.warnings}, indent=1, allow_nan=False) + "\n"
    write_surface(labelled, job["output"])
    write_aside(report_path(Path(job["output"])), lambda path: path.write_text(text, encoding="utf-8"))
    teller.begin("picture")
    _draw(labelled, job, report, teller)
    seconds = round(time.perf_counter() - begun, 2)
    return {**report, "repairs": repairs, "warnings": teller.warnings, "time_s": seconds}


def check_job(job: dict[str, Any]) -> None:
    """Refuse a job before any work is done for it.

    Raises
    ------
    UserError
        ``bad-job``, ``method``, ``surface-format``, ``same-file``, or a folder that cannot be written to.
    """
    from inference_core.image.writing import check_folder

    wrong = [name for name, kind in FIELDS.items() if name in job and not isinstance(job[name], kind)]  # type: ignore[arg-type]
    if set(job) - {*FIELDS, "job"} or not {"input", "output"} <= set(job) or wrong:
        raise UserError("bad-job", f"A label-folds job takes {', '.join(FIELDS)}.", "Send the documented fields.")
    if job.get("method", OWN) not in METHODS:
        raise UserError("method", f"There is no method {job['method']!r}.", f"Choose one of {', '.join(METHODS)}.")
    output = Path(job["output"])
    if output.suffix.lower() not in KEEPS_ARRAYS:
        raise UserError(
            "surface-format",
            f"{output} cannot hold fold labels.",
            f"Give a name that ends in {', '.join(KEEPS_ARRAYS)}.",
        )
    for path in (output, report_path(output), picture_path(output)):
        if path.resolve() == Path(job["input"]).resolve():
            raise UserError(
                "same-file", f"{path} is the input.", "Give the output another name: the original is never changed."
            )
        check_folder(path)


def report_path(output: Path) -> Path:
    """Where the report goes."""
    return output.with_name(f"{output.stem}_folds.json")


def picture_path(output: Path) -> Path:
    """Where the picture goes."""
    return output.with_name(f"{output.stem}_folds.png")


def _draw(labelled: Surface, job: dict[str, Any], report: dict[str, Any], teller: Teller) -> None:
    """The labels are worth having on a computer that cannot draw them, too."""
    from inference_core.simulation.colon.folds.fold_picture import write_fold_picture

    title = f"{Path(job['input']).name}: {report['folds']} folds"
    try:
        write_fold_picture(labelled, picture_path(Path(job["output"])), title)
    except UserError as error:
        teller.warn(f"No picture was drawn. {error}")


def _labelled(surface: Surface, method: str, teller: Teller) -> Surface:
    from inference_core.simulation.colon.folds.fold_labels import label_folds

    if method == OWN:
        teller.begin("label")
        return label_folds(surface, teller.progress)
    from inference_core.simulation.colon.folds.fold_rivals import rival_labels
    from inference_core.simulation.colon.path.centreline import find_centreline

    teller.begin("centreline")
    centreline = find_centreline(surface)
    teller.begin("label")
    bare = {name: values for name, values in surface.point_arrays.items() if name != "fold_height"}
    return rival_labels(Surface(surface.vertices, surface.faces, bare), method, centreline)
