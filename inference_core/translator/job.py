"""The worker's job ``translate``: a simulated dataset, or a folder of them, in the look that a model gives."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_core.errors import Cancelled, UserError
from inference_core.models.card import FrameCard
from inference_core.models.engines import Engine
from inference_core.scratch import scratch_folder, sweep_stale
from inference_core.simulation.colon.dataset import dataset
from inference_core.simulation.colon.dataset.frames import ColonFrames, read_frame
from inference_core.simulation.colon.teller import Teller
from inference_core.translator import structure
from inference_core.translator.copies import copy_labels, copy_rest, made_at, read_visible, translated_card
from inference_core.translator.translate import translate

SHOWN = 8  # frames of a picture
REPORT = "structure.json"

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class TranslateJob:
    """What to translate and how; paths as strings, as they travel in JSON."""

    input: str
    """A dataset that simulate-colon wrote, or a folder with such datasets in it."""
    output: str
    """New or empty folder, or that of the same job stopped earlier; the same layout as the input."""
    model: str
    engine: str = "auto"
    device: str = "auto"
    limit: float = structure.LIMIT
    """Pixels that a frame's edges may move in the mean."""


def run(message: dict[str, Any], emit: Callable[..., None], cancelled: Callable[[], bool]) -> dict[str, Any]:
    """Do the job; see :class:`TranslateJob` for the message's fields.

    Each frame is translated alone. A job that was stopped goes on when it is given again.

    Returns
    -------
    dict
        ``output``, ``model``, ``datasets`` (of each: ``output``, ``frames``, ``made``, and ``structure``, the summary
        of its structure.json), ``structure`` (of all frames), ``warnings``, ``time_s``.

    Raises
    ------
    UserError
    Cancelled
    """
    from inference_core.models.engines import open_engine
    from inference_core.models.registry import find_model

    begun = time.perf_counter()
    job = job_from(message)
    source, out = Path(job.input), Path(job.output)
    _check_places(source, out)
    card = find_model(job.model, "translate-frames")
    datasets = ColonFrames(source).datasets
    engine = open_engine(card, job.engine, job.device)
    teller = Teller(emit, cancelled)
    single = datasets == [source]
    places = {path: out if single else out / path.relative_to(source) for path in datasets}
    for place in places.values():
        with dataset.written(out):
            place.parent.mkdir(parents=True, exist_ok=True)
        dataset.check_output(place)
    reports, rows = [], []
    for k, (path, place) in enumerate(places.items()):
        name = path.name if single else f"{path.relative_to(source)}, {k + 1} of {len(places)}"
        report, found = _one(path, place, card, engine, job.limit, name, teller)
        reports.append(report)
        rows += found
    whole = structure.summary(rows, job.limit)
    if not single:
        parts = {str(place.relative_to(out)): r["structure"] for place, r in zip(places.values(), reports, strict=True)}
        with dataset.written(out):
            dataset.write_json(out / REPORT, {"definition": structure.DEFINITION, "all": whole, "datasets": parts})
    if whole["moved"]:
        teller.warn(f"In {whole['moved']:.0%} of the frames, edges moved or were lost: see {REPORT}.")
    return {
        "output": str(out),
        "model": card.id,
        "engine": {"name": engine.name, "device": engine.device},
        "datasets": reports,
        "structure": whole,
        "warnings": teller.warnings,
        "time_s": round(time.perf_counter() - begun, 2),
    }


def job_from(message: dict[str, Any]) -> TranslateJob:
    """A job from its JSON.

    Raises
    ------
    UserError
        ``bad-job`` for an unknown, missing or wrong field; ``limit``.
    """
    known = {field.name: field.type for field in fields(TranslateJob)}
    given = {name: value for name, value in message.items() if name != "job"}
    if set(given) - set(known) or not {"input", "output", "model"} <= set(given):
        raise UserError(
            "bad-job",
            f"A translate job takes {', '.join(known)}, not {', '.join(sorted(given))}.",
            "Client and worker may be of different versions; install one of them again.",
        )
    wrong = [
        name
        for name, value in given.items()
        if not isinstance(value, str if known[name] == "str" else (int, float)) or isinstance(value, bool)
    ]
    if wrong:
        raise UserError("bad-job", f"The job's {', '.join(wrong)} is of the wrong type.", "Send the documented types.")
    job = TranslateJob(**given)
    if not 0 < job.limit < float("inf"):
        raise UserError("limit", f"The limit is {job.limit:g} pixels.", "Give one above 0; 1 is usual.")
    return job


def _check_places(source: Path, out: Path) -> None:
    here, there = source.resolve(), out.resolve()
    if here == there:
        raise UserError("same-file", f"{out} is the input.", "Give the output a folder of its own.")
    if here in there.parents or there in here.parents:
        raise UserError(
            "inside-input",
            f"{source} and {out} lie one within the other.",
            "Give the output a folder outside the input, beside it for instance.",
        )
    if out.exists() and not out.is_dir():
        raise UserError("output-format", f"{out} is a file.", "Name a new folder.")
    if not there.parent.is_dir():
        raise UserError("no-such-folder", f"The folder {out.parent} does not exist.", "Make it first.")


