"""The scan that a CT slice may have come from: its rays, its tube current, its kernel, and the noise these make.

The rays are parallel: VIEWS over 180 degrees, so fine in pitch that the image's diagonal frequencies are in them too,
and wide enough that every pixel of the square around the slice is seen by all views.

Not in an image, and therefore modelled (:class:`Scanner`): the tube current follows the body, as automatic exposure
control lets it. The least noise for a given dose needs photons proportional to the square root of a view's attenuation
(Gies et al., Dose reduction in CT by anatomically adapted tube current modulation, Med. Phys. 26, 1999).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_core.measurement.noise_power import RAMP_END, NoisePower, bin_centres
from inference_core.simulation.forward_projection import project
from inference_core.simulation.projection import WATER_ATTENUATION, Float32Array, FloatArray

VIEWS = 720
GAIN_BAND = (RAMP_END, 1.5 * RAMP_END)  # cycles a pixel
COARSE = 256  # pixels a side of the slice that is projected: paths are smooth, noise is not


@dataclass(frozen=True)
class Scanner:
    """What a CT does not say of its scanner; the defaults are those of ``docs/dose-simulation.md``.

    Attributes
    ----------
    gamma : float
        The photons of a view are proportional to exp((1 - gamma) x its longest path integral): 1 is a constant tube
        current, 0.5 the square-root law, 0 a current that makes all views equally noisy.
    electronic : float
        Standard deviation of the electronic noise of a ray, photons.
    """

    gamma: float = 0.5
    electronic: float = 10.0


@dataclass(frozen=True)
class Grid:
    """Slices and the rays through them.

    Attributes
    ----------
    rows, columns : int
    pixel : float
        mm.
    """

    rows: int
    columns: int
    pixel: float

    @property
    def block(self) -> int:
        """Pixels of the slice along a side of a pixel that is projected."""
        return max(1, round(max(self.rows, self.columns) / COARSE))

    @property
    def side(self) -> int:
        """Of the square around the slice that is projected, pixels; even, and whole blocks."""
        step = 2 * self.block
        return -(-max(self.rows, self.columns) // step) * step

    @property
    def size(self) -> int:
        """Pixels a side of the image whose inscribed circle holds that square."""
        return 2 * int(np.ceil(self.side / np.sqrt(2)))

    @property
    def pitch(self) -> float:
        """Of the detector, mm; its Nyquist frequency is that of the image's diagonal."""
        return self.pixel / np.sqrt(2)

    @property
    def detectors(self) -> int:
        """Detector cells, an even number."""
        return 2 * int(np.ceil((self.size / np.sqrt(0.5) + 1) / 2))

    def middle_of(self, square: NDArray[Any]) -> NDArray[Any]:
        """The slice's part of a larger square image, a view."""
        row, column = (len(square) - self.rows) // 2, (len(square) - self.columns) // 2
        return square[row : row + self.rows, column : column + self.columns]


def absorbance(
    slice_hu: NDArray[Any], padding: NDArray[np.bool_], grid: Grid, gamma: float, views: int = VIEWS
) -> Float32Array:
    """Of each ray, -log of the expected count over the photons per ray.

    Parameters
    ----------
    slice_hu, padding : (rows, columns) arrays
        HU, and where nothing was measured (taken for air).
    grid : Grid
    gamma : float
        See :class:`Scanner`; the tube current has mean 1 over the views.
    views : int

    Returns
    -------
    (views, detectors) float32 array
        The path integral less the log of the view's tube current.
    """
    square = np.zeros((grid.side, grid.side), np.float32)
    attenuation = WATER_ATTENUATION * np.maximum(1 + slice_hu.astype(np.float32) / 1000, 0)
    grid.middle_of(square)[:] = np.where(padding, 0, attenuation)
    count = grid.side // grid.block
    coarse = square.reshape(count, grid.block, count, grid.block).mean(axis=(1, 3))
    paths = project(coarse[None], grid.pixel * grid.block, views, grid.detectors // 2, 2 * grid.pitch)[..., 0]
    at, cells = (np.arange(grid.detectors) - 0.5) / 2, np.arange(grid.detectors // 2)
    fine = np.stack([np.interp(at, cells, path) for path in paths]).astype(np.float32)
    current = np.exp((1 - gamma) * fine.max(axis=1, keepdims=True))
    return np.asarray(fine - np.log(current / current.mean()))


def default_power() -> NoisePower:
    """Noise power of filtered back-projection with a Hann kernel that ends at 0.5 cycles a pixel."""
    f = np.minimum(bin_centres(), 0.5)
    return NoisePower(f * (0.5 + 0.5 * np.cos(2 * np.pi * f)) ** 2)


def kernel_gain(power: NoisePower, frequency: FloatArray) -> FloatArray:
    """The kernel's transfer function over the bare ramp, from the noise power it leaves.

    White noise in the views becomes noise of power |f| gain^2 in the image. Below RAMP_END, where the power measured in
    a patient is anatomy as much as noise, the gain is constant. Kernels keep the CT number: the mean of gain^2 over the
    lowest frequencies that are measured (GAIN_BAND) is 1.

    Parameters
    ----------
    power : NoisePower
    frequency : array
        Cycles a pixel.
    """

    def square(f: FloatArray) -> FloatArray:
        f = np.maximum(f, RAMP_END)
        return np.asarray(power(f) / f)

    return np.sqrt(square(frequency) / square(np.linspace(*GAIN_BAND, 16)).mean())


def noise_gain(power: NoisePower, grid: Grid, response: FloatArray | None = None) -> float:
    """Variance of a pixel, HU^2, for a variance of 1 in all line integrals.

    A filtered view has the mean of (|f| gain)^2 over the detector's frequencies as its variance; the back-projection
    adds up VIEWS independent ones, each times pi / VIEWS.

    Parameters
    ----------
    power : NoisePower
    grid : Grid
    response : array, optional
        Squared transfer function of a filter of the image at :func:`frequencies`, whose output is meant.
    """
    f = frequencies()
    filtered = np.square(f / grid.pixel * kernel_gain(power, f)) * (1 if response is None else response)
    return float(np.pi**2 / VIEWS * filtered.mean() * (1000 / WATER_ATTENUATION) ** 2)


def frequencies() -> FloatArray:
    """Frequencies in the detector up to its Nyquist frequency, cycles a pixel."""
    return (np.arange(512) + 0.5) / 512 * np.sqrt(0.5)


def mean_inverse_counts(absorbed: Float32Array, points: FloatArray, grid: Grid) -> tuple[FloatArray, FloatArray]:
    """Mean over the views of 1 / count and of 1 / count^2 of the rays through points, for one photon per ray.

    Parameters
    ----------
    absorbed : (views, detectors) array
        From :func:`absorbance`.
    points : (2, N) array
        Row and column.
    grid : Grid

    Returns
    -------
    Two (N,) arrays.
    """
    views = len(absorbed)
    angle = np.arange(views)[:, None] * (np.pi / views)
    y, x = points - np.array([[(grid.rows - 1) / 2], [(grid.columns - 1) / 2]])
    s = (np.cos(angle) * x + np.sin(angle) * y) * (grid.pixel / grid.pitch) + (grid.detectors - 1) / 2
    inverse = np.exp(np.take_along_axis(absorbed, np.rint(s).astype(np.intp), axis=1).astype(np.float64))
    return inverse.mean(axis=0), np.square(inverse).mean(axis=0)
