"""``inference-core reproduce ct|endoscopy``: the papers' tables and figures, at a budget of CPU time."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from inference_core.errors import Cancelled


def ct(
    low: Path | None = None,
    full: Path | None = None,
    train: list[str] | None = None,
    test: str = "",
    head: Path | None = None,
    minutes: float = 5.0,
    table: Literal[1, 2] | None = None,
    methods: list[str] | None = None,
    warm_start: str | None = None,
    default: str | None = None,
    bm3d: bool = False,
    out: Path = Path("runs/reproduce"),
) -> None:
    """Train the CT paper's method and its rivals for the same CPU time each, and print the paper's tables beside them.

    Table 1 scores them on your pairs of low and full dose. Table 2 measures noise and CT-number shifts on made
    temporal-bone CT, for which nothing is needed. Each training is a process on one thread. What is trained already in
    the folder OUT is taken, so the same command goes on where it was stopped.

    Args:
        low: Folder of low-dose CT, for table 1.
        full: Folder of full-dose CT, files of the same names.
        train: Patients to train on: names of files up to the first _.
        test: Test on the files whose name starts with this, e.g. P7_ or P7_sharp; none may be of a patient of --train.
        head: A head CT with little noise, for more of table 2; without it, on phantoms alone.
        minutes: CPU time of each training's steps. Table 1 has a training a method, table 2 two. On top come, for each
            method and table, 5 s to measure a step, and starting, reading data, publishing, scoring, filters and BM3D.
        table: Make this table only; 1 or 2.
        methods: Train these only: cyclegan, wavcyclegan, gan_circle, cycle_free, dml, dml_robust, dml_robust_warm.
        warm_start: Model that dml_robust_warm starts from; it must not have seen the test patient.
        default: Model to score besides, e.g. a supervised one; it must not have seen the test patient.
        bm3d: Score BM3D too (pip install 'faithful-imaging[bench]'; non-commercial use only); 11 s a slice.
        out: Folder of data, trainings and figures; the results are OUT.md, OUT.csv and OUT.json beside it.
    """
    from inference_core.evaluation.reproduction.reproduce import reproduce
    from inference_core.evaluation.reproduction.request import Request

    tables: tuple[Literal[1, 2], ...] = (1, 2) if table is None else (table,)
    request = Request(out, low, full, train or [], test, head, minutes, tables, methods, warm_start, default, bm3d)
    _run(lambda: reproduce(request))


def endoscopy(
    minutes: float = 20.0,
    segmenter_minutes: float = 8.0,
    seeds: int = 3,
    bench: Path | None = None,
    style: Path | None = None,
    depth_model: str | None = None,
    methods: list[str] | None = None,
    processes: int = 1,
    only: Literal["translators", "segmenters"] | None = None,
    out: Path = Path("runs/endoscopy"),
) -> None:
    """Train the endoscopy paper's translation and its rivals for the same CPU time each, segmenters on what they make.

    All is simulated, so truth is known: frames in the look `plain` are translated to the look `mucosa`, learned from
    frames of other colons. Table A measures the translations, table B fold segmenters trained on them. Each training is
    a process on one thread. What is made and trained already in the folder OUT is taken, so the same command goes on
    where it was stopped.

    Args:
        minutes: CPU time of each translator's steps.
        segmenter_minutes: CPU time of each segmenter's steps.
        seeds: Trainings of each method.
        bench: What simulate-colon --benchmark wrote; made in OUT where not given.
        style: Frames of the look to be given, of other colons; made in OUT where not given.
        depth_model: Depth network (in mm) of the depth loss; by default the bundled colon-depth, else one is trained.
        methods: Those of cyclegan, i2i, ours, foldit; by default all.
        processes: Trainings that go on at the same time.
        only: Stop after the translators or segmenters; without it, everything.
        out: Folder of data and trainings; the results are OUT.md, OUT.csv and OUT.json beside it.
    """
    from inference_core.evaluation.reproduction.endoscopy import reproduce
    from inference_core.evaluation.reproduction.endoscopy_request import requested

    request = requested(
        out, minutes, segmenter_minutes, seeds, bench, style, depth_model, methods, processes, only
    )  # fmt: skip
    _run(lambda: reproduce(request))


def _run(reproduce: Callable[[], tuple[str, list[Path]]]) -> None:
    """Print what it finds and which files it has written."""
    with _terminated_as_by_ctrl_c() as seen:
        try:
            text, written = reproduce()
        except (Cancelled, KeyboardInterrupt):
            print("Stopped. The same command goes on from here.", file=sys.stderr)
            sys.exit(128 + (seen[0] if seen else signal.SIGINT))
    print(text)
    for path in written:
        print(f"wrote {path}")


@contextmanager
def _terminated_as_by_ctrl_c() -> Iterator[list[int]]:
    """Termination and a closed terminal interrupt like Ctrl-C, so that no training goes on alone; gives what came."""
    seen: list[int] = []

    def note(number: int, frame: object) -> None:
        if not seen:  # some supervisors send it twice
            seen.append(number)
            raise KeyboardInterrupt

    numbers = [signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    heard = [number for number in numbers if signal.getsignal(number) != signal.SIG_IGN]  # nohup has hang-ups ignored
    before = {number: signal.signal(number, note) for number in heard}
    try:
        yield seen
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


COMMANDS: dict[str, Any] = {"_help": "Make the papers' tables again.", "ct": ct, "endoscopy": endoscopy}
