"""What an endoscopy frame looks like, as histograms: colour, saturation, highlights, texture.

Histograms of many frames can be averaged, and distances between averages are distances between sets of frames
(:mod:`inference_core.measurement.realism`). Only pixels that show the patient count.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

PATCH = 7  # pixels a side
PATCHES = 256  # of a frame and level
LEVELS = 3  # of the Laplacian pyramid: details of about 2, 4 and 8 pixels
DIRECTIONS = 24  # on which patches are projected; colours on as many
SHINE = 0.75  # of full brightness in the darkest channel: the lamp's reflection, whatever the mucosa's colour
LBP_LEVELS = 2
SEED = 0  # of directions

LEAST, MOST, STEP = 5e-4, 4.0, 0.12  # bins of details are as wide as STEP of their value, near zero of LEAST
BINS = int(np.arcsinh(MOST / LEAST) / STEP)  # to either side of zero
DETAIL_EDGES = LEAST * np.sinh(STEP * np.arange(-BINS, BINS + 1))
COLOUR_EDGES = np.linspace(-1.75, 1.75, 351)
UNIT_EDGES = np.linspace(0.0, 1.0, 101)
SHARE_EDGES = np.linspace(0.0, 1.0, 1001)

Histograms = dict[str, NDArray[np.float64]]
Mask = NDArray[np.bool_]


def frame_statistics(rgb: NDArray[np.uint8], visible: Mask, seed: int = SEED) -> Histograms:
    """Histograms of one frame.

    Parameters
    ----------
    rgb : (H, W, 3) uint8
    visible : (H, W) bool array
        Pixels that count; at least one.
    seed : int
        Of the places of patches.

    Returns
    -------
    dict of (k, bins) float64 arrays; each row sums to 1.

        ``detail``: patches of 7x7 pixels and 3 channels of a Laplacian pyramid's levels, projected on fixed random
        directions; ``colour``: pixels, projected on fixed random directions; ``saturation`` of pixels (HSV);
        ``highlights``: the one share of pixels that shine; ``pattern``: local binary patterns, ten kinds a level
        (rotation-invariant and uniform).
    """
    if not visible.any():
        raise ValueError("No pixel of the frame is visible.")
    image = rgb.astype(np.float64) / 255
    rng = np.random.default_rng(seed)
    pixels = image[visible]
    most, least = pixels.max(axis=1), pixels.min(axis=1)
    saturation = (most - least) / np.maximum(most, 1 / 255)
    return {
        "detail": _detail(image, visible, rng),
        "colour": _histograms(pixels @ _directions(3), COLOUR_EDGES),
        "saturation": _histograms(saturation[:, None], UNIT_EDGES),
        "highlights": _histograms(np.array([[np.mean(least > SHINE)]]), SHARE_EDGES),
        "pattern": _patterns(image, visible),
    }


def _detail(image: NDArray[np.float64], visible: Mask, rng: np.random.Generator) -> NDArray[np.float64]:
    """(LEVELS * DIRECTIONS, bins); Karras et al. (ICLR 2018) compare patches of the pyramid's levels so."""
    rows = []
    for _ in range(LEVELS):
        smaller, seen_smaller = _halved(image), _halved_mask(visible)
        band = image - _doubled(smaller, image.shape[:2])
        corners = _whole_patches(visible)
        if corners.any():
            places = np.argwhere(corners)
            chosen = places[rng.integers(len(places), size=PATCHES)]
            span = np.arange(PATCH)
            patches = band[chosen[:, 0, None, None] + span[:, None], chosen[:, 1, None, None] + span]
            rows.append(_histograms(patches.reshape(PATCHES, -1) @ _directions(3 * PATCH * PATCH), DETAIL_EDGES))
        else:  # too little is visible: no detail at all
            rows.append(_histograms(np.zeros((1, DIRECTIONS)), DETAIL_EDGES))
        image, visible = smaller, seen_smaller
    return np.concatenate(rows)


def _patterns(image: NDArray[np.float64], visible: Mask) -> NDArray[np.float64]:
    """(LBP_LEVELS, 10) after Ojala, Pietikainen, Maenpaa (IEEE TPAMI 2002): 8 neighbours, riu2."""
    luma = image @ np.array([0.299, 0.587, 0.114])
    rows = []
    for _ in range(LBP_LEVELS):
        middle, inner = luma[1:-1, 1:-1], visible[1:-1, 1:-1]
        ring = [(0, 0), (0, 1), (0, 2), (1, 2), (2, 2), (2, 1), (2, 0), (1, 0)]
        height, width = middle.shape
        brighter = np.stack([luma[r : r + height, c : c + width] >= middle for r, c in ring])
        changes = (brighter != np.roll(brighter, 1, axis=0)).sum(axis=0)
        kind = np.where(changes <= 2, brighter.sum(axis=0), 9)
        counts = np.bincount(kind[inner], minlength=10).astype(np.float64)
        rows.append(counts / counts.sum() if counts.sum() else np.full(10, 0.1))
        luma, visible = _halved(luma[..., None])[..., 0], _halved_mask(visible)
    return np.stack(rows)


def _directions(dimensions: int) -> NDArray[np.float64]:
    """(dimensions, DIRECTIONS) unit vectors, the same at each call."""
    vectors = np.random.default_rng(SEED).standard_normal((dimensions, DIRECTIONS))
    directions: NDArray[np.float64] = vectors / np.linalg.norm(vectors, axis=0)
    return directions


def _histograms(values: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, k) values as (k, bins) shares; what lies outside is put into the outermost bins."""
    bins = len(edges) - 1
    place = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, bins - 1)
    place += bins * np.arange(values.shape[1])
    counts = np.bincount(place.ravel(), minlength=bins * values.shape[1]).reshape(values.shape[1], bins)
    return counts / len(values)


def _halved(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means of 2x2 pixels; an odd row or column at the end is left out."""
    height, width = (n // 2 * 2 for n in image.shape[:2])
    halved: NDArray[np.float64] = image[:height, :width].reshape(height // 2, 2, width // 2, 2, -1).mean(axis=(1, 3))
    return halved


def _halved_mask(mask: Mask) -> Mask:
    """Where all four pixels are set."""
    height, width = (n // 2 * 2 for n in mask.shape)
    return np.asarray(mask[:height, :width].reshape(height // 2, 2, width // 2, 2).all(axis=(1, 3)))


def _doubled(image: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """To a shape, linear between the pixels' centres."""
    for axis in (0, 1):
        n = image.shape[axis]
        place = np.clip((np.arange(shape[axis]) + 0.5) / 2 - 0.5, 0, n - 1)
        low = np.minimum(place.astype(int), max(n - 2, 0))
        share = (place - low).reshape([-1 if a == axis else 1 for a in range(image.ndim)])
        high = np.minimum(low + 1, n - 1)
        image = np.take(image, low, axis) * (1 - share) + np.take(image, high, axis) * share
    return image


def _whole_patches(visible: Mask) -> Mask:
    """Upper left corners of patches of which every pixel is visible."""
    if min(visible.shape) < PATCH:
        return np.zeros((0, 0), bool)
    sums: NDArray[Any] = np.pad(visible.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    counts = sums[PATCH:, PATCH:] - sums[:-PATCH, PATCH:] - sums[PATCH:, :-PATCH] + sums[:-PATCH, :-PATCH]
    return np.asarray(counts == PATCH * PATCH)
