"""Table B, after the paper's table 2: IoU of segmenters by what they were trained on, on each evaluation set."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from inference_core.evaluation.labelled_frames import LabelledFrame, LabelledFrames, open_frames
from inference_core.evaluation.reproduction.endoscopy_methods import TrainingSet
from inference_core.evaluation.segmenter import SegmenterResults, evaluate_segmenters, open_segmenters
from inference_core.evaluation.segmenter_scores import Estimate, difference, drawn_over, estimate, spread
from inference_core.evaluation.table import NOTHING, markdown

EVERY = 2
"""Of the frames, every second is measured."""
NOTE = """\
IoU of the masks of all folds, in %: mean over frames and trainings ± standard deviation over frames; frames in which
neither truth nor segmenter has a pixel are left out. In brackets: 95 % intervals, bootstrap, seeded; each draw has new
{over} with replacement, the same for all rows, and new trainings for each row. Differences are in IoU points, on the
same frames. The segmenter of a seed is trained, and on translated frames tested, with the translator of that seed. No
label of a frame in the look `mucosa` was used in any training; frames in that look, without labels and of other colons,
were the translators' style."""


class EverySecond:
    """Some of a set's frames."""

    def __init__(self, frames: LabelledFrames) -> None:
        self._frames = frames

    def __len__(self) -> int:
        return -(-len(self._frames) // EVERY)

    def __getitem__(self, index: int) -> LabelledFrame:
        return self._frames[index * EVERY]


def measure(runs: Mapping[str, Path], sets: Mapping[str, Path]) -> SegmenterResults:
    """Score one training of each row on each set.

    Parameters
    ----------
    runs : mapping
        Folder of the training, by row.
    sets : mapping
        Folder of datasets, by column.

    Raises
    ------
    UserError
        What opening, reading and segmenting raise.
    """
    segmenters = open_segmenters([f"{label}={run}" for label, run in runs.items()])
    return evaluate_segmenters(segmenters, [(name, EverySecond(open_frames(path))) for name, path in sets.items()])


def joined(parts: Sequence[SegmenterResults]) -> SegmenterResults:
    """Results of several trainings; pictures of the first."""
    return SegmenterResults([row for part in parts for row in part.rows], parts[0].shown, parts[0].segments)


def table(results: SegmenterResults, pairs: Sequence[tuple[str, str]], sets: Sequence[TrainingSet]) -> str:
    """IoU by row and set, differences of rows, and the paper's figures, as Markdown.

    Parameters
    ----------
    results : SegmenterResults
    pairs : sequence of (row, row)
        Of which the difference is shown.
    sets : sequence of TrainingSet
        For the paper's figures.
    """
    first = results.of(results.methods[0], results.sets[0])
    columns: dict[str, list[str]] = {"trained on": results.methods}
    columns["trainings"] = [str(len({row.training for row in results.of(m, results.sets[0])})) for m in results.methods]
    for data in results.sets:
        columns[data] = [_cell(results, method, data) for method in results.methods]
    frames, colons = ({getattr(row, name) for row in first} for name in ("frame", "colon"))
    parts = [f"{len(frames)} frames of {len(colons)} colons of the split test.\n", markdown(columns)]
    if pairs:
        less = {data: [_difference(results, pair, data) for pair in pairs] for data in results.sets}
        parts.append(markdown({"rows": [f"{one} - {other}" for one, other in pairs], **less}))
    paper = {
        "trained on": [one.label for one in sets],
        "translated frames": [one.paper[0] for one in sets],
        "EndoMapper": [one.paper[1] for one in sets],
    }
    title = "The paper's table 2, EndoFM-TransUNet on its own frames:\n"
    return "\n".join([*parts, NOTE.format(over=drawn_over(first)) + "\n", title, markdown(paper)])


def records(results: SegmenterResults, pairs: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """The same for JSON and CSV; IoU from 0 to 1."""
    lines = []
    for method in results.methods:
        of = {data: estimate(results.of(method, data), "iou") for data in results.sets}
        wide = {f"{data} std over frames": spread(results.of(method, data)) for data in results.sets}
        lines.append({"method": method, **_record(of), **wide})
    for one, other in pairs:
        less = {data: _less(results, (one, other), data) for data in results.sets}
        lines.append({"method": f"{one} - {other}", **_record(less)})
    return lines


def _cell(results: SegmenterResults, method: str, data: str) -> str:
    rows = results.of(method, data)
    found = estimate(rows, "iou")
    if math.isnan(found.value):
        return NOTHING
    wide = spread(rows)
    return f"{100 * found.value:.1f}" + ("" if math.isnan(wide) else f" ± {100 * wide:.1f}") + _interval(found, ".1f")


def _difference(results: SegmenterResults, pair: tuple[str, str], data: str) -> str:
    found = _less(results, pair, data)
    return NOTHING if math.isnan(found.value) else f"{100 * found.value:+.1f}" + _interval(found, "+.1f")


def _less(results: SegmenterResults, pair: tuple[str, str], data: str) -> Estimate:
    return difference(results.of(pair[0], data), results.of(pair[1], data), "iou")


def _interval(found: Estimate, form: str) -> str:
    return "" if math.isnan(found.low) else f" [{100 * found.low:{form}}, {100 * found.high:{form}}]"


def _record(found: Mapping[str, Estimate]) -> dict[str, float]:
    ends = {"": "value", " low 95": "low", " high 95": "high"}
    return {f"{name}{end}": getattr(one, field) for name, one in found.items() for end, field in ends.items()}
