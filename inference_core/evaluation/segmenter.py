"""Run segmenters on labelled frames and score them."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference_core.errors import UserError
from inference_core.evaluation.labelled_frames import LabelledFrame, LabelledFrames
from inference_core.evaluation.segmenter_scores import FrameRow, score_frame
from inference_core.models.card import FrameCard
from inference_core.models.engines import Engine
from inference_core.segmenter.instances import Instances
from inference_core.segmenter.segment import segment_frame

SHOWN = 9  # frames of the picture, of all sets together

Sets = Sequence[tuple[str, LabelledFrames]]


@dataclass(frozen=True)
class Segmenter:
    """A trained network.

    Attributes
    ----------
    method : str
        What it is a training of: a row of the tables.
    training : str
        Which of them.
    card : FrameCard
    engine : Engine
    """

    method: str
    training: str
    card: FrameCard
    engine: Engine

    def segment(self, frame: LabelledFrame) -> Instances:
        """The folds of a frame, where it shows the patient."""
        return segment_frame(frame.rgb, self.card, self.engine, frame.visible).instances


@dataclass
class SegmenterResults:
    """What was measured.

    Attributes
    ----------
    rows : list of FrameRow
    shown : list of (set, LabelledFrame)
        Frames of the picture.
    segments : dict
        By method, what its first training marked in these frames.
    """

    rows: list[FrameRow] = field(default_factory=list)
    shown: list[tuple[str, LabelledFrame]] = field(default_factory=list)
    segments: dict[str, list[NDArray[np.int32]]] = field(default_factory=dict)

    @property
    def methods(self) -> list[str]:
        """In order."""
        return list(dict.fromkeys(row.method for row in self.rows))

    @property
    def sets(self) -> list[str]:
        """In order."""
        return list(dict.fromkeys(row.data for row in self.rows))

    def of(self, method: str, data: str) -> list[FrameRow]:
        """Rows of one method on one set."""
        return [row for row in self.rows if (row.method, row.data) == (method, data)]


def evaluate_segmenters(segmenters: Sequence[Segmenter], sets: Sets) -> SegmenterResults:
    """Score every segmenter on every frame of every set.

    Parameters
    ----------
    segmenters : sequence of Segmenter
    sets : sequence of (name, frames)
        Of :func:`~inference_core.evaluation.labelled_frames.open_frames`.

    Raises
    ------
    UserError
        What reading and segmenting raise.
    """
    from tqdm import tqdm

    first = {one.method: one for one in reversed(segmenters)}
    results = SegmenterResults(segments={one.method: [] for one in segmenters})
    total = sum(len(frames) for _, frames in sets)
    # A network runs on one core: others run beside it.
    with (
        ThreadPoolExecutor(os.cpu_count()) as pool,
        tqdm(total=total, unit="frame", file=sys.stderr, disable=None, leave=False) as bar,
    ):
        for data, frames in sets:
            shown = set(np.linspace(0, len(frames) - 1, max(2, SHOWN // len(sets)) + 2).round().astype(int)[1:-1])
            for k in range(len(frames)):
                frame = frames[k]
                found = list(pool.map(lambda one, frame=frame: _timed(one, frame), segmenters))
                for one, (instances, seconds) in zip(segmenters, found, strict=True):
                    where = (one.method, one.training, data, frame.colon, frame.name)
                    results.rows.append(score_frame(where, instances, frame.instances, seconds))
                    if k in shown and one is first[one.method]:
                        results.segments[one.method].append(instances.labels)
                if k in shown:
                    results.shown.append((data, frame))
                bar.update()
    return results


def open_segmenters(models: Sequence[str]) -> list[Segmenter]:
    """Segmenters by what the command was given: ``MODEL``, or ``NAME=MODEL,MODEL,...`` for trainings of one kind.

    A model is an id, a card, or the folder of a run. What has no name is named by the id of its card, or, where two
    have one id, by what it was given as.

    Raises
    ------
    UserError
        ``same-model``, ``no-such-model``, ``wrong-task``, or what opening raises.
    """
    from inference_core.models.engines import open_engine
    from inference_core.models.registry import find_model

    rows = [_row(given) for given in models]
    every = [one for _, trainings in rows for one in trainings]
    if not every or not all(trainings for _, trainings in rows):
        raise UserError("what-to-score", "There is no model to score.", "Give --model ID, or NAME=RUN1,RUN2,RUN3.")
    cards = {one: find_model(_card_path(one), "segment-folds") for one in every}
    ids = [cards[trainings[0]].id for name, trainings in rows if not name]
    named = [(name or (cards[of[0]].id if ids.count(cards[of[0]].id) == 1 else of[0]), of) for name, of in rows]
    if len({name for name, _ in named}) < len(rows) or len(cards) < len(every):
        raise UserError("same-model", "A model or a name is given twice.", "Give each --model once, each a name.")
    return [Segmenter(name, one, cards[one], open_engine(cards[one])) for name, of in named for one in of]


def _row(given: str) -> tuple[str, list[str]]:
    """Name, where there is one, and models of what stands after ``--model``."""
    name, equals, several = given.partition("=")
    if not equals or not name or Path(given).exists():
        return "", [given]
    return name, [one for one in several.split(",") if one]


def _card_path(given: str) -> str:
    """The card in a run's folder; anything else as it is."""
    return str(Path(given) / "model.json") if Path(given).is_dir() else given


def _timed(segmenter: Segmenter, frame: LabelledFrame) -> tuple[Instances, float]:
    started = time.thread_time()
    found = segmenter.segment(frame)
    return found, time.thread_time() - started
