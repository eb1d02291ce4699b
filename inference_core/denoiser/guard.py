"""What must be true of a volume before a CT number in it may be touched."""

from __future__ import annotations

import numpy as np

from inference_core.errors import UserError
from inference_core.image.volume import Volume, check_orthogonal

SMALLEST_SIDE = 8  # pixels; the wavelet split needs them
FARTHEST = 100_000  # HU from water; metal reads as some 10 000, and nothing as more
METAL = 3071  # HU; the end of the 12-bit scale
LABELS = 64  # a CT has more distinct values than that


def check_ct(volume: Volume) -> list[str]:
    """Refuse what is no CT in Hounsfield units; warn of what is unusual.

    Parameters
    ----------
    volume : Volume

    Returns
    -------
    list of str
        Warnings for the user.

    Raises
    ------
    UserError
        ``not-ct``, ``empty``, ``too-small``, ``not-finite``, ``label-map``, ``not-hounsfield`` or ``sheared-geometry``.
    """
    check_orthogonal(volume.direction, "This volume")
    if volume.modality not in (None, "CT"):
        raise UserError(
            "not-ct",
            f"This volume is of modality {volume.modality}, not CT.",
            "Only CT can be denoised: its numbers are Hounsfield units.",
        )
    slices, rows, columns = volume.voxels.shape
    if slices == 0:
        raise UserError("empty", "This volume has no slice.", "Load a CT with at least one slice.")
    if min(rows, columns) < SMALLEST_SIDE:
        raise UserError(
            "too-small",
            f"Its slices have {rows} x {columns} pixels.",
            f"A slice needs at least {SMALLEST_SIDE} x {SMALLEST_SIDE}.",
        )
    _check_finite(volume)
    return _check_range(volume) + _check_grid(volume)


def _check_finite(volume: Volume) -> None:
    if volume.voxels.dtype.kind != "f":
        return
    bad = [(k, int((~np.isfinite(image)).sum())) for k, image in enumerate(volume.voxels)]
    bad = [(k, count) for k, count in bad if count]
    if bad:
        where = ", ".join(str(k) for k, _ in bad[:5]) + (", ..." if len(bad) > 5 else "")
        raise UserError(
            "not-finite",
            f"{sum(count for _, count in bad)} voxels are NaN or infinite (slices {where}).",
            "Replace them first, e.g. by -1024 HU (air).",
        )


def _check_range(volume: Volume) -> list[str]:
    low, high = float(volume.voxels.min()), float(volume.voxels.max())
    if max(-low, high) > FARTHEST:
        raise UserError(
            "not-hounsfield",
            f"The values range from {low:g} to {high:g}; no CT number is beyond {FARTHEST} HU.",
            "Give the CT in Hounsfield units; if only single voxels are so far off, replace them by -1024 HU (air).",
        )
    if low == high:
        return [f"Every voxel is {low:g} HU: there is nothing to denoise."]
    if low >= 0:
        sample = np.unique(volume.voxels[:: max(1, len(volume.voxels) // 16)])
        if volume.file_type.kind in "iu" and len(sample) <= LABELS:
            raise UserError(
                "label-map",
                f"This volume holds only {len(sample)} different values from {low:g} to {high:g}:"
                " a label map, not a CT.",
                "Choose the CT it was drawn on.",
            )
        raise UserError(
            "not-hounsfield",
            f"No value is below 0 (range {low:g} to {high:g}), but in Hounsfield units air is -1000 and fat -100.",
            "If this is a CT stored with an offset, subtract it (often 1024); other images cannot be denoised as CT.",
        )
    if high - low < 50:
        raise UserError(
            "not-hounsfield",
            f"The values span only {low:g} to {high:g}.",
            "Give the CT in Hounsfield units, not normalised.",
        )
    if high > METAL:
        return [f"Values reach {high:.0f} HU (metal): the model reads them as {METAL}, and they keep their value."]
    return []


def _check_grid(volume: Volume) -> list[str]:
    x, y, z = volume.spacing
    if abs(x - y) > 0.01 * max(x, y):
        return [
            f"Pixels are {x:g} x {y:g} mm, not square: if the slices along the third axis are not the ones the scanner"
            " made (a reformatted volume), the noise is not what the model knows. Slice distance"
            f" {z:g} mm."
        ]
    return []
