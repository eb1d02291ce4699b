"""The one kind of error a user is meant to read."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


class UserError(Exception):
    """Something the user can put right.

    Parameters
    ----------
    code : str
        A short stable name, e.g. ``"not-ct"``; programs test it, people do not.
    message : str
        What is wrong, with the file or value that shows it.
    remedy : str
        What to do about it.
    """

    def __init__(self, code: str, message: str, remedy: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}"


MEMORY_SIGNS = (
    "bad_alloc", "bad allocation", "can't start new thread", "cannot allocate memory", "failed to map segment",
)  # fmt: skip


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says, in whatever library's words, that memory ran out."""
    return isinstance(error, MemoryError) or any(sign in str(error).lower() for sign in MEMORY_SIGNS)


@contextmanager
def told_plainly() -> Iterator[None]:
    """For programs: a UserError ends them with its message and remedy on standard error, not with a traceback."""
    try:
        yield
    except UserError as error:
        print(f"error: {error.message}\n{error.remedy}", file=sys.stderr)
        sys.exit(2)


class Cancelled(Exception):  # noqa: N818 - a request that was honoured, not an error
    """The user asked the running job to stop."""
