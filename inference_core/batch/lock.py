"""One batch at a time on one output, whichever machine it runs on."""

from __future__ import annotations

import json
import os
import platform
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from inference_core.errors import UserError

NAME = "running"
BEAT_S = 10.0  # between two signs of life
GONE_S = 120.0  # without one: it was killed, or its machine was


@contextmanager
def only_one(out: Path) -> Iterator[None]:
    """Refuse a second batch on one output; a batch that was killed does not stand in the way.

    The file names machine and process; a process number means nothing on another machine or in another container, so
    a living batch also touches the file.

    Raises
    ------
    UserError
        ``busy`` or ``not-writable``.
    """
    lock = out / NAME
    mine = json.dumps({**_here(), "pid": os.getpid()})
    try:
        try:
            with lock.open("x", encoding="utf-8") as file:
                file.write(mine)
        except FileExistsError:
            _refuse_if_alive(lock)
            lock.write_text(mine, encoding="utf-8")
    except OSError as error:
        raise UserError(
            "not-writable", f"{lock} cannot be written: {error.strerror}.", "Name another folder for the results."
        ) from error
    over = threading.Event()
    beat = threading.Thread(target=_beat, args=(lock, over), name="batch-lock", daemon=True)
    beat.start()
    try:
        yield
    finally:
        over.set()
        beat.join()
        with suppress(OSError):
            lock.unlink(missing_ok=True)


def _here() -> dict[str, str | None]:
    """Where a process number means the same; containers may share the machine's name, and machines one name."""
    boot = space = None
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    with suppress(OSError):
        space = os.readlink("/proc/self/ns/pid")
    return {"host": platform.node(), "boot": boot, "processes": space}


def _beat(lock: Path, over: threading.Event) -> None:
    while not over.wait(BEAT_S):
        with suppress(OSError):
            os.utime(lock)


def _refuse_if_alive(lock: Path) -> None:
    from inference_core.scratch import process_alive

    try:
        other = json.loads(lock.read_text(encoding="utf-8"))
        host, pid = str(other["host"]), int(other["pid"])
        here = {**other, **_here()} == other
    except (ValueError, KeyError, TypeError):  # cut short as it was written
        host, pid, here = "unknown", 0, False
    if here and (pid == os.getpid() or not process_alive(pid)):
        return
    silent_s = _age(lock)
    if silent_s < GONE_S:
        raise UserError(
            "busy",
            f"A batch (process {pid} on {host}) works on {lock.parent}: it gave a sign of life {silent_s:.0f} s ago.",
            f"Wait for it; or, if it was killed, wait {GONE_S:.0f} s or delete {lock}.",
        )


def _age(lock: Path) -> float:
    """Seconds since the last sign of life, by the clock of the disk that the file lies on."""
    probe = lock.with_name(f".{NAME}-{platform.node()}-{os.getpid()}")
    try:
        probe.touch()
        now = probe.stat().st_mtime
    except OSError:
        now = time.time()
    finally:
        probe.unlink(missing_ok=True)
    return max(0.0, now - lock.stat().st_mtime)
