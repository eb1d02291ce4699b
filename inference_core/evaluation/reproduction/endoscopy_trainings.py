"""Which trainings the endoscopy tables need, and how they are run: several at once, each on one thread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from inference_core.evaluation.reproduction.budget import Job, Trained, is_done, seconds_a_step, trained
from inference_core.evaluation.reproduction.endoscopy_methods import sets_of
from inference_core.evaluation.reproduction.endoscopy_request import DEPTH_MINUTES, Request
from inference_core.evaluation.reproduction.together import together

JUDGE_SEED = 1000
"""Of the judges; no network that they judge, and not the depth network of the loss, has it."""


@dataclass(frozen=True)
class Training:
    """One training.

    Attributes
    ----------
    name : str
        As it is printed.
    job : Job
    run : Path
        Its folder.
    probe : Path
        File of the cost of its step.
    """

    name: str
    job: Job
    run: Path
    probe: Path

    @property
    def done(self) -> bool:
        """Whether it has left its model."""
        return is_done(self.run)


def depth_trainings(request: Request) -> list[Training]:
    """The depth network of the loss, where none is given: it never sees the look to be given."""
    if not request.trains_depth:
        return []
    job = Job("depth", (f"simulated={request.depth_data.resolve()}", "seed=0"), DEPTH_MINUTES, "depth")
    return [Training("depth network of the loss", job, request.depth_run, request.probe("depth"))]


def translator_trainings(request: Request) -> list[Training]:
    """Each method with each seed, all for the same CPU time."""
    data = (f"simulated={(request.bench / 'plain').resolve()}", f"real={request.style.resolve()}")
    trainings = []
    for seed in range(request.seeds):
        for method in request.translators:
            depth = (f"depth_model={request.depth}",) if method.needs_depth else ()
            job = Job(method.config, (*method.settings, *depth, *data, f"seed={seed}"), request.minutes, "translator")
            run = request.translator(method.name, seed)
            trainings.append(Training(f"translator {run.name}", job, run, request.probe(method.name)))
    return trainings


def judge_trainings(request: Request) -> list[Training]:
    """What judges translations: a depth network and a segmenter that know both looks, and never saw a translation."""
    bench, seed = request.bench.resolve(), f"seed={JUDGE_SEED}"
    depth = Job("depth", (f"simulated={bench}", seed), DEPTH_MINUTES, "depth")
    folds = Job("segmenter", (f"data=[{bench}]", seed), request.segmenter_minutes, "segmenter")
    return [
        Training("judge of depth", depth, request.judge, request.probe("depth")),
        Training("judge of folds", folds, request.judge_segmenter, request.probe("segmenter")),
    ]


def segmenter_trainings(request: Request) -> list[Training]:
    """Each training set with each seed: the same number of steps, of as many images each.

    The segmenter of a seed learns from what the translator of that seed made. A method that needs no translator has the
    time of both.
    """
    trainings = []
    both = (f"simulated={(request.bench / 'plain').resolve()}", f"real={request.style.resolve()}")
    alone = {method.name: method for method in request.methods if method.segments}
    for seed in range(request.seeds):
        for one in sets_of(request.methods):
            run = request.segmenter(one.name, seed)
            if one.translator in alone:
                method = alone[one.translator]
                settings = (*method.settings, *both, f"seed={seed}")
                job = Job(method.config, settings, request.minutes + request.segmenter_minutes, "segmenter")
                trainings.append(Training(f"segmenter {run.name}", job, run, request.probe(method.name)))
                continue
            folders = [request.bench / "plain"] if one.simulated else []
            if one.translator is not None:
                folders.append(request.translated(one.translator, seed))
            data = ",".join(str(folder.resolve()) for folder in folders)
            job = Job("segmenter", (f"data=[{data}]", f"seed={seed}"), request.segmenter_minutes, "segmenter")
            trainings.append(Training(f"segmenter {run.name}", job, run, request.probe("segmenter")))
    return trainings


def run_all(trainings: Sequence[Training], processes: int) -> dict[str, tuple[Job, Trained]]:
    """Train what is not trained yet; by name, what each was.

    What a step costs is measured before, of one training at a time, so that the methods are measured alike.

    Raises
    ------
    UserError, Cancelled
        As :func:`~inference_core.evaluation.reproduction.budget.trained`.
    """
    for training in trainings:
        seconds_a_step(training.job, training.probe)
    works = [partial(trained, one.job, one.run, one.probe) for one in trainings]
    found = together(works, processes)
    return {one.name: (one.job, done) for one, done in zip(trainings, found, strict=True)}
