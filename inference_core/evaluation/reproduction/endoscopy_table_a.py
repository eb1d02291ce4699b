"""Table A: how faithful translations are, and how far they look from the style; each method's trainings together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from inference_core.evaluation.bootstrap import DRAWS, groups_of
from inference_core.evaluation.crossed import Drawn, Estimate, difference, drawn_groups, drawn_means, estimate
from inference_core.evaluation.table import NOTHING, markdown
from inference_core.evaluation.translator import INPUT, TranslatorResults
from inference_core.evaluation.translator_scores import Judges, judged, score_frame
from inference_core.evaluation.translator_table import FAITHFUL, half_distances
from inference_core.measurement.realism import DISTANCES, average, distances, look_of, sum_of
from inference_core.measurement.realism import DRAWS as LOOK_DRAWS
from inference_core.simulation.colon.dataset.frames import ColonFrames

FLOOR = "mucosa itself (same poses)"
HALVES = "halves of the style"
NOTE = """\
Depth, edges, folds and distances as `evaluate translator` has them, by a depth network and a segmenter trained on
`plain` and `mucosa` of the training colons, never on translations. Mucosa itself: the simulator's own frames of the
same poses, judged where both show the colon: what the measures say where nothing moved and the look is the true one.
Rows of several trainings: mean over them. In brackets: 95 % intervals, bootstrap, seeded. Each draw has new {drawn}
with replacement, the same for all rows, and in rows of several trainings new trainings with replacement, for each row
its own (their deviations from their mean enlarged by sqrt(n / (n - 1))). The style set is fixed. Few colons and
trainings: the ends of the intervals are rough."""

Runs = Mapping[str, Sequence[str]]
Scores = dict[str, dict[str, Drawn]]
"""By row and column."""


def add_floor(results: TranslatorResults, simulated: Path, styled: Path, judges: Judges) -> TranslatorResults:
    """Results of the true frames in the look to be given, in the place of translations; of the frames in ``results``.

    Parameters
    ----------
    results : TranslatorResults
        Of frames of ``simulated``.
    simulated, styled : Path
        Folders of datasets of the same names, poses and labels.
    judges : Judges
    """
    floor = TranslatorResults(looks={FLOOR: []}, real=results.real)
    opened: dict[str, tuple[ColonFrames, ColonFrames]] = {}
    for row in results.rows:
        if row.method != INPUT:
            continue
        if row.colon not in opened:
            opened[row.colon] = ColonFrames(simulated / row.colon), ColonFrames(styled / row.colon)
        before, after = (frames[row.frame] for frames in opened[row.colon])
        seen = before["visible"] & after["visible"]
        found = judged(before, seen, judges)
        floor.rows.append(score_frame(FLOOR, row.colon, row.frame, after["rgb"], found, judges, math.nan))
        look = look_of(after["rgb"], without=~seen)
        if look is not None:
            floor.looks[FLOOR].append(look)
            floor.colons.append(row.colon)
    return floor


def scores_of(results: TranslatorResults, floor: TranslatorResults, runs: Runs) -> Scores:
    """All scores of all rows.

    Parameters
    ----------
    results : TranslatorResults
        Of single trainings.
    floor : TranslatorResults
    runs : mapping
        By row of the table, its trainings as ``results`` names them.
    """
    return {
        INPUT: _row(results, [INPUT]),
        **{label: _row(results, names) for label, names in runs.items()},
        FLOOR: _row(floor, [FLOOR]),
    }


def tables(results: TranslatorResults, scores: Scores, pairs: Sequence[tuple[str, str]]) -> str:
    """The tables as Markdown.

    Parameters
    ----------
    results : TranslatorResults
    scores : dict
    pairs : sequence of (row, row)
        Of which the difference is shown.
    """
    halves = half_distances(results)
    faithful: dict[str, list[str]] = {"method": list(scores)}
    faithful["trainings"] = [_trainings(label, row) for label, row in scores.items()]
    for title, (_, form) in FAITHFUL.items():
        faithful[title] = [_cell(estimate(row[title]), form) for row in scores.values()]
    real: dict[str, list[str]] = {"method": [*scores, HALVES]}
    for name in DISTANCES:
        real[name] = [_cell(estimate(row[name]), ".2f") for row in scores.values()] + [f"{halves[name]:.2f}"]
    frames = [row for row in results.rows if row.method == INPUT]
    units = "; ".join(f"{name}: {said}" for name, said in DISTANCES.items())
    parts = [
        f"{len(frames)} frames of {len({row.colon for row in frames})} colons of the split test.\n",
        markdown(faithful),
        f"Distance to {len(results.real)} frames of the style ({units}):\n",
        markdown(real),
    ]
    if pairs:
        columns = {name: form for name, (_, form) in FAITHFUL.items()} | dict.fromkeys(DISTANCES, ".2f")
        less = {name: [_difference(scores, pair, name, form) for pair in pairs] for name, form in columns.items()}
        parts += ["Differences:\n", markdown({"rows": [f"{one} - {other}" for one, other in pairs], **less})]
    drawn = "colons" if groups_of([row.colon for row in frames])[1] == "subjects" else "frames"
    return "\n".join([*parts, NOTE.format(drawn=drawn) + "\n"])


def records(scores: Scores, pairs: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """The same for JSON and CSV."""
    lines = [{"method": label, **_record({n: estimate(s) for n, s in row.items()})} for label, row in scores.items()]
    for one, other in pairs:
        less = {name: difference(scores[one][name], scores[other][name]) for name in scores[one]}
        lines.append({"method": f"{one} - {other}", **_record(less)})
    return lines


def _row(results: TranslatorResults, names: Sequence[str]) -> dict[str, Drawn]:
    by_run = [[row for row in results.rows if row.method == name] for name in names]
    groups, _ = groups_of([row.colon for row in by_run[0]])
    found = {}
    for title, (score, _) in FAITHFUL.items():
        values = np.array([[getattr(row, score) for row in rows] for rows in by_run], np.float64)
        found[title] = drawn_means(values, groups, DRAWS)
    return found | _looks(results, names)


def _looks(results: TranslatorResults, names: Sequence[str]) -> dict[str, Drawn]:
    """Distances of each training's frames to the style, as they are and in each draw."""
    groups, _ = groups_of(results.colons)
    index, counts = drawn_groups(groups, LOOK_DRAWS)
    weights = counts / (counts @ np.bincount(index))[:, None]
    real = results.real_look
    values, draws = [], []
    for name in names:
        looks = results.looks[name]
        sums = {d: np.stack([sum_of(looks, d, index == k) for k in range(counts.shape[1])]) for d in DISTANCES}
        values.append(distances(average(looks), real))
        draws.append([distances({d: np.tensordot(w, sums[d], 1) for d in DISTANCES}, real) for w in weights])
    return {
        name: Drawn(np.array([one[name] for one in values]), np.array([[one[name] for one in run] for run in draws]).T)
        for name in DISTANCES
    }


def _difference(scores: Scores, pair: tuple[str, str], name: str, form: str) -> str:
    return _cell(difference(scores[pair[0]][name], scores[pair[1]][name]), f"+{form}")


def _trainings(label: str, row: dict[str, Drawn]) -> str:
    return NOTHING if label in (INPUT, FLOOR) else str(len(next(iter(row.values())).values))


def _cell(found: Estimate, form: str) -> str:
    if math.isnan(found.value):
        return NOTHING
    return f"{found.value:{form}}" + ("" if math.isnan(found.low) else f" [{found.low:{form}}, {found.high:{form}}]")


def _record(found: Mapping[str, Estimate]) -> dict[str, float]:
    ends = {"": "value", " low 95": "low", " high 95": "high"}
    return {f"{name}{end}": getattr(one, field) for name, one in found.items() for end, field in ends.items()}
