"""Where pairs come from, files or phantoms, and what filters are tuned on in each case."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from inference_core.errors import UserError
from inference_core.evaluation.pairs import Pair, PairFiles, find_pairs, read_pair
from inference_core.evaluation.phantom import phantom_pair

TUNING_SEED = 10_000  # a head that is hardly ever scored


@dataclass(frozen=True)
class Tuning:
    """A slice to tune filters on; (H, W) HU.

    Attributes
    ----------
    pair : str
        Name of its pair.
    slice : int
    said : str
        The same in words.
    """

    pair: str
    slice: int
    low: NDArray[Any]
    reference: NDArray[Any]
    said: str


@dataclass(frozen=True)
class Source:
    """Pairs to score.

    Attributes
    ----------
    count : int
    pairs : callable
        Gives them one by one.
    tuning : callable
        Gives the slice to tune on; takes the name of its pair, or ``""`` for the source's own choice.
    preferred : frozenset of str
        Names of the pairs to show.
    """

    count: int
    pairs: Callable[[], Iterator[Pair]]
    tuning: Callable[[str], Tuning]
    preferred: frozenset[str] = frozenset()


def from_files(low: Path, full: Path | None, only: str) -> Source:
    """Files, as :func:`~inference_core.evaluation.pairs.find_pairs` finds them; of each scan the middle one is shown.

    Raises
    ------
    UserError
        Now what finding raises; later what reading does, and ``no-pairs`` for a name that is not there.
    """
    files = find_pairs(low, full, only)
    by_prefix = [list(group) for _, group in groupby(files, key=lambda one: one.prefix)]

    def tuning(name: str) -> Tuning:
        candidates = find_pairs(low, full) if name else files
        chosen = next((one for one in candidates if name in ("", one.name)), None)
        if chosen is None:
            raise UserError("no-pairs", f"There is no pair {name!r} to tune on.", "Give a file's name without suffix.")
        return _middle(read_pair(chosen), chosen.name)

    return Source(
        len(files), lambda: _read(files), tuning, frozenset(group[len(group) // 2].name for group in by_prefix)
    )


def from_phantoms(seeds: list[int], dose: str) -> Source:
    """One phantom a seed; filters are tuned on one slice of another head."""

    def tuning(name: str) -> Tuning:
        if name:
            raise UserError("tune-on", f"Phantoms have no pair {name!r}.", "Leave --tune-on out: another head is made.")
        return _middle(phantom_pair(TUNING_SEED, dose, slices=1), "another head")

    unique = list(dict.fromkeys(seeds))
    return Source(len(unique), lambda: (phantom_pair(seed, dose) for seed in unique), tuning)


def _middle(pair: Pair, name: str) -> Tuning:
    index = len(pair.low.voxels) // 2
    if pair.reference is None:
        raise ValueError("Filters are tuned against a reference.")
    said = f"{name}, slice {index}" if len(pair.low.voxels) > 1 else name
    return Tuning(pair.name, index, pair.low.voxels[index], pair.reference.voxels[index], said)


def _read(files: list[PairFiles]) -> Iterator[Pair]:
    """Read one by one; each warning of the reader goes to standard error once."""
    said: set[str] = set()
    for one in files:
        pair = read_pair(one)
        for warning in pair.low.warnings:
            if warning not in said:
                print(f"warning: {one.name}: {warning}", file=sys.stderr)
        said.update(pair.low.warnings)
        yield pair
