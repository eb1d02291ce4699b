"""How far a job is, told to whoever started it; and a stop where it is no longer wanted."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from inference_core.errors import Cancelled

TELL_EVERY = 0.2  # seconds between two messages of progress
LOOK = 0.05  # seconds between two looks whether to stop

Emit = Callable[..., None]
Made = TypeVar("Made")


class Teller:
    """Tells the client how far a job is, and stops it where it is no longer wanted."""

    def __init__(self, emit: Emit, cancelled: Callable[[], bool]) -> None:
        self.cancelled = cancelled
        self.warnings: list[str] = []
        self._emit = emit
        self.begin("start")

    def begin(self, stage: str, total: int = 1) -> None:
        """A new stage begins."""
        self._stage, self._begun, self._told, self._first = stage, time.perf_counter(), 0.0, -1
        if self.cancelled():
            raise Cancelled
        self._emit("progress", stage=stage, done=0, total=total, eta_s=None)

    def progress(self, done: int, total: int) -> None:
        """So much of the stage is done; the time left is judged by what was done since it began."""
        if self.cancelled():
            raise Cancelled
        now = time.perf_counter()
        if self._first < 0:
            self._first, self._begun = done, now  # what an earlier run had done says nothing of the speed
        if now - self._told < TELL_EVERY and done < total:
            return
        self._told = now
        new = done - self._first
        eta = round((now - self._begun) / new * (total - done), 1) if new else None
        self._emit("progress", stage=self._stage, done=done, total=total, eta_s=eta)

    def wait_for(self, work: Callable[[], Made]) -> Made:
        """Do work that cannot be stopped midway in a thread, so that a cancel is honoured at once."""
        done: Future[Made] = Future()

        def work_aside() -> None:
            try:
                done.set_result(work())
            except BaseException as error:
                done.set_exception(error)

        threading.Thread(target=work_aside, daemon=True).start()  # a daemon: a cancelled worker does not wait for it
        while True:
            try:
                return done.result(timeout=LOOK)
            except TimeoutError:
                if self.cancelled():
                    raise Cancelled from None

    def warn(self, message: str) -> None:
        """Something the user should know; it stands in the report as well."""
        self.warnings.append(message)
        self._emit("warning", message=message)
