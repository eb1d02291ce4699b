"""Train a method for a given CPU time: measure what a step costs, and take as many steps as the time allows.

Each training is a process of its own on one thread (``inference-core train``). What counts is the CPU time of
the steps, not that of starting, reading data and publishing.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import inference_core
from inference_core.errors import Cancelled, UserError
from inference_core.image.writing import write_aside
from inference_core.scratch import process_alive

PROBE_SECONDS = 5.0  # of CPU time, of the steps that a step's cost is measured on
UNENDING = 1_000_000  # steps; a probe is stopped long before
LINES_IN_LOG = 50
LOOK = 0.2  # seconds between two looks whether a training has ended
NO_COST = ("low_dose=", "full_dose=", "split.", "simulated=", "real=", "data=", "seed=")
"""Settings that leave the cost of a step as it is."""
Lines = list[dict[str, float]]


@dataclass(frozen=True)
class Job:
    """What is to be trained.

    Attributes
    ----------
    config : str
        Configuration of ``inference-core train``.
    settings : tuple of str
        ``key=value``; neither ``out`` nor ``steps``.
    minutes : float
        CPU time of the steps.
    task : str
        What is trained: ``denoiser``, ``depth``, ``translator``, ``segmenter``.
    """

    config: str
    settings: tuple[str, ...]
    minutes: float
    task: str = "denoiser"


@dataclass(frozen=True)
class Trained:
    """A training that is done.

    Attributes
    ----------
    model : Path
        Its card.
    steps : int
    seconds_a_step : float
        CPU s, as measured before the training.
    cpu_seconds : float
        Of all steps, as the training's log has it.
    """

    model: Path
    steps: int
    seconds_a_step: float
    cpu_seconds: float


def trained(job: Job, run: Path, probe: Path, stop: threading.Event | None = None) -> Trained:
    """Train, go on with a training that was stopped, or take one that is done.

    Parameters
    ----------
    job : Job
    run : Path
        Folder of the run. Beside it ``<name>.json`` keeps the job, ``<name>.txt`` what the training printed.
    probe : Path
        File that keeps the cost of a step. Runs that share it take the same number of steps.
    stop : Event, optional
        Once it is set, the training is told to stop: for calls outside of the main thread, which Ctrl-C does not reach.

    Raises
    ------
    UserError
        ``other-job`` where the folder holds another job's run, ``folder-in-use``, ``training-failed``.
    Cancelled
        Where the training was told to stop; the same call goes on. So it does after Ctrl-C here (KeyboardInterrupt).
    """
    run.parent.mkdir(parents=True, exist_ok=True)
    note = run.with_name(f"{run.name}.json")
    wanted = json.loads(json.dumps(asdict(job)))
    if note.is_file():
        _check_same_job(json.loads(note.read_text(encoding="utf-8")), wanted, run)
    seconds = seconds_a_step(job, probe, stop)
    steps = steps_for(job.minutes, seconds)
    _write_json(note, wanted | {"seconds_a_step": seconds, "steps": steps})
    if not is_done(run):
        _say(f"training {run}: {steps} steps of {seconds:.3g} CPU s")
        often = max(steps // LINES_IN_LOG, 1)
        words = [f"steps={steps}", f"log_every={often}", f"checkpoint_every={max(steps // 5, 1)}"]
        _check_free(run)
        with open(run.with_name(f"{run.name}.txt"), "a", encoding="utf-8") as output:
            process = _start(job, run, words, output)
            try:
                while process.poll() is None:
                    _pause(stop)
            except BaseException:  # Ctrl-C or termination: it must not go on alone
                _end(process)
                raise
        if process.returncode == 130:
            raise Cancelled
        if process.returncode:
            raise _failed(run)
    return Trained(run / "model.json", steps, seconds, cpu_seconds(_read_lines(run), steps))


def steps_for(minutes: float, seconds_a_step: float) -> int:
    """How many steps a CPU time allows; at least one."""
    return max(1, round(minutes * 60 / seconds_a_step))


def cpu_seconds(lines: Lines, steps: int) -> float:
    """CPU time of ``steps`` steps, from a log whose lines have ``step`` and ``cpu_s``, the process's CPU time so far.

    What comes before the first line, and that is starting and reading data, does not count; its steps do, at the cost
    of the others. A training that went on in another process has a log in which ``cpu_s`` starts anew.
    """
    spent, covered = 0.0, 0.0
    for one, next_ in zip(lines[:-1], lines[1:], strict=True):
        if next_["cpu_s"] >= one["cpu_s"] and next_["step"] > one["step"]:
            spent += next_["cpu_s"] - one["cpu_s"]
            covered += next_["step"] - one["step"]
    return spent / covered * steps if covered else float("nan")


def is_done(run: Path) -> bool:
    """Whether a run has left its model."""
    return (run / "model.json").is_file()


def settings_shown(job: Job) -> list[str]:
    """What of a job's settings bears on the cost of a step: all but its data and its seed."""
    return [word for word in job.settings if not word.startswith(NO_COST)]


