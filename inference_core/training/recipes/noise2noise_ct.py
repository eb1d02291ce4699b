"""Recipe ``noise2noise_ct``: learn from noisy targets alone (Lehtinen et al., Noise2Noise, ICML 2018).

As ``supervised_ct``, but the target of each sample has noise of its own, as strong as the input's and independent
of it; no cleaner image is seen. ``pairs`` are then two scans of one anatomy at low dose (folders ``low`` and ``full``).

    inference-core train denoiser --config noise2noise_ct full_dose='[SCANS]' out=runs/mine
"""

from __future__ import annotations

from dataclasses import dataclass

from inference_core.training.recipes import supervised_ct


@dataclass(frozen=True, kw_only=True)
class Noise2NoiseCtConfig(supervised_ct.SupervisedCtConfig):
    """As ``supervised_ct``."""


def train(config: Noise2NoiseCtConfig) -> None:
    """Run the recipe; see :func:`inference_core.training.recipes.supervised_ct.train`."""
    supervised_ct.train(config, "noise2noise_ct", noisy_target=True)
