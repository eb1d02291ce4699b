"""Slices at two doses, from three sources: pairs of files, full-dose scans with inserted noise, true low-dose scans."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference_core.errors import UserError
from inference_core.simulation.inserted_noise import draw_noise
from inference_core.training.ct_folders import NpyUnit, Scan, read_scan, read_scans, scan_of, scan_paths
from inference_core.training.ct_samples import AIR_CLIP, fine_noise, noise_power_of

FloatArray = NDArray[np.float32]
SlicePair = tuple[FloatArray, FloatArray]
"""Low dose and full dose, (H, W) float32, HU."""

STRENGTH = 2.0  # of inserted noise over the scan's own: quarter dose
STREAK = 0.6  # gamma of draw_noise


def slice_pairs(
    folder: Path, names: Iterable[str], npy_unit: NpyUnit = "", npy_pixel_size: float = 0.0
) -> list[SlicePair]:
    """Slices of the files of these names in ``folder/low`` and ``folder/full``.

    Raises
    ------
    UserError
        ``pairs-differ`` where two files are not of one grid, ``pairs-alike`` where they hold the same, or as
        :func:`~inference_core.training.ct_folders.read_scan`.
    """
    pairs: list[SlicePair] = []
    for name in names:
        low, full = (read_scan(folder / dose / name, npy_unit, npy_pixel_size) for dose in ("low", "full"))
        _check_alike(low, full, f"{name} in {folder}")
        if all(np.array_equal(one, other) for one, other in zip(low.slices, full.slices, strict=True)):
            message = f"{name} is the same in {folder}/low and {folder}/full."
            raise UserError("pairs-alike", message, "Take it out of the folder: nothing is to be learnt of it.")
        pairs += zip(low.slices, full.slices, strict=True)
    return pairs


def noisy_versions(scans: list[Scan], seed: int) -> list[SlicePair]:
    """Each slice with inserted noise of quarter dose."""
    rng = np.random.default_rng([seed, 1])
    pairs: list[SlicePair] = []
    for scan in scans:
        power = noise_power_of(scan)
        for image in scan.slices:
            noise = draw_noise(image, power, scan.pixel_size, STREAK, rng)
            amplitude = STRENGTH * max(fine_noise(image, image), 1.0) / max(fine_noise(noise, image), 1e-3)
            pairs.append((np.maximum(image + noise * np.float32(amplitude), np.float32(AIR_CLIP)), image))
    return pairs


def true_low_dose(scans: list[Scan], folder: Path) -> list[SlicePair]:
    """The scans' slices with those of the scans of the same names in a folder of low dose.

    Raises
    ------
    UserError
        ``no-pairs`` or ``pairs-differ``.
    """
    names = {scan.name: scan for scan in scans}
    pairs: list[SlicePair] = []
    for low in read_scans([path for path in scan_paths(folder) if scan_of(path) in names]):
        _check_alike(low, names[low.name], low.name)
        pairs += zip(low.slices, names[low.name].slices, strict=True)
    if not pairs:
        raise UserError(
            "no-pairs",
            f"{folder} holds none of the validation scans ({', '.join(sorted(names)) or 'there are none'}).",
            "Name the low-dose files as the full-dose ones, and name patients in split.validation.",
        )
    return pairs


def _check_alike(low: Scan, full: Scan, what: str) -> None:
    shapes = [[image.shape for image in scan.slices] for scan in (low, full)]
    if shapes[0] != shapes[1] or abs(low.pixel_size / full.pixel_size - 1) > 0.01:
        raise UserError(
            "pairs-differ",
            f"{what} has {len(low.slices)} low-dose slices of {low.slices[0].shape} and {low.pixel_size:g} mm, but"
            f" {len(full.slices)} full-dose ones of {full.slices[0].shape} and {full.pixel_size:g} mm.",
            "The two files of a pair must be of one grid.",
        )
