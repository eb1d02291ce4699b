"""Unpaired low-dose and full-dose CT: what the papers' methods learn from.

Every slice is split once, whole, and held as int16; crops are drawn from the two doses independently of each other.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pywt
import torch
from numpy.typing import NDArray
from torch import Tensor

from inference_core.denoiser.guard import METAL
from inference_core.denoiser.pipeline import FLOOR, network_input
from inference_core.errors import UserError
from inference_core.measurement.noise import noise_level
from inference_core.training.ct_folders import NpyUnit, Scan, read_scans, scan_paths
from inference_core.training.ct_publish import DenoiserInput
from inference_core.training.ct_samples import STEPS_PER_HU
from inference_core.training.ct_slice_pairs import SlicePair
from inference_core.training.loop import RunConfig, check_positive
from inference_core.training.split import Split, check_apart, divide

LEAST_CROP = 32  # pixels, for the discriminators of CycleGAN and GAN-CIRCLE
MEASURED_SLICES = 50  # of which the noise is measured, for the card


@dataclass(frozen=True, kw_only=True)
class UnpairedCtConfig(RunConfig):
    """What every run on unpaired doses has."""

    low_dose: list[Path] = field(default_factory=list)
    """Folders of low-dose scans: volume files, .npy, single DICOM files (named PATIENT_SCAN_NUMBER), or one subfolder
    of DICOM files a series."""
    full_dose: list[Path] = field(default_factory=list)
    """Folders of full-dose scans, of the same patients or of others."""
    split: Split = field(default_factory=Split)
    """Patients that train, validate, or are not opened. Validated is on scans that lie in both doses by one name."""
    score_by: Literal["paired", "reference-free"] = "paired"
    """Validation score: ``paired`` (PSNR against the full dose) or ``reference-free`` (noise level and mean shift)."""
    npy_unit: NpyUnit = ""
    """What the numbers of .npy files are: HU, HU+1024 or 1/mm."""
    npy_pixel_size: float = 0.0
    """Of .npy files, mm."""
    batch: int = 8
    crop: int = 128
    """Pixels a side."""
    margin: int = 30
    """Pixels at the slice's edges that no crop is drawn from."""
    flips: bool = False
    """Flip and turn the crops; the papers do not."""
    learning_rate: float = 2e-4
    """Of Adam with betas 0.5 and 0.999."""
    epochs: int = 200
    """Stairs of the learning rate: constant for the first half, then falling to zero."""
    input: DenoiserInput = field(default_factory=DenoiserInput)
    title: str = "My low-dose CT denoiser"
    """For the model's card."""


@dataclass(frozen=True)
class UnpairedCt:
    """Slices to draw from, (H, W) int16 in 1 / :data:`~inference_core.training.ct_samples.STEPS_PER_HU` HU.

    Attributes
    ----------
    low, full : list of arrays
        What the network sees of each slice of the two doses.
    validation : list of SlicePair
        Slices of the validation patients at both doses, HU.
    said : dict
        For the card: text, noise_hu, pixel_size_mm.
    """

    low: list[NDArray[np.int16]]
    full: list[NDArray[np.int16]]
    validation: list[SlicePair]
    said: dict[str, Any]


def read_unpaired(config: UnpairedCtConfig) -> UnpairedCt:
    """Read the folders of a configuration and divide the patients.

    Raises
    ------
    UserError
        ``no-data``, ``folder-twice``, ``crop``, ``not-positive``, ``out-of-range``, or what splitting and reading
        raise.
    """
    _check_settings(config)
    _check_folders_differ([*config.low_dose, *config.full_dose])
    files = {dose: [path for folder in getattr(config, dose) for path in scan_paths(folder)] for dose in DOSES}
    for dose in DOSES:
        if not files[dose]:
            raise UserError("no-data", f"{dose} names no folder.", f"Give {dose}='[FOLDER]'.")
    sets = divide([*files["low_dose"], *files["full_dose"]], config.split)
    read = partial(read_scans, npy_unit=config.npy_unit, npy_pixel_size=config.npy_pixel_size)

    def scans(dose: str, kind: str) -> list[Scan]:
        return list(read([path for path in files[dose] if path in set(sets[kind])]))

    train = {dose: scans(dose, "train") for dose in DOSES}
    held_out = {dose: scans(dose, "validation") for dose in DOSES}
    for dose in DOSES:
        if not train[dose]:
            raise UserError("no-data", f"The split leaves no scan of {dose} to train on.", "Name other patients.")
        check_apart(train[dose], held_out[dose])
    prepared = {dose: [_seen(image, config.input) for scan in train[dose] for image in scan.slices] for dose in DOSES}
    _check_crop(config, [*prepared["low_dose"], *prepared["full_dose"]])
    validation = list(_validation(held_out["low_dose"], held_out["full_dose"]))
    return UnpairedCt(prepared["low_dose"], prepared["full_dose"], validation, _said(train))


DOSES = ("low_dose", "full_dose")


