"""``inference-core denoise``: a CT in, a denoised CT out, and the proof that no CT number moved."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from inference_core import client


def denoise(
    input: Path,
    output: Path,
    model: str | None = None,
    strength: float = 1.0,
    series: str | None = None,
    roi: list[Path] | None = None,
    roi_transform: Path | None = None,
    engine: str = "auto",
    device: str = "auto",
    precision: str = "float32",
    threads: int | None = None,
    again: Path | None = None,
) -> None:
    """Denoise a CT; print the ROI table and the CT-number check.

    Beside the output go a picture (OUT_comparison.png: before, after, difference) and a report (OUT_report.json).

    Args:
        input: Volume file (.nrrd, .nhdr, .mha, .mhd, .nii, .nii.gz), DICOM file, DICOMDIR, or folder with
            a DICOM series.
        output: Volume file to write; or a new or empty folder, for a derived DICOM series (from DICOM input).
        model: Id or card of a model; by default the one that fits the volume.
        strength: 0 (unchanged) to 1 (fully denoised).
        series: SeriesInstanceUID, where the folder holds several series.
        roi: ROI files to measure before and after (.mrk.json, .seg.nrrd, label map, .json).
        roi_transform: Transform the ROIs were under in Slicer, if it was not hardened.
        engine: auto, onnxruntime or torch.
        device: auto, cpu, cuda, cuda:N or mps.
        precision: float32; or bfloat16 for models of the papers' network, where the processor has it (torch).
        threads: Slices worked on at a time; by default one a core.
        again: Report (..._report.json) or DICOM series of an earlier result: make the same again, to the byte.
    """
    from inference_core.image.reading import volume_suffix

    output = Path(os.path.abspath(output))  # "." has no name
    stem = output.with_name(output.name[: len(output.name) - len(volume_suffix(output) or "")])
    picture, record = stem.with_name(f"{stem.name}_comparison.png"), stem.with_name(f"{stem.name}_report.json")
    report = run_denoise(
        {
            "job": "denoise",
            "input": str(input.absolute()),
            "output": str(output.absolute()),
            "model": model,
            "strength": strength,
            "series": series,
            "rois": [str(file.absolute()) for file in roi or []],
            "roi_transform": str(roi_transform.absolute()) if roi_transform else None,
            "engine": engine,
            "device": device,
            "precision": precision,
            "threads": threads,
            "again": str(again.absolute()) if again else None,
            "picture": str(picture.absolute()),
            "report": str(record.absolute()),
        }
    )
    print_report(report)
    print(f"\nwrote {output}, {picture}, {record}")


def run_denoise(job: dict[str, Any]) -> dict[str, Any]:
    """Run the job in the worker under a progress bar; warnings go to standard error."""
    from tqdm import tqdm

    with tqdm(total=None, unit="slice", file=sys.stderr, disable=None, leave=False) as bar:

        def show(message: dict[str, Any]) -> None:
            if message["type"] == "progress" and message["stage"] == "denoise":
                bar.total = message["total"]
                bar.update(message["done"] - bar.n)
            elif message["type"] == "progress":
                bar.set_description(message["stage"])
            else:
                prefix = "warning: " if message["type"] == "warning" else ""
                tqdm.write(f"{prefix}{message['message']}", file=sys.stderr)

        return client.run(job, show)


def print_report(report: dict[str, Any]) -> None:
    """The report's tables for a terminal."""
    from inference_core.measurement.ct_number import TissueShift, format_check
    from inference_core.measurement.statistics import RoiChange, format_table

    engine, noise, check = report["engine"], report["noise_hu"], report["ct_number_check"]
    print(
        f"{report['input']['name']}: {' x '.join(map(str, report['input']['shape']))} voxels,"
        f" noise {noise['before']:.1f} -> {noise['after']:.1f} HU; {report['model']['id']} on {engine['name']}"
        f" ({engine['device']}), {report['time']['denoise_s']:.1f} s"
    )
    if report["rois"]:
        print("\nROI (HU)")
        print(format_table([RoiChange(**row) for row in report["rois"]]))
    print("\nCT-number check")
    print(format_check([TissueShift(**row) for row in check["tissues"]], check["low_band_change_hu"]))
