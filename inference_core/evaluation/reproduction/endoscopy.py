"""From simulated colons to the endoscopy paper's tables: make, train, translate, measure, write."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

from inference_core.evaluation import segmenter_table, translator_table
from inference_core.evaluation.reproduction import endoscopy_table_a, endoscopy_table_b
from inference_core.evaluation.reproduction.budget import Job, Trained
from inference_core.evaluation.reproduction.endoscopy_data import data_is_made, make_data
from inference_core.evaluation.reproduction.endoscopy_methods import OURS, sets_of
from inference_core.evaluation.reproduction.endoscopy_request import DEPTH_MINUTES, Request
from inference_core.evaluation.reproduction.endoscopy_trainings import (
    Training,
    depth_trainings,
    judge_trainings,
    run_all,
    segmenter_trainings,
    translator_trainings,
)
from inference_core.evaluation.reproduction.endoscopy_translations import translate_all, translations
from inference_core.evaluation.reproduction.results import Tables, make_folder, plain, write_results
from inference_core.evaluation.reproduction.trainings import trainings_table
from inference_core.evaluation.translator import evaluate_translators, open_judges, opened

DATA_MINUTES, TRANSLATION_MINUTES = 5.0, 0.7  # CPU time of all data; of a dataset; measured
FRAMES = 60
"""Of each colon, for table A."""
BUDGET_NOTE = """\
Each translator had {minutes:g} CPU minutes of one thread for its steps, each segmenter {segmenter_minutes:g}, each
depth network {depth:g} (starting, reading and publishing not counted): the steps follow from what a step cost in a
short measurement. Translators: equal time, not equal steps. Segmenters: equal steps of as many images each."""
NOT_RUN = """\
Not run: the paper's sizes (256 px, width 64, 9 blocks, 280,000 steps; EndoFM-TransUNet from Endo-FM's weights, 150
epochs), its own frames (VR-CAPS with its labels, EndoMapper), AdaIN and StyTR2 (no published weights were at
hand; `models import` takes them), any GPU."""


@dataclass
class Found:
    """Parts of the result, in the order in which they are printed."""

    text: list[str] = field(default_factory=list)
    tables: Tables = field(default_factory=dict)
    trainings: dict[str, tuple[Job, Trained]] = field(default_factory=dict)
    files: list[Path] = field(default_factory=list)


def reproduce(request: Request) -> tuple[str, list[Path]]:
    """Do it; what an earlier call with the same ``out`` has made, trained and translated is taken.

    Returns
    -------
    The text that is to be printed (Markdown), and the files written.

    Raises
    ------
    UserError, Cancelled
        The same request goes on.
    """
    make_folder(request.out)
    print(steps(request), file=sys.stderr, flush=True)
    make_data(request)
    found = Found()

    def train(*trainings: Training) -> None:
        found.trainings.update(run_all(trainings, request.processes))

    train(*depth_trainings(request))
    train(*translator_trainings(request))
    if request.only != "translators":
        translate_all(request)
        train(*judge_trainings(request), *segmenter_trainings(request))
    if request.only is None:
        _table_a(request, found)
        _table_b(request, found)
    note = BUDGET_NOTE.format(
        minutes=request.minutes, segmenter_minutes=request.segmenter_minutes, depth=DEPTH_MINUTES
    )  # fmt: skip
    found.text += ["## Trainings\n", note + "\n", trainings_table(found.trainings), NOT_RUN + "\n"]
    text = "\n".join(found.text)
    runs = {name: asdict(job) | asdict(done) for name, (job, done) in found.trainings.items()}
    settings = plain({**asdict(request), "runs": runs})
    return text, [*write_results(request.out, text, found.tables, settings), *found.files]


def steps(request: Request) -> str:
    """All that is to be done before measuring, and its CPU time."""
    made = data_is_made(request)
    lines = [("data", DATA_MINUTES, made)]
    stages = [depth_trainings, translator_trainings]
    if request.only != "translators":
        stages += [judge_trainings, segmenter_trainings]
    lines += [(one.name, one.job.minutes, one.done) for stage in stages for one in stage(request)]
    if request.only != "translators":
        count = 6 * request.seeds * len(request.translators)  # of the benchmark's colons, about
        done = made and all(one.done for one in translations(request))
        lines.append(("translations", TRANSLATION_MINUTES * count, done))
    left = sum(minutes for _, minutes, done in lines if not done)
    shown = [f"  {name}: {'done' if done else f'{minutes:g} CPU minutes'}" for name, minutes, done in lines]
    at_once = f"{request.processes} at once: about {left / request.processes:.0f} minutes"
    return "\n".join(["Steps:", *shown, f"Left: {left:.0f} CPU minutes; {at_once}, and the tables."])


def _table_a(request: Request, found: Found) -> None:
    judges = open_judges(str(request.judge / "model.json"), str(request.judge_segmenter / "model.json"))
    seeds = range(request.seeds)
    runs = {method.label: [request.translator(method.name, k) for k in seeds] for method in request.translators}
    translators = opened([str(run / "model.json") for of in runs.values() for run in of])
    simulated = request.test / "plain"
    results = evaluate_translators(simulated, request.style, translators, judges, "test", FRAMES)
    floor = endoscopy_table_a.add_floor(results, simulated, request.test / "mucosa", judges)
    scores = endoscopy_table_a.scores_of(results, floor, {m: [run.name for run in of] for m, of in runs.items()})
    ours = next((method.label for method in request.translators if method.name == OURS), None)
    pairs = [(ours, method.label) for method in request.translators if ours and method.name != OURS]
    text = endoscopy_table_a.tables(results, scores, pairs)
    found.tables["table A"] = endoscopy_table_a.records(scores, pairs)
    found.text += ["## Table A: translations\n", text]
    out = request.out / "table_a"
    found.files += translator_table.write_results(out, results, text, plain(asdict(request)))


def _table_b(request: Request, found: Found) -> None:
    sets = sets_of(request.methods)
    translated = any(method.name == OURS for method in request.methods)
    parts = []
    for seed in range(request.seeds):
        data = {"plain": request.test / "plain"}
        if translated:
            data["translated by ours"] = request.translated(OURS, seed, tested=True)
        data["mucosa"] = request.test / "mucosa"
        runs = {one.label: request.segmenter(one.name, seed) for one in sets}
        parts.append(endoscopy_table_b.measure(runs, data))
    results = endoscopy_table_b.joined(parts)
    first, *others = (one.label for one in sets)
    pairs = [(other, first) for other in others]
    rivals = [one.label for one in sets if one.translator not in (None, OURS)]
    pairs += [(one.label, rival) for rival in rivals for one in sets if one.translator == OURS]
    text = endoscopy_table_b.table(results, pairs, sets)
    found.tables["table B"] = endoscopy_table_b.records(results, pairs)
    found.text += ["## Table B: fold segmenters, by what they were trained on\n", text]
    out = request.out / "table_b"
    details = f"{segmenter_table.tables(results)}\n{segmenter_table.NOTES}\n"
    found.files += segmenter_table.write_results(out, results, details, plain(asdict(request)))
