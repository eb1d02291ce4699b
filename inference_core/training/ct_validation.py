"""How good a denoiser in training is, on patients it is not trained on: with a full-dose reference, and without."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from inference_core.denoiser.pipeline import denoise_slice
from inference_core.image.picture import Panel
from inference_core.measurement.metrics import mean_shift, psnr
from inference_core.measurement.noise import noise_level
from inference_core.measurement.tissue import tissue_masks
from inference_core.training.ct_publish import DenoiserRun, draft_card
from inference_core.training.ct_slice_pairs import SlicePair

MOST_SLICES = 8
SHIFT_LIMIT = 0.5  # HU; further shifts cost PENALTY dB a HU in the reference-free score
PENALTY = 10.0
WINDOW = (-160.0, 240.0)
DIFFERENCE = (-100.0, 100.0)


class CtValidation:
    """Slices of the validation patients, run through the whole pipeline.

    Parameters
    ----------
    pairs : list of SlicePair
        Evenly thinned to :data:`MOST_SLICES`.
    config : DenoiserRun
    architecture : dict
        ``name`` and ``arguments`` of the network.
    network : Module
        As it is when a method is called.
    device : torch.device
    """

    def __init__(
        self,
        pairs: list[SlicePair],
        config: DenoiserRun,
        architecture: dict[str, Any],
        network: nn.Module,
        device: torch.device,
    ) -> None:
        self.config = config
        self.network = network
        self.device = device
        self.card = draft_card(config, architecture, halo=1)
        chosen = pairs[:: -(-len(pairs) // MOST_SLICES)]
        self.pairs = [(_whole(noisy), _whole(clean)) for noisy, clean in chosen]

    def denoised(self, image: NDArray[np.int16]) -> NDArray[np.int16]:
        """A slice as ``inference-core denoise`` would give it."""

        def run(high: NDArray[np.float32]) -> NDArray[np.float32]:
            multiple = self.card.multiple_of
            rows, columns = high.shape[1:]
            padded = np.pad(high, ((0, 0), (0, -rows % multiple), (0, -columns % multiple)), mode="reflect")
            with torch.no_grad():
                out = self.network(torch.from_numpy(padded)[:, None].to(self.device))
            return np.asarray(out.float().cpu()[:, 0, :rows, :columns])

        return denoise_slice(image, run, self.card)[0]

    def scores(self) -> dict[str, float]:
        """PSNR and its gain, noise reduction in dB, mean shifts in HU, and the score that ``score_by`` names."""
        rows = []
        for noisy, clean in self.pairs:
            out = self.denoised(noisy)
            masks = tissue_masks(clean)
            shifts = [mean_shift(out, noisy, masks[tissue]) for tissue in ("soft", "air")]
            reduction = 20 * np.log10(noise_level(noisy[None]) / max(noise_level(out[None]), 1e-3))
            rows.append([psnr(out, clean), psnr(noisy, clean), reduction, *shifts])
        after, before, reduction, soft, air = (float(value) for value in _means(rows))
        worst = np.nanmax(np.abs([soft, air, 0.0]))
        free = reduction - PENALTY * max(0.0, float(worst) - SHIFT_LIMIT)
        return {
            "psnr": after,
            "psnr_gain": after - before,
            "noise_reduction_db": reduction,
            "shift_soft": soft,
            "shift_air": air,
            "reference_free": free,
            "score": after if self.config.score_by == "paired" else free,
        }

    def panels(self) -> list[Panel]:
        """Input, output and change of up to three slices."""
        panels = []
        for noisy, _ in self.pairs[:3]:
            out = self.denoised(noisy)
            panels += [
                Panel("input", noisy, WINDOW),
                Panel("output", out, WINDOW),
                Panel("output - input", out.astype(np.float32) - noisy, DIFFERENCE),
            ]
        return panels


def _whole(image: NDArray[np.float32]) -> NDArray[np.int16]:
    return np.rint(np.clip(image, -2048, 32767)).astype(np.int16)


def _means(rows: list[list[float]]) -> NDArray[np.float64]:
    """Column means; NaN where a tissue is in no slice."""
    values = np.array(rows)
    known = ~np.isnan(values)
    total = np.where(known, values, 0).sum(axis=0)
    return np.where(known.any(axis=0), total / np.maximum(known.sum(axis=0), 1), np.nan)
