"""One study in a process of the cluster: denoised, or refused with the reason. It never raises.

What the disk or the share fails at is tried again; what a study is refused for is not.
"""

from __future__ import annotations

import errno
import functools
import json
import platform
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference_core.batch.content import content_of, set_apart
from inference_core.batch.ledger import DONE, FAILED, REFUSED
from inference_core.batch.recipe import Recipe
from inference_core.batch.studies import Study
from inference_core.errors import Cancelled, UserError
from inference_core.scratch import scratch_folder, sweep_stale

PAUSES_S = (2, 10)  # before it is tried again
LIMIT_S, LIMIT_S_PER_MIB = 600, 30  # for a study; a hundred times what a slice of a half MiB takes
GRACE_S = 60  # for a study over its limit to end by itself, between two slices
LASTING = {
    errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENAMETOOLONG,
    errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, None,
}  # fmt: skip
"""Errors of the system that would be the same a moment later."""

SETUP = {
    "other-version", "missing-package", "no-such-engine", "no-such-device", "no-bfloat16", "no-such-model",
    "wrong-task", "bad-card", "model-incomplete", "model-damaged",
}  # fmt: skip
"""Codes of what is wrong with the recipe or the machine: every study would be refused for it."""


@dataclass(frozen=True)
class Order:
    """What is the same for every study of a batch: folders that all machines see under these paths, and the recipe."""

    root: str
    out: str
    recipe: Recipe
    work: str
    """`Recipe.work` where the batch is led: the models and the version that all workers must have."""


Known = list[tuple[str, str]]
"""Content and result (a name in the output) of studies that may be the same as one, moved or touched."""


def denoise_study(order: Order, study: Study, known: Known) -> dict[str, Any]:
    """Denoise a study into its place, unless its result is there.

    Parameters
    ----------
    order : Order
    study : Study
    known : list of (content, output)

    Returns
    -------
    dict
        An entry of the ledger. The result is there whole, or not at all. ``hung`` is true where a thread of this
        process still works on it; ``stop`` says why no study could be written.
    """
    _sweep_once(order.out)
    begun = time.perf_counter()
    entry = _within(LIMIT_S + LIMIT_S_PER_MIB * study.size / 2**20, functools.partial(_tries, order, study, known))
    return {**entry_of(study, order.work), **entry, "time_s": round(time.perf_counter() - begun, 2)}


def fault_of_setup(recipe: Recipe) -> dict[str, str] | None:
    """Why this process can denoise nothing by a recipe, or None; its models are opened for it."""
    from inference_core.models.engines import open_engine

    try:
        for card in recipe.cards():
            open_engine(card, recipe.engine, recipe.device)
    except UserError as error:
        return {"code": error.code, "message": error.message, "remedy": error.remedy}
    except Exception:  # the disk, say; the studies tell, and are tried again
        return None
    return None


def entry_of(study: Study, work: str) -> dict[str, Any]:
    """What the ledger says of a study, whatever became of it."""
    return {
        "name": study.name(work), "path": study.path, "series": study.series, "files": len(study.files),
        "stamp": study.stamp, "sizes": study.sizes, "work": work, "output": None,
    }  # fmt: skip


def _within(limit_s: float, work: Callable[[Callable[[], bool]], dict[str, Any]]) -> dict[str, Any]:
    """``work`` in a thread of its own, which can be left behind where it hangs."""
    until = time.monotonic() + limit_s
    made: list[dict[str, Any]] = []
    thread = threading.Thread(
        target=lambda: made.append(work(lambda: time.monotonic() > until)), name="study", daemon=True
    )
    thread.start()
    thread.join(limit_s + GRACE_S)
    return made[0] if made else {**_timed_out(limit_s), "hung": True}


def _timed_out(limit_s: float) -> dict[str, Any]:
    return {
        "status": FAILED, "code": "timed-out", "message": f"It was not done after {limit_s / 60:.0f} minutes.",
        "remedy": "Denoise it alone to see why; the disk or share may hang.",
    }  # fmt: skip


def _tries(order: Order, study: Study, known: Known, over: Callable[[], bool]) -> dict[str, Any]:
    for pause_s in (*PAUSES_S, None):
        try:
            return _made(order, study, known, over)
        except Exception as error:
            fault = _fault_of_disk(error)
            if pause_s is not None and fault is not None and fault.errno not in LASTING and not over():
                time.sleep(pause_s)
                continue
            return _not_done(error, order, study)
    raise AssertionError  # the last try returns


