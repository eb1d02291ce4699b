"""Score the output of one method on one CT, slice by slice."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_core.evaluation.detail import edge_ratio, strongest_edges
from inference_core.evaluation.pairs import Pair
from inference_core.measurement.metrics import mean_shift, psnr, psnr_slice_max, ssim, ssim_slice_max
from inference_core.measurement.noise import noise_level
from inference_core.measurement.tissue import tissue_masks


@dataclass(frozen=True)
class Row:
    """Scores of one method on one slice; HU unless said. NaN: nothing to measure on.

    Attributes
    ----------
    method, scan, subject, name : str
    slice : int
        Index in its file.
    psnr, ssim, psnr_slice_max, ssim_slice_max : float
        Against the reference, PSNR in dB; see :mod:`inference_core.measurement.metrics`.
    gain : float
        PSNR minus that of the untouched low-dose slice, dB.
    edge_ratio : float
        See :func:`inference_core.evaluation.detail.edge_ratio`.
    soft, air, bone, whole : float
        Mean of output - low dose, in tissue masks and over the whole slice.
    std_soft_before, std_soft : float
        Standard deviation (population) of the low-dose slice and of the output in the soft-tissue mask, anatomy in it
        included.
    noise_before, noise : float
        In the flattest soft-tissue blocks (:func:`inference_core.measurement.noise.noise_level`).
    cpu_seconds : float
        Of the slice, or of its volume divided by its slices.
    """

    method: str
    scan: str
    subject: str
    name: str
    slice: int
    psnr: float
    gain: float
    ssim: float
    psnr_slice_max: float
    ssim_slice_max: float
    edge_ratio: float
    soft: float
    air: float
    bone: float
    whole: float
    std_soft_before: float
    std_soft: float
    noise_before: float
    noise: float
    cpu_seconds: float


def score_slice(pair: Pair, index: int, outputs: dict[str, NDArray[Any]], seconds: dict[str, float]) -> list[Row]:
    """Score every method on one slice.

    Tissue is found on the reference; without one, on each output, because on a noisy slice noise would decide what
    counts as tissue.

    Parameters
    ----------
    pair : Pair
    index : int
        Of the slice.
    outputs : dict of (slices, H, W) arrays
        int16 HU, by method.
    seconds : dict of float
        CPU seconds a slice, by method.
    """
    low = pair.low.voxels[index]
    reference = None if pair.reference is None else pair.reference.voxels[index]
    edges = None if reference is None else strongest_edges(reference)
    masks = None if reference is None else tissue_masks(reference)
    noise_before = noise_level(low[None])
    psnr_before = math.nan if reference is None else psnr(low, reference)
    rows = []
    for method, volume in outputs.items():
        output = volume[index]
        inside = tissue_masks(output) if masks is None else masks
        against = _against(output, low, reference, edges, psnr_before)
        rows.append(
            Row(
                method=method,
                scan=pair.scan,
                subject=pair.subject,
                name=pair.name,
                slice=index,
                **against,
                **{tissue: mean_shift(output, low, mask) for tissue, mask in inside.items()},
                whole=mean_shift(output, low),
                std_soft_before=_std(low, inside["soft"]),
                std_soft=_std(output, inside["soft"]),
                noise_before=noise_before,
                noise=noise_level(output[None]),
                cpu_seconds=seconds[method],
            )
        )
    return rows


def _against(
    output: NDArray[Any],
    low: NDArray[Any],
    reference: NDArray[Any] | None,
    edges: NDArray[np.bool_] | None,
    psnr_before: float,
) -> dict[str, float]:
    """The scores that need a reference, or NaN for each of them."""
    if reference is None:
        names = ("psnr", "gain", "ssim", "psnr_slice_max", "ssim_slice_max", "edge_ratio")
        return dict.fromkeys(names, math.nan)
    after = psnr(output, reference)
    return {
        "psnr": after,
        "gain": 0.0 if output is low else after - psnr_before,
        "ssim": ssim(output, reference),
        "psnr_slice_max": psnr_slice_max(output, reference),
        "ssim_slice_max": ssim_slice_max(output, reference),
        "edge_ratio": edge_ratio(output, reference, edges),
    }


def _std(image: NDArray[Any], mask: NDArray[np.bool_]) -> float:
    return float(image[mask].std(dtype=np.float64)) if mask.any() else math.nan
