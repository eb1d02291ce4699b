"""Noise power spectra of the low-dose CT and of every method's output, in the same patches."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_core.evaluation.pairs import Pair
from inference_core.measurement.noise_power import (
    RAMP_END,
    bin_centres,
    flat_corners,
    noise_power_spectrum,
    patches_at,
)

FloatArray = NDArray[np.float64]

PATCHES = 8  # of a slice
NYQUIST = 0.5  # cycles a pixel; beyond it only diagonal frequencies exist


@dataclass
class Spectra:
    """Noise power spectra of one scan, summed up CT by CT.

    Attributes
    ----------
    patches : int
        So far.
    """

    patches: int = 0
    _pixel: float = 0.0
    _power: dict[str, FloatArray] = field(default_factory=dict)

    def add(self, pair: Pair, outputs: Mapping[str, NDArray[Any]], slices: list[int]) -> None:
        """Measure in the flattest soft-tissue patches of the reference; without one, of the low-dose CT."""
        place = pair.low if pair.reference is None else pair.reference
        corners = {k: flat_corners(place.voxels[k], PATCHES) for k in slices}
        count = sum(map(len, corners.values()))
        if count == 0:
            return
        x, y, _ = pair.low.spacing
        for method, voxels in outputs.items():
            patches = [patch for k, at in corners.items() for patch in patches_at(voxels[k], at)]
            self._power[method] = self._power.get(method, 0) + count * noise_power_spectrum(patches, (x, y))
        self.patches += count
        self._pixel += count * x

    @property
    def frequency(self) -> FloatArray:
        """(bins,) cycles a millimetre, up to Nyquist; by the mean pixel size of the scan."""
        centres = bin_centres()
        return centres[centres <= NYQUIST] / (self._pixel / self.patches)

    @property
    def power(self) -> dict[str, FloatArray]:
        """(bins,) HU^2 mm^2 at :attr:`frequency`, by method."""
        bins = int((bin_centres() <= NYQUIST).sum())
        return {method: power[:bins] / self.patches for method, power in self._power.items()}


def mean_frequency(frequency: FloatArray, power: FloatArray) -> float:
    """Mean of a radial spectrum, cycles a millimetre: lower is coarser, blotchier noise (as f_av of AAPM TG-233).

    The lowest frequencies (below :data:`~inference_core.measurement.noise_power.RAMP_END` of the pixel frequency) are
    left out, because anatomy is as strong there as noise.

    Parameters
    ----------
    frequency, power : (bins,) arrays
        Up to Nyquist.
    """
    above = frequency >= RAMP_END * frequency[-1] / NYQUIST
    total = float(power[above].sum())
    return float((frequency * power)[above].sum()) / total if total > 0 else math.nan
