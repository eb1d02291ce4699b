"""Work through studies on dask.distributed: this machine's processes, or a cluster that is there."""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Callable
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from inference_core import __version__
from inference_core.batch.cluster import (
    ANSWER_S,
    PATIENCE_S,
    SchedulerLost,
    check_address,
    connected,
    dashboard,
    work_off,
)
from inference_core.batch.ledger import DONE, FAILED, LEFT_OUT, Ledger
from inference_core.batch.lock import only_one
from inference_core.batch.recipe import Recipe
from inference_core.batch.studies import Study, find_studies
from inference_core.batch.summary import write_summary
from inference_core.batch.task import SETUP, Order, denoise_study, entry_of, fault_of_setup, whole_result
from inference_core.errors import UserError
from inference_core.extras import need
from inference_core.scratch import sweep_stale

SETUP_S = 120.0  # for a worker to open the models
MOST_KNOWN = 1000  # results that a study is compared with
Emit = Callable[..., None]
"""``emit(kind, **fields)``:

``files`` (done, total) as the archive is looked through; ``begin`` (done, total) studies; ``dashboard`` (address);
``workers`` (threads); ``study`` (entry); ``lost`` (scheduler, patience_s).
"""


def run_batch(
    root: Path, out: Path, recipe: Recipe, scheduler: str | None, workers: int | None, emit: Emit
) -> list[dict[str, Any]]:
    """Denoise every study below ``root`` that is not done yet.

    Parameters
    ----------
    root, out : Path
        Absolute; on a cluster every machine sees them under these paths.
    recipe : Recipe
    scheduler : str or None
        Address of a Dask scheduler; None: processes of this machine.
    workers : int or None
        How many of those; by default one a core.
    emit : callable

    Returns
    -------
    list of dict
        An entry a study, in their order; ``summary.csv`` and ``summary.html`` say the same.

    Raises
    ------
    UserError
        ``missing-package``, ``no-such-folder``, ``same-folder``, ``no-studies``, ``not-writable``, ``busy``,
        ``output-not-writable``, ``no-scheduler``, ``scheduler-lost``, ``worker-unfit``, and those of `SETUP`.
    """
    need("distributed", "batch", "A batch")
    if scheduler is not None:
        check_address(scheduler)
    order = Order(str(root), str(out), recipe, recipe.work())
    studies = find_studies(root, out, lambda done, total: emit("files", done=done, total=total))
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError("not-writable", f"{out} cannot be made: {error.strerror}.", "Name another folder.") from error
    with only_one(out):
        sweep_stale(out)
        ledger = Ledger(out)
        wanted = {study.name(order.work): study for study in studies if not study.left_out}
        left = {name: study for name, study in wanted.items() if not _is_done(ledger.entries.get(name), study, out)}
        emit("begin", done=len(wanted) - len(left), total=len(wanted))
        try:
            if left:
                _work(order, scheduler, workers, left, ledger, emit)
        except BaseException:
            with suppress(UserError, OSError):  # what stopped it matters more
                write_summary(out, _entries(studies, order, ledger), len(wanted), _about(order))
            raise
        entries = _entries(studies, order, ledger)
        write_summary(out, entries, len(wanted), _about(order))
        sweep_stale(out)
    return entries


def _is_done(entry: dict[str, Any] | None, study: Study, out: Path) -> bool:
    """Whether an earlier run made it from the same files; what was refused is tried again."""
    return bool(
        entry
        and entry["status"] == DONE
        and entry["stamp"] == study.stamp
        and entry["files"] == len(study.files)
        and whole_result(out / entry["output"])
    )


def _entries(studies: list[Study], order: Order, ledger: Ledger) -> list[dict[str, Any]]:
    """What the table says: of what is done, refused or left out."""
    entries = []
    for study in studies:
        if study.left_out:
            told = {"status": LEFT_OUT, "code": "no-ct", "message": f"It is {study.left_out}.", "remedy": ""}
            entries.append({**entry_of(study, order.work), **told})
        elif (entry := ledger.entries.get(study.name(order.work))) and entry["stamp"] == study.stamp:
            entries.append(entry)
    return entries


