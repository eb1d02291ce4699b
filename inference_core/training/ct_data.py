"""All the data of a run that trains a CT denoiser: samples to train on, pairs of slices to validate on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from inference_core.errors import UserError
from inference_core.training.ct_folders import Scan, read_scans, scan_paths
from inference_core.training.ct_samples import Sample, inserted, make_sample
from inference_core.training.ct_slice_pairs import SlicePair, noisy_versions, slice_pairs, true_low_dose
from inference_core.training.split import check_apart, divide

if TYPE_CHECKING:
    from inference_core.training.recipes.supervised_ct import SupervisedCtConfig


@dataclass(frozen=True)
class CtData:
    """What a run works on.

    Attributes
    ----------
    scans : list of Scan
        Full-dose scans that are trained on.
    groups : list of (samples, share)
        The first are of the scans, where there are any.
    validation : list of SlicePair
    """

    scans: list[Scan]
    groups: list[tuple[list[Sample], float]]
    validation: list[SlicePair]


def read_data(config: SupervisedCtConfig, rng: np.random.Generator, noisy_target: bool) -> CtData:
    """Read the folders of a configuration, divide the patients, insert noise.

    Raises
    ------
    UserError
        ``no-data``, ``folder-twice``, ``no-pairs``, ``crop``, or what splitting, reading and pairing raise.
    """
    scan_files = [path for folder in config.full_dose for path in scan_paths(folder)]
    pair_files = {folder: _pair_files(folder) for folder in config.pairs}
    everything = [*scan_files, *(path for paths in pair_files.values() for path in paths)]
    if not everything:
        raise UserError(
            "no-data", "There is nothing to train on.", "Give full_dose='[FOLDER]' and/or pairs='[FOLDER]'."
        )
    folders = [folder.resolve() for folder in (*config.full_dose, *config.pairs)]
    if len(set(folders)) < len(folders):
        raise UserError("folder-twice", "A folder is given twice.", "Give each folder once.")
    sets = divide(everything, config.split)
    of_scans = set(scan_files)
    read = partial(read_scans, npy_unit=config.npy_unit, npy_pixel_size=config.npy_pixel_size)
    scans = list(read([path for path in sets["train"] if path in of_scans]))
    held_out = list(read([path for path in sets["validation"] if path in of_scans]))
    check_apart(scans, held_out)
    level, wavelet = config.input.wavelet_level, config.input.wavelet
    groups: list[tuple[list[Sample], float]] = []
    if scans:
        samples = inserted(scans, config.noisy_slices, config.noise, level, wavelet, rng, noisy_target)
        groups.append((samples, 1 - config.pairs_share))
    pairs_of = partial(slice_pairs, npy_unit=config.npy_unit, npy_pixel_size=config.npy_pixel_size)
    validation = true_low_dose(held_out, config.low_dose) if config.low_dose else noisy_versions(held_out, config.seed)
    for folder, paths in pair_files.items():
        train, validate = (set(sets[name]) for name in ("train", "validation"))
        found = pairs_of(folder, [path.name for path in paths if path in train])
        if found:
            samples = [make_sample(*pair, level, wavelet) for pair in found]
            groups.append((samples, config.pairs_share / len(pair_files)))
        validation += pairs_of(folder, [path.name for path in paths if path in validate])
    _check(config, groups)
    return CtData(scans, groups, validation)


def _pair_files(folder: Path) -> list[Path]:
    """The full-dose files of a folder of pairs that have a low-dose one."""
    paths = [path for path in scan_paths(folder / "full") if (folder / "low" / path.name).exists()]
    if not paths:
        raise UserError("no-pairs", f"No file name is in both {folder}/low and {folder}/full.", "Name pairs alike.")
    return paths


def _check(config: SupervisedCtConfig, groups: list[tuple[list[Sample], float]]) -> None:
    if not sum(share for _, share in groups) > 0:
        raise UserError(
            "no-data",
            f"With pairs_share={config.pairs_share:g} nothing of what there is would be drawn.",
            "Give pairs_share= a number between 0 and 1.",
        )
    least = min(min(sample.planes.shape[1:]) for samples, _ in groups for sample in samples)
    if config.crop % 4 or not 16 <= config.crop <= least:
        raise UserError(
            "crop",
            f"Crops of {config.crop} pixels cannot be cut: the smallest slice, halved ones included, has {least}.",
            "Give crop= a multiple of 4 from 16 on that fits in it.",
        )
