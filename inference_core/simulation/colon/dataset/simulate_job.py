"""The worker's job ``simulate-colon``: from a colon to a dataset of labelled frames, or to the whole benchmark."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np

from inference_core.errors import UserError
from inference_core.simulation.colon.dataset.card import Filming
from inference_core.simulation.colon.dataset.film import check_filming, film
from inference_core.simulation.colon.dataset.frames import SPLITS
from inference_core.simulation.colon.dataset.scene import Scene, scene_of_file
from inference_core.simulation.colon.teller import Teller

NOT_STATED = "origin and licence not stated; ask for them before passing these frames on"

Emit = Callable[..., None]


@dataclass(frozen=True)
class SimulateJob:
    """What to film and how; paths as strings, as they travel in JSON."""

    output: str
    input: str | None = None
    """A surface, label map or segmentation; a benchmark may do without."""
    label: int | None = None
    start: list[float] | None = None
    """Where the endoscope enters: x, y, z in mm, LPS."""
    end: list[float] | None = None
    """Where it turns."""
    path: str | None = None
    """File of a path to fly (``.vtp``, or ``.mrk.json`` of Slicer) from where it enters to where it turns."""
    split: str = "train"
    attribution: str | None = None
    benchmark: bool = False
    frames: int = 1400
    size: int = 256
    seed: int = 1
    appearance: str = "plain"
    camera: str = "pinhole"
    direction: str = "withdrawal"
    speed_mm_s: float = 20.0
    look_ahead_mm: float = 30.0
    jitter: float = 1.0
    depth_float: bool = False

    @property
    def filming(self) -> Filming:
        """The part of it that says how the camera films."""
        return Filming(**{field.name: getattr(self, field.name) for field in fields(Filming)})


def run(message: dict[str, Any], emit: Emit, cancelled: Callable[[], bool]) -> dict[str, Any]:
    """Do the job; see :class:`SimulateJob` for the message's fields.

    Returns
    -------
    dict
        As :func:`~inference_core.simulation.colon.dataset.film.film` and ``warnings``; for a benchmark ``output`` and
        ``datasets``, a list of these.

    Raises
    ------
    UserError
    Cancelled
    """
    job = job_from(message)
    _check(job)
    teller = Teller(emit, cancelled)
    if job.benchmark:
        from inference_core.simulation.colon.dataset.benchmark import make_benchmark

        extra = (lambda: read_scene(job, teller)) if job.input else None
        return make_benchmark(Path(job.output), job.filming, extra, job.attribution or NOT_STATED, teller)
    scene = read_scene(job, teller)
    teller.begin("render", job.frames)
    report = film(
        scene,
        job.filming,
        Path(job.output),
        job.split,
        job.attribution or scene.attribution or NOT_STATED,
        teller.progress,
        cancelled,
    )
    return {**report, "labels": scene.labels, "warnings": teller.warnings}


def job_from(message: dict[str, Any]) -> SimulateJob:
    """A job from its JSON.

    Raises
    ------
    UserError
        ``bad-job`` for an unknown, missing or wrong field.
    """
    kinds = get_type_hints(SimulateJob)
    unknown = set(message) - set(kinds) - {"job"}
    if unknown or "output" not in message:
        raise UserError(
            "bad-job",
            f"A simulate-colon job takes {', '.join(kinds)}, not {', '.join(sorted(message))}.",
            "Client and worker may be of different versions; install one of them again.",
        )
    given = {name: value for name, value in message.items() if name != "job"}
    wrong = [name for name, value in given.items() if not _fits(value, kinds[name])]
    if wrong:
        raise UserError("bad-job", f"The job's {', '.join(wrong)} is of the wrong type.", "Send the documented types.")
    return SimulateJob(**given)


def read_scene(job: SimulateJob, teller: Teller) -> Scene:
    """The colon that the job names; what was repaired or is doubtful becomes a warning."""
    source = Path(job.input or "")
    start, end = (np.array(point) if point else None for point in (job.start, job.end))
    along = Path(job.path) if job.path else None
    scene = teller.wait_for(lambda: scene_of_file(source, job.label, start, end, teller.begin, teller.progress, along))
    for repair in scene.repairs:
        teller.warn(repair)
    if not scene.folds:
        teller.warn("No fold was found on this surface: all masks and instances are empty.")
    return scene


def _check(job: SimulateJob) -> None:
    from inference_core.simulation.colon.dataset.dataset import check_output

    if job.input is None and not job.benchmark:
        raise UserError(
            "no-colon",
            "No colon is given.",
            "Give a surface and a folder: inference-core simulate-colon COLON OUT; inference-core sample colon makes"
            " a surface.",
        )
    if job.split not in SPLITS:
        raise UserError("split", f"There is no split {job.split!r}.", f"Choose one of {', '.join(SPLITS)}.")
    for name in ("start", "end"):
        point = getattr(job, name)
        if point is not None and len(point) != 3:
            raise UserError("point", f"The {name} has {len(point)} coordinates.", f"Give --{name} x,y,z in mm, LPS.")
    if job.path is not None:
        _check_path(job, job.path)
    check_filming(job.filming)
    for what, file in (("colon", job.input), ("path", job.path)):
        if file is not None and Path(job.output).resolve() in Path(file).resolve().parents:
            raise UserError(
                "inside-output",
                f"The {what} {file} lies inside the output {job.output}.",
                "Give the output a folder of its own.",
            )
    if not job.benchmark:
        check_output(Path(job.output))


def _check_path(job: SimulateJob, path: str) -> None:
    from inference_core.simulation.colon.path.path_files import read_path

    if job.benchmark or job.start or job.end:
        other = "a benchmark" if job.benchmark else "a start or an end"
        raise UserError("path", f"A path does not go with {other}.", "Give one of the two; a path has its own ends.")
    read_path(Path(path))  # refused here, before the colon is read


def _fits(value: Any, kind: Any) -> bool:
    """Whether a JSON value is of a field's type."""
    kinds = get_args(kind) or (kind,)
    if isinstance(value, bool):
        return bool in kinds
    if value is None:
        return type(None) in kinds
    if isinstance(value, int):
        return int in kinds or float in kinds
    if isinstance(value, list):
        return list[float] in kinds and all(isinstance(x, (int, float)) and not isinstance(x, bool) for x in value)
    return type(value) in kinds
