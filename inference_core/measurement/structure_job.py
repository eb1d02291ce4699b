"""The structure job: search what a denoiser took out for anatomy, and mark it in a label map."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from inference_core.errors import Cancelled, UserError

FIELDS = ("before", "after", "output")
BRIGHT, DARK = 1, 2
"""Labels: something bright was taken out (a bone that is fainter now), something dark was (a gap that is filled)."""
MOST_REGIONS = 100  # in the report


def run(job: dict[str, Any], emit: Callable[..., None], cancelled: Callable[[], bool]) -> dict[str, Any]:
    """Run :func:`inference_core.measurement.residual_structure.residual_structure` on two files.

    Parameters
    ----------
    job : dict
        ``before`` and ``after``: volume files on one grid, HU; ``output``: where the label map goes, int16.
    emit : callable
        As for :func:`inference_core.denoiser.job.run`.
    cancelled : callable
        Asked before each slice.

    Returns
    -------
    dict
        ``threshold``, ``false_alarm``; ``regions``: how many, ``volume_mm3``: of all; ``strongest``: the first hundred
        of them, each with ``index`` (slice, row, column), ``voxels``, ``volume_mm3`` and ``z``.

    Raises
    ------
    UserError
        ``bad-job``, or where a file cannot be read or written.
    Cancelled
    """
    from inference_core.image.reading import read_volume
    from inference_core.image.writing import write_volume
    from inference_core.measurement.residual_structure import residual_structure
    from inference_core.measurement.statistics import check_same_grid

    if any(not isinstance(job.get(name), str) for name in FIELDS):
        raise UserError("bad-job", f"A structure job takes {', '.join(FIELDS)}.", "Send the documented fields.")
    emit("progress", stage="read", done=0, total=1, eta_s=None)
    before, after = read_volume(job["before"]), read_volume(job["after"])
    check_same_grid(before, after)
    slices = len(before.voxels)

    def each(index: int) -> None:
        if cancelled():
            raise Cancelled
        emit("progress", stage="search", done=index, total=slices, eta_s=None)

    found = residual_structure(before.voxels, after.voxels, before.spacing, each=each)
    emit("progress", stage="search", done=slices, total=slices, eta_s=None)
    labels = np.zeros(found.z.shape, np.int16)
    labels[found.z > found.threshold], labels[found.z < -found.threshold] = BRIGHT, DARK
    write_volume(before.with_voxels(labels), Path(job["output"]), lambda: not cancelled())
    return {
        "threshold": found.threshold,
        "false_alarm": found.false_alarm,
        "regions": len(found.regions),
        "volume_mm3": float(sum(region.volume_mm3 for region in found.regions)),
        "strongest": [asdict(region) for region in found.regions[:MOST_REGIONS]],
    }
