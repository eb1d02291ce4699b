"""A Dask scheduler and workers as an administrator starts them: processes of their own, here on the loopback."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

START = "import sys; from dask.__main__ import main; sys.exit(main())"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def dask(*arguments: str) -> subprocess.Popen[bytes]:
    """``dask ...``, quiet."""
    command = [sys.executable, "-c", START, *arguments]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def start_scheduler(port: int) -> subprocess.Popen[bytes]:
    return dask("scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard")


def start_worker(port: int) -> subprocess.Popen[bytes]:
    return dask(
        "worker", f"tcp://127.0.0.1:{port}", "--host", "127.0.0.1", "--nthreads", "1", "--no-dashboard",
        "--death-timeout", "60",
    )  # fmt: skip


def start_batch(studies: Path, out: Path, port: int) -> subprocess.Popen[str]:
    code = "import sys; from inference_core.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "batch", str(studies), str(out), "--scheduler", f"tcp://127.0.0.1:{port}"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def booked(out: Path) -> list[dict[str, Any]]:
    """Entries of the ledger that are whole."""
    ledger = out / "ledger.jsonl"
    lines = ledger.read_text(encoding="utf-8").splitlines(keepends=True) if ledger.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def wait_until(true: Callable[[], bool], batch: subprocess.Popen[str], seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert batch.poll() is None, f"the batch ended by itself: {batch.communicate()}"
        assert time.monotonic() < until, "it took too long"
        time.sleep(0.05)
