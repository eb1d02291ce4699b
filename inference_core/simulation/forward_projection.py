"""Line integrals through the pixels of a slice: what a parallel-beam scanner would measure of it.

The geometry is that of :mod:`inference_core.simulation.projection`, so that
:func:`~inference_core.simulation.projection.filtered_back_projection` undoes :func:`project`.

Source: Joseph, An improved algorithm for reprojecting rays through pixel images (IEEE Trans. Med. Imaging 1, 1982).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_core.simulation.projection import THREADS, Float32Array


def project(images: NDArray[Any], pixel: float, views: int, detectors: int, pitch: float) -> Float32Array:
    """Project slices by Joseph's method.

    A ray steps through the pixel rows, or through the columns where it crosses more of those, and takes at each step
    the linear interpolation of the two pixels beside it. Outside the image there is nothing.

    Parameters
    ----------
    images : (slices, rows, columns) array
        Any density, e.g. attenuation per mm.
    pixel : float
        Size of the square pixels, mm.
    views, detectors : int
        Views over 180 degrees, and cells in the detector.
    pitch : float
        Width of a detector cell, mm. Finer than the pixels it adds nothing to the detail.

    Returns
    -------
    (views, detectors, slices) float32 array
        Density x mm. The same whatever the number of processors is.
    """
    slices, rows, columns = images.shape
    by_row = _padded(images)
    by_column = _padded(images.swapaxes(1, 2))
    s = (np.arange(detectors) - (detectors - 1) / 2) * (pitch / pixel)
    y, x = np.arange(rows) - (rows - 1) / 2, np.arange(columns) - (columns - 1) / 2
    sinogram = np.empty((views, detectors, slices), np.float32)

    def one_view(view: int) -> None:
        cosine, sine = np.cos(view * np.pi / views), np.sin(view * np.pi / views)
        if abs(cosine) >= abs(sine):
            at, lines, per_step = (s[None] - sine * y[:, None]) / cosine, by_row, abs(cosine)
        else:
            at, lines, per_step = (s[None] - cosine * x[:, None]) / sine, by_column, abs(sine)
        sinogram[view] = _sum_along(lines, at) * np.float32(pixel / per_step)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(one_view, range(views)))
    return sinogram


def _padded(images: NDArray[Any]) -> Float32Array:
    """(slices, lines, pixels) to (lines, pixels + 2, slices), a zero at both ends of each line."""
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1)))
    return np.ascontiguousarray(padded.transpose(1, 2, 0), np.float32)


def _sum_along(lines: Float32Array, at: NDArray[np.float64]) -> Float32Array:
    """Interpolate each line at its positions, 0 being its middle, and sum over the lines: (positions, slices)."""
    count, length, slices = lines.shape
    index = np.clip(at + (length - 1) / 2, 0, length - 1)
    lower = np.minimum(index.astype(np.int32), length - 2)
    weight = (index - lower).astype(np.float32)[..., None]
    lower += np.arange(0, count * length, length, dtype=np.int32)[:, None]
    flat = lines.reshape(count * length, slices)
    low = flat[lower]
    low += weight * (flat[lower + 1] - low)
    return low.sum(axis=0)
