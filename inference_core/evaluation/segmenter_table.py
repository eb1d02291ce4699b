"""A segmenter evaluation as Markdown, CSV, JSON and a picture."""

from __future__ import annotations

import csv
import io
import json
import math
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from inference_core import __version__
from inference_core.evaluation.bootstrap import DRAWS
from inference_core.evaluation.segmenter import SegmenterResults
from inference_core.evaluation.segmenter_pictures import write_pictures
from inference_core.evaluation.segmenter_scores import (
    SCORES,
    Estimate,
    FrameRow,
    difference,
    drawn_over,
    estimate,
    spread,
    value,
)
from inference_core.evaluation.table import markdown
from inference_core.image.writing import write_aside
from inference_core.measurement.segmentation import calibration

SUFFIXES = (".md", ".csv", ".json", ".png")
MOST_COLONS = 12
"""From more on, single colons are in the JSON alone."""
NAMES = {"iou": "IoU", "precision": "precision", "recall": "recall", "matched_iou": "IoU of matched"}

NOTES = """\
IoU: of the masks of all folds, in %, mean over frames ± standard deviation over frames; frames in which neither the
truth nor the segmenter has a pixel are left out. Precision: share of the segments that overlap a true fold with an IoU
above 0.5; recall: share of the true folds (of a thousandth of the frame or more: smaller ones are never marked) that a
segment so overlaps. Calibration error: mean distance between an instance's confidence and the share of such instances
that match, over 10 bins. What a dataset's black border hides is left out. Rows of several trainings: scores are their
mean. In brackets: 95 % intervals, bootstrap, seeded. Each draw has new colons (frames, where there are fewer than three
colons: then too narrow for other colons) and, in rows of several trainings, new trainings; a row of one training says
nothing of other seeds. Differences are on the same frames: each draw has the same colons or frames for both rows."""


def tables(results: SegmenterResults) -> str:
    """IoU by method and set; differences to the first method; instances; single colons."""
    parts = ["### Mean IoU of fold masks, %\n", markdown(_iou_columns(results))]
    if len(results.methods) > 1:
        first = results.methods[0]
        columns = {"row": [f"{first} - {other}" for other in results.methods[1:]]}
        for data in results.sets:
            found = [difference_of(results, first, other, data) for other in results.methods[1:]]
            columns[data] = [_cell(one, "+.1f", 100) for one in found]
        parts += [f"### Differences of the first row to the others, IoU points\n\n{markdown(columns)}"]
    for data in results.sets:
        parts += [f"### Instances: {data}\n", markdown(_instance_columns(results, data))]
    for data in results.sets:
        colons = list(dict.fromkeys(row.colon for row in results.of(results.methods[0], data)))
        if 1 < len(colons) <= MOST_COLONS:
            parts += [f"### Mean IoU by colon, %: {data}\n", markdown(_colon_columns(results, data, colons))]
    return "\n".join(parts)


def difference_of(results: SegmenterResults, method: str, other: str, data: str, score: str = "iou") -> Estimate:
    """How much higher a score of one method is than another's on a set."""
    return difference(results.of(method, data), results.of(other, data), score)


def calibration_error(rows: Iterable[FrameRow]) -> float:
    """Expected calibration error of instances, mean over trainings; NaN where one marked nothing."""
    by_training: dict[str, list[FrameRow]] = {}
    for row in rows:
        by_training.setdefault(row.training, []).append(row)
    errors = [
        calibration(
            np.array([one for row in of for one in row.confidence], np.float64),
            np.array([one for row in of for one in row.right], bool),
        ).error
        for of in by_training.values()
    ]
    return sum(errors) / len(errors)


def as_record(results: SegmenterResults, settings: dict[str, Any]) -> dict[str, Any]:
    """All but the single frames, for the JSON; scores from 0 to 1."""
    first = results.methods[0]
    return {
        "software": {"name": "faithful-imaging", "version": __version__, "python": platform.python_version()},
        "settings": settings,
        "bootstrap": {"draws": DRAWS, "seed": 0},
        "sets": {data: _set_record(results.of(first, data)) for data in results.sets},
        "methods": {
            method: {data: _method_record(results.of(method, data)) for data in results.sets}
            for method in results.methods
        },
        "first_less_others": {
            other: {
                data: {score: _triple(difference_of(results, first, other, data, score)) for score in SCORES}
                for data in results.sets
            }
            for other in results.methods[1:]
        },
    }


