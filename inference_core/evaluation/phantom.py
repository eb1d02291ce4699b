"""Phantom CTs to score denoisers on where no patient's will do: the truth is known, voxel by voxel.

Each seed is another head and another draw of the noise.
"""

from __future__ import annotations

from inference_core.evaluation.pairs import Pair
from inference_core.simulation.temporal_bone import PHOTONS, temporal_bone

DOSES = {"quarter": 10 * PHOTONS, "temporal": PHOTONS}
"""Photons a ray: a quarter of the full dose of :mod:`inference_core.simulation.temporal_bone` (40 times its default),
and that default, the dose of temporal-bone CT: about 60 and 250 HU of noise in the brain."""

SLICES = 32


def phantom_pair(seed: int, dose: str, slices: int = SLICES) -> Pair:
    """Low-dose CT and truth of the temporal-bone phantom (20 CPU s).

    Parameters
    ----------
    seed : int
    dose : str
        Key of :data:`DOSES`.
    slices : int
        0.6 mm each; fewer are made faster and hold fewer details.
    """
    sample = temporal_bone(seed, slices, DOSES[dose])
    name = f"phantom{seed}"
    return Pair(name, f"phantom, {dose} dose", name, sample.volume, sample.truth, sample.details)
