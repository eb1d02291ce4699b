"""Start the worker, hear from it, stop it. No Qt, no Slicer: poll :meth:`Worker.messages` from any loop or timer."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from inference_core.errors import Cancelled, UserError
from inference_core.scratch import sweep_stale

CANCEL_GRACE = 1.5  # seconds a worker has to stop by itself before its process tree is killed
LOG_LINES = 200
PACKAGE_PARENT = Path(__file__).resolve().parents[1]


class Worker:
    """One job in a process of its own.

    Parameters
    ----------
    job : mapping
        As :mod:`inference_core.worker` takes it. Its ``output`` and the folder of that are swept of what killed workers
        left.
    python : str, optional
        Interpreter; default: this one (inside Slicer: PythonSlicer).
    """

    def __init__(self, job: Mapping[str, Any], python: str | None = None) -> None:
        output = Path(os.path.realpath(str(job.get("output", "."))))
        self._folders = {output, output.parent}  # a dataset is written aside within its folder
        with contextlib.suppress(OSError):  # a machine without a folder that may be written to
            self._folders.add(Path(tempfile.gettempdir()))
        self._sweep()
        self.log: deque[str] = deque(maxlen=LOG_LINES)
        """Last lines of the worker's standard error."""
        self._queue: queue.Queue[dict[str, Any]] = queue.Queue()
        self._cancelled = False
        self._ended = threading.Event()
        self._process = subprocess.Popen(
            [python or sys.executable, "-m", "inference_core.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            bufsize=1,
            env=_environment(),
            start_new_session=os.name == "posix",
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
            | getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        self._send(job)
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        log = threading.Thread(target=self._read_log, args=(self._process.stderr,), daemon=True)
        log.start()
        threading.Thread(target=self._read_messages, args=(self._process.stdout, log), daemon=True).start()

    @property
    def pid(self) -> int:
        """Of the process that was started (in Slicer, the launcher's)."""
        return self._process.pid

    def messages(self) -> list[dict[str, Any]]:
        """What has come since the last call, never waiting; the last one of a job is a ``result`` or an ``error``."""
        found = []
        with contextlib.suppress(queue.Empty):
            while True:
                found.append(self._queue.get_nowait())
        return found

    def next_message(self) -> dict[str, Any]:
        """Wait for the next message."""
        return self._queue.get()

    def cancel(self) -> None:
        """Ask the job to stop; kill it if it has not within :data:`CANCEL_GRACE` seconds. Returns at once."""
        if self._cancelled:
            return
        self._cancelled = True
        self._send({"cancel": True})
        threading.Thread(target=self._kill_late, daemon=True).start()

    def kill(self) -> None:
        """End the worker and everything it started, now."""
        self._cancelled = True
        if os.name == "posix":
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        else:
            subprocess.run(["taskkill", "/T", "/F", "/PID", str(self._process.pid)], capture_output=True, check=False)
        self._process.wait()

    def wait_ended(self, timeout: float | None = None) -> bool:
        """Wait until the process is gone and what it left is swept; False if it is not by then."""
        return self._ended.wait(timeout)

    def _kill_late(self) -> None:
        if not self._ended.wait(CANCEL_GRACE):
            self.kill()

    def _send(self, message: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError, ValueError):  # a worker that is gone says so on its other end
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()

    def _read_log(self, stream: IO[str]) -> None:
        self.log.extend(line.rstrip("\n") for line in stream)

    def _read_messages(self, stream: IO[str], log: threading.Thread) -> None:
        last = None
        for line in stream:
            with contextlib.suppress(ValueError):
                message = json.loads(line)
                if message["type"] in ("result", "error"):
                    last = message  # held back until the process is gone and its folders are swept
                else:
                    self._queue.put(message)
        code = self._process.wait()
        log.join(timeout=2)
        with contextlib.suppress(OSError):
            self._process.stdin.close()  # type: ignore[union-attr]
        self._sweep()
        self._queue.put(last or self._obituary(code))
        self._ended.set()

    def _obituary(self, code: int) -> dict[str, Any]:
        if self._cancelled:
            return {"type": "error", "code": "cancelled", "message": "Cancelled.", "remedy": ""}
        said = " ".join(list(self.log)[-3:])
        return {
            "type": "error",
            "code": "worker-died",
            "message": f"The worker ended with code {code}. {said}".strip(),
            "remedy": "If the memory ran out, close other programs or crop the volume; else report the log.",
        }

    def _sweep(self) -> None:
        for folder in self._folders:
            with contextlib.suppress(OSError):
                sweep_stale(folder)


def run(
    job: Mapping[str, Any], on_message: Callable[[dict[str, Any]], None], python: str | None = None
) -> dict[str, Any]:
    """Run a job to its end and return its report; Ctrl-C cancels it.

    Raises
    ------
    UserError
        What the worker refused or failed at.
    Cancelled
    """
    worker = Worker(job, python)
    try:
        while True:
            try:
                message = worker.next_message()
            except KeyboardInterrupt:
                worker.cancel()
                continue
            if message["type"] == "result":
                report: dict[str, Any] = message["report"]
                return report
            if message["type"] == "error":
                if message["code"] == "cancelled":
                    raise Cancelled
                raise UserError(message["code"], message["message"], message["remedy"])
            on_message(message)
    except BaseException:
        if not worker.wait_ended(timeout=0.5):
            worker.kill()
        raise


def _environment() -> dict[str, str]:
    """This environment, with the package importable and BLAS threads off: slices run in parallel instead."""
    path = os.pathsep.join(filter(None, [str(PACKAGE_PARENT), os.environ.get("PYTHONPATH")]))
    single = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    return {**os.environ, **single, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}
