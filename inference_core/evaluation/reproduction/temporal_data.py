"""Made data for table 2: low- and high-dose CT of heads, unpaired, with and without a shift of the CT numbers.

The paper's temporal-bone scans are not public. These are phantom heads and, where one is given, slices of a clean head
CT, projected, given photon noise, and reconstructed. The photons are set so that the noise in the brain is the paper's:
289 HU at low dose, 49 HU at high dose. No head and no slice is in both doses, and those tested on are in neither.

Shift: the paper's low-dose scans show air at -845 HU where the high-dose ones show -972, the brain alike (35, 37).
Here the mean of what lies below 0 HU is multiplied by 0.87 before the noise is put on: air at -870, brain where it was.
(On the noisy image, as ``simulate-dose --ct-number-shift`` does it, half of the brain's noise would be squeezed and its
mean rise by 13 HU.)

Noise in air is not clipped at -1024 HU, as scanners do: that would move the mean of the air by itself.
"""

from __future__ import annotations

import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from inference_core.denoiser.guard import check_ct
from inference_core.errors import UserError
from inference_core.image.reading import read_volume
from inference_core.image.volume import Volume
from inference_core.image.writing import write_aside, write_volume
from inference_core.measurement.homogeneous_patches import homogeneous_patches, patch_statistics, smoothed
from inference_core.simulation.forward_projection import project
from inference_core.simulation.head_anatomy import Roi, head
from inference_core.simulation.projection import (
    WATER_ATTENUATION,
    Float32Array,
    add_photon_noise,
    filtered_back_projection,
    line_integrals,
    reconstruction_circle,
)
from inference_core.simulation.temporal_bone import ELECTRONIC_NOISE, SPACING, VIEWS
from inference_core.training.simulated_pairs import HELD_BACK

Variant = Literal["unshifted", "shifted"]
VARIANTS: tuple[Variant, ...] = ("unshifted", "shifted")
SHIFT = 0.87

SIZE, DETECTORS = 480, 496  # of the phantom: wider than the sample, so that 60 x 60 pixels of air fit beside the head
SLICES = 32  # of 0.6 mm
TRAINED_EVERY, TESTED_EVERY = 4, 2  # slices of a phantom head that are used
LOW_SEEDS, FULL_SEEDS, TEST_SEED = (200, 201, 202), (300, 301, 302), 400
CT_EVERY = 4  # slices of the clean CT that are trained on, low and high dose in turn
CT_TESTED_EVERY = 3
ENLARGED = 2  # the clean CT's slices, as in simulated_pairs: scanners reconstruct heads at 512
PHOTONS = {"phantom": {"low": 4950.0, "high": 77_500.0}, "head": {"low": 4600.0, "high": 86_500.0}}
"""Per ray; set so that the noise in patches of brain of the tested CTs is 289 and 49 HU, within 2 %."""
BRAIN_HU = {"phantom": (25.0, 45.0), "head": (0.0, 45.0)}
AIR_HU = (-1020.0, -950.0)
PADDING, FLOOR, CEILING = -1024, -2048, 3071


@dataclass(frozen=True)
class TestCt:
    """A CT to measure denoisers on.

    Attributes
    ----------
    name : str
        ``phantom`` or ``head``.
    low : Volume
        Low dose, of the variant asked for.
    high, truth : Volume
        High dose, and free of noise; neither is shifted.
    rois : tuple of Roi
        Soft tissue, cavity and bone of the phantom.
    tissue_hu : dict
        Range of the truth by tissue, for homogeneous patches.
    padding : (rows, columns) bool array
        Outside the reconstruction circle.
    """

    __test__ = False  # pytest takes names with Test for tests

    name: str
    low: Volume
    high: Volume
    truth: Volume
    rois: tuple[Roi, ...]
    tissue_hu: dict[str, tuple[float, float]]
    padding: NDArray[np.bool_]


