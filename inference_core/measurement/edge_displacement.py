"""How far the edges of what is seen lie from where they lay: a frame before and after its look was changed.

Where one wall hides another, depth jumps, and every look of that scene has an edge there. At such places a patch of the
frame's edges (gradient magnitude) before is searched for in the frame after, across the edge and not along it: an edge
looks the same along itself. The patch is as long along the edge as it is wide, so that texture and grain, which are new
in a new look, do not decide. Brightness and contrast play no part (normalised cross-correlation).

Other ways were left: the distance to the nearest edge after the change gets smaller the more texture there is, wherever
the fold's edge went; and where folds begin on a smooth wall, there need not be an edge in any look.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

JUMP = 0.08  # of the logarithm of depth, from a pixel to the next
STEEPER = 3.0  # times the steps on both sides of it: a jump, and not a wall seen at a low angle
REACH = 6  # pixels; farther displacements are not found
HALF = 7  # pixels; of a patch, to both sides, along the edge and across
PLACES = 200  # edge pixels that are looked at, spread over the frame's
LIKENESS = 0.55  # correlation below which an edge counts as not found again
LEAST = 1.0  # of 255; standard deviation of a patch's gradients before, below which there is no edge to follow
LEAST_PLACES = 8  # a frame with fewer edges is not judged
RED, GREEN, BLUE = 0.299, 0.587, 0.114  # luma, ITU-R BT.601

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class EdgeDisplacement:
    """Of one frame.

    Attributes
    ----------
    displacement : (K,) float array
        Of each edge pixel that was looked at, pixels across the edge, towards what is farther away; NaN where it was
        not found again.
    likeness : (K,) float array
        Correlation of the patch before with the best one after.
    row, column : (K,) int arrays
        Where.
    """

    displacement: FloatArray
    likeness: FloatArray
    row: NDArray[np.intp]
    column: NDArray[np.intp]

    @property
    def mean(self) -> float:
        """Mean distance that edges moved, pixels; NaN where too few were found again to tell."""
        found = np.abs(self.displacement[~np.isnan(self.displacement)])
        return float(found.mean()) if len(found) >= LEAST_PLACES else math.nan

    @property
    def found(self) -> float:
        """Share of the edges that were found again; NaN where there were too few to tell."""
        if len(self.displacement) < LEAST_PLACES:
            return math.nan
        return float(np.mean(~np.isnan(self.displacement)))


def edge_displacement(
    before: NDArray[np.uint8],
    after: NDArray[np.uint8],
    depth: NDArray[Any],
    visible: NDArray[np.bool_] | None = None,
) -> EdgeDisplacement:
    """Follow the edges of a scene from one look to another.

    Parameters
    ----------
    before, after : (H, W, 3) uint8
        The same view.
    depth : (H, W) array
        Of it, in any unit; 0 where there is none.
    visible : (H, W) bool array, optional
        Pixels that show the scene; edges near others are left out.
    """
    if not before.shape == after.shape == (*depth.shape, 3):
        raise ValueError(f"Frames and depth of one size are needed, not {before.shape}, {after.shape}, {depth.shape}.")
    row, column, normal = _spread(*depth_edges(depth, visible))
    old, new = _gradient(before), _gradient(after)
    template = _patches(old, row, column, normal, HALF)
    strong = template.std(axis=(1, 2)) >= LEAST
    row, column, normal, template = row[strong], column[strong], normal[strong], template[strong]
    place, best = _search(template, _patches(new, row, column, normal, HALF + REACH))
    start, _ = _search(template, _patches(old, row, column, normal, HALF + REACH))  # zero, but for a parabola's error
    displacement = np.where(best >= LIKENESS, place - start, np.nan)
    return EdgeDisplacement(displacement, best, row, column)


def depth_edges(
    depth: NDArray[Any], visible: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.intp], NDArray[np.intp], FloatArray]:
    """Pixels next to a jump of depth, on its near side, whose patches lie within the frame.

    Returns
    -------
    rows, columns, and (K, 2) unit vectors (row, column) across the edge, from near to far.
    """
    known = depth > 0
    log_depth = np.log(np.where(known, depth, 1.0).astype(np.float64))
    usable = known if visible is None else known & visible
    margin = HALF + 1
    inside = np.zeros(depth.shape, bool)
    inside[margin:-margin, margin:-margin] = True
    inside &= ~_near(~usable, 2)
    near = np.zeros(depth.shape, bool)
    for axis in (0, 1):
        step = np.diff(log_depth, axis=axis)
        size = np.abs(step)
        around = np.maximum(_moved(size, axis, 2), _moved(size, axis, -2))  # a jump may be blurred over two pixels
        jump = (size > JUMP) & (size > STEEPER * around)
        first = (slice(None, -1), slice(None)) if axis == 0 else (slice(None), slice(None, -1))
        second = (slice(1, None), slice(None)) if axis == 0 else (slice(None), slice(1, None))
        near[first] |= jump & (step > 0)
        near[second] |= jump & (step < 0)
    down, across = np.gradient(_smoothed(log_depth, 2))
    slope = np.stack([down, across], axis=-1)
    steepness = np.linalg.norm(slope, axis=-1)
    row, column = np.nonzero(near & inside & (steepness > 0))
    return row, column, slope[row, column] / steepness[row, column][:, None]


def _spread(
    row: NDArray[np.intp], column: NDArray[np.intp], normal: FloatArray
) -> tuple[NDArray[np.intp], NDArray[np.intp], FloatArray]:
    """At most PLACES of them, evenly."""
    if len(row) > PLACES:
        chosen = np.linspace(0, len(row) - 1, PLACES).round().astype(np.intp)
        row, column, normal = row[chosen], column[chosen], normal[chosen]
    return row, column, normal


def _gradient(rgb: NDArray[np.uint8]) -> FloatArray:
    """Magnitude of the luma's gradient, of 255 a pixel, after a little smoothing."""
    luma = _smoothed(rgb.astype(np.float64) @ np.array([RED, GREEN, BLUE]), 2)
    down, across = np.gradient(luma)
    magnitude: FloatArray = np.hypot(down, across)
    return magnitude


