"""Score a segmenter's folds in one frame; means of scores, their intervals, and differences of two methods.

A score over frames is a sum over a sum: of overlaps over frames, or of matched segments over segments. In intervals
colons (or frames, where there are fewer than three colons) and trainings are drawn: see
:mod:`inference_core.evaluation.crossed`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference_core.evaluation import crossed
from inference_core.evaluation.bootstrap import DRAWS, groups_of
from inference_core.evaluation.crossed import Estimate as Estimate
from inference_core.measurement.segmentation import mask_iou, match_instances
from inference_core.segmenter.instances import LEAST_SHARE, Instances


@dataclass(frozen=True)
class FrameRow:
    """Scores of one trained network on one frame.

    Attributes
    ----------
    method : str
        What the network is a training of.
    training : str
        Which it is.
    data, colon, frame : str
        Set, and where in it.
    iou : float
        Of the masks of all folds; NaN where neither has a pixel.
    segments, matched : int
        Folds that were found, and those of them whose overlap with a true fold is above 0.5.
    truths, found : int
        True folds of a thousandth of the frame or more (smaller ones are never marked), and those of them matched.
    matched_iou : float
        Sum of the overlaps of the matched segments.
    confidence : tuple of float
        Of the segments.
    right : tuple of bool
        Which of them match.
    cpu_seconds : float
    """

    method: str
    training: str
    data: str
    colon: str
    frame: str
    iou: float
    segments: int
    matched: int
    truths: int
    found: int
    matched_iou: float
    confidence: tuple[float, ...]
    right: tuple[bool, ...]
    cpu_seconds: float


SCORES = ("iou", "precision", "recall", "matched_iou")


def score_frame(
    where: tuple[str, str, str, str, str], found: Instances, truth: NDArray[np.int32], seconds: float
) -> FrameRow:
    """Compare a frame's segments with its true folds.

    Parameters
    ----------
    where : (method, training, data, colon, frame)
    found : Instances
    truth : (H, W) int32
    seconds : float
        CPU time that it took.
    """
    match = match_instances(found.labels, truth)
    sizes = np.bincount(truth.ravel())
    counted = [one for one in match.truths if sizes[one] >= LEAST_SHARE * truth.size]
    reached = set(match.matches.values())
    return FrameRow(
        *where,
        iou=mask_iou(found.labels > 0, truth > 0),
        segments=len(match.segments),
        matched=len(match.matches),
        truths=len(counted),
        found=sum(one in reached for one in counted),
        matched_iou=sum(match.ious.values()),
        confidence=tuple(float(found.confidence[segment - 1]) for segment in match.segments),
        right=tuple(segment in match.matches for segment in match.segments),
        cpu_seconds=seconds,
    )


def estimate(rows: Sequence[FrameRow], score: str, seed: int = 0) -> Estimate:
    """A score of one method on one set: the mean over its trainings, and its interval.

    Parameters
    ----------
    rows : sequence of FrameRow
        Of one method and one set; the same frames for each training.
    score : str
        One of :data:`SCORES`.
    seed : int
    """
    return crossed.estimate(_drawn(rows, score, seed), seed)


def value(rows: Sequence[FrameRow], score: str) -> float:
    """A score without its interval."""
    terms = np.array([[_terms(row, score) for row in of] for of in _by_training(rows).values()], np.float64)
    parts, wholes = terms.sum(axis=1).T
    with np.errstate(invalid="ignore"):
        return float(np.mean(parts / wholes))


def difference(rows: Sequence[FrameRow], others: Sequence[FrameRow], score: str, seed: int = 0) -> Estimate:
    """How much higher a score of one method is than another's on the same frames.

    The same colons or frames are drawn for both; trainings are drawn for each, since seeds of different methods have
    nothing in common.

    Raises
    ------
    ValueError
        Where the frames are not the same.
    """
    if {(r.data, r.frame) for r in rows} != {(r.data, r.frame) for r in others}:
        raise ValueError("Differences are between scores on the same frames.")
    return crossed.difference(_drawn(rows, score, seed), _drawn(others, score, seed), seed)


def spread(rows: Sequence[FrameRow]) -> float:
    """Standard deviation of the IoU over frames, of each training, averaged over trainings; NaN below two frames."""
    each = [
        float(np.std(values, ddof=1))
        for values in ([row.iou for row in of if not math.isnan(row.iou)] for of in _by_training(rows).values())
        if len(values) > 1
    ]
    return sum(each) / len(each) if each else math.nan


def drawn_over(rows: Sequence[FrameRow]) -> str:
    """``colons`` or ``frames``: what intervals of these rows are over, beside trainings."""
    one = next(iter(_by_training(rows).values()))
    return {"subjects": "colons", "slices": "frames"}[groups_of([row.colon for row in one])[1]]


def _by_training(rows: Sequence[FrameRow]) -> dict[str, list[FrameRow]]:
    by_training: dict[str, list[FrameRow]] = {}
    for row in sorted(rows, key=lambda row: row.frame):
        by_training.setdefault(row.training, []).append(row)
    return by_training


def _terms(row: FrameRow, score: str) -> tuple[float, float]:
    """What a frame adds to the numerator and to the denominator of a score."""
    terms: dict[str, tuple[float, float]] = {
        "iou": (0.0, 0.0) if math.isnan(row.iou) else (row.iou, 1.0),
        "precision": (row.matched, row.segments),
        "recall": (row.found, row.truths),
        "matched_iou": (row.matched_iou, row.matched),
    }
    return terms[score]


def _drawn(rows: Sequence[FrameRow], score: str, seed: int) -> crossed.Drawn:
    """The score of each training, and in each draw of colons or frames."""
    by_training = _by_training(rows)
    groups, _ = groups_of([row.colon for row in next(iter(by_training.values()))])
    index, counts = crossed.drawn_groups(groups, DRAWS, seed)
    terms = np.array([[_terms(row, score) for row in of] for of in by_training.values()], np.float64)
    parts, wholes = (np.array([np.bincount(index, one, counts.shape[1]) for one in terms[..., k]]) for k in range(2))
    with np.errstate(invalid="ignore"):  # a draw may hold nothing to measure on
        return crossed.Drawn(parts.sum(axis=1) / wholes.sum(axis=1), (counts @ parts.T) / (counts @ wholes.T))
