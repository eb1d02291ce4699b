"""95 % intervals of a mean by the bootstrap: how far would it move with other slices, or other subjects?

Reference: Efron, Tibshirani, An Introduction to the Bootstrap (1993), percentile interval.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

import numpy as np

DRAWS = 2000
FEWEST_SUBJECTS = 3
"""From so many patients or phantoms on, these are drawn and not slices: slices of one subject resemble each other."""


def groups_of(subjects: Sequence[str]) -> tuple[list[Hashable], str]:
    """What is drawn: for each slice its group, and what the groups are (``"subjects"`` or ``"slices"``).

    Parameters
    ----------
    subjects : sequence of str
        Of each slice.
    """
    if len(set(subjects)) >= FEWEST_SUBJECTS:
        return list(subjects), "subjects"
    return list(range(len(subjects))), "slices"


def interval(values: Sequence[float], groups: Sequence[Hashable], seed: int = 0) -> tuple[float, float]:
    """Percentile interval (2.5 to 97.5 %) of the mean of ``values``, from whole groups drawn with replacement.

    Parameters
    ----------
    values : sequence of float
        NaN ones are left out.
    groups : sequence
        The group of each value.
    seed : int
        The same seed gives the same interval.

    Returns
    -------
    (low, high); NaN where fewer than two groups are left, or a value is infinite.
    """
    kept = [(value, group) for value, group in zip(values, groups, strict=True) if not math.isnan(value)]
    names = {group: index for index, group in enumerate(dict.fromkeys(group for _, group in kept))}
    if len(names) < 2 or any(math.isinf(value) for value, _ in kept):
        return math.nan, math.nan
    index = [names[group] for _, group in kept]
    sums = np.bincount(index, [value for value, _ in kept])
    counts = np.bincount(index)
    drawn = np.random.default_rng(seed).integers(0, len(names), (DRAWS, len(names)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.percentile(means, (2.5, 97.5))
    return float(low), float(high)
