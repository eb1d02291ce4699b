"""Recipe ``supervised_ct``: learn to take inserted noise out of CT slices.

Input: full-dose scans, which get noise inserted (:mod:`inference_core.training.ct_samples`), and pairs of low and full
dose, true or simulated (:mod:`inference_core.training.simulated_pairs`). The network sees the wavelet high band of
crops and is trained, by L1 over the noise of the sample, to give the residual that leads to the full dose. What
the pipeline would project away (the low bands) does not count.

    inference-core train denoiser --config supervised_ct full_dose='[FULL]' out=runs/mine
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pywt
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from inference_core.denoiser.wavelet import remove_low_band
from inference_core.errors import UserError
from inference_core.models.networks import build_network
from inference_core.training.ct_data import CtData, read_data
from inference_core.training.ct_folders import NpyUnit, check_apart_from
from inference_core.training.ct_publish import DenoiserInput, training_data
from inference_core.training.ct_samples import NoiseConfig, batch
from inference_core.training.ct_task import ADAM_BETAS, denoiser_task, set_up
from inference_core.training.loop import RunConfig, Task, check_positive, fit, update, warm_up_and_cosine
from inference_core.training.split import Split
from inference_core.training.start_from import start_from


@dataclass(frozen=True, kw_only=True)
class SupervisedCtConfig(RunConfig):
    """What one run is made of."""

    full_dose: list[Path] = field(default_factory=list)
    """Folders of full-dose scans that get noise inserted: volume files, .npy, single DICOM files (named
    PATIENT_SCAN_NUMBER), or one subfolder of DICOM files a series."""
    pairs: list[Path] = field(default_factory=list)
    """Folders with the subfolders ``low`` and ``full``, which hold volume files of the same names."""
    pairs_share: float = 0.36
    """Share of the crops that come from pairs, where there are both; folders of pairs count alike."""
    split: Split = field(default_factory=Split)
    """Patients that train, validate, or are not opened; of full-dose scans and pairs alike."""
    low_dose: Path | None = None
    """Folder of true low-dose scans with the names of the validation patients' full-dose files; without it they get
    noise inserted."""
    score_by: Literal["paired", "reference-free"] = "paired"
    """Validation score: ``paired`` (PSNR against the full dose) or ``reference-free`` (noise level and mean shift)."""
    npy_unit: NpyUnit = ""
    """What the numbers of .npy files are: HU, HU+1024 or 1/mm."""
    npy_pixel_size: float = 0.0
    """Of .npy files, mm."""
    noisy_slices: int = 700
    """Noisy versions of full-dose slices held in memory; 1 MiB each at 512x512."""
    noise: NoiseConfig = field(default_factory=NoiseConfig)
    batch: int = 4
    crop: int = 96
    """Pixels a side."""
    learning_rate: float = 1e-3
    """Of Adam; 100 steps of warm-up, then cosine to zero."""
    start_from: str | None = None
    """Model whose weights to start from (id or card), for fine-tuning; by default from scratch."""
    network: str = "unshuffle_unet"
    width: int = 32
    low_width: int = 48
    input: DenoiserInput = field(default_factory=DenoiserInput)
    title: str = "My low-dose CT denoiser"
    """For the model's card."""


def train(config: SupervisedCtConfig, recipe: str = "supervised_ct", noisy_target: bool = False) -> None:
    """Run the recipe.

    Parameters
    ----------
    config : SupervisedCtConfig
    recipe : str
        Name for the record.
    noisy_target : bool
        Noise2Noise: targets get noise of their own.

    Raises
    ------
    UserError
        Where there is nothing to train on, a patient is in two sets, or the run's folder holds another run.
    """
    check_folder(config)
    fit(config, recipe, partial(prepare, recipe=recipe, noisy_target=noisy_target))


def prepare(config: SupervisedCtConfig, fabric: Fabric, recipe: str, noisy_target: bool = False) -> Task:
    """Read the data, make the network, and say what a step is."""
    data, architecture, network, optimiser = read_and_build(config, fabric, noisy_target)
    unit = config.input.unit_hu
    levels = (config.input.kept_level, config.input.wavelet_level)

    def step(rng: np.random.Generator) -> dict[str, Tensor]:
        noisy, change, noise = (x.to(fabric.device) for x in batch(data.groups, config.batch, config.crop, rng))
        error = unit * network(noisy / unit).float() - change
        kept = remove_low_band(error, levels, config.input.wavelet)  # what the pipeline lets through
        loss = (kept.abs().mean(dim=(1, 2, 3)) / noise).mean()
        update(fabric, loss, config.clip, (network, optimiser))
        return {"l1_over_noise": loss}

    return denoiser_task(
        config,
        fabric,
        step,
        {"denoiser": (network, optimiser)},
        partial(warm_up_and_cosine, steps=config.steps),
        architecture,
        data.validation,
        training_data(data.scans, data.groups, recipe, config),
    )


def read_and_build(
    config: SupervisedCtConfig, fabric: Fabric, noisy_target: bool
) -> tuple[CtData, dict[str, Any], nn.Module, torch.optim.Optimizer]:
    """The data, and the network with its name and arguments and its optimiser."""
    check_settings(config)
    arguments = {"width": config.width, "low_width": config.low_width}
    architecture = {"name": config.network, "arguments": arguments}
    network = build_network(config.network, arguments)
    if config.start_from:
        start_from(config.start_from, architecture, network)
    data = read_data(config, np.random.default_rng(config.seed), noisy_target)
    return data, architecture, *set_up(fabric, network, config.learning_rate, ADAM_BETAS)


def check_folder(config: SupervisedCtConfig) -> None:
    """Refuse a run's folder that is not apart from the data's (UserError ``out-folder``)."""
    low_dose = [config.low_dose] if config.low_dose else []
    check_apart_from(config.out, [*config.full_dose, *config.pairs, *low_dose])


def check_settings(config: SupervisedCtConfig) -> None:
    """Refuse what cannot work before anything is read.

    Raises
    ------
    UserError
        ``not-positive`` or ``out-of-range``.
    """
    check_positive(config, "batch", "crop", "noisy_slices", "learning_rate", "width", "low_width")
    check_positive(config.input, "unit_hu")
    noise, levels = config.noise, (config.input.kept_level, config.input.wavelet_level)
    allowed = {
        "pairs_share": 0 <= config.pairs_share <= 1,
        "learning_rate": config.learning_rate <= 1,
        "noise.strength": 0 < noise.strength[0] <= noise.strength[1],
        "noise.blur": 0 < noise.blur[0] <= noise.blur[1],
        "noise.streak": 0 <= noise.streak[0] <= noise.streak[1],
        "noise.strong_share": 0 <= noise.strong_share <= 1,
        "noise.half_size_share": 0 <= noise.half_size_share <= 1,
        "input.wavelet_level": 1 <= levels[0] <= levels[1] <= 8,
        "input.wavelet": config.input.wavelet in pywt.wavelist(kind="discrete"),
    }
    for name, fits in allowed.items():
        if not fits:
            raise UserError("out-of-range", f"This value of {name} cannot work.", "See the field in --help.")
