"""The worker's job ``segment-folds``: a video or pictures in; masks, lasting instances, an overlay and tables out."""

from __future__ import annotations

import os
import time
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from inference_core import __version__
from inference_core.errors import UserError
from inference_core.models.card import FrameCard
from inference_core.models.engines import Engine
from inference_core.scratch import scratch_folder, sweep_stale
from inference_core.segmenter import results
from inference_core.segmenter.frame_sources import Frame, Source, open_source
from inference_core.segmenter.overlay import overlay
from inference_core.segmenter.results import Found
from inference_core.segmenter.segment import segment_frame, where_visible
from inference_core.segmenter.tracking import Tracker
from inference_core.segmenter.view import no_lumen_view
from inference_core.simulation.colon.dataset.dataset import write_json, written
from inference_core.simulation.colon.teller import Teller

SAME_WARNINGS = 20  # told one by one; more of them are counted

NOTE = (
    "Research use only; not for diagnosis. Learned from simulated colons. Marks on frames without a view of the lumen"
    " mean little. confidence is a fold's mean probability, calibrated where the model's card says how."
)


@dataclass(frozen=True)
class SegmentJob:
    """What to segment and how; paths as strings, as they travel in JSON."""

    input: str
    """A video, a folder of pictures, or a dataset of simulate-colon or translate."""
    output: str
    """New or empty folder, or that of the same job stopped earlier."""
    model: str
    device: str = "auto"
    overlay: bool = True
    """Write frames with their folds in colour."""


def run(message: dict[str, Any], emit: Callable[..., None], cancelled: Callable[[], bool]) -> dict[str, Any]:
    """Do the job; see :class:`SegmentJob` for the message's fields.

    A network sees each frame alone; tracking only numbers what it found. A job that was stopped goes on when it is
    given again: frames that are done are not segmented again, the overlay of a video is made anew.

    Returns
    -------
    dict
        ``output``, ``model``, ``engine``, ``frames`` (read), ``made`` (segmented now), ``folds`` (different ones),
        ``marks`` (frames by reason for no lumen view), ``no_lumen_view`` (frames), ``warnings``, ``time_s``.

    Raises
    ------
    UserError
    Cancelled
    """
    from inference_core.models.engines import open_engine
    from inference_core.models.registry import find_model

    begun = time.perf_counter()
    job = job_from(message)
    path, out = Path(job.input), Path(job.output)
    source = open_source(path)
    _check_places(path, out)
    card: FrameCard = find_model(job.model, "segment-folds")
    engine = open_engine(card, "auto", job.device)
    teller = Teller(emit, cancelled)
    text = _card_text(job, source, card, engine)
    results.start(out, text, job.overlay and source.kind != "video")
    sweep_stale(out)
    teller.begin("look through", 0)
    source.survey(lambda done: teller.progress(done, max(done + 1, source.count)))
    teller.begin("segment", source.count)
    with written(out), scratch_folder(out) as aside:
        run_of = _Run(job, source, card, engine, out, aside, teller)
        said = run_of.all_frames()
        for name in run_of.files:
            os.replace(aside / name, out / name)
        results.remove_others(out, run_of.numbers)
        write_json(out / results.CARD, {**text, "note": NOTE, **said, "warnings": teller.warnings, "complete": True})
    return {
        "output": str(out),
        "model": card.id,
        "engine": {"name": engine.name, "device": engine.device},
        "made": run_of.made,
        **said,
        "warnings": teller.warnings,
        "time_s": round(time.perf_counter() - begun, 2),
    }


def job_from(message: dict[str, Any]) -> SegmentJob:
    """A job from its JSON.

    Raises
    ------
    UserError
        ``bad-job`` for an unknown, missing or wrong field.
    """
    known = {field.name: field.type for field in fields(SegmentJob)}
    given = {name: value for name, value in message.items() if name != "job"}
    if set(given) - set(known) or not {"input", "output", "model"} <= set(given):
        raise UserError(
            "bad-job",
            f"A segment-folds job takes {', '.join(known)}, not {', '.join(sorted(given))}.",
            "Client and worker may be of different versions; install one of them again.",
        )
    wrong = [name for name, value in given.items() if type(value).__name__ != known[name]]
    if wrong:
        raise UserError("bad-job", f"The job's {', '.join(wrong)} is of the wrong type.", "Send the documented types.")
    return SegmentJob(**given)


