"""How far frames look from real ones: distances of colour and texture statistics between two sets of frames.

No trained network takes part. Each distance is 0 for the same set and grows as the looks differ; what a small number
means, the distance between two halves of the real set tells.

References: Rabin, Peyre, Delon, Bernot, Wasserstein barycenter and its application to texture mixing (SSVM 2011);
Karras, Aila, Laine, Lehtinen, Progressive growing of GANs (ICLR 2018), section 5, which compares patches so; Ojala,
Pietikainen, Maenpaa, Multiresolution gray-scale and rotation invariant texture classification with local binary
patterns (IEEE TPAMI 2002).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from inference_core.image.visible_area import Mask, visible_area
from inference_core.measurement.frame_statistics import (
    COLOUR_EDGES,
    DETAIL_EDGES,
    SHARE_EDGES,
    UNIT_EDGES,
    Histograms,
    frame_statistics,
)

DISTANCES = {
    "detail": "sliced Wasserstein of 7x7 patches of a Laplacian pyramid, of 255",
    "pattern": "total variation of local binary patterns, %",
    "colour": "sliced Wasserstein of colours, of 255",
    "saturation": "Wasserstein of saturations, %",
    "highlights": "Wasserstein of the share of each frame that shines, % of the frame",
}
"""Name of each distance, and what it is in which unit."""

EDGES = {"detail": DETAIL_EDGES, "colour": COLOUR_EDGES, "saturation": UNIT_EDGES, "highlights": SHARE_EDGES}
UNITS = {"detail": 255.0, "pattern": 100.0, "colour": 255.0, "saturation": 100.0, "highlights": 100.0}
SIDE = 256  # pixels of the short side of what is compared
SMALLEST = 32  # pixels; a frame of which less is visible is left out
DRAWS = 400


def look_of(rgb: NDArray[np.uint8], side: int = SIDE, without: Mask | None = None) -> Histograms | None:
    """Statistics of a frame's visible part, at a common size.

    Parameters
    ----------
    rgb : (H, W, 3) uint8
    side : int
        The visible part is resized so that its short side has this many pixels: textures are compared at one scale.
    without : (H, W) bool array, optional
        Pixels to leave out besides black borders: text (:func:`~inference_core.image.visible_area.text_area`), or what
        a dataset's black frame hides.

    Returns
    -------
    As :func:`~inference_core.measurement.frame_statistics.frame_statistics`; None where too little is visible.
    """
    from PIL import Image

    visible = visible_area(rgb)
    if without is not None:
        visible &= ~without
    rows, columns = np.flatnonzero(visible.any(axis=1)), np.flatnonzero(visible.any(axis=0))
    if len(rows) < SMALLEST or len(columns) < SMALLEST:
        return None
    box = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
    factor = side / min(box[2] - box[0], box[3] - box[1])
    size = (round((box[2] - box[0]) * factor), round((box[3] - box[1]) * factor))
    picture = Image.fromarray(rgb).crop(box)
    shown = Image.fromarray(visible.astype(np.uint8) * np.uint8(255)).crop(box)
    if picture.size != size:
        picture = picture.resize(size, Image.Resampling.BOX if factor < 1 else Image.Resampling.BILINEAR)
        shown = shown.resize(size, Image.Resampling.BOX)
    mask = np.asarray(shown) == 255
    return frame_statistics(np.asarray(picture), mask) if mask.sum() >= SMALLEST * SMALLEST else None


def average(looks: Iterable[Histograms]) -> Histograms:
    """Of a set of frames, each of the same weight.

    Raises
    ------
    ValueError
        For no frame.
    """
    every = list(looks)
    if not every:
        raise ValueError("There is no frame.")
    return {name: np.mean([look[name] for look in every], axis=0) for name in every[0]}


def distances(one: Histograms, other: Histograms) -> dict[str, float]:
    """Between two sets' averages, by the names and in the units of :data:`DISTANCES`."""
    return {name: float(_distance(name, one[name], other[name])) for name in DISTANCES}


def distance_intervals(
    looks: Sequence[Histograms], real: Histograms, groups: Sequence[Hashable], seed: int = 0
) -> dict[str, tuple[float, float]]:
    """Percentile intervals (2.5 to 97.5 %) of the distances, from whole groups of frames drawn with replacement.

    Parameters
    ----------
    looks : sequence
        Of single frames.
    real : dict
        The real set's average, which is not drawn.
    groups : sequence
        Group of each frame: its colon, or itself.
    seed : int

    Returns
    -------
    (low, high) by distance; NaN where there are fewer than two groups. Since a set that is drawn with replacement is
    less even than the set itself, an interval may lie above a small distance.
    """
    names = {group: k for k, group in enumerate(dict.fromkeys(groups))}
    if len(names) < 2:
        return dict.fromkeys(DISTANCES, (float("nan"), float("nan")))
    index = np.array([names[group] for group in groups])
    counts = np.bincount(index)
    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(names), size=(DRAWS, len(names)))
    weights = np.stack([np.bincount(draw, minlength=len(names)) for draw in drawn])
    weights = weights / (weights @ counts)[:, None]
    found = {}
    for name in DISTANCES:
        sums = np.stack([sum_of(looks, name, index == k) for k in range(len(names))])
        values = [_distance(name, np.tensordot(weight, sums, 1), real[name]) for weight in weights]
        low, high = np.percentile(values, (2.5, 97.5))
        found[name] = (float(low), float(high))
    return found


def sum_of(looks: Sequence[Histograms], name: str, chosen: Mask) -> NDArray[np.float64]:
    """Sum of one histogram over the chosen frames."""
    total: NDArray[np.float64] = np.sum([look[name] for look, wanted in zip(looks, chosen, strict=True) if wanted], 0)
    return total


def nearest(look: Histograms, others: Sequence[Histograms]) -> int:
    """Which of some frames looks most like one: for showing.

    All distances count, each over its median among these frames; highlights do not, of which a frame has one number.
    """
    rows = np.array([list(distances(look, other).values()) for other in others])
    kept = [k for k, name in enumerate(DISTANCES) if name != "highlights"]
    scale = np.maximum(np.median(rows, axis=0), 1e-9)
    return int((rows / scale)[:, kept].sum(axis=1).argmin())


def _distance(name: str, one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    if name == "pattern":
        return UNITS[name] * float(np.abs(one - other).sum(axis=-1).mean()) / 2
    apart = np.abs(np.cumsum(one - other, axis=-1))[..., :-1]
    middles = (EDGES[name][1:] + EDGES[name][:-1]) / 2
    return UNITS[name] * float((apart * np.diff(middles)).sum(axis=-1).mean())