def draw_crops(data: UnpairedCt, config: UnpairedCtConfig, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Random crops of low-dose and of full-dose slices, independent of each other.

    Returns
    -------
    Two (batch, 1, crop, crop) tensors, network units
    """
    low, full = (_draw(images, config, rng) for images in (data.low, data.full))
    return low, full


def check_weights(config: object, *names: str) -> None:
    """Refuse negative and infinite numbers in these fields (UserError ``out-of-range``)."""
    for name in names:
        if not 0 <= getattr(config, name) < math.inf:
            raise UserError("out-of-range", f"{name} is {getattr(config, name)}.", f"Give {name}= 0 or more.")


def check_gives_image(config: UnpairedCtConfig, least_crop: int) -> None:
    """Refuse what networks that give an image cannot do (UserError ``out-of-range`` or ``crop``)."""
    if config.input.output != "image":
        raise UserError(
            "out-of-range", "The networks of this recipe give an image, no residual.", "Give input.output=image."
        )
    if config.crop < least_crop:
        raise UserError(
            "crop",
            f"Crops of {config.crop} pixels are too small for the discriminator.",
            f"Give crop= a multiple of 8 from {least_crop} on.",
        )


def card_data(data: UnpairedCt, recipe: str, config: UnpairedCtConfig) -> dict[str, Any]:
    """What a card says of the data; no name of a patient."""
    command = f"inference-core train denoiser --config {config.out / 'config.yaml'}"
    return data.said | {"recipe": recipe, "command": command}


def _draw(images: list[NDArray[np.int16]], config: UnpairedCtConfig, rng: np.random.Generator) -> Tensor:
    crops = []
    for _ in range(config.batch):
        image = images[rng.integers(len(images))]
        y, x = (_start(side, config, rng) for side in image.shape)
        crop = image[y : y + config.crop, x : x + config.crop]
        if config.flips:
            crop = np.rot90(crop, int(rng.integers(4)))
            crop = crop[:, ::-1] if rng.random() < 0.5 else crop
        crops.append(crop)
    return torch.from_numpy(np.stack(crops)[:, None].astype(np.float32)) / (STEPS_PER_HU * config.input.unit_hu)


def _start(side: int, config: UnpairedCtConfig, rng: np.random.Generator) -> int:
    """First pixel of a crop; the margin gives way where the slice is too small for it."""
    room = side - config.crop
    margin = min(config.margin, room // 2)
    return int(rng.integers(margin, room - margin + 1))


def _seen(image: NDArray[np.float32], seen: DenoiserInput) -> NDArray[np.int16]:
    """What the network sees of a slice, as in the pipeline."""
    hu = np.clip(image, FLOOR, METAL).astype(np.float64)
    band = network_input(hu, seen.band, seen.wavelet_level, seen.wavelet)
    return np.clip(np.rint(band * STEPS_PER_HU), -32768, 32767).astype(np.int16)


def _validation(low: list[Scan], full: list[Scan]) -> Iterator[SlicePair]:
    """Slices of the scans that are there at both doses."""
    by_name = {scan.name: scan for scan in full}
    for scan in low:
        other = by_name.get(scan.name)
        if other is None:
            continue
        if [image.shape for image in scan.slices] != [image.shape for image in other.slices]:
            raise UserError(
                "pairs-differ",
                f"{scan.name}: {len(scan.slices)} low-dose and {len(other.slices)} full-dose slices, or other sizes.",
                "To be validated on, a scan must be of one grid at both doses.",
            )
        yield from zip(scan.slices, other.slices, strict=True)


def _said(train: dict[str, list[Scan]]) -> dict[str, Any]:
    low = [image for scan in train["low_dose"] for image in scan.slices]
    noise = [noise_level(image[None]) for image in low[:: -(-len(low) // MEASURED_SLICES)]]
    noise = [value for value in noise if np.isfinite(value)] or [0.0]
    sizes = [scan.pixel_size for scan in train["low_dose"]]
    counts = {dose: sum(len(scan.slices) for scan in scans) for dose, scans in train.items()}
    return {
        "text": f"{counts['low_dose']} low-dose and {counts['full_dose']} full-dose slices, unpaired",
        "noise_hu": [round(min(noise), 1), round(max(noise), 1)],
        "pixel_size_mm": [min(sizes), max(sizes)],
    }


def _check_folders_differ(folders: list[Path]) -> None:
    seen: dict[Path, Path] = {}
    for folder in folders:
        other = seen.setdefault(folder.resolve(), folder)
        if other is not folder:
            raise UserError("folder-twice", f"{other} and {folder} are one folder.", "Give each folder once.")


def _check_settings(config: UnpairedCtConfig) -> None:
    check_positive(config, "batch", "crop", "learning_rate", "epochs")
    check_positive(config.input, "unit_hu")
    level, kept = config.input.wavelet_level, config.input.kept_level
    allowed = {
        "margin": config.margin >= 0,
        "learning_rate": config.learning_rate <= 1,
        "input.wavelet_level": 1 <= level <= 8,
        "input.kept_level": 0 <= kept <= level,
        "input.wavelet": config.input.wavelet in pywt.wavelist(kind="discrete"),
    }
    for name, fits in allowed.items():
        if not fits:
            raise UserError("out-of-range", f"This value of {name} cannot work.", "See the field in --help.")


def _check_crop(config: UnpairedCtConfig, images: list[NDArray[np.int16]]) -> None:
    least = min(min(image.shape) for image in images)
    if config.crop % 8 or not 16 <= config.crop <= least:
        raise UserError(
            "crop",
            f"Crops of {config.crop} pixels cannot be cut: the smallest slice has {least}.",
            "Give crop= a multiple of 8 from 16 on that fits in it.",
        )
