"""What became of each study, a line of JSON each, so that a batch that stopped goes on where it was.

Only the process that leads a batch writes it. A line that a crash cut short is passed over: its study is looked at
again.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from inference_core.errors import UserError

NAME = "ledger.jsonl"
DONE, REFUSED, FAILED, LEFT_OUT = "done", "refused", "failed", "left out"


def has_ledger(folder: Path) -> bool:
    """Whether a batch writes, or wrote, its results into a folder; a file of that name alone does not say so."""
    try:
        with (folder / NAME).open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                try:
                    return {"name", "status", "stamp", "work"} <= set(json.loads(line))
                except (ValueError, TypeError):  # cut short
                    continue
    except OSError:
        pass
    return False


class Ledger:
    """Entries by their name (of a study and how it is denoised); the last one of a name holds."""

    def __init__(self, out: Path) -> None:
        self._path = out / NAME
        self.entries: dict[str, dict[str, Any]] = {}
        if self._path.exists():
            with self._path.open(encoding="utf-8", errors="replace") as lines:
                for line in lines:
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
            ``output-not-writable``.
        """
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise UserError(
                "output-not-writable",
                f"{self._path} cannot be written: {error.strerror}. What was done is kept.",
                "Make room, or get the disk back; then the same command goes on.",
            ) from error
        self.entries[entry["name"]] = entry

    def _begin_line(self) -> None:
        with self._path.open("rb+") as file:
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    file.write(b"\n")
