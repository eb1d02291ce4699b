"""Run every method on every CT and collect all that is measured."""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_core.evaluation.detail import contrast_recovery
from inference_core.evaluation.networks import Denoiser
from inference_core.evaluation.noise_spectra import Spectra
from inference_core.evaluation.pairs import Pair
from inference_core.evaluation.scores import Row, score_slice
from inference_core.image.volume import Volume

LOW_DOSE = "low dose"
"""The method that does nothing."""


@dataclass(frozen=True)
class Example:
    """One slice of a scan as every method left it, to look at; (H, W) HU."""

    pair: Pair
    slice: int
    outputs: dict[str, NDArray[Any]]


@dataclass
class Results:
    """What was measured.

    Attributes
    ----------
    rows : list of Row
    spectra : dict of Spectra
        By scan.
    contrast : dict
        By scan and method: for each phantom, the recovered contrast by diameter in mm.
    examples : dict of Example
        By scan.
    """

    rows: list[Row] = field(default_factory=list)
    spectra: dict[str, Spectra] = field(default_factory=dict)
    contrast: dict[str, dict[str, list[dict[float, float]]]] = field(default_factory=dict)
    examples: dict[str, Example] = field(default_factory=dict)


def evaluate(
    pairs: Iterable[Pair],
    denoisers: Mapping[str, Denoiser],
    not_scored: Collection[tuple[str, int]] = (),
    preferred: Collection[str] = (),
    total: int | None = None,
) -> Results:
    """Score every denoiser on every pair, the untouched low-dose CT (:data:`LOW_DOSE`) first.

    Parameters
    ----------
    pairs : iterable of Pair
        One is held at a time.
    denoisers : mapping
        By name.
    not_scored : collection of (pair's name, slice)
        Left out, e.g. because filters were tuned on it.
    preferred : collection of str
        Names of pairs to show; else the first of a scan is.
    total : int, optional
        Number of pairs, for the progress bar (standard error, where that is a terminal).
    """
    from tqdm import tqdm

    results = Results()
    for pair in tqdm(pairs, total=total, unit="CT", file=sys.stderr, disable=None, leave=False):
        slices = [k for k in range(len(pair.low.voxels)) if (pair.name, k) not in not_scored]
        if not slices:
            continue
        outputs: dict[str, NDArray[Any]] = {LOW_DOSE: pair.low.voxels}
        seconds = {LOW_DOSE: 0.0}
        for method, denoise in denoisers.items():
            started = time.process_time()
            outputs[method] = denoise(pair.low)
            seconds[method] = (time.process_time() - started) / len(pair.low.voxels)
        for k in slices:
            results.rows += score_slice(pair, k, outputs, seconds)
        results.spectra.setdefault(pair.scan, Spectra()).add(pair, outputs, slices)
        _add_contrast(results, pair, outputs)
        if pair.scan not in results.examples or pair.name in preferred:
            k = slices[len(slices) // 2]
            shown = {method: voxels[k].copy() for method, voxels in outputs.items()}
            results.examples[pair.scan] = Example(_one_slice(pair, k), k, shown)
    return results


def _add_contrast(results: Results, pair: Pair, outputs: Mapping[str, NDArray[Any]]) -> None:
    if not pair.details or pair.reference is None:
        return
    of_scan = results.contrast.setdefault(pair.scan, {})
    for method, voxels in outputs.items():
        found = contrast_recovery(pair.low.with_voxels(voxels), pair.reference, pair.details)
        of_scan.setdefault(method, []).append(found)


def _one_slice(pair: Pair, index: int) -> Pair:
    """The pair with one slice only, so that an example does not hold whole volumes."""

    def cut(volume: Volume) -> Volume:
        return volume.with_voxels(np.array(volume.voxels[index : index + 1]))

    return Pair(pair.name, pair.scan, pair.subject, cut(pair.low), pair.reference and cut(pair.reference))
