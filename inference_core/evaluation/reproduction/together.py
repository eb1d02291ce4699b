"""Do several things at once, each in a thread of its own that waits for a process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TypeVar

Made = TypeVar("Made")


def together(works: Sequence[Callable[[threading.Event], Made]], at_once: int) -> list[Made]:
    """Results of the works, in order.

    Parameters
    ----------
    works : sequence of callable
        Each is given an event; once it is set, it ends soon.
    at_once : int
        How many go on at the same time.

    Raises
    ------
    Whatever a work raises first, or Ctrl-C; the others are told to stop, and have ended.
    """
    stop = threading.Event()
    with ThreadPoolExecutor(at_once) as pool:
        futures = [pool.submit(work, stop) for work in works]
        try:
            failed = [future for future in wait(futures, return_when=FIRST_EXCEPTION).done if future.exception()]
        except BaseException:
            _end(pool, stop)
            raise
        if failed:
            _end(pool, stop)
            failed[0].result()
    return [future.result() for future in futures]


def _end(pool: ThreadPoolExecutor, stop: threading.Event) -> None:
    stop.set()
    pool.shutdown(wait=True, cancel_futures=True)
