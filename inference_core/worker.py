"""The one process that runs models and simulations: ``python -m inference_core.worker``.

Standard input: the first line is the job (JSON, ``{"job": "denoise", ...}``); ``{"cancel": true}`` later, or the end
of the input, cancels it. Standard output holds JSON lines only, each with a ``type``:

``progress``  stage, done, total, eta_s
``log``, ``warning``  message
``result``  report
``error``  code, message, remedy (code ``cancelled`` after a cancel)

Standard error is the log. The process exits after its job: 0 with a result, 1 with an error.
"""

from __future__ import annotations

import io
import json
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from inference_core.errors import Cancelled, UserError, is_out_of_memory

ORPHAN_GRACE = 5.0  # seconds that a job may still take to stop after whoever started it is gone
NO_MEMORY = {
    "message": "There is not enough memory for this volume.",
    "remedy": "Close other programs, or crop the volume.",
}


def main() -> int:
    """Run one job from standard input."""
    emit = _emitter(_claim_stdout())
    cancel = threading.Event()
    if isinstance(sys.stdin, io.TextIOWrapper):  # whatever comes must not end the thread that hears of a cancel
        sys.stdin.reconfigure(encoding="utf-8", errors="replace")
    line = sys.stdin.readline()
    threading.Thread(target=_watch, args=(sys.stdin, cancel), daemon=True).start()
    return answer(line, emit, cancel.is_set)


def answer(line: str, emit: Callable[..., None], cancelled: Callable[[], bool]) -> int:
    """Do the job that a line asks for, and say what came of it; 0 with a result, 1 with an error."""
    try:
        job = _read_job(line)
        report = _job_function(job)(job, emit, cancelled)
    except Cancelled:
        emit("error", code="cancelled", message="Cancelled.", remedy="")
    except UserError as error:
        emit("error", code=error.code, message=error.message, remedy=error.remedy)
    except Exception as error:
        traceback.print_exc()
        emit("error", **_told(error))
    else:
        emit("result", report=report)
        return 0
    return 1


def _told(error: Exception) -> dict[str, str]:
    """An error that no one foresaw: the machine's, in words; or a fault of the program."""
    if is_out_of_memory(error):
        return {"code": "out-of-memory", **NO_MEMORY}
    loop = isinstance(error, RuntimeError) and str(error).startswith("Symlink loop")  # of pathlib
    if (isinstance(error, OSError) and error.strerror) or loop:
        where = f"{error.filename}: " if isinstance(error, OSError) and error.filename else ""
        return {
            "code": "system",
            "message": f"{where}{error.strerror if isinstance(error, OSError) else error}.",
            "remedy": "Check the path, your rights and the free space on that disk.",
        }
    return {
        "code": "internal",
        "message": f"{type(error).__name__}: {error}",
        "remedy": "This is a fault of the program: please report it with the log.",
    }


def _read_job(line: str) -> dict[str, Any]:
    try:
        job = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UserError(
            "bad-job", f"The first line is no JSON ({type(error).__name__}).", "Send the job as one line of JSON."
        ) from error
    if not isinstance(job, dict):
        raise UserError("bad-job", "The job is no JSON object.", 'Send {"job": ..., ...}.')
    try:
        null = any(b"\0" in os.fsencode(text) for text in _texts(job))
    except UnicodeError:
        null = True
    if null:
        raise UserError("bad-job", "The job holds a character that no path can have.", "Send the documented values.")
    return job


def _texts(job: Any) -> Iterator[str]:
    """All strings in a job."""
    waiting = [job]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            waiting += [*value, *value.values()]
        elif isinstance(value, list):
            waiting += value


def _job_function(job: dict[str, Any]) -> Callable[[dict[str, Any], Any, Callable[[], bool]], dict[str, Any]]:
    if job.get("job") == "denoise":
        from inference_core.denoiser import job as denoise

        return lambda message, emit, cancelled: denoise.run(denoise.job_from(message), emit, cancelled)
    if job.get("job") == "bundle":
        from inference_core.bundle import make as bundle

        return bundle.run
    if job.get("job") == "check":
        from inference_core.denoiser import check

        return check.run
    if job.get("job") == "structure":
        from inference_core.measurement import structure_job

        return structure_job.run
    if job.get("job") == "simulate-colon":
        from inference_core.simulation.colon.dataset import simulate_job

        return simulate_job.run
    if job.get("job") == "label-folds":
        from inference_core.simulation.colon.folds import label_job

        return label_job.run
    if job.get("job") == "colon-lumen":
        from inference_core.simulation.colon.mesh import lumen_job

        return lumen_job.run
    if job.get("job") == "colon-path":
        from inference_core.simulation.colon.path import path_job

        return path_job.run
    if job.get("job") == "colon-coverage":
        from inference_core.simulation.colon.coverage import coverage_job

        return coverage_job.run
    if job.get("job") == "translate":
        from inference_core.translator import job as translate

        return translate.run
    if job.get("job") == "segment-folds":
        from inference_core.segmenter import job as segment_folds

        return segment_folds.run
    known = (
        "denoise, check, structure, bundle, colon-lumen, colon-path, label-folds, simulate-colon, colon-coverage,"
        " translate, segment-folds"
    )
    raise UserError("bad-job", f"There is no job {job.get('job')!r}.", f"Known jobs: {known}.")


def _watch(stdin: IO[str], cancel: threading.Event) -> None:
    for line in stdin:
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(message, dict) and message.get("cancel"):
            cancel.set()
    cancel.set()
    orphan = threading.Timer(ORPHAN_GRACE, os._exit, [1])
    orphan.daemon = True
    orphan.start()


def _claim_stdout() -> IO[str]:
    """Keep standard output for messages; what libraries print goes to standard error."""
    messages = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return messages


def _emitter(stream: IO[str]) -> Callable[..., None]:
    lock = threading.Lock()

    def emit(kind: str, **fields: Any) -> None:
        with lock:
            stream.write(json.dumps({"type": kind, **fields}) + "\n")
            stream.flush()

    return emit


if __name__ == "__main__":
    # Started as a file by a Python whose path does not hold the package (Slicer's), find it from here.
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    sys.exit(main())
