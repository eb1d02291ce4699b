"""How much fine detail a denoiser keeps: gradients at strong edges, and the contrast of small spheres.

Both are 1 for the reference itself and below 1 for a blurred one. Noise in the output raises the edge ratio; the
contrast it leaves, on average, as it is, because a sum of voxels is linear.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_core.image.volume import Volume
from inference_core.simulation.head_anatomy import Detail

FloatArray = NDArray[np.float64]

SIGMA = 1.0  # pixels, of the Gaussian before the gradient
STRONGEST = 0.03  # share of the body's pixels that count as edges
BODY = -500.0  # HU; more, after a Gaussian of 2 pixels, is body
RIM = 5  # pixels of the body's own outline that are left out: skin against air is no detail
GAP = 0.3  # mm between a sphere and the shell around it
SHELL = 0.6  # mm, thickness of the shell
SUB = 5  # sub-voxels a side; a sphere may be smaller than a voxel


def gradient(image: NDArray[Any]) -> FloatArray:
    """Gradient magnitude of a slice after a Gaussian of :data:`SIGMA`, HU a pixel. Needs scikit-image."""
    from skimage.filters import gaussian

    down, across = np.gradient(gaussian(image.astype(np.float64), SIGMA, preserve_range=True))
    magnitude: FloatArray = np.hypot(down, across)
    return magnitude


def strongest_edges(reference: NDArray[Any]) -> NDArray[np.bool_]:
    """Pixels with the strongest gradients of a slice: :data:`STRONGEST` of the body without its rim.

    Parameters
    ----------
    reference : (H, W) array
        HU.

    Returns
    -------
    (H, W) bool array; empty where there is no body.
    """
    import SimpleITK as sitk
    from skimage.filters import gaussian

    smooth = gaussian(reference.astype(np.float64), 2, preserve_range=True)
    filled = sitk.BinaryFillhole(sitk.GetImageFromArray((smooth > BODY).astype(np.uint8)))
    body = sitk.GetArrayFromImage(sitk.BinaryErode(filled, [RIM, RIM])).astype(bool)
    if not body.any():
        return np.zeros(reference.shape, bool)
    magnitude = gradient(reference)
    edges: NDArray[np.bool_] = body & (magnitude >= np.quantile(magnitude[body], 1 - STRONGEST))
    return edges


def edge_ratio(output: NDArray[Any], reference: NDArray[Any], edges: NDArray[np.bool_] | None = None) -> float:
    """Mean gradient magnitude of the output over that of the reference, at the reference's strongest edges.

    Parameters
    ----------
    output, reference : (H, W) arrays
        HU.
    edges : (H, W) bool array, optional
        :func:`strongest_edges` of the reference, where it is known already.

    Returns
    -------
    float; NaN where there is no edge. A noisy reference is itself above its own mean where its edges are strongest,
    so that a perfectly clean output stays a little below 1 against it.
    """
    edges = strongest_edges(reference) if edges is None else edges
    whole = float(gradient(reference)[edges].sum())
    return float(gradient(output)[edges].sum()) / whole if whole > 0 else math.nan


def contrast_recovery(output: Volume, truth: Volume, details: Sequence[Detail]) -> dict[float, float]:
    """Contrast of small spheres in the output relative to the truth, by their diameter in mm.

    The contrast of a sphere is its mean minus that of a shell around it, both weighted by the part of each voxel that
    lies inside, and both measured in the same way in output and truth, so that blur of the scanner and neighbours
    cancel. Spheres of one diameter are joined by least squares through the origin, sum(output truth) / sum(truth^2):
    1 for the truth, 1 on average for truth plus noise, and not upset by spheres that are hardly there in the truth.

    Parameters
    ----------
    output, truth : Volume
        On one grid with axes along those of the patient.
    details : sequence of Detail
        Wholly inside the volume; their shells are cut at its end.
    """
    pairs: dict[float, list[tuple[float, float]]] = {}
    for detail in details:
        block, sphere, shell = _weights(truth, detail)
        one, other = (
            float((v[block] * sphere).sum() / sphere.sum() - (v[block] * shell).sum() / shell.sum())
            for v in (output.voxels, truth.voxels)
        )
        pairs.setdefault(detail.diameter, []).append((one, other))
    return {
        diameter: sum(one * other for one, other in found) / sum(other**2 for _, other in found)
        for diameter, found in sorted(pairs.items())
    }


def _weights(volume: Volume, detail: Detail) -> tuple[tuple[slice, ...], FloatArray, FloatArray]:
    """A block of voxels, and the part of each of them in the sphere and in the shell around it."""
    radius = detail.diameter / 2
    inner, outer = radius + GAP, radius + GAP + SHELL
    block, squares, counts = [], [], []
    for axis in (2, 1, 0):  # slices, rows, columns are z, y, x
        size, middle = volume.spacing[axis], detail.centre[axis] - volume.origin[axis]
        count = volume.voxels.shape[2 - axis]
        first = max(math.floor((middle - outer) / size + 0.5), 0)
        last = min(math.ceil((middle + outer) / size + 0.5), count)
        places = (np.arange(first * SUB, last * SUB) + 0.5) / SUB - 0.5
        squares.append((places * size - middle) ** 2)
        block.append(slice(first, last))
        counts.append(last - first)
    z, y, x = squares
    distance = np.sqrt(z[:, None, None] + y[:, None] + x)

    def part(inside: NDArray[np.bool_]) -> FloatArray:
        by_voxel = inside.reshape(counts[0], SUB, counts[1], SUB, counts[2], SUB)
        return by_voxel.mean(axis=(1, 3, 5))

    return tuple(block), part(distance <= radius), part((distance > inner) & (distance <= outer))