def _made(order: Order, study: Study, known: Known, over: Callable[[], bool]) -> dict[str, Any]:
    """The entry of a result, found or made.

    Raises
    ------
    Exception
        What denoising raises.
    """
    from inference_core.denoiser import job as denoise

    root, out, recipe = Path(order.root), Path(order.out), order.recipe
    if recipe.work() != order.work:
        raise UserError(
            "other-version",
            "There are other models or another version of this package.",
            "Install the same everywhere.",
        )
    content = content_of(root, study)
    name = study.name(content, order.work)
    output = out / (name if recipe.format == "dicom" else f"{name}{recipe.format}")
    for there in (output, *(out / known_output for known_content, known_output in known if known_content == content)):
        if report := whole_result(there):
            return _entry(report, content, there)
    if output.is_dir():  # it was cut off before its report was written
        with scratch_folder(out) as aside:
            output.rename(aside / output.name)
    with set_apart(root, study) as place:
        try:
            report = denoise.run(
                denoise.DenoiseJob(
                    str(place), str(output), study.series, recipe.model, recipe.strength, recipe.engine,
                    recipe.device, recipe.threads, report=str(report_of(output)),
                ),
                lambda kind, **fields: None,
                over,
            )  # fmt: skip
        except UserError as error:
            error.message = error.message.replace(str(place), str(root / study.path))
            raise
    return _entry(report, content, output)


def report_of(output: Path) -> Path:
    """Where the report of a result lies; it is written last, so what has one is whole."""
    stem = next((output.name.removesuffix(end) for end in (".nrrd", ".nii.gz", ".mha") if output.name.endswith(end)),
                output.name)  # fmt: skip
    return output.with_name(f"{stem}_report.json")


def whole_result(output: Path) -> dict[str, Any] | None:
    """The report of a result that is there with all that belongs to it, or None."""
    try:
        report = json.loads(report_of(output).read_text(encoding="utf-8"))
        return report if report["output"]["name"] == output.name and output.exists() else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _entry(report: dict[str, Any], content: str, output: Path) -> dict[str, Any]:
    return {
        "status": DONE,
        "content": content,
        "output": output.name,
        "model": report["model"]["id"],
        "noise_before_hu": round(report["noise_hu"]["before"], 2),
        "noise_after_hu": round(report["noise_hu"]["after"], 2),
        "low_band_change_hu": report["ct_number_check"]["low_band_change_hu"],
        "warnings": report["warnings"],
    }


def _not_done(error: Exception, order: Order, study: Study) -> dict[str, Any]:
    """Why it was refused or failed."""
    if isinstance(error, Cancelled):
        return _timed_out(LIMIT_S + LIMIT_S_PER_MIB * study.size / 2**20)
    fault = _fault_of_disk(error)
    entry: dict[str, Any]
    if isinstance(error, UserError):
        where = f"On {platform.node()}: " if error.code in SETUP else ""
        entry = {"status": REFUSED, "code": error.code, "message": where + error.message, "remedy": error.remedy}
    elif isinstance(error, MemoryError):
        message, remedy = "There is not enough memory for this volume.", "Run fewer workers, or crop the volume."
        entry = {"status": REFUSED, "code": "out-of-memory", "message": message, "remedy": remedy}
    elif fault is not None:
        entry = {
            "status": FAILED, "code": "disk", "message": f"{fault.strerror}: {fault.filename or study.path}.",
            "remedy": "Check the disk or share, then start the same command again.",
        }  # fmt: skip
    else:
        traceback.print_exception(error)
        entry = {
            "status": FAILED, "code": "internal", "message": f"{type(error).__name__}: {error}",
            "remedy": "This is a fault of the program: please report it with the log.",
        }  # fmt: skip
    if (fault is not None and fault.errno) or entry["code"] in ("write-failed", "not-writable", "no-such-folder"):
        entry["stop"] = _why_not_writable(Path(order.out), study.size)
    return entry


def _fault_of_disk(error: BaseException | None) -> OSError | None:
    """The error of the system that ``error`` is, or came of."""
    while error is not None and not isinstance(error, OSError):
        error = error.__cause__ or error.__context__
    return error


def _why_not_writable(out: Path, size: int) -> str | None:
    """Why a file as large as a study cannot be written; None where it can."""
    try:
        with scratch_folder(out) as aside, (aside / "probe").open("wb") as file:
            for _ in range(1 + 2 * size // 2**20):  # what was compressed is larger when it is written
                file.write(bytes(2**20))
            file.flush()
    except OSError as error:
        return f"{out} cannot be written: {error.strerror}."
    return None


@functools.cache
def _sweep_once(out: str) -> None:
    """Remove what a process that was killed on this machine left."""
    sweep_stale()
    sweep_stale(Path(out))
