"""Slices that anyone can make, 512x512: the temporal-bone phantom at quarter dose, and its truth.

The sample of :mod:`inference_core.simulation.temporal_bone` has 384 pixels a side and padding around a circle. Here the
same scan, on a wider detector, is reconstructed on a larger square and its middle is kept: 512 pixels, as a scanner's
slice has, without padding.
"""

from __future__ import annotations

import numpy as np

from inference_core.evaluation.pairs import Pair
from inference_core.evaluation.phantom import DOSES
from inference_core.image.volume import Volume
from inference_core.simulation.head_anatomy import head
from inference_core.simulation.projection import (
    WATER_ATTENUATION,
    add_photon_noise,
    filtered_back_projection,
    line_integrals,
)
from inference_core.simulation.temporal_bone import ELECTRONIC_NOISE, PADDING, VIEWS
from inference_core.simulation.temporal_bone import SPACING as PITCH

SIZE = 512
PIXEL = 0.45  # mm; the field of view of the sample's 384 pixels of 0.6 mm
WHOLE = 726  # pixels: the circle that all views see holds the middle 512
DETECTORS = 546


def phantom(seed: int, slices: int, dose: str = "quarter") -> Pair:
    """Low dose and truth.

    Parameters
    ----------
    seed : int
        100 to 105 were trained on.
    slices : int
        0.6 mm each, about the middle.
    dose : str
        Key of :data:`inference_core.evaluation.phantom.DOSES`.
    """
    scene, _, _ = head(seed)
    bodies = {body: density * WATER_ATTENUATION for body, density in scene.bodies.items()}
    clean = line_integrals(bodies, VIEWS, DETECTORS, PITCH, slices, PITCH)
    noisy = add_photon_noise(clean, DOSES[dose], ELECTRONIC_NOISE, np.random.default_rng([seed, 1]))
    attenuation = filtered_back_projection(np.concatenate([noisy, clean], axis=2), WHOLE, PIXEL, PITCH)
    edge = (WHOLE - SIZE) // 2
    middle = attenuation[:, edge : edge + SIZE, edge : edge + SIZE]
    voxels = np.rint(np.clip(1000 * (middle / WATER_ATTENUATION - 1), -1024, 3071)).astype(np.int16)
    low = Volume(voxels[:slices], spacing=(PIXEL, PIXEL, PITCH), modality="CT")
    return Pair(f"phantom{seed}", f"phantom, {dose} dose", f"phantom{seed}", low, low.with_voxels(voxels[slices:]))


def with_padding(volume: Volume) -> Volume:
    """The same, as a scanner pads it outside its circle."""
    voxels = volume.voxels.copy()
    t = np.arange(SIZE) - (SIZE - 1) / 2
    voxels[:, np.hypot(t[:, None], t[None]) > SIZE / 2] = PADDING
    return volume.with_voxels(voxels)
