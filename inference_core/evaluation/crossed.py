"""Intervals of scores that come from several trainings on the same frames: trainings and colons are both drawn.

A draw has new colons (or frames, see :func:`~inference_core.evaluation.bootstrap.groups_of`) with replacement, the same
for all trainings and methods, and new trainings with replacement. Few trainings drawn with replacement spread less than
trainings do, by (n - 1) / n in variance: their deviations from their mean are enlarged by sqrt(n / (n - 1)) for that.
One training tells nothing of others: then only colons or frames are drawn. In a difference of two methods the colons
are the same for both, the trainings are drawn for each: seeds of different methods have nothing in common.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A score with its 95 % interval; NaN where there is nothing to measure on, or nothing to draw."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Drawn:
    """A score of several trainings.

    Attributes
    ----------
    values : (trainings,) array
    draws : (draws, trainings) array
        The same for each draw of colons or frames.
    """

    values: Matrix
    draws: Matrix


def drawn_groups(groups: Sequence[Hashable], draws: int, seed: int = 0) -> tuple[NDArray[np.intp], Matrix]:
    """Draw whole groups with replacement.

    Returns
    -------
    index : (N,) array
        The group of each value, as a number.
    counts : (draws, groups) array
        How often a draw has each group; the same for the same groups and seed.
    """
    numbers = {group: k for k, group in enumerate(dict.fromkeys(groups))}
    index = np.array([numbers[group] for group in groups], np.intp)
    count = len(numbers)
    counts = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), draws)
    return index, counts.astype(np.float64)


def drawn_means(values: Matrix, groups: Sequence[Hashable], draws: int, seed: int = 0) -> Drawn:
    """Means over frames.

    Parameters
    ----------
    values : (trainings, frames) array
        NaN ones are left out.
    groups : sequence
        The group of each frame.
    draws : int
    seed : int
    """
    index, counts = drawn_groups(groups, draws, seed)
    known = ~np.isnan(values)
    size = counts.shape[1]
    sums = np.array([np.bincount(index, row, size) for row in np.where(known, values, 0)])
    wholes = np.array([np.bincount(index, row, size) for row in known.astype(np.float64)])
    with np.errstate(invalid="ignore"):  # a draw may hold nothing to measure on
        return Drawn(sums.sum(axis=1) / wholes.sum(axis=1), (counts @ sums.T) / (counts @ wholes.T))


def estimate(score: Drawn, seed: int = 0) -> Estimate:
    """The mean over trainings, and its interval."""
    return _estimate(float(score.values.mean()), _over_trainings(score, np.random.default_rng(seed)))


def difference(score: Drawn, other: Drawn, seed: int = 0) -> Estimate:
    """How much higher a method's mean is than another's on the same frames."""
    rng = np.random.default_rng(seed)
    draws = _over_trainings(score, rng) - _over_trainings(other, rng)
    return _estimate(float(score.values.mean() - other.values.mean()), draws)


def _over_trainings(score: Drawn, rng: np.random.Generator) -> Matrix:
    trainings = len(score.values)
    if trainings == 1:
        return score.draws[:, 0]
    middle = score.draws.mean(axis=1)
    chosen = np.take_along_axis(score.draws, rng.integers(0, trainings, score.draws.shape), axis=1)
    spread: Matrix = middle + math.sqrt(trainings / (trainings - 1)) * (chosen.mean(axis=1) - middle)
    return spread


def _estimate(value: float, draws: Matrix) -> Estimate:
    kept = draws[np.isfinite(draws)]
    if not len(kept) or math.isnan(value) or np.ptp(kept) == 0:
        return Estimate(value, math.nan, math.nan)
    low, high = np.percentile(kept, (2.5, 97.5))
    return Estimate(value, float(low), float(high))
