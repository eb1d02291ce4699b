"""Work through studies on dask.distributed: this machine's processes, or a cluster that is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from inference_core.batch.ledger import DONE, FAILED, Ledger, only_one
from inference_core.batch.recipe import Recipe
from inference_core.batch.studies import Study, find_studies
from inference_core.batch.summary import write_summary
from inference_core.batch.task import denoise_study
from inference_core.errors import UserError
from inference_core.extras import need
from inference_core.scratch import sweep_stale

LOST = 3  # workers that a study may take down with it before it is given up
WAITING = 4  # studies a worker that the scheduler knows of; what they gave does not heap up

Tell = Callable[[int, int, dict[str, Any] | None], None]


def run_batch(
    root: Path, out: Path, recipe: Recipe, scheduler: str | None, workers: int | None, tell: Tell
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
    tell : callable
        ``tell(done, total, entry)`` after each study, and once at first, with None.

    Returns
    -------
    list of dict
        An entry a study, in their order; ``summary.csv`` and ``summary.html`` say the same.

    Raises
    ------
    UserError
        ``missing-package``, ``no-such-folder``, ``no-studies``, ``not-writable``, ``busy``, ``no-scheduler``,
        ``scheduler-lost``.
    """
    need("distributed", "batch", "A batch")
    studies = find_studies(root, besides=out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError("not-writable", f"{out} cannot be made: {error.strerror}.", "Name another folder.") from error
    with only_one(out):
        sweep_stale(out)
        ledger = Ledger(out)
        names = {study.name(recipe.parameters): study for study in studies}
        left = [name for name, study in names.items() if not _is_done(ledger.entries.get(name), study, out)]
        tell(len(names) - len(left), len(names), None)
        try:
            if left:
                _work(root, out, recipe, scheduler, workers, {name: names[name] for name in left}, ledger, tell)
        finally:
            sweep_stale(out)
            entries = [ledger.entries[name] for name in names if name in ledger.entries]
            write_summary(out, entries, len(names))
    return entries


def _is_done(entry: dict[str, Any] | None, study: Study, out: Path) -> bool:
    """Whether an earlier run made it from the same files; what was refused is tried again."""
    return bool(
        entry
        and entry["status"] == DONE
        and entry["fingerprint"] == study.fingerprint
        and (out / entry["output"]).exists()
    )


def _work(
    root: Path, out: Path, recipe: Recipe, scheduler: str | None, workers: int | None,
    studies: dict[str, Study], ledger: Ledger, tell: Tell,
) -> None:  # fmt: skip
    from distributed import as_completed

    total = len(studies)
    waiting = iter(studies.items())
    with _client(scheduler, workers) as client:
        most = WAITING * max(1, len(client.scheduler_info(n_workers=-1)["workers"]))

        def submit(name: str, study: Study) -> Any:
            return client.submit(denoise_study, str(root), str(out), study, recipe, key=f"denoise-{name}", pure=False)

        first = [next(waiting) for _ in range(min(most, total))]
        running = as_completed([submit(name, study) for name, study in first])
        done = 0
        for future in running:
            name = future.key.removeprefix("denoise-")
            if future.status == "finished":
                entry = future.result()
            elif client.status != "running" or future.status in ("lost", "cancelled"):
                raise _lost(scheduler)
            else:  # the study's worker was lost, time and again
                entry = _gave_up(name, studies[name], future.exception())
            future.release()
            ledger.write(entry)
            done += 1
            tell(done, total, entry)
            following = next(waiting, None)
            if following:
                running.add(submit(*following))
        if done < total:
            raise _lost(scheduler)


@contextmanager
def _client(scheduler: str | None, workers: int | None) -> Iterator[Any]:
    import dask
    from distributed import Client, LocalCluster

    dask.config.set({"distributed.scheduler.allowed-failures": LOST})
    if scheduler is None:
        with (
            LocalCluster(
                n_workers=workers or _cores(), threads_per_worker=1, processes=True, host="127.0.0.1",
                dashboard_address=None, silence_logs=50,
            ) as cluster,
            Client(cluster) as client,
        ):  # fmt: skip
            yield client
        return
    try:
        client = Client(scheduler, timeout=20)
    except (OSError, ValueError, TimeoutError) as error:
        raise UserError(
            "no-scheduler", f"No Dask scheduler answers at {scheduler}.", "Start it, or leave --scheduler out."
        ) from error
    with client:
        yield client


def _cores() -> int:
    import os

    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _lost(scheduler: str | None) -> UserError:
    where = scheduler or "of this machine"
    return UserError(
        "scheduler-lost", f"The scheduler {where} was lost. What was done is kept.", "Start the same command again."
    )


def _gave_up(name: str, study: Study, error: BaseException | None) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        **asdict(study),
        "name": name,
        "status": FAILED,
        "output": None,
        "code": "worker-lost",
        "message": f"{LOST + 1} workers were lost at it ({type(error).__name__}).",
        "remedy": "Denoise it alone to see why: it may need more memory than a worker has.",
        "time_s": None,
    }
