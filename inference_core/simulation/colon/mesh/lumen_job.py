"""The worker's job ``colon-lumen``: from a CT colonography and places in its lumen to the colon's surface."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from inference_core import __version__
from inference_core.errors import UserError
from inference_core.simulation.colon.mesh.lumen_of_ct import THRESHOLD
from inference_core.simulation.colon.teller import Teller

FIELDS = ("input", "seeds", "threshold", "output")


def run(job: dict[str, Any], emit: Callable[..., None], cancelled: Callable[[], bool]) -> dict[str, Any]:
    """Read, find the lumen, make its surface, write.

    Parameters
    ----------
    job : dict
        ``input``: CT that :func:`~inference_core.image.reading.read_volume` reads; ``seeds``: list of [x, y, z] in mm,
        LPS; ``output``: surface file; optionally ``threshold`` in HU.
    emit : callable
        As for :func:`inference_core.denoiser.job.run`.
    cancelled : callable
        Asked at each step.

    Returns
    -------
    dict
        ``volume_ml`` (of the gas), ``vertices``, ``faces``, ``threshold_hu``, ``input``, ``output``, ``warnings``,
        ``time_s``, ``version``.

    Raises
    ------
    UserError
    Cancelled
        Nothing has been written then.
    """
    from inference_core.image.reading import read_volume
    from inference_core.simulation.colon.mesh.label_maps import SURFACE_FACES
    from inference_core.simulation.colon.mesh.lumen_of_ct import lumen_of_ct
    from inference_core.simulation.colon.mesh.surface_files import write_surface
    from inference_core.simulation.colon.mesh.surface_from_labels import surface_of_mask

    threshold = _check_job(job)
    begun = time.perf_counter()
    teller = Teller(emit, cancelled)
    teller.begin("read")
    volume = teller.wait_for(lambda: read_volume(Path(job["input"])))
    for warning in volume.warnings:
        teller.warn(warning)
    teller.begin("lumen")
    seeds = np.array(job["seeds"], np.float64)
    mask, notes = teller.wait_for(lambda: lumen_of_ct(volume, seeds, threshold))
    for note in notes:
        teller.warn(note)
    teller.begin("surface")
    surface = teller.wait_for(
        lambda: surface_of_mask(mask, volume.spacing, volume.origin, volume.direction, SURFACE_FACES)
    )
    teller.begin("write")
    write_surface(surface, Path(job["output"]))
    return {
        "version": __version__,
        "input": Path(job["input"]).name,
        "output": job["output"],
        "threshold_hu": threshold,
        "volume_ml": round(float(np.count_nonzero(mask)) * volume.voxel_volume / 1000, 1),
        "vertices": len(surface.vertices),
        "faces": len(surface.faces),
        "warnings": teller.warnings,
        "time_s": round(time.perf_counter() - begun, 2),
    }


def _check_job(job: dict[str, Any]) -> float:
    """Refuse a job before any work is done for it; gives its threshold."""
    from inference_core.image.writing import check_folder
    from inference_core.simulation.colon.mesh.surface_files import surface_suffix

    threshold = job.get("threshold", THRESHOLD)
    seeds = job.get("seeds")
    fits = (
        set(job) - {"job"} <= set(FIELDS)
        and all(isinstance(job.get(name), str) for name in ("input", "output"))
        and isinstance(threshold, (int, float))
        and isinstance(seeds, list)
        and all(isinstance(seed, list) and len(seed) == 3 for seed in seeds)
        and all(isinstance(x, (int, float)) for seed in seeds for x in seed)
    )
    if not fits:
        raise UserError("bad-job", f"A colon-lumen job takes {', '.join(FIELDS)}.", "Send the documented fields.")
    surface_suffix(Path(job["output"]))
    check_folder(Path(job["output"]))
    return float(threshold)