def _smoothed(image: FloatArray, times: int) -> FloatArray:
    """By 1 2 1 / 4 in both directions, so many times."""
    for _ in range(times):
        for axis in (0, 1):
            wide = np.pad(image, [(1, 1) if a == axis else (0, 0) for a in (0, 1)], mode="edge")
            cut = [np.take(wide, range(k, k + image.shape[axis]), axis) for k in range(3)]
            image = (cut[0] + 2 * cut[1] + cut[2]) / 4
    return image


def _patches(
    image: FloatArray, row: NDArray[np.intp], column: NDArray[np.intp], normal: FloatArray, half: int
) -> FloatArray:
    """Patches laid across edges: (K, 2 half + 1 across, 2 HALF + 1 along), bilinear, the frame's rim repeated."""
    across, along = np.arange(-half, half + 1.0), np.arange(-HALF, HALF + 1.0)
    places = []
    for k, start in enumerate((row, column)):
        tangent = normal[:, 1] if k == 0 else -normal[:, 0]
        place = start[:, None, None] + across[:, None] * normal[:, k, None, None] + along * tangent[:, None, None]
        places.append(np.clip(place, 0, image.shape[k] - 1.001))
    r, c = places
    r0, c0 = r.astype(np.intp), c.astype(np.intp)
    fr, fc = r - r0, c - c0
    upper = image[r0, c0] * (1 - fc) + image[r0, c0 + 1] * fc
    lower = image[r0 + 1, c0] * (1 - fc) + image[r0 + 1, c0 + 1] * fc
    patch: FloatArray = upper * (1 - fr) + lower * fr
    return patch


def _search(template: FloatArray, searched: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Where across the edge the template fits best, in steps from the least, and how well."""
    steps = range(2 * REACH + 1)
    return _peak(np.stack([_correlation(template, searched[:, k : k + 2 * HALF + 1]) for k in steps], axis=1))


def _correlation(one: FloatArray, other: FloatArray) -> FloatArray:
    """Of (K, a, b) patches, -1 to 1; 0 where one is even."""
    one = one - one.mean(axis=(1, 2), keepdims=True)
    other = other - other.mean(axis=(1, 2), keepdims=True)
    norm = np.sqrt((one**2).sum(axis=(1, 2)) * (other**2).sum(axis=(1, 2)))
    product: FloatArray = (one * other).sum(axis=(1, 2)) / np.maximum(norm, 1e-9)
    return product


def _peak(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Place of the greatest value of each row, by a parabola through its neighbours, and that value."""
    rows = np.arange(len(values))
    best = values.argmax(axis=1) if values.size else np.zeros(0, np.intp)
    middle = np.clip(best, 1, values.shape[1] - 2)
    left, top, right = (values[rows, middle + k] for k in (-1, 0, 1))
    bend = left - 2 * top + right
    inner = (best == middle) & (bend < -1e-12)
    step = np.where(inner, (left - right) / np.where(inner, 2 * bend, 1.0), 0.0)
    return best + np.clip(step, -0.5, 0.5), values[rows, best]


def _moved(values: FloatArray, axis: int, steps: int) -> FloatArray:
    """Values of the place ``steps`` further on, the rim repeated."""
    n = values.shape[axis]
    moved: FloatArray = np.take(values, np.clip(np.arange(n) + steps, 0, n - 1), axis)
    return moved


def _near(mask: NDArray[np.bool_], distance: int) -> NDArray[np.bool_]:
    """Grown by a square of this many pixels to each side."""
    grown = mask.copy()
    for axis in (0, 1):
        n = mask.shape[axis]
        start = grown.copy()
        for step in range(-distance, distance + 1):
            grown |= np.take(start, np.clip(np.arange(n) + step, 0, n - 1), axis)
    return grown