def rows_as_csv(rows: Iterable[FrameRow]) -> str:
    """One line a training and frame, full precision; empty where there was nothing to measure."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([field.name for field in fields(FrameRow)])
    for row in rows:
        writer.writerow([_csv_cell(one) for one in asdict(row).values()])
    return text.getvalue()


def write_results(out: Path, results: SegmenterResults, text: str, settings: dict[str, Any]) -> list[Path]:
    """Write ``OUT.md``, ``.csv``, ``.json`` and ``.png``, each whole or not at all.

    Raises
    ------
    UserError
        ``write-failed``.
    """
    record = json.dumps(as_record(results, settings), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    files = [out.with_name(out.name + suffix) for suffix in SUFFIXES]
    for file, content in zip(files, (text, rows_as_csv(results.rows), record), strict=False):
        write_aside(file, lambda aside, content=content: aside.write_text(content, encoding="utf-8", newline=""))  # type: ignore[misc]
    write_pictures(files[3], results.shown, results.segments)
    return files


def _iou_columns(results: SegmenterResults) -> dict[str, list[str]]:
    columns = {"row": results.methods}
    columns["trainings"] = [str(_trainings(results.of(method, results.sets[0]))) for method in results.methods]
    for data in results.sets:
        one = results.of(results.methods[0], data)
        frames = len({row.frame for row in one})
        colons = len({row.colon for row in one})
        title = f"{data} ({frames} frames, {colons} colon{'s'[: colons > 1]}; over {drawn_over(one)})"
        columns[title] = [_iou_cell(results.of(method, data)) for method in results.methods]
    return columns


def _instance_columns(results: SegmenterResults, data: str) -> dict[str, list[str]]:
    by_method = {method: results.of(method, data) for method in results.methods}
    columns = {"row": results.methods}
    for score in SCORES[1:]:
        columns[NAMES[score]] = [_cell(estimate(rows, score), ".3f") for rows in by_method.values()]
    columns["calibration error"] = [_plain(calibration_error(rows), ".3f") for rows in by_method.values()]
    columns["segments a frame"] = [f"{_mean_of(rows, 'segments'):.1f}" for rows in by_method.values()]
    columns["true folds a frame"] = [f"{_mean_of(rows, 'truths'):.1f}" for rows in by_method.values()]
    columns["CPU ms a frame"] = [f"{1000 * _mean_of(rows, 'cpu_seconds'):.0f}" for rows in by_method.values()]
    return columns


def _colon_columns(results: SegmenterResults, data: str, colons: Sequence[str]) -> dict[str, list[str]]:
    columns = {"row": results.methods}
    for colon in colons:
        of = [[row for row in results.of(method, data) if row.colon == colon] for method in results.methods]
        columns[colon] = [_iou_cell(rows, interval=False) for rows in of]
    return columns


def _iou_cell(rows: Sequence[FrameRow], interval: bool = True) -> str:
    found = estimate(rows, "iou")
    if math.isnan(found.value):
        return "-"
    text = f"{100 * found.value:.1f}" + ("" if math.isnan(wide := spread(rows)) else f" ± {100 * wide:.1f}")
    if not interval or math.isnan(found.low):
        return text
    return f"{text} [{100 * found.low:.1f}, {100 * found.high:.1f}]"


def _cell(found: Estimate, form: str, factor: float = 1) -> str:
    middle, low, high = (factor * one for one in (found.value, found.low, found.high))
    if math.isnan(middle):
        return "-"
    return f"{middle:{form}}" + ("" if math.isnan(low) else f" [{low:{form}}, {high:{form}}]")


def _plain(number: float, form: str) -> str:
    return "-" if math.isnan(number) else f"{number:{form}}"


def _mean_of(rows: Sequence[FrameRow], name: str) -> float:
    return float(sum(getattr(row, name) for row in rows) / len(rows))


def _trainings(rows: Iterable[FrameRow]) -> int:
    return len({row.training for row in rows})


def _set_record(rows: Sequence[FrameRow]) -> dict[str, Any]:
    return {
        "frames": len({row.frame for row in rows}),
        "colons": sorted({row.colon for row in rows}),
        "intervals_over": drawn_over(rows),
    }


def _method_record(rows: Sequence[FrameRow]) -> dict[str, Any]:
    trainings, colons = (list(dict.fromkeys(getattr(row, name) for row in rows)) for name in ("training", "colon"))
    return {
        **{score: _triple(estimate(rows, score)) for score in SCORES},
        "iou_std_over_frames": _number(spread(rows)),
        "calibration_error": _number(calibration_error(rows)),
        "frames_left_out": {one: sum(math.isnan(r.iou) for r in rows if r.training == one) for one in trainings},
        "cpu_seconds_a_frame": _mean_of(rows, "cpu_seconds"),
        "trainings": {one: _values([row for row in rows if row.training == one]) for one in trainings},
        "colons": {one: _values([row for row in rows if row.colon == one]) for one in colons},
    }


def _values(rows: Sequence[FrameRow]) -> dict[str, float | None]:
    return {score: _number(value(rows, score)) for score in SCORES}


def _triple(found: Estimate) -> dict[str, float | None]:
    return {"value": _number(found.value), "low_95": _number(found.low), "high_95": _number(found.high)}


def _number(number: float) -> float | None:
    return number if math.isfinite(number) else None


def _csv_cell(content: Any) -> Any:
    if isinstance(content, tuple):
        return " ".join(str(float(one)) for one in content)
    return "" if isinstance(content, float) and math.isnan(content) else content
