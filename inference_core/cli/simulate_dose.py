"""``inference-core simulate-dose``: a CT in, the same CT at a lower dose out."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Literal

from inference_core import __version__
from inference_core.errors import UserError


def simulate_dose(
    input: Path,
    output: Path,
    dose: float | None = None,
    seed: int = 0,
    form: Literal["projection", "image"] = "projection",
    photons: float | None = None,
    ct_number_shift: float = 1.0,
    series: str | None = None,
) -> None:
    """Insert the noise that a CT would have more of at a lower dose.

    Beside the output goes a record of how it was made (OUT_dose.json).

    Args:
        input: Volume file (.nrrd, .nhdr, .mha, .mhd, .nii, .nii.gz), DICOM file, or folder with a DICOM series.
        output: Volume file to write.
        dose: Fraction of the input's dose, between 0 and 1; has to be given.
        seed: Of the noise; the same seed gives the same file.
        form: projection (photons are drawn and back-projected) or image (faster, drawn in the image).
        photons: Per ray of the input's scan in air; by default measured from its noise. Needed for an image without
            noise.
        ct_number_shift: Factor for CT numbers below 0 HU, e.g. 0.87 for a scanner that shows air too bright.
        series: SeriesInstanceUID, where the folder holds several series.
    """
    from dataclasses import asdict
    from statistics import median

    from tqdm import tqdm

    from inference_core.image.reading import read_volume
    from inference_core.image.writing import write_aside, write_volume
    from inference_core.measurement.noise import noise_level
    from inference_core.simulation import low_dose

    if dose is None:
        raise UserError("dose", "No dose is given.", "Say --dose 0.25, for example, for a quarter of the dose.")
    low_dose.check_options(dose, seed, form, photons, ct_number_shift)
    record_path = check_paths(input, output)
    volume = read_volume(input, series)
    with tqdm(total=len(volume.voxels), unit="slice", file=sys.stderr, disable=None, leave=False) as bar:
        result, record = low_dose.simulate_dose(
            volume, dose, seed, form, photons, ct_number_shift, progress=lambda done, _: bar.update(done - bar.n)
        )
    for warning in record.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    text = json.dumps({"version": __version__, "input": input.name, **asdict(record)}, indent=1, allow_nan=False) + "\n"
    write_volume(result, output)
    write_aside(record_path, lambda path: path.write_text(text, encoding="utf-8"))
    how = "measured" if record.photons_measured else "given"
    print(
        f"{input.name} at {dose:g} of its dose: noise {noise_level(volume.voxels):.1f} ->"
        f" {noise_level(result.voxels):.1f} HU; {median(record.photons):.3g} photons per ray ({how}),"
        f" kernel {record.kernel}"
    )
    print(f"wrote {output}, {record_path}")


def check_paths(input: Path, output: Path) -> Path:
    """Refuse an output that cannot be written or is the input; return where the record goes."""
    from inference_core.image.reading import volume_suffix
    from inference_core.image.writing import check_folder, check_writable, data_files

    stem = output.name[: -len(volume_suffix(output) or "")] if volume_suffix(output) else output.name
    record = output.with_name(f"{stem}_dose.json")
    kept = {path.resolve() for path in (input, *data_files(input))}
    for path in (output, *data_files(output), record):
        if path.resolve() in kept:
            raise UserError(
                "same-file", f"{path} is the input.", "Give the output another name: the original is never changed."
            )
    check_writable(output)
    check_folder(record)
    return record