def _one(
    source: Path, out: Path, card: FrameCard, engine: Engine, limit: float, name: str, teller: Teller
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Translate one dataset; its report, and the rows of its frames."""
    text = translated_card(source, card, engine)
    settings = text["settings"]
    frames, size, depth_float = settings["frames"], settings["size"], settings["depth_float"]
    at = made_at(out)
    if at:
        text["translated"]["at"] = at  # the one thing that another run with the same settings may say otherwise
    dataset.start(out, text)
    sweep_stale(out)
    missing = dataset.missing_frames(out, frames, size, depth_float)
    complete = dataset.is_complete(out) and not missing and (out / REPORT).exists()
    visible = read_visible(source, size)
    teller.begin(f"translate {name}", frames)
    with dataset.written(out):
        if missing:
            dataset.write_card(out, text, complete=False)
        copy_rest(source, out)
        make = partial(_make_frame, source, out, card, engine, size, depth_float, visible)
        with scratch_folder(out) as aside:
            _each(missing, partial(make, aside), frames - len(missing), frames, teller)
    teller.begin(f"measure {name}", frames)
    rows = _each(range(frames), partial(_structure, source, out, size, visible, limit), 0, frames, teller)
    found = structure.summary(rows, limit)
    teller.begin("pictures")
    if not at or missing:
        text["translated"]["at"] = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    with dataset.written(out):
        said = {"definition": structure.DEFINITION, "model": card.id, **found}
        dataset.write_json(out / REPORT, {**said, "rows": [{"frame": k, **row} for k, row in enumerate(rows)]})
        if not complete:
            _draw(source, out, text, rows, visible)
            dataset.write_card(out, text, complete=True)
    return {"output": str(out), "frames": frames, "made": len(missing), "structure": found}, rows


def _make_frame(
    source: Path,
    out: Path,
    card: FrameCard,
    engine: Engine,
    size: int,
    depth_float: bool,
    visible: Mask,
    aside: Path,
    number: int,
) -> None:
    from PIL import Image

    frame = read_frame(source, number, size)["rgb"]
    # The black frame around the picture is the simulator's, as visible.png says: it stays.
    made = np.where(visible[..., None], translate(frame, card, engine), frame)
    copy_labels(source, out, aside, number, depth_float)
    picture = aside / f"rgb-{number:06d}.png"
    Image.fromarray(made).save(picture, format="PNG", compress_level=dataset.ZLIB_LEVEL)
    os.replace(picture, out / "rgb" / f"{number:06d}.png")


def _structure(source: Path, out: Path, size: int, visible: Mask, limit: float, number: int) -> dict[str, Any]:
    before, after = read_frame(source, number, size), read_frame(out, number, size)
    return structure.frame_structure(before["rgb"], after["rgb"], before["depth"], visible, limit)


def _each(numbers: Any, work: Callable[[int], Any], done: int, total: int, teller: Teller) -> list[Any]:
    """Do the same for frames on all cores; in order. No more waits than is worked on, so that a cancel is honoured."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    results, waiting = [], []
    with ThreadPoolExecutor(cores) as pool:
        try:
            for number in [*numbers, *[None] * (2 * cores)]:
                if number is not None:
                    waiting.append(pool.submit(work, number))
                if waiting and (number is None or len(waiting) >= 2 * cores):
                    results.append(waiting.pop(0).result())
                    teller.progress(done + len(results), total)
        except (Cancelled, UserError):
            for future in waiting:
                future.cancel()
            raise
    return results


def _draw(source: Path, out: Path, text: dict[str, Any], rows: list[dict[str, Any]], visible: Mask) -> None:
    from inference_core.simulation.colon.dataset.contact_sheet import chosen, write_contact_sheet
    from inference_core.translator.before_after import write_before_after

    numbers, size = chosen(len(rows)), text["settings"]["size"]
    before, after = ([read_frame(folder, k, size) for k in numbers] for folder in (source, out))
    captions = [_caption(number, rows[number]) for number in numbers]
    name = text["mesh"].get("name", source.name)
    title = f"{name}: {len(rows)} frames, {text['settings']['appearance']}"
    found = structure.summary(rows)
    told = "no frame had edges enough to judge"
    if found["displacement_px"] is not None:
        told = f"edges moved by {found['displacement_px']:.2f} px in the mean; {found['edges_found']:.0%} found again"
    frames = [{**frame, "caption": f"frame {number}"} for frame, number in zip(after, numbers, strict=True)]
    write_contact_sheet(
        out / "contact_sheet.png", frames, visible, title, f"labels copied; {told}", str(text.get("attribution", ""))
    )
    pictures = {"simulated": [f["rgb"] for f in before], "translated": [f["rgb"] for f in after]}
    write_before_after(out / "before_after.png", pictures, captions, title, told)


def _caption(number: int, row: dict[str, Any]) -> str:
    if row["displacement_px"] is None:
        return f"{number}: -" if row["moved"] is None else f"!{number}: edges lost"
    return f"{'!' if row['moved'] else ''}{number}: {row['displacement_px']:.2f} px, {row['edges_found']:.0%}"
