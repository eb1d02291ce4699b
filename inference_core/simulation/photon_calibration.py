"""How many photons a scan was made with, from the noise in its images.

The scan model says how the noise in a flat block of soft tissue follows from the photons per ray; turned round, each
such block gives the photons. Blocks are chosen by how flat they are in their low band and measured in their high band,
so that neither the choice nor the anatomy changes what is measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_core.errors import UserError
from inference_core.measurement.noise_power import NoisePower, bin_centres
from inference_core.simulation.projection import Float32Array, FloatArray
from inference_core.simulation.scan_model import Grid, Scanner, frequencies, mean_inverse_counts, noise_gain

BLOCK = 16  # pixels a side
SOFT_TISSUE = (-150.0, 200.0)  # HU, mean of a block
FLATTEST = 0.3  # of a slice's soft-tissue blocks
FEWEST = 6  # blocks
LEAST_NOISE = 2.0  # HU; below it there is no noise, but rounding and ringing
BINOMIAL = np.array([1, 4, 6, 4, 1]) / 16  # the low band, along rows and columns


@dataclass(frozen=True)
class Blocks:
    """Flat soft-tissue blocks of a slice.

    Attributes
    ----------
    centres : (2, N) array
        Row and column.
    variance : (N,) array
        Of the high band, HU^2.
    roughness : (N,) array
        Standard deviation of the means of its 4x4 parts, HU.
    values : (N, BLOCK, BLOCK) array
        HU.
    """

    centres: FloatArray
    variance: FloatArray
    roughness: FloatArray
    values: FloatArray

    @property
    def flat_count(self) -> int:
        """How many of the blocks count as flat; 0 where they are too few to measure on."""
        return max(FEWEST, round(FLATTEST * len(self.variance))) if len(self.variance) >= FEWEST else 0


def soft_tissue_blocks(slice_hu: NDArray[Any], padding: NDArray[np.bool_]) -> Blocks:
    """All soft-tissue blocks of a slice that hold no padding."""
    image = slice_hu.astype(np.float64)
    values, high = _cut(image), _cut(image - _low_band(image))
    rows, columns = values.shape[:2]
    mean = values.mean(axis=(2, 3))
    soft = (mean > SOFT_TISSUE[0]) & (mean < SOFT_TISSUE[1]) & ~_cut(padding).any(axis=(2, 3))
    parts = values.reshape(rows, columns, 4, BLOCK // 4, 4, BLOCK // 4).mean(axis=(3, 5))
    centres = (np.stack(np.nonzero(soft)) * BLOCK + (BLOCK - 1) / 2).astype(np.float64)
    return Blocks(centres, np.square(high).mean(axis=(2, 3))[soft], parts.std(axis=(2, 3))[soft], values[soft])


def block_noise_power(slices: list[Blocks]) -> NoisePower | None:
    """Noise power spectrum of the flat blocks, for scans without a flat patch of 64x64 pixels.

    Returns
    -------
    NoisePower or None
        None where no slice has enough blocks.
    """
    flat = [blocks.values[np.argsort(blocks.roughness, kind="stable")[: blocks.flat_count]] for blocks in slices]
    values = np.concatenate([np.empty((0, BLOCK, BLOCK)), *flat])
    if not len(values):
        return None
    level = values - values.mean(axis=(1, 2), keepdims=True)
    window = np.hanning(BLOCK + 2)[1:-1]
    power = np.mean(np.abs(np.fft.fft2(level * np.outer(window, window))) ** 2, axis=0).ravel()
    f = np.fft.fftfreq(BLOCK)
    radius = np.hypot(f[:, None], f[None]).ravel()
    rings = np.unique(np.rint(radius * BLOCK))
    members = [np.rint(radius * BLOCK) == ring for ring in rings[1:]]
    means = [(radius[ring].mean(), power[ring].mean()) for ring in members]
    return NoisePower(np.interp(bin_centres(), *np.transpose(means)))


def photons_of_slice(
    blocks: Blocks, absorbed: Float32Array, grid: Grid, power: NoisePower, scanner: Scanner
) -> float | None:
    """Photons per ray of one slice.

    The variance of a block is noise_gain x (A / n + electronic^2 B / n^2), with A and B the means of 1 / count and
    1 / count^2 over the rays through it; that is solved for n, and the median over the flattest blocks taken.

    Parameters
    ----------
    blocks : Blocks
    absorbed : (views, detectors) array
        From :func:`~inference_core.simulation.scan_model.absorbance`.
    grid, power, scanner
        The scan model.

    Returns
    -------
    float or None
        None where the slice has no noise, or too few blocks to measure it on.
    """
    if not blocks.flat_count:
        return None
    first, second = mean_inverse_counts(absorbed, blocks.centres, grid)
    flattest = np.argsort(blocks.roughness / np.sqrt(first), kind="stable")[: blocks.flat_count]
    high_gain = noise_gain(power, grid, high_band_response(frequencies()))
    variance = blocks.variance[flattest]
    if np.median(variance) * noise_gain(power, grid) / high_gain < LEAST_NOISE**2:
        return None
    a, b, v = first[flattest], scanner.electronic**2 * second[flattest], variance / high_gain
    # 1 / n is the positive root of b u^2 + a u - v, written so that b = 0 divides nothing by it.
    per_photon = 2 * v / (a + np.sqrt(a * a + 4 * b * v))
    return float(1 / np.median(per_photon))


def fill_gaps(photons: list[float | None]) -> FloatArray:
    """Photons of every slice: those that could not be measured lie between their neighbours.

    Raises
    ------
    UserError
        ``no-noise`` where no slice could be measured.
    """
    known = [k for k, value in enumerate(photons) if value is not None]
    if not known:
        raise UserError(
            "no-noise",
            f"No noise above {LEAST_NOISE:g} HU can be measured in its soft tissue, so how many photons it was made"
            " with is not known.",
            "Say it: --photons 1e6, for example, photons per ray at full dose.",
        )
    logs = np.log([value for value in photons if value is not None])
    return np.asarray(np.exp(np.interp(np.arange(len(photons)), known, logs)))


def high_band_response(frequency: FloatArray) -> FloatArray:
    """Squared transfer function of the high band at |f| (cycles a pixel), averaged over all directions."""
    angle = (np.arange(64) + 0.5) * (np.pi / 64)
    low = 1.0
    for direction in (np.cos(angle), np.sin(angle)):
        turn = 2 * np.pi * frequency[:, None] * direction
        low = low * (BINOMIAL[2] + 2 * BINOMIAL[1] * np.cos(turn) + 2 * BINOMIAL[0] * np.cos(2 * turn))
    return np.asarray(np.square(1 - low).mean(axis=1))


def _low_band(image: FloatArray) -> FloatArray:
    rows, columns = image.shape
    padded = np.pad(image, 2, mode="edge")
    smooth = sum(weight * padded[k : k + rows] for k, weight in enumerate(BINOMIAL))
    return np.asarray(sum(weight * smooth[:, k : k + columns] for k, weight in enumerate(BINOMIAL)))


def _cut(image: NDArray[Any]) -> NDArray[Any]:
    """(rows, columns) to (rows / BLOCK, columns / BLOCK, BLOCK, BLOCK); what is left over at the ends goes."""
    rows, columns = (n // BLOCK for n in image.shape)
    whole = image[: rows * BLOCK, : columns * BLOCK]
    return whole.reshape(rows, BLOCK, columns, BLOCK).swapaxes(1, 2)
