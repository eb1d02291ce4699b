"""A made CT of a gas-filled colon in a body, with its truth: no CT colonography can be had here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from inference_core.image.volume import Volume
from inference_core.simulation.colon.mesh.surface import Surface
from inference_core.simulation.colon.path.lumen import lumen

GAS, TISSUE, NOISE = -1000.0, 40.0, 25.0  # HU
FINE = 2  # steps of the truth in a voxel
POCKET = 9.0  # mm, radius of the gas in the small bowel
OBLIQUE = ((0.8, -0.36, 0.48), (0.6, 0.48, -0.64), (0.0, 0.8, 0.6))  # columns: axes of the grid in LPS


@dataclass
class GasCt:
    """CT, the voxels that are more than half lumen, those of the pocket, and the room around the patient."""

    volume: Volume
    truth: np.ndarray
    pocket: np.ndarray
    room: np.ndarray

    def lps(self, voxel):
        """Place of a voxel (slice, row, column)."""
        return (self.volume.index_to_lps @ [*np.asarray(voxel, float)[::-1], 1.0])[:3]

    def with_hu(self, where, value):
        """The same with other voxels somewhere."""
        voxels = self.volume.voxels.copy()
        voxels[where] = value
        return self.volume.with_voxels(voxels)


def gas_ct(surface: Surface, spacing=(0.9, 0.9, 1.25), direction=OBLIQUE, seed=0) -> GasCt:
    """CT of a colon's surface on an oblique grid: an elliptic body on a table, noise, a second pocket of gas."""
    axes = np.array(direction)
    in_grid = surface.vertices @ axes / spacing  # in voxels
    fine = lumen(Surface(in_grid, surface.faces), 1 / FINE)
    size = np.array(fine.inside.shape) // FINE * FINE
    blocks = fine.inside[: size[0], : size[1], : size[2]].reshape(
        size[0] // FINE, FINE, size[1] // FINE, FINE, size[2] // FINE, FINE
    )
    share = blocks.mean(axis=(1, 3, 5))  # of gas in each voxel
    half = np.array(share.shape) / 2
    margin = [4, *(int(0.5 * half[k] + 12) for k in (1, 2))]
    share = np.pad(share, [(m, m) for m in margin])
    first = fine.origin + (0.5 - 0.5 / FINE) - np.array(margin[::-1])  # centre of the first voxel, in voxels

    rows, columns = (np.arange(n) - (n - 1) / 2 for n in share.shape[1:])
    body = (rows[:, None] / (half[1] * 1.45)) ** 2 + (columns / (half[2] * 1.45)) ** 2 < 1
    room = np.broadcast_to(~body, share.shape).copy()
    gap = ndimage.distance_transform_edt((share == 0) & ~room, sampling=spacing[::-1])
    middle = np.unravel_index(int(np.argmax(gap)), gap.shape)
    assert gap[middle] > POCKET + 3
    offset = [(np.arange(n) - m) * s for n, m, s in zip(share.shape, middle, spacing[::-1], strict=True)]
    pocket = sum(np.ix_(*(o**2 for o in offset))) < POCKET**2
    gas = np.where(pocket | room, 1.0, share)
    hu = TISSUE + (GAS - TISSUE) * gas
    hu[:, -4:-1, 5:-5] = 0.0  # the table
    hu = ndimage.gaussian_filter(hu, 0.5) + np.random.default_rng(seed).normal(0, NOISE, hu.shape)
    origin = axes @ (first * spacing)
    volume = Volume(np.rint(hu).astype(np.int16), spacing, tuple(origin), tuple(axes.ravel()), modality="CT")
    return GasCt(volume, share > 0.5, pocket, room)
