"""A translator evaluation as Markdown, CSV, JSON and a picture."""

from __future__ import annotations

import csv
import io
import json
import math
import platform
from collections.abc import Iterable
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from inference_core import __version__
from inference_core.errors import UserError
from inference_core.evaluation.bootstrap import DRAWS, groups_of, interval
from inference_core.evaluation.table import markdown
from inference_core.evaluation.translator import INPUT, TranslatorResults
from inference_core.evaluation.translator_scores import FrameRow
from inference_core.image.writing import check_folder, write_aside
from inference_core.measurement.realism import DISTANCES, average, distance_intervals, distances
from inference_core.measurement.realism import DRAWS as LOOK_DRAWS

SUFFIXES = (".md", ".csv", ".json", ".png")
SCORES = [field.name for field in fields(FrameRow) if field.type == "float"]
FAITHFUL = {
    "depth abs rel to input": ("abs_rel_input", ".3f"),
    "silog to input": ("silog_input", ".3f"),
    "abs rel to truth": ("abs_rel", ".3f"),
    "silog to truth": ("silog", ".3f"),
    "edges moved px": ("displacement_px", ".2f"),
    "edges found": ("edges_found", ".3f"),
    "fold IoU to truth": ("fold_iou", ".3f"),
    "fold IoU to input": ("fold_iou_input", ".3f"),
}
"""Column of the table: score, and how it is written."""

NOTES = """\
Depth: by the depth network named, of the method's frame, against its depth of the input frame and against the true
depth; abs rel: mean of |error| / depth; silog: standard deviation of the logarithm's error. Edges: see structure.json
of a translated dataset; a shift of a whole frame by d px counts about 2 d / pi. Fold IoU: frames without a fold in both
masks are left out. Looks: distances of the set of frames to the set of real frames, visible parts at 256 px, in the
units named; none uses a trained network, none says that a frame is right. Intervals: 95 %, bootstrap, seeded, the real
set fixed; frames of one film resemble each other, so intervals over frames are too narrow for other colons."""


def tables(results: TranslatorResults) -> str:
    """Two tables: how faithful, how real."""
    groups, drawn = groups_of([row.colon for row in results.rows if row.method == INPUT])
    drawn = {"subjects": "colons", "slices": "frames"}[drawn]
    colons = len({row.colon for row in results.rows})
    head = f"### {len(groups)} frames of {colons} colon{'s'[: colons > 1]} (95 % intervals over {drawn})\n"
    faithful = {"method": results.methods}
    for title, (name, form) in FAITHFUL.items():
        cells = [_cell(*mean_of(_of(results.rows, method), name), form) for method in results.methods]
        if any(cell != "-" for cell in cells):
            faithful[title] = cells
    seconds = [mean_of(_of(results.rows, method), "cpu_seconds")[0] for method in results.methods]
    faithful["CPU ms"] = [f"{1000 * value:.0f}" for value in seconds]
    looks = {method: look_distances(results, method) for method in results.methods}
    real = {"method": [*results.methods, "halves of the real set"]}
    halves = half_distances(results)
    for name in DISTANCES:
        real[name] = [_cell(*looks[m][name], ".2f") for m in results.methods] + [f"{halves[name]:.2f}"]
    units = "; ".join(f"{name}: {said}" for name, said in DISTANCES.items())
    title = f"Distance to {len(results.real)} real frames ({units}):\n"
    return f"{head}\n{markdown(faithful)}\n{title}\n{markdown(real)}"


def mean_of(rows: list[FrameRow], name: str) -> tuple[float, float, float]:
    """Mean of a score over frames, and its interval; NaN ones are left out."""
    values = [getattr(row, name) for row in rows]
    kept = [value for value in values if not math.isnan(value)]
    groups, _ = groups_of([row.colon for row in rows])
    low, high = interval(values, groups)
    return (sum(kept) / len(kept) if kept else math.nan), low, high


