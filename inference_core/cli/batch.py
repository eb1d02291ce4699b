"""``inference-core batch``: a folder of studies, denoised one by one on as many cores or machines as there are."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any


def batch(
    studies: Path, out: Path, recipe: Path | None = None, scheduler: str | None = None, workers: int | None = None
) -> None:
    """Denoise every study of a folder; the same command goes on with a batch that was stopped.

    A study is a volume file or a DICOM series. A bad one is refused with the reason, and the others go on. Beside the
    results go their reports, summary.csv and summary.html. The exit status is 1 where a study was not done.

    Args:
        studies: Folder of the studies, with folders in it or without.
        out: Folder for the results.
        recipe: YAML with model, strength, engine, device, threads, format (.nrrd, .nii.gz, .mha or dicom).
        scheduler: Address of a Dask scheduler (tcp://host:8786) that runs it; by default this machine does.
        workers: Studies worked on at a time on this machine; by default one a core.
    """
    from inference_core.batch.recipe import read_recipe
    from inference_core.batch.run import run_batch
    from inference_core.batch.summary import not_done, reasons, totals
    from inference_core.errors import UserError

    if workers is not None and workers < 1:
        raise UserError("workers", f"{workers} workers cannot work.", "Choose 1 or more.")
    signal.signal(signal.SIGTERM, _interrupt)  # what a queue sends at the end of the time
    said = read_recipe(Path(os.path.abspath(recipe)) if recipe else None)
    bars = _Bars()
    try:
        entries = run_batch(studies.resolve(), out.resolve(), said, scheduler, workers, bars)
    except KeyboardInterrupt:
        print("Stopped. What is done stays, and the same command goes on.", file=sys.stderr)
        raise SystemExit(130) from None
    finally:
        bars.close()
    if reasons(entries):
        print(reasons(entries))
    print(f"{totals(entries, bars.studies)}; {out / 'summary.html'}")
    if not_done(entries):
        raise SystemExit(1)


def _interrupt(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


class _Bars:
    """A bar of the files that are looked into, then one of the studies; lines where there is no terminal."""

    def __init__(self) -> None:
        self.studies = 0
        self._bar: Any = None
        self._refused = 0

    def __call__(self, kind: str, **told: Any) -> None:
        getattr(self, f"_{kind}")(**told)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _open(self, unit: str, total: int, done: int = 0) -> None:
        from tqdm import tqdm

        self.close()
        self._bar = tqdm(total=total, initial=done, unit=unit, file=sys.stderr, disable=None, leave=unit == "study")

    def _say(self, text: str) -> None:
        from tqdm import tqdm

        tqdm.write(text, file=sys.stderr)

    def _files(self, done: int, total: int) -> None:
        if self._bar is None:
            self._open("file", total)
        self._bar.update(done - self._bar.n)

    def _begin(self, done: int, total: int) -> None:
        self.studies = total
        self._open("study", total, done)
        self._say(f"{total} studies found" + (f", {done} done before." if done else "."))

    def _dashboard(self, address: str) -> None:
        self._say(f"dashboard: {address}")

    def _workers(self, threads: int) -> None:
        if threads == 0:
            self._say("Waiting for workers to join the scheduler.")
        self._bar.set_postfix_str(f"{threads} at a time" + (f", {self._refused} not done" if self._refused else ""))

    def _study(self, entry: dict[str, Any]) -> None:
        self._refused += entry["status"] != "done"
        self._bar.update(1)

    def _lost(self, scheduler: str, patience_s: float) -> None:
        self._say(f"The scheduler at {scheduler} was lost; waiting up to {patience_s:.0f} s for it to come back.")
