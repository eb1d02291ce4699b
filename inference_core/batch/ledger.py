"""What became of each study, a line of JSON each, so that a batch that stopped goes on where it was.

Only the process that leads a batch writes it. A line that a crash cut short is passed over: its study is done again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from inference_core.errors import UserError

NAME = "ledger.jsonl"
LOCK = "running"
DONE, REFUSED, FAILED = "done", "refused", "failed"


class Ledger:
    """Entries by the name of the result; the last one of a name holds."""

    def __init__(self, out: Path) -> None:
        self._path = out / NAME
        self.entries: dict[str, dict[str, Any]] = {}
        if self._path.exists():
            for line in self._path.read_text(encoding="utf-8", errors="replace").splitlines():
                try:
                    entry = json.loads(line)
                    self.entries[entry["name"]] = entry
                except (ValueError, KeyError, TypeError):
                    continue
            self._begin_line()

    def write(self, entry: dict[str, Any]) -> None:
        """Book what became of a study; on the disk when it returns.

        Raises
        ------
        UserError
            ``write-failed``.
        """
        self.entries[entry["name"]] = entry
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise UserError(
                "write-failed", f"{self._path} could not be written: {error.strerror}.", "Check the disk; start again."
            ) from error

    def _begin_line(self) -> None:
        with self._path.open("rb+") as file:
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    file.write(b"\n")


@contextmanager
def only_one(out: Path) -> Iterator[None]:
    """Refuse a second batch on one output; a batch that was killed does not stand in the way.

    Raises
    ------
    UserError
        ``busy``.
    """
    from inference_core.scratch import process_alive

    lock = out / LOCK
    try:
        with lock.open("x", encoding="utf-8") as file:
            file.write(str(os.getpid()))
    except FileExistsError:
        text = lock.read_text(encoding="utf-8")
        if text.isdigit() and process_alive(int(text)) and int(text) != os.getpid():
            raise UserError(
                "busy", f"A batch (process {text}) writes to {out}.", f"Wait for it, or delete {lock} if it is gone."
            ) from None
        lock.write_text(str(os.getpid()), encoding="utf-8")
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
