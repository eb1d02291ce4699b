"""One study in a process of the cluster: denoised, or refused with the reason. It never raises."""

from __future__ import annotations

import time
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import Any

from inference_core.batch.ledger import DONE, FAILED, REFUSED
from inference_core.batch.recipe import Recipe
from inference_core.batch.studies import Study
from inference_core.errors import UserError


def denoise_study(root: str, out: str, study: Study, recipe: Recipe) -> dict[str, Any]:
    """Denoise a study into its place.

    Parameters
    ----------
    root, out : str
        Folders that every machine of the cluster sees under the same path.
    study : Study
    recipe : Recipe

    Returns
    -------
    dict
        An entry of the ledger. The result is there whole, or not at all.
    """
    from inference_core.denoiser import job as denoise

    name = study.name(recipe.parameters)
    output = Path(out, name if recipe.format == "dicom" else f"{name}{recipe.format}")
    entry: dict[str, Any] = {**asdict(study), "name": name, "status": DONE, "output": output.name}
    begun = time.perf_counter()
    try:
        report = denoise.run(
            denoise.DenoiseJob(
                str(Path(root, study.path)), str(output), study.series, recipe.model, recipe.strength, recipe.engine,
                recipe.device, recipe.threads, report=str(Path(out, f"{name}_report.json")),
            ),
            lambda kind, **fields: None,
            lambda: False,
        )  # fmt: skip
        entry |= {
            "model": report["model"]["id"],
            "noise_before_hu": round(report["noise_hu"]["before"], 2),
            "noise_after_hu": round(report["noise_hu"]["after"], 2),
            "low_band_change_hu": report["ct_number_check"]["low_band_change_hu"],
            "warnings": report["warnings"],
        }
    except UserError as error:
        entry |= {"status": REFUSED, "code": error.code, "message": error.message, "remedy": error.remedy}
    except MemoryError:
        message, remedy = "There is not enough memory for this volume.", "Run fewer workers, or crop the volume."
        entry |= {"status": REFUSED, "code": "out-of-memory", "message": message, "remedy": remedy}
    except Exception as error:
        traceback.print_exc()
        entry |= {
            "status": FAILED, "code": "internal", "message": f"{type(error).__name__}: {error}",
            "remedy": "This is a fault of the program: please report it with the log.",
        }  # fmt: skip
    if entry["status"] != DONE:
        entry["output"] = None
    return {**entry, "time_s": round(time.perf_counter() - begun, 2)}