def seconds_a_step(job: Job, probe: Path, stop: threading.Event | None = None) -> float:
    """CPU s of a step, measured once and kept in ``probe``; see :func:`trained`."""
    probe.parent.mkdir(parents=True, exist_ok=True)
    cost = {"config": job.config, "settings": settings_shown(job)}
    if probe.is_file():
        kept = json.loads(probe.read_text(encoding="utf-8"))
        if kept["of"] == cost:
            return float(kept["seconds_a_step"])
    folder = probe.with_suffix("")
    _check_free(folder)
    shutil.rmtree(folder, ignore_errors=True)
    _say(f"measuring what a step of {job.config} costs")
    text = folder.with_suffix(".txt")
    words = [f"steps={UNENDING}", "log_every=1", f"checkpoint_every={UNENDING}", f"validate_every={UNENDING}"]
    with open(text, "w", encoding="utf-8") as output:
        process = _start(job, folder, words, output)
        try:
            while process.poll() is None and not _enough(_read_lines(folder)):
                _pause(stop)
        finally:
            _end(process)
    lines = _read_lines(folder)
    if not _enough(lines):
        raise _failed(folder)
    seconds = cpu_seconds(lines, 1)
    shutil.rmtree(folder, ignore_errors=True)
    text.unlink()
    _write_json(probe, {"of": cost, "seconds_a_step": seconds, "steps_measured": len(lines) - 1})
    return seconds


def _enough(lines: Lines) -> bool:
    return len(lines) > 1 and lines[-1]["cpu_s"] - lines[0]["cpu_s"] >= PROBE_SECONDS


def _pause(stop: threading.Event | None) -> None:
    if stop is None:
        time.sleep(LOOK)
    elif stop.wait(LOOK):
        raise Cancelled


def _start(job: Job, out: Path, words: Sequence[str], output: IO[str]) -> subprocess.Popen[str]:
    """Start a training on one thread, in a session of its own: Ctrl-C reaches us alone, and is passed on once."""
    code = "import sys; from inference_core.cli import main; main(sys.argv[1:])"
    arguments = ["train", job.task, "--config", job.config, *job.settings, "accelerator=cpu", f"out={out}", *words]
    parent = str(Path(inference_core.__file__).parents[1])
    path = os.pathsep.join(filter(None, [parent, os.environ.get("PYTHONPATH")]))
    single = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=output,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **single, "PYTHONPATH": path},
        start_new_session=True,
    )


def _end(process: subprocess.Popen[str]) -> None:
    """Have it stop after its step, with a checkpoint; a second Ctrl-C ends it at once."""
    process.terminate()
    try:
        process.wait()
    except BaseException:
        process.kill()
        process.wait()
        raise


def _check_free(run: Path) -> None:
    """Refuse a folder in which a training goes on that a killed call left behind."""
    try:
        other = json.loads((run / "running").read_text(encoding="utf-8"))
        machine, number = other["machine"], int(other["process"])
    except (OSError, ValueError, KeyError, TypeError):
        return
    if machine != platform.node():
        raise UserError(
            "folder-in-use", f"A training goes on in {run} on another machine ({machine}, process {number}).",
            f"Wait for its end; if it is gone for good, remove {run / 'running'}. Then give the same command again.",
        )  # fmt: skip
    if process_alive(number):
        raise UserError(
            "folder-in-use", f"A training goes on in {run} that another call started (process {number}).",
            f"Wait for its end, or end process {number}; then give the same command again."
            f" If that process is no training, remove {run / 'running'}.",
        )  # fmt: skip


def _read_lines(run: Path) -> Lines:
    """Lines of a run's log that have a CPU time; none yet where there is no log, and no line that is half written."""
    log = run / "log.jsonl"
    lines = []
    for text in log.read_text(encoding="utf-8").splitlines() if log.is_file() else []:
        with contextlib.suppress(ValueError):
            lines.append(json.loads(text))
    return [line for line in lines if "cpu_s" in line]


def _check_same_job(before: dict[str, Any], wanted: dict[str, Any], run: Path) -> None:
    before = {"task": "denoiser", **before}  # what earlier versions wrote names no task
    differing = [key for key in wanted if before.get(key) != wanted[key]]
    if differing:
        said = ", ".join(f"{key} {before.get(key)} (now {wanted[key]})" for key in differing)
        message = f"{run} was trained otherwise: {said}."
        raise UserError("other-job", message, "Give another --out, or the same options.")


def _failed(run: Path) -> UserError:
    output = run.with_name(f"{run.name}.txt")
    last = output.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-3:]
    return UserError("training-failed", f"A training ended in an error: {' / '.join(last)}", f"All it said: {output}")


def _write_json(path: Path, content: dict[str, Any]) -> None:
    write_aside(path, lambda aside: aside.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8"))


def _say(text: str) -> None:
    print(f"{text}\n", end="", file=sys.stderr, flush=True)  # in one piece: several trainings speak at once
