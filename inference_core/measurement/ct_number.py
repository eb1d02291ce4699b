"""The CT-number check: by how much did the mean of each tissue move?"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_core.measurement.tissue import tissue_masks

LIMIT_HU = {"air": 0.5, "soft": 0.5, "bone": 10.0}
"""Largest shift of a tissue's mean that passes. Bone borders on everything else, so its mean moves with its edges."""
LOW_BAND_LIMIT = 2.0
"""Largest change of the low band in any pixel that passes, HU; models that keep it stay below 0.5."""
MOST_SLICES = 64


@dataclass(frozen=True)
class TissueShift:
    """One tissue before and after; HU.

    Attributes
    ----------
    tissue : str
    voxels : int
    mean_before, mean_after : float
    shift : float
        mean(after - before).
    uncertainty : float
        Three standard errors of ``shift`` from the noise that was taken out, were it white; a shift below it may be
        chance.
    passed : bool
        Whether the shift is within the tissue's limit, or within its uncertainty where that is wider.
    """

    tissue: str
    voxels: int
    mean_before: float
    mean_after: float
    shift: float
    uncertainty: float
    passed: bool


def check_ct_numbers(
    before: NDArray[Any], after: NDArray[Any], strength: float = 1.0, threads: int = 1
) -> list[TissueShift]:
    """Compare tissue means of two volumes over at most 64 evenly spaced slices.

    The tissues are found on the fully denoised image: on a noisy one, noise would decide what counts as tissue and so
    bias the comparison.

    Parameters
    ----------
    before, after : (slices, rows, columns) arrays
        HU.
    strength : float
        By which ``after`` was blended; the fully denoised image is found from it.
    threads : int

    Returns
    -------
    list of TissueShift; a tissue of which there is too little (fewer than 100 voxels) is left out.
    """
    chosen = np.unique(np.linspace(0, len(after) - 1, MOST_SLICES).astype(int))

    def sums(index: int) -> dict[str, NDArray[np.float64]]:
        one, two = before[index].astype(np.float64), after[index].astype(np.float64)
        change = two - one
        denoised = one + change / strength if strength else one
        return {
            tissue: np.array([mask.sum(), one[mask].sum(), two[mask].sum(), (change[mask] ** 2).sum()])
            for tissue, mask in tissue_masks(denoised).items()
        }

    with ThreadPoolExecutor(threads) as pool:
        per_slice = list(pool.map(sums, chosen))
    rows = []
    for tissue, limit in LIMIT_HU.items():
        voxels, one, two, squares = np.sum([sums_of[tissue] for sums_of in per_slice], axis=0)
        if voxels < 100:
            continue
        shift = (two - one) / voxels
        uncertainty = 3 * float(np.sqrt(squares / voxels / voxels))
        rows.append(
            TissueShift(
                tissue,
                int(voxels),
                one / voxels,
                two / voxels,
                shift,
                uncertainty,
                bool(abs(shift) <= max(limit, uncertainty)),
            )
        )
    return rows


def what_moved(rows: list[TissueShift], low_band_change: float) -> str:
    """In words, what moved too far; empty where nothing did.

    A tissue's mean can stay where single places move far, up here and down there: the low band tells.
    """
    moved = [f"{row.tissue} {row.shift:+.2f} HU" for row in rows if not row.passed]
    if low_band_change > LOW_BAND_LIMIT:
        moved.append(f"places larger than 64 pixels by up to {low_band_change:.1f} HU")
    return ", ".join(moved)


def format_check(rows: list[TissueShift], low_band_change: float) -> str:
    """The check as lines for a terminal."""
    lines = [f"{'tissue':<12} {'voxels':>10} {'before':>9} {'after':>9} {'shift HU':>9}  check"]
    lines += [
        f"{row.tissue:<12} {row.voxels:>10} {row.mean_before:>9.2f} {row.mean_after:>9.2f} {row.shift:>+9.2f}"
        f"  {'ok' if row.passed else 'MOVED'} (limit {max(LIMIT_HU[row.tissue], row.uncertainty):.2f})"
        for row in rows
    ]
    state = "" if low_band_change <= LOW_BAND_LIMIT else f"  MOVED (limit {LOW_BAND_LIMIT:.2f})"
    lines.append(f"low band (coarser than 64 pixels): moved by {low_band_change:.3f} HU at most{state}")
    return "\n".join(lines)