def look_distances(results: TranslatorResults, method: str) -> dict[str, tuple[float, float, float]]:
    """Each distance of a method's frames to the real ones, and its interval."""
    looks, real = results.looks[method], results.real_look
    groups, _ = groups_of(results.colons)
    intervals = distance_intervals(looks, real, groups)
    found = distances(average(looks), real)
    return {name: (found[name], *intervals[name]) for name in DISTANCES}


def half_distances(results: TranslatorResults) -> dict[str, float]:
    """Between the real frames of even and of odd place: what a small distance is."""
    return distances(average(results.real[::2]), average(results.real[1::2]))


def as_record(results: TranslatorResults, settings: dict[str, Any]) -> dict[str, Any]:
    """All but the single frames, for the JSON."""
    groups, drawn = groups_of([row.colon for row in results.rows if row.method == INPUT])
    names = ("mean", "low_95", "high_95")

    def triple(values: tuple[float, float, float]) -> dict[str, float | None]:
        return {n: v if math.isfinite(v) else None for n, v in zip(names, values, strict=True)}

    return {
        "software": {"name": "faithful-imaging", "version": __version__, "python": platform.python_version()},
        "settings": settings,
        "bootstrap": {
            "draws": DRAWS,
            "draws_of_looks": LOOK_DRAWS,
            "seed": 0,
            "over": {"subjects": "colons", "slices": "frames"}[drawn],
        },
        "frames": len(groups),
        "real_frames": len(results.real),
        "distances": DISTANCES,
        "halves_of_the_real_set": half_distances(results),
        "methods": {
            method: {
                "scores": {name: triple(mean_of(_of(results.rows, method), name)) for name in SCORES},
                "distance_to_real": {n: triple(v) for n, v in look_distances(results, method).items()},
            }
            for method in results.methods
        },
    }


def rows_as_csv(rows: Iterable[FrameRow]) -> str:
    """One line a method and frame, full precision; empty where there was nothing to measure."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([field.name for field in fields(FrameRow)])
    for row in rows:
        writer.writerow(["" if isinstance(v, float) and math.isnan(v) else v for v in asdict(row).values()])
    return text.getvalue()


def check_out(out: Path, read: Iterable[Path]) -> None:
    """Refuse a start of the results' names before any work is done.

    Raises
    ------
    UserError
        ``exists``, ``inside-input``, or as :func:`~inference_core.image.writing.check_folder`.
    """
    there = [str(file) for file in _files(out) if file.exists()]
    if there:
        raise UserError("exists", f"Already there: {', '.join(there)}.", "Give another --out, or remove them.")
    for file in _files(out):
        check_folder(file)
        for folder in read:
            if folder.is_dir() and folder.resolve() in file.resolve().parents:
                raise UserError("inside-input", f"{file} lies inside {folder}.", "Give --out a place outside.")


def write_results(out: Path, results: TranslatorResults, text: str, settings: dict[str, Any]) -> list[Path]:
    """Write ``OUT.md``, ``.csv``, ``.json`` and ``.png``, each whole or not at all.

    Raises
    ------
    UserError
        ``write-failed``.
    """
    from inference_core.translator.before_after import write_before_after

    record = json.dumps(as_record(results, settings), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    files = _files(out)
    for file, content in zip(files, (text, rows_as_csv(results.rows), record), strict=False):
        write_aside(file, lambda aside, content=content: aside.write_text(content, encoding="utf-8", newline=""))  # type: ignore[misc]
    captions = [f"{colon}, {number}" for colon, number in results.shown]
    subtitle = f"nearest real: in colour and texture, to the frame above it ({results.methods[-1]})"
    write_before_after(files[3], results.pictures, captions, "Simulated frames and their translations", subtitle)
    return files


def _files(out: Path) -> list[Path]:
    return [out.with_name(out.name + suffix) for suffix in SUFFIXES]


def _of(rows: list[FrameRow], method: str) -> list[FrameRow]:
    return [row for row in rows if row.method == method]


def _cell(value: float, low: float, high: float, form: str) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:{form}}" + ("" if math.isnan(low) or low == high else f" [{low:{form}}, {high:{form}}]")
