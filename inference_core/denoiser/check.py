"""The check job: what a blend did to the noise and to the CT numbers, as the report of a run says it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from inference_core.errors import Cancelled, UserError

FIELDS: dict[str, Any] = {"input": str, "output": str, "model": str, "strength": (int, float)}


def run(job: dict[str, Any], emit: Callable[..., None], cancelled: Callable[[], bool]) -> dict[str, Any]:
    """Compare a volume with what was made from it.

    Parameters
    ----------
    job : dict
        ``input`` and ``output``: volume files of one shape, HU; ``model``: id of what made it; ``strength``: by which
        it was blended, 0 to 1.
    emit : callable
        As for :func:`inference_core.denoiser.job.run`.
    cancelled : callable
        Asked before each step.

    Returns
    -------
    dict
        Those parts of a run's report that depend on the strength: ``strength``, ``noise_hu`` (``after``),
        ``ct_number_check``, ``output`` (``sha256_voxels``).

    Raises
    ------
    UserError
        ``bad-job``, or where a file cannot be read.
    Cancelled
    """
    from inference_core.denoiser.pipeline import available_cores, largest_low_band_change
    from inference_core.image.reading import read_volume
    from inference_core.measurement.ct_number import check_ct_numbers, what_moved
    from inference_core.measurement.noise import noise_level
    from inference_core.models.registry import find_model
    from inference_core.provenance import sha256_of_voxels

    if any(not isinstance(job.get(name), kind) for name, kind in FIELDS.items()):
        raise UserError("bad-job", f"A check job takes {', '.join(FIELDS)}.", "Send the documented fields.")
    emit("progress", stage="read", done=0, total=1, eta_s=None)
    card = find_model(job["model"], "denoise-ct")
    before, after = read_volume(job["input"]).voxels, read_volume(job["output"]).voxels
    if before.shape != after.shape:
        shapes = f"{before.shape} and {after.shape}"
        raise UserError("bad-job", f"{shapes} differ in shape.", "Give a volume and its result.")
    moved = largest_low_band_change(before, after, card)
    if cancelled():
        raise Cancelled
    rows = check_ct_numbers(before, after, job["strength"], available_cores())
    if cancelled():
        raise Cancelled
    return {
        "strength": job["strength"],
        "noise_hu": {"after": round(noise_level(after), 2)},
        "ct_number_check": {
            "passed": not what_moved(rows, moved),
            "low_band_change_hu": round(moved, 4),
            "tissues": [asdict(row) for row in rows],
        },
        "output": {"sha256_voxels": sha256_of_voxels(after)},
    }
