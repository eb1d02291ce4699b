"""Tasks on dask.distributed: on processes of this machine or a cluster that is there, few at a time, none lost."""

from __future__ import annotations

import importlib.util
import logging
import re
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import Any

from inference_core.errors import UserError

WAITING = 4  # tasks a thread of the workers: what is given back does not heap up, and none runs dry
BEAT_S = 2.0  # between two looks at how many workers there are
ANSWER_S = 20.0  # for a scheduler to answer at first
PATIENCE_S = 120.0  # for a scheduler that went away to come back
FAILURES = 1  # workers of this machine that a task may lose before it is tried alone, beyond the first
DASHBOARD = "127.0.0.1:8787"
MEMORY_RULES = {
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": 0.95,
}
"""A worker holds nothing that could be spilled; at its share of the memory it is ended, and its study tried alone."""


UNINTERRUPTED = "from signal import SIG_IGN, SIGINT, signal; signal(SIGINT, SIG_IGN)"
"""What a worker of this machine runs first: Ctrl-C in a terminal is for all processes, and the leader ends them."""


class SchedulerLost(Exception):  # noqa: N818 - it may come back
    """The scheduler does not answer any more."""


def check_address(scheduler: str) -> None:
    """Refuse what is no address, before anything waits for an answer.

    Raises
    ------
    UserError
        ``no-scheduler``.
    """
    from distributed.security import Security

    found = re.fullmatch(r"(?:(?:tcp|tls)://)?[^/\s]+:(\d{1,5})", scheduler)
    if not found or not 0 < int(found[1]) < 2**16:
        raise UserError(
            "no-scheduler", f"{scheduler!r} is no address of a Dask scheduler.", "Give one such as tcp://host:8786."
        )
    if scheduler.startswith("tls:") and Security().get_connection_args("client").get("ssl_context") is None:
        raise UserError(
            "no-scheduler",
            f"{scheduler} needs certificates, and Dask's configuration names none.",
            "Set distributed.comm.tls.ca-file and distributed.comm.tls.client.cert and .key.",
        )


@contextmanager
def connected(scheduler: str | None, workers: int | None, patience_s: float) -> Iterator[Any]:
    """A client of a scheduler that is there, or of processes of this machine that end with it.

    Parameters
    ----------
    scheduler : str or None
        Its address; None: this machine.
    workers : int or None
        How many processes; by default one a core.
    patience_s : float
        How long to wait for the scheduler.

    Yields
    ------
    distributed.Client

    Raises
    ------
    UserError
        ``no-scheduler``.
    """
    import dask
    from distributed import Client, LocalCluster

    for logger in ("distributed", "distributed.client", "asyncio"):  # what matters is told by us
        logging.getLogger(logger).setLevel(logging.CRITICAL)
    with ExitStack() as stack:
        address: Any = scheduler
        if scheduler is None:
            from dask.system import CPU_COUNT
            from distributed.system import MEMORY_LIMIT

            count = workers or CPU_COUNT
            rules = {
                **MEMORY_RULES,
                "distributed.scheduler.allowed-failures": FAILURES,
                "distributed.worker.preload": [UNINTERRUPTED, *dask.config.get("distributed.worker.preload")],
            }
            stack.enter_context(dask.config.set(rules))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # another batch may have the dashboard's port; then it is another
                address = LocalCluster(
                    n_workers=count, threads_per_worker=1, processes=True, host="127.0.0.1",
                    memory_limit=MEMORY_LIMIT // count, dashboard_address=DASHBOARD, silence_logs=logging.CRITICAL,
                )  # fmt: skip
            stack.enter_context(address)
        try:
            client = Client(address, timeout=patience_s, set_as_default=False)
        except (OSError, ValueError, TimeoutError) as error:
            raise UserError(
                "no-scheduler", f"No Dask scheduler answers at {scheduler}.", "Start it, or leave --scheduler out."
            ) from error
        stack.enter_context(client)
        yield client


def dashboard(client: Any) -> str | None:
    """Address of the dashboard of this machine's processes; None where it cannot be drawn for want of bokeh."""
    if importlib.util.find_spec("bokeh") is None:
        return None
    link: str | None = client.dashboard_link
    return link


def work_off(
    client: Any,
    names: Iterable[str],
    submit: Callable[[str], Any],
    book: Callable[[str, Any], None],
    show_workers: Callable[[int], None],
) -> None:
    """Run a task for each name and book what it returns.

    A task that takes workers down with it is tried again when all others are done, alone: a task beside it may have
    been the cause. One that loses them then too is booked as None.

    Parameters
    ----------
    client : distributed.Client
    names : iterable of str
    submit : callable
        Name to future; called for a few at a time, as many as the workers that there are just then can use.
    book : callable
        Name and outcome, or None.
    show_workers : callable
        Told how many tasks can run at a time, when that changes.

    Raises
    ------
    SchedulerLost
    UserError
        ``worker-unfit``, or what ``book`` raises.
    """
    from distributed import KilledWorker

    queue, suspects = deque(names), deque[str]()
    running: dict[str, Any] = {}
    ended: SimpleQueue[str] = SimpleQueue()
    alone = ""
    threads, looked = -1, -BEAT_S

    def follow(name: str, future: Any) -> None:
        running[name] = future
        future.add_done_callback(lambda future: ended.put(name))

    while queue or suspects or running:
        if time.monotonic() - looked >= BEAT_S:
            seen, looked = _threads(client), time.monotonic()
            if seen != threads:
                threads = seen
                show_workers(threads)
        while queue and len(running) < WAITING * max(1, threads):
            name = queue.popleft()
            follow(name, submit(name))
        if suspects and not running:
            alone = suspects.popleft()
            follow(alone, submit(alone))
        try:
            name = ended.get(timeout=BEAT_S)
        except Empty:
            continue
        future = running.pop(name)
        try:
            outcome = future.result(timeout=BEAT_S)
        except KilledWorker:
            if name == alone:
                book(name, None)
            else:
                suspects.append(name)
        except CancelledError as error:
            raise SchedulerLost from error
        except Exception as error:
            if future.status == "error":  # a task never raises: the worker could not even begin it
                raise UserError(
                    "worker-unfit",
                    f"A worker cannot run the task ({type(error).__name__}: {error}).",
                    "Install the same version of this package, with the same extras, for every worker.",
                ) from error
            # Who holds the outcome went away before we had it, and it is being run again; or the scheduler went away.
            follow(name, future)
            continue
        else:
            if outcome.pop("hung", False):
                _restart(client, future)
            book(name, outcome)
        future.release()


def _threads(client: Any) -> int:
    """How many tasks can run at a time now."""
    if client.status != "running":
        raise SchedulerLost
    try:
        threads: list[int] = list(client.nthreads().values())
        if client.cluster is not None and len(threads) < len(client.cluster.worker_spec):
            # A nanny that was slow to start another process was given up by the cluster, which starts none by itself.
            client.cluster.scale(len(client.cluster.worker_spec))
        return sum(threads)
    except (OSError, TimeoutError, CancelledError, AttributeError) as error:  # it went away this moment
        raise SchedulerLost from error


def _restart(client: Any, future: Any) -> None:
    """End the worker's process, in which a thread hangs; its nanny starts another. Without one it goes on with it."""
    with suppress(Exception):
        workers = [worker for held in client.who_has([future]).values() for worker in held]
        client.restart_workers(workers, timeout=30, raise_for_error=False)
