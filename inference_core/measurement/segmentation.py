"""How good a segmentation of folds is: overlap of masks, matching of instances, and what a confidence is worth."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

MATCH = 0.5
"""Segments and truths match whose intersection over union is above this. Above, not from it on: then each segment has
one truth at most and each truth one segment; at 0.5 itself a segment of two halves would match both."""


def mask_iou(mask: NDArray[np.bool_], truth: NDArray[np.bool_], both_empty: Literal["nan", "one"] = "nan") -> float:
    """Intersection over union (Jaccard index), 0 to 1.

    Parameters
    ----------
    mask, truth : bool arrays of one shape
    both_empty : str
        What it is where neither has a pixel: ``nan``, so that means leave such frames out, or ``one``, so that frames
        count in which rightly nothing was marked. Tables must say which.
    """
    _check_shapes(mask, truth)
    either = np.count_nonzero(mask | truth)
    if not either:
        return math.nan if both_empty == "nan" else 1.0
    return np.count_nonzero(mask & truth) / either


@dataclass(frozen=True)
class InstanceMatch:
    """Segments of a frame beside its truth.

    Attributes
    ----------
    matches : dict
        For each segment that has one, the truth it matches.
    ious : dict
        For each of these segments, the intersection over union.
    segments, truths : tuple of int
        All their numbers.
    """

    matches: dict[int, int]
    ious: dict[int, float]
    segments: tuple[int, ...]
    truths: tuple[int, ...]

    @property
    def unmatched(self) -> tuple[int, ...]:
        """Segments without a matching truth: the paper paints them white."""
        return tuple(segment for segment in self.segments if segment not in self.matches)


def match_instances(labels: NDArray[Any], truth: NDArray[Any], least_iou: float = MATCH) -> InstanceMatch:
    """Match segments with truths.

    Parameters
    ----------
    labels, truth : int arrays of one shape
        Numbers of segments, 0 where there is none.
    least_iou : float
        They match above it; 0.5 or more, so that matches are unique.
    """
    _check_shapes(labels, truth)
    if not MATCH <= least_iou < 1:
        raise ValueError(f"least_iou is from {MATCH} to below 1, not {least_iou}: else matches would not be unique.")
    segments, segment = np.unique(labels, return_inverse=True)
    truths, true = np.unique(truth, return_inverse=True)
    shared = np.bincount(segment.ravel() * len(truths) + true.ravel(), minlength=len(segments) * len(truths))
    shared = shared.reshape(len(segments), len(truths))
    either = shared.sum(1, keepdims=True) + shared.sum(0, keepdims=True) - shared
    iou = shared / either
    iou[segments == 0] = iou[:, truths == 0] = 0
    pairs = [(int(segments[i]), int(truths[j]), float(iou[i, j])) for i, j in np.argwhere(iou > least_iou)]
    return InstanceMatch(
        matches={one: other for one, other, _ in pairs},
        ious={one: value for one, _, value in pairs},
        segments=tuple(int(one) for one in segments if one),
        truths=tuple(int(one) for one in truths if one),
    )


def instance_precision(frames: Iterable[InstanceMatch]) -> float:
    """Share of the segments of all frames that match a truth; NaN where there is no segment."""
    every = list(frames)
    return _share(sum(len(one.matches) for one in every), sum(len(one.segments) for one in every))


def instance_recall(frames: Iterable[InstanceMatch]) -> float:
    """Share of the truths of all frames that a segment matches; NaN where there is no truth."""
    every = list(frames)
    return _share(sum(len(one.matches) for one in every), sum(len(one.truths) for one in every))


@dataclass(frozen=True)
class Calibration:
    """How far confidences are from how often they are right.

    Attributes
    ----------
    error : float
        Expected calibration error, 0 to 1; NaN of nothing.
    confidence, right : float arrays
        Mean confidence, and the share that is right, in each bin; NaN in empty ones.
    count : int array
        In each bin.
    """

    error: float
    confidence: NDArray[np.float64]
    right: NDArray[np.float64]
    count: NDArray[np.intp]


def calibration(confidence: NDArray[Any], right: NDArray[np.bool_], bins: int = 10) -> Calibration:
    """Expected calibration error: the mean distance of confidence and share that is right, over bins of equal width.

    Parameters
    ----------
    confidence : float array
        0 to 1, of instances (that they match a truth) or of pixels (that they are of a fold).
    right : bool array of that shape
        Whether it was so.
    bins : int
        From 0 to 1; each takes its upper edge, the first 0 too.

    References
    ----------
    Naeini, Cooper, Hauskrecht, Obtaining well calibrated probabilities using Bayesian binning (AAAI 2015); Guo, Pleiss,
    Sun, Weinberger (ICML 2017).
    """
    _check_shapes(confidence, right)
    values = confidence.astype(np.float64).ravel()
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError("Confidences are from 0 to 1.")
    place = np.clip(np.ceil(values * bins).astype(np.intp) - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):  # 0 / 0 in empty bins
        mean = np.bincount(place, values, bins) / count
        share = np.bincount(place, right.ravel(), bins) / count
        error = float(np.nansum(count * np.abs(mean - share)) / values.size) if values.size else math.nan
    return Calibration(error, mean, share, count)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan


def _check_shapes(one: NDArray[Any], other: NDArray[Any]) -> None:
    if one.shape != other.shape:
        raise ValueError(f"Arrays of one shape are needed, not {one.shape} and {other.shape}.")