class _Run:
    """Frames through the network, several at a time, and out of it in their order.

    The main thread decodes, numbers folds and encodes; the others run the network and write pictures. No more frames
    wait than are worked on, so memory does not grow and a cancel is honoured.
    """

    def __init__(
        self, job: SegmentJob, source: Source, card: FrameCard, engine: Engine, out: Path, aside: Path, teller: Teller
    ) -> None:
        self.job, self.source, self.card, self.engine = job, source, card, engine
        self.out, self.aside, self.teller = out, aside, teller
        self.files = [results.FOLDS, results.FRAMES]
        self.numbers: set[int] = set()
        self.made = 0
        self._tracker = Tracker()
        self._video: Any = None
        self._told = 0
        self._marks: Counter[str] = Counter()
        self._no_view = self._folds = self._seen = 0

    def all_frames(self) -> dict[str, Any]:
        """Do all frames; what there is to say of them."""
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        waiting: deque[tuple[Frame, Future[tuple[Found, bool]]]] = deque()
        writing: deque[Future[None]] = deque()
        with ExitStack() as stack:
            self._tables = results.Tables(self.aside)
            stack.callback(self._tables.close)
            stack.callback(lambda: self._video and self._video.close(whole=False))
            pool = stack.enter_context(ThreadPoolExecutor(cores))
            stack.callback(lambda: [future.cancel() for _, future in waiting])
            for frame in self.source.frames(self._warn):
                waiting.append((frame, pool.submit(self._examine, frame)))
                if len(waiting) > 2 * cores:
                    self._finish(*waiting.popleft(), pool, writing, 2 * cores)
            while waiting:
                self._finish(*waiting.popleft(), pool, writing, 2 * cores)
            while writing:
                writing.popleft().result()
            if self._video:
                self._video.close()
                self._video = None
                self.files.append(results.OVERLAY)
        if self._told > SAME_WARNINGS:
            self.teller.warn(f"{self._told - SAME_WARNINGS} more warnings of this kind.")
        return {
            "frames": len(self.numbers),
            "folds": self._folds,
            "no_lumen_view": self._no_view,
            "marks": dict(sorted(self._marks.items())),
        }

    def _examine(self, frame: Frame) -> tuple[Found, bool]:
        """What is found in a frame, and whether the network was asked."""
        before = results.found_before(self.out, frame)
        if before is not None:
            return before, False
        visible = self.source.visible()
        if visible is None or visible.shape != frame.rgb.shape[:2]:
            visible = where_visible(frame.rgb)
        hidden = self.source.hidden(frame.rgb.shape[:2])
        if hidden is not None:
            visible = visible & ~hidden
        found = segment_frame(frame.rgb, self.card, self.engine, visible).instances
        confidence = {k + 1: float(value) for k, value in enumerate(found.confidence)}
        return Found(found.labels, confidence, no_lumen_view(frame.rgb, visible)), True

    def _finish(
        self,
        frame: Frame,
        examined: Future[tuple[Found, bool]],
        pool: ThreadPoolExecutor,
        writing: deque[Future[None]],
        most: int,
    ) -> None:
        """Number a frame's folds, and have its pictures written."""
        found, asked = examined.result()
        found = self._lasting(found)
        self.made += asked
        self.numbers.add(frame.number)
        self._no_view += bool(found.reasons)
        self._marks.update(found.reasons)
        self._tables.add(frame, found)
        drawn = overlay(frame.rgb, found.labels, found.reasons) if self.job.overlay else None
        if self.source.kind == "video":
            if drawn is not None:
                self._encode(frame, drawn)
            drawn = None
        writing.append(pool.submit(results.write_frame, self.out, self.aside, frame, found, drawn))
        while len(writing) > most:
            writing.popleft().result()
        self.teller.progress(len(self.numbers), max(self.source.count, len(self.numbers)))

    def _lasting(self, found: Found) -> Found:
        tracked = self._tracker.update(found.labels)
        self._folds = max(self._folds, int(tracked.max(initial=0)))
        ids = np.zeros(int(found.labels.max(initial=0)) + 1, np.int32)
        ids[found.labels.ravel()] = tracked.ravel()
        ids = np.where(ids > 0, (ids - 1) % results.IDS + 1, 0).astype(np.int32)
        confidence = {int(ids[k]): value for k, value in found.confidence.items() if k < len(ids) and ids[k]}
        return Found(ids[found.labels], confidence, found.reasons)

    def _encode(self, frame: Frame, drawn: Any) -> None:
        from inference_core.segmenter.video import OverlayVideo, Video

        assert isinstance(self.source, Video)
        assert frame.stamp is not None
        assert frame.lasts is not None
        if self._video is None:
            self._video = OverlayVideo(self.aside / results.OVERLAY, drawn.shape[:2], self.source.unit)
        elif drawn.shape[:2] != self._video.shape:
            self._warn(f"Frame {frame.number} has another size than the first; in the overlay it is scaled to it.")
        self._video.add(drawn, frame.stamp, frame.lasts)

    def _warn(self, message: str) -> None:
        self._told += 1
        if self._told <= SAME_WARNINGS:
            self.teller.warn(message)


def _card_text(job: SegmentJob, source: Source, card: FrameCard, engine: Engine) -> dict[str, Any]:
    suffix = "onnx" if engine.name == "onnxruntime" else "safetensors"
    return {
        "software": {"name": "faithful-imaging", "version": __version__},
        "model": {"id": card.id, "sha256": card.sha256[suffix], "file": suffix},
        "input": {"name": source.name, "kind": source.kind},
        "settings": {"overlay": job.overlay},
    }


def _check_places(source: Path, out: Path) -> None:
    here, there = source.resolve(), out.resolve()
    if here == there:
        raise UserError("same-file", f"{out} is the input.", "Give the output a folder of its own.")
    if here in there.parents or (source.is_dir() and there in here.parents):
        raise UserError(
            "inside-input",
            f"{source} and {out} lie one within the other.",
            "Give the output a folder outside the input, beside it for instance.",
        )