def _about(order: Order) -> str:
    """When, of what, and by what the tables were made."""
    settings = {**asdict(order.recipe), "model": order.recipe.model or "the one that fits each volume"}
    recipe = ", ".join(f"{name}: {value}" for name, value in settings.items())
    return f"{time.strftime('%Y-%m-%d %H:%M:%S %z')}; {order.root}; {recipe}; faithful-imaging {__version__}"


def _work(
    order: Order, scheduler: str | None, workers: int | None, left: dict[str, Study], ledger: Ledger, emit: Emit
) -> None:
    """Work off ``left``; where the scheduler goes away and comes back, what is still left."""
    batch = uuid.uuid4().hex[:8]  # two batches on one scheduler must not share a task
    known = _known_results(ledger, order)
    left = dict(left)

    def book(name: str, outcome: dict[str, Any] | None) -> None:
        study = left[name]
        entry = outcome or _gave_up(study, order.work)
        if entry.get("code") in SETUP:
            raise _unfit(entry)
        if reason := entry.pop("stop", None):
            raise UserError(
                "output-not-writable",
                f"{reason} What was done is kept.",
                "Make room, or get the disk back; then the same command goes on.",
            )
        ledger.write(entry)
        del left[name]
        emit("study", entry=entry)

    patience_s = ANSWER_S
    while True:
        try:
            with connected(scheduler, workers, patience_s) as client:
                if scheduler is None and (address := dashboard(client)):
                    emit("dashboard", address=address)
                if scheduler is None and (fault := _fault_of_setup(client, order.recipe)):
                    raise _unfit(fault)

                def submit(name: str, client: Any = client) -> Any:
                    study = left[name]
                    # The dashboard shows keys to whoever can reach it: no path, which may name a patient.
                    key = (f"denoise-{batch}", hashlib.sha256(name.encode()).hexdigest()[:16])
                    return client.submit(denoise_study, order, study, known(study), key=key, pure=False)

                work_off(client, list(left), submit, book, lambda threads: emit("workers", threads=threads))
                return
        except SchedulerLost as error:
            if scheduler is None:
                raise _lost("of this machine") from error
            emit("lost", scheduler=scheduler, patience_s=PATIENCE_S)
        except UserError as error:
            if error.code == "no-scheduler" and patience_s == PATIENCE_S:
                raise _lost(f"at {scheduler}") from error
            raise
        patience_s = PATIENCE_S


def _fault_of_setup(client: Any, recipe: Recipe) -> dict[str, str] | None:
    """What would refuse every study, found before the first is read; by a worker, which needs the models anyway."""
    from distributed import KilledWorker

    with suppress(KilledWorker, CancelledError, TimeoutError):  # then the studies tell
        fault: dict[str, str] | None = client.submit(fault_of_setup, recipe, pure=False).result(timeout=SETUP_S)
        return fault
    return None


def _unfit(fault: dict[str, str]) -> UserError:
    remedy = f"{fault['remedy']} Then the same command goes on."
    return UserError(fault["code"], fault["message"], remedy)


def _known_results(ledger: Ledger, order: Order) -> Callable[[Study], list[tuple[str, str]]]:
    """Results that a study may have already, by the sizes of its files: its own, or of another path."""
    by_sizes: dict[str, list[dict[str, Any]]] = {}
    for entry in ledger.entries.values():
        if entry["status"] == DONE and entry.get("work") == order.work:
            by_sizes.setdefault(entry["sizes"], []).append(entry)

    def known(study: Study) -> list[tuple[str, str]]:
        found = sorted(by_sizes.get(study.sizes, []), key=lambda entry: entry["path"] != study.path)
        return [(entry["content"], entry["output"]) for entry in found[:MOST_KNOWN]]

    return known


def _lost(which: str) -> UserError:
    return UserError(
        "scheduler-lost", f"The scheduler {which} was lost. What was done is kept.", "Start the same command again."
    )


def _gave_up(study: Study, work: str) -> dict[str, Any]:
    return {
        **entry_of(study, work),
        "status": FAILED,
        "code": "worker-lost",
        "message": "Workers were lost at it, time and again, the last ones when it ran alone.",
        "remedy": "It may need more memory than a worker has: run fewer --workers, or denoise it alone to see why.",
        "time_s": None,
    }