def make_temporal_data(folder: Path, head_ct: Path | None) -> dict[str, Any]:
    """Make all of it, or take what is there.

    Parameters
    ----------
    folder : Path
        Gets ``shifted/{low,full}`` and ``unshifted/{low,full}`` to train on, ``test/`` and ``made.json``.
    head_ct : Path, optional
        A CT with little noise, of square slices.

    Returns
    -------
    The record in ``made.json``: photons, seeds, slices, measured noise.

    Raises
    ------
    UserError
        ``other-data`` where the folder holds data of another head CT, or what reading raises.
    """
    before = made_before(folder, head_ct)
    if before is not None:
        return before
    for part in [*(f"{variant}/{dose}" for variant in VARIANTS for dose in ("low", "full")), "test"]:
        (folder / part).mkdir(parents=True, exist_ok=True)
    noise = _phantoms(folder)
    if head_ct is not None:
        noise |= _head_slices(folder, head_ct)
    record = {"settings": _settings(head_ct), "noise_in_brain_hu": noise}
    made = folder / "made.json"
    write_aside(made, lambda aside: aside.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8"))
    return record


def made_before(folder: Path, head_ct: Path | None) -> dict[str, Any] | None:
    """The record of data that are made already; None where there are none.

    Raises
    ------
    UserError
        ``other-data``.
    """
    made = folder / "made.json"
    if not made.is_file():
        return None
    record: dict[str, Any] = json.loads(made.read_text(encoding="utf-8"))
    if record["settings"] != _settings(head_ct):
        raise UserError(
            "other-data", f"{folder} holds data that were made otherwise, e.g. with another --head.",
            "Give another --out.",
        )  # fmt: skip
    return record


def read_head(ct: Path) -> Volume:
    """Read a clean head CT and check that it will do.

    Raises
    ------
    UserError
        ``not-square``, ``too-few-slices``, or what reading and :func:`~inference_core.denoiser.guard.check_ct` raise.
    """
    volume = read_volume(ct)
    check_ct(volume)
    count, rows, columns = volume.voxels.shape
    if rows != columns:
        raise UserError("not-square", f"{ct} has slices of {rows} x {columns} pixels.", "Give square slices.")
    if not all(head_slices(count).values()):
        raise UserError("too-few-slices", f"{ct} has {count} slices.", "Give a head CT of about 80 slices or more.")
    return volume


def read_test_cts(folder: Path, variant: Variant) -> list[TestCt]:
    """The CTs of :func:`make_temporal_data` to measure on, phantom first."""
    names = [name for name in PHOTONS if (folder / "test" / f"{name}_truth.nrrd").is_file()]
    return [_read_test_ct(folder / "test", name, variant) for name in names]


def shift_ct_numbers(hu: NDArray[Any]) -> NDArray[Any]:
    """CT numbers below 0 HU multiplied by :data:`SHIFT`, the others as they are."""
    return np.where(hu < 0, hu * np.float32(SHIFT), hu)


def head_slices(count: int) -> dict[str, list[int]]:
    """Which slices of a clean CT of ``count`` slices are low dose, full dose, and tested on; no slice is in two."""
    held_back = {k for first, last in HELD_BACK for k in range(first, last + 1)}
    free = [k for k in range(1, count, CT_EVERY) if k not in held_back]
    test = [k for first, last in HELD_BACK for k in range(first + 1, last, CT_TESTED_EVERY) if k < count]
    return {"low": free[::2], "full": free[1::2], "test": test}


def _settings(head_ct: Path | None) -> dict[str, Any]:
    settings = {
        "photons": PHOTONS, "shift": SHIFT, "seeds": [LOW_SEEDS, FULL_SEEDS, TEST_SEED], "slices": SLICES,
        "size": SIZE, "head_ct": head_ct.name if head_ct else None, "held_back": HELD_BACK,
    }  # fmt: skip
    plain: dict[str, Any] = json.loads(json.dumps(settings))  # tuples as lists, as they will be read
    return plain


def _phantoms(folder: Path) -> dict[str, float]:
    photons = PHOTONS["phantom"]
    for seed in LOW_SEEDS:
        _write_low(folder, f"HEAD{seed}_low.nrrd", *_phantom(seed, photons["low"], TRAINED_EVERY))
    for seed in FULL_SEEDS:
        _write_full(folder, f"HEAD{seed}_full.nrrd", *_phantom(seed, photons["high"], TRAINED_EVERY))
    sinogram = _phantom_sinogram(TEST_SEED, TESTED_EVERY)
    low, high = (_reconstruct(sinogram, SIZE, SPACING, photons[dose], TEST_SEED) for dose in ("low", "high"))
    return _write_test(folder, "phantom", low, high, _phantom_grid(TESTED_EVERY))


def _phantom(seed: int, photons: float, every: int) -> tuple[Float32Array, Float32Array, Volume]:
    """Truth, noise, and the grid, of a phantom head."""
    truth, noise = _reconstruct(_phantom_sinogram(seed, every), SIZE, SPACING, photons, seed)
    return truth, noise, _phantom_grid(every)


def _phantom_sinogram(seed: int, every: int) -> Float32Array:
    _say(f"phantom head {seed}")
    bodies = {body: density * WATER_ATTENUATION for body, density in head(seed)[0].bodies.items()}
    sinogram = line_integrals(bodies, VIEWS, DETECTORS, SPACING, SLICES, SPACING)
    return sinogram[:, :, every // 2 :: every]


def _head_slices(folder: Path, ct: Path) -> dict[str, float]:
    volume = read_head(ct)
    rows = len(volume.voxels[0])
    chosen = head_slices(len(volume.voxels))
    name = ct.name.split(".")[0].replace("_", "-")
    pixel, photons = volume.spacing[0] / ENLARGED, PHOTONS["head"]

    def made(dose: str, slices: list[int], seed: int) -> tuple[Float32Array, Float32Array]:
        pairs = [_head_slice(volume.voxels[k], pixel, photons[dose], [seed, k]) for k in slices]
        return np.concatenate([truth for truth, _ in pairs]), np.concatenate([noise for _, noise in pairs])

    def grid(slices: list[int], every: int) -> Volume:
        return _grid(len(slices), rows * ENLARGED, pixel, volume.spacing[2] * every)

    _write_low(folder, f"{name}_low.nrrd", *made("low", chosen["low"], 1), grid(chosen["low"], 2 * CT_EVERY))
    _write_full(folder, f"{name}_full.nrrd", *made("high", chosen["full"], 2), grid(chosen["full"], 2 * CT_EVERY))
    low, high = made("low", chosen["test"], 3), made("high", chosen["test"], 4)
    return _write_test(folder, "head", low, high, grid(chosen["test"], CT_TESTED_EVERY))


def _head_slice(
    image: NDArray[Any], pixel: float, photons: float, seed: list[int]
) -> tuple[Float32Array, Float32Array]:
    _say(f"head CT, slice {seed[1]}")
    large = np.maximum(_enlarged(image.astype(np.float32)), PADDING)
    detectors = math.ceil(len(large) * math.sqrt(2) / 2) * 2 + 12
    sinogram = project(WATER_ATTENUATION * (1 + large[None] / 1000), pixel, VIEWS, detectors, pixel)
    return _reconstruct(sinogram, len(large), pixel, photons, *seed)


def _enlarged(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Linear interpolation to :data:`ENLARGED` times the pixels a side."""
    at = (np.arange(len(image) * ENLARGED) + 0.5) / ENLARGED - 0.5
    for _ in range(2):  # rows, then columns; np.interp repeats the last pixel beyond the edge
        image = np.stack([np.interp(at, np.arange(len(line)), line) for line in image]).T.astype(np.float32)
    return image


def _reconstruct(
    sinogram: Float32Array, size: int, pixel: float, photons: float, *seed: int
) -> tuple[Float32Array, Float32Array]:
    """(slices, size, size) HU of the truth, and the noise to be added to it."""
    noisy = add_photon_noise(sinogram, photons, ELECTRONIC_NOISE, np.random.default_rng([*seed, int(photons)]))
    both = filtered_back_projection(np.concatenate([sinogram, noisy], axis=2), size, pixel, pixel)
    hu = 1000 * (both / np.float32(WATER_ATTENUATION) - 1)
    count = sinogram.shape[2]
    return hu[:count], hu[count:] - hu[:count]


def _phantom_grid(every: int) -> Volume:
    """Where the slices of :func:`_phantom_sinogram` lie: ROIs are found by it."""
    slices = len(range(every // 2, SLICES, every))
    return _grid(slices, SIZE, SPACING, SPACING * every, (every // 2 + 0.5 - SLICES / 2) * SPACING)


def _grid(slices: int, size: int, pixel: float, distance: float, first: float = 0.0) -> Volume:
    """An empty volume with its middle on the z axis and its first slice at z = ``first``."""
    corner = -(size - 1) / 2 * pixel
    empty = np.zeros((slices, size, size), np.int16)
    return Volume(empty, (pixel, pixel, distance), (corner, corner, first), modality="CT", padding_value=PADDING)


def _write_low(folder: Path, name: str, truth: Float32Array, noise: Float32Array, grid: Volume) -> None:
    for variant in VARIANTS:
        write_volume(_low_dose(truth, noise, grid, variant), folder / variant / "low" / name)


def _write_full(folder: Path, name: str, truth: Float32Array, noise: Float32Array, grid: Volume) -> None:
    for variant in VARIANTS:
        write_volume(_volume(truth + noise, grid), folder / variant / "full" / name)


def _write_test(
    folder: Path, name: str, low: tuple[Float32Array, Float32Array], high: tuple[Float32Array, Float32Array],
    grid: Volume,
) -> dict[str, float]:  # fmt: skip
    """Write the test volumes; return the noise in the brain, by name and dose."""
    truth = low[0]
    write_volume(_volume(truth, grid), folder / "test" / f"{name}_truth.nrrd")
    write_volume(_volume(truth + high[1], grid), folder / "test" / f"{name}_high.nrrd")
    for variant in VARIANTS:
        write_volume(_low_dose(truth, low[1], grid, variant), folder / "test" / f"{name}_low_{variant}.nrrd")
    corners = homogeneous_patches(smoothed(truth), BRAIN_HU[name])
    noise = {"low": low[1], "high": high[1]}
    return {f"{name} {dose}": round(patch_statistics(values, corners).std, 1) for dose, values in noise.items()}


def _low_dose(truth: Float32Array, noise: Float32Array, grid: Volume, variant: Variant) -> Volume:
    return _volume((shift_ct_numbers(truth) if variant == "shifted" else truth) + noise, grid)


def _volume(hu: NDArray[Any], grid: Volume) -> Volume:
    voxels = np.rint(np.clip(hu, FLOOR, CEILING)).astype(np.int16)
    voxels[:, _outside(grid)] = PADDING
    return grid.with_voxels(voxels)


def _outside(grid: Volume) -> NDArray[np.bool_]:
    """What no view sees: filled with padding. The detector is always wider than the image."""
    size = grid.voxels.shape[1]
    return ~reconstruction_circle(size, grid.spacing[0], 2 * size, grid.spacing[0])


def _read_test_ct(folder: Path, name: str, variant: Variant) -> TestCt:
    low, high, truth = (read_volume(folder / f"{name}_{kind}.nrrd") for kind in (f"low_{variant}", "high", "truth"))
    tissue_hu = {"brain": BRAIN_HU[name], "air": AIR_HU}
    rois = tuple(roi for roi in head(TEST_SEED)[1] if roi.name in ROIS) if name == "phantom" else ()
    return TestCt(name, low, high, truth, rois, tissue_hu, _outside(low))


ROIS = ("soft tissue", "cavity", "bone")
"""Of the phantom, as in the paper's table 2."""


def _say(text: str) -> None:
    print(f"making {text}", file=sys.stderr, flush=True)
