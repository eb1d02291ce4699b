"""Fold labels of procedural colons against their exact truth: ours, and the ways it is compared with."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference_core.errors import UserError
from inference_core.simulation.colon.mesh.surface import Surface, vertex_areas

MATCHED = 0.5  # IoU from which a fold counts as found
PART = 0.1  # of a fold's area that another must cover to count as a part of it
OWN = "relief"

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class FoldScore:
    """Found folds against true ones; areas, not vertices, are counted.

    Attributes
    ----------
    iou, precision, recall : float
        Of the area that is fold.
    folds, found : int
        True folds, and folds that were found.
    matched : int
        True folds that a found one covers with an IoU of at least 0.5.
    split, merged : int
        True folds of which two found ones cover a tenth or more each; found ones that cover a tenth or more of two
        true ones.
    """

    iou: float
    precision: float
    recall: float
    folds: int
    found: int
    matched: int
    split: int
    merged: int


@dataclass(frozen=True)
class FoldRow:
    """One surface, one method."""

    seed: int
    faces: int
    method: str
    score: FoldScore
    seconds: float
    """CPU time."""


def score_folds(surface: Surface, truth: Numbers, found: Numbers) -> FoldScore:
    """Compare fold numbers (0 off the folds) of a surface's vertices; (N,) each."""
    areas = vertex_areas(surface)
    _, truth = np.unique(np.append(0, truth), return_inverse=True)  # 0, 1, 2 ... without gaps
    _, found = np.unique(np.append(0, found), return_inverse=True)
    truth, found = truth[1:], found[1:]
    count, width = int(truth.max()) + 1, int(found.max()) + 1
    shared = np.bincount(truth * width + found, areas, minlength=count * width).reshape(count, width)
    true_area, found_area = shared.sum(axis=1), shared.sum(axis=0)
    both = float(shared[1:, 1:].sum())
    union = true_area[1:, None] + found_area[None, 1:] - shared[1:, 1:]
    covers = shared[1:, 1:] >= PART * true_area[1:, None]
    return FoldScore(
        iou=both / max(float(areas.sum() - shared[0, 0]), 1e-9),
        precision=both / max(float(found_area[1:].sum()), 1e-9),
        recall=both / max(float(true_area[1:].sum()), 1e-9),
        folds=count - 1,
        found=width - 1,
        matched=int((shared[1:, 1:] >= MATCHED * union).any(axis=1).sum()) if width > 1 else 0,
        split=int((covers.sum(axis=1) > 1).sum()),
        merged=int((covers.sum(axis=0) > 1).sum()),
    )


def check_request(seeds: Sequence[int], faces: Sequence[int], methods: Sequence[str]) -> None:
    """Refuse what cannot be made or is not known.

    Raises
    ------
    UserError
        ``seed``, ``faces`` or ``method``.
    """
    from inference_core.simulation.colon.folds.fold_rivals import RIVALS

    if not seeds or min(seeds) < 0:
        raise UserError("seed", f"The seeds are {list(seeds)}.", "Choose numbers of 0 or more.")
    if not faces or not 5_000 <= min(faces) <= max(faces) <= 400_000:
        raise UserError("faces", f"The numbers of triangles are {list(faces)}.", "Choose from 5000 to 400000.")
    unknown = sorted(set(methods) - {OWN, *RIVALS})
    if unknown or not methods:
        raise UserError(
            "method",
            f"There is no method {', '.join(unknown)}." if unknown else "No method is given.",
            f"Choose from {', '.join((OWN, *RIVALS))}.",
        )


def evaluate_folds(
    seeds: Sequence[int],
    faces: Sequence[int],
    methods: Sequence[str],
    each: Callable[[str], None] = lambda what: None,
) -> Iterator[FoldRow]:
    """Make each colon, label it by each method, compare with the truth. Rivals are given the exact centreline.

    Parameters
    ----------
    seeds, faces, methods
        Every combination is made; methods are ``relief`` and those of ``fold_rivals.RIVALS``.
    each : callable
        Told what is being done.
    """
    from inference_core.simulation.colon.procedural.haustral_colon import haustral_colon

    for seed in seeds:
        for number in faces:
            each(f"colon {seed}, {number} faces")
            colon = haustral_colon(seed, number)
            bare = Surface(colon.vertices, colon.faces)
            for method in methods:
                each(f"{method} on colon {seed}, {number} faces")
                label = _labeller(method, seed)
                begun = time.process_time()
                labelled = label(bare)
                seconds = time.process_time() - begun
                truth, found = (s.point_arrays["fold_instance"].astype(np.int64) for s in (colon, labelled))
                yield FoldRow(seed, number, method, score_folds(bare, truth, found), seconds)


def fold_table(rows: Sequence[FoldRow]) -> str:
    """Rows, and the mean of each method, as a Markdown table."""
    lines = [
        "| method | seed | faces | IoU | precision | recall | matched | found | split | merged | CPU s |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for method in dict.fromkeys(row.method for row in rows):
        own = [row for row in rows if row.method == method]
        for row in own:
            s = row.score
            lines.append(
                f"| {method} | {row.seed} | {row.faces} | {s.iou:.3f} | {s.precision:.3f} | {s.recall:.3f}"
                f" | {s.matched}/{s.folds} | {s.found} | {s.split} | {s.merged} | {row.seconds:.1f} |"
            )
        iou, precision, recall, seconds = (float(np.mean([value(row) for row in own])) for value in _MEANS)
        matched, folds = sum(row.score.matched for row in own), sum(row.score.folds for row in own)
        lines.append(
            f"| **{method}** | mean | | **{iou:.3f}** | {precision:.3f} | {recall:.3f} | {100 * matched / folds:.0f} %"
            f" | | | | {seconds:.1f} |"
        )
    return "\n".join(lines)


_MEANS: tuple[Callable[[FoldRow], float], ...] = (
    lambda row: row.score.iou,
    lambda row: row.score.precision,
    lambda row: row.score.recall,
    lambda row: row.seconds,
)


def _labeller(method: str, seed: int) -> Callable[[Surface], Surface]:
    from inference_core.simulation.colon.folds.fold_labels import label_folds
    from inference_core.simulation.colon.folds.fold_rivals import rival_labels
    from inference_core.simulation.colon.path.centreline import Centreline
    from inference_core.simulation.colon.path.curve import arc_length
    from inference_core.simulation.colon.procedural.haustral_colon import colon_shape

    if method == OWN:
        return label_folds
    shape = colon_shape(seed)
    unknown = np.full(len(shape.axis), np.nan)
    exact = Centreline(
        shape.axis,
        arc_length(shape.axis),
        shape.frames.tangents,
        shape.frames.normals,
        shape.frames.binormals,
        unknown,
    )
    return lambda surface: rival_labels(surface, method, exact)
