"""The denoise job: from a file to a file, with everything the user wants to know about it."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inference_core import __version__
from inference_core.errors import UserError
from inference_core.image.volume import Volume
from inference_core.provenance import (
    check_input,
    check_model_and_engine,
    check_result,
    ct_number_part,
    denoised_before,
    input_part,
    model_and_engine,
    read_provenance,
    sha256_of_voxels,
)

if TYPE_CHECKING:
    from inference_core.models.card import Card

Emit = Callable[..., None]
"""``emit(type, **fields)`` sends one message: progress, log or warning."""


@dataclass(frozen=True)
class DenoiseJob:
    """What to denoise and how; paths as strings, as they travel in JSON."""

    input: str
    """Volume file, DICOM file, or folder with a DICOM series."""
    output: str
    """Volume file to write; a new or empty folder: a derived DICOM series."""
    series: str | None = None
    """SeriesInstanceUID, where the folder holds several."""
    model: str | None = None
    """Id or path; None: the one that fits."""
    strength: float = 1.0
    engine: str = "auto"
    device: str = "auto"
    threads: int | None = None
    modality: str | None = None
    """DICOM modality and kernel, where the caller knows what the file does not say."""
    kernel: str | None = None
    rois: tuple[str, ...] = ()
    """ROI files to measure before and after."""
    roi_transform: str | None = None
    picture: str | None = None
    """PNG to write."""
    report: str | None = None
    """JSON to write."""
    again: str | None = None
    """Report or DICOM series of an earlier result, to be made again: it says which model, engine and strength."""
    precision: str = "float32"
    """``bfloat16``: dense blocks of the papers' generator compute in it."""


def job_from(message: dict[str, Any]) -> DenoiseJob:
    """A job from its JSON.

    Raises
    ------
    UserError
        ``bad-job`` for an unknown or missing field.
    """
    known = {field.name for field in fields(DenoiseJob)}
    unknown = set(message) - known - {"job"}
    if unknown or not {"input", "output"} <= set(message):
        raise UserError(
            "bad-job",
            f"A denoise job takes {', '.join(sorted(known))}, not {', '.join(sorted(message))}.",
            "Client and worker may be of different versions; install one of them again.",
        )
    texts = ("input", "output", "engine", "device", "precision")
    texts_or_none = ("series", "model", "modality", "kernel", "roi_transform", "picture", "report", "again")
    wrong = [
        name
        for name, value in message.items()
        if isinstance(value, bool)
        or (name == "strength" and not isinstance(value, (int, float)))
        or (name == "threads" and not (value is None or isinstance(value, int)))
        or (name in texts and not isinstance(value, str))
        or (name in texts_or_none and not (value is None or isinstance(value, str)))
        or (name == "rois" and not (isinstance(value, (list, tuple)) and all(isinstance(roi, str) for roi in value)))
    ]
    if wrong:
        raise UserError("bad-job", f"The job's {', '.join(wrong)} is of the wrong type.", "Send the documented types.")
    given = {name: value for name, value in message.items() if name in known}
    return DenoiseJob(**{**given, "rois": tuple(given.get("rois", ()))})


def run(job: DenoiseJob, emit: Emit, cancelled: Callable[[], bool]) -> dict[str, Any]:
    """Read, check, choose, denoise, measure, write.

    Returns
    -------
    dict
        The report, as written to ``job.report``.

    Raises
    ------
    UserError
        With the remedy; no half file has been written then, and no volume unless only its picture or report failed.
    Cancelled
        Nothing has been written then either.
    """
    from inference_core.denoiser.guard import check_ct
    from inference_core.denoiser.pipeline import available_cores, denoise_volume, largest_low_band_change
    from inference_core.image.dicom_pixels import storable
    from inference_core.image.dicom_writing import check_has_files
    from inference_core.image.reading import read_volume
    from inference_core.measurement.ct_number import check_ct_numbers, what_moved
    from inference_core.measurement.noise import noise_level
    from inference_core.models.engines import open_engine
    from inference_core.models.registry import find_model, suggest_denoiser

    _check_paths(job)
    job, earlier = _as_earlier(job)
    started = time.perf_counter()
    emit("progress", stage="read", done=0, total=1, eta_s=None)
    before = _with_known(read_volume(job.input, job.series), job)
    if _writes_series(job):
        check_has_files(before)
    with ThreadPoolExecutor(1) as beside:
        hashing = beside.submit(input_part, before)
        warnings = [*before.warnings, *check_ct(before)]
        if denoised_before(before.files):
            warnings.append("This series is itself denoised; denoise the original instead.")
        rois = _read_rois(job, before)
        noise = noise_level(before.voxels)
        said_of_input = hashing.result()
    if earlier:
        check_input(earlier, said_of_input)
        card, reason = _model_of(earlier), "as in the earlier result"
    elif job.model is None:
        card, reason = suggest_denoiser(before.modality, before.kernel, noise)
    else:
        card, reason = find_model(job.model, "denoise-ct"), "chosen by the user"
    warnings += _outside_training(card, before, noise)
    for warning in warnings:
        emit("warning", message=warning)
    emit("log", message=f"model {card.id}: {reason}")
    engine = open_engine(card, job.engine, job.device, job.precision)
    made_by = model_and_engine(card, engine)
    if earlier:
        check_model_and_engine(earlier, made_by)
    read_seconds = time.perf_counter() - started

    begun = time.perf_counter()

    def progress(done: int, total: int) -> None:
        eta = (time.perf_counter() - begun) / done * (total - done)
        emit("progress", stage="denoise", done=done, total=total, eta_s=round(eta, 1))

    threads = job.threads or available_cores()
    after, done = denoise_volume(before, card, engine, job.strength, job.threads, progress, cancelled)
    if done.tile:
        warnings.append(
            f"The memory did not suffice for whole slices: tiles of {done.tile} pixels were used (same result)."
        )
        emit("warning", message=warnings[-1])
    with _written_early(job, after, cancelled) as finish, ThreadPoolExecutor(1) as beside:
        result_sha256 = sha256_of_voxels(after.voxels)
        if earlier:
            check_result(earlier, result_sha256)
        low_band_change, written_sha256 = done.low_band_change, result_sha256
        if _writes_series(job):
            after, clipped = storable(after, before.voxels)
            written_sha256 = sha256_of_voxels(after.voxels)
            if clipped:
                low_band_change = largest_low_band_change(before.voxels, after.voxels, card)
                warnings.append(
                    f"{clipped} voxels were set to the nearest value that the source's DICOM files can hold."
                )
                emit("warning", message=warnings[-1])
        noise_after = beside.submit(noise_level, after.voxels)
        check = check_ct_numbers(before.voxels, after.voxels, job.strength, threads)
        moved = what_moved(check, low_band_change)
        if moved:
            warnings.append(f"CT numbers moved: {moved}. Do not measure on this result.")
            emit("warning", message=warnings[-1])
        moment = {"at": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "denoise_s": round(done.seconds, 2)}
        report: dict[str, Any] = {
            "software": {"name": "faithful-imaging", "version": __version__, "python": platform.python_version()},
            "input": {
                # The name of a folder with a patient's series is often the patient's.
                "name": "DICOM series" if before.files else Path(job.input).name,
                "shape": list(before.voxels.shape),
                "spacing_mm": list(before.spacing),
                "modality": before.modality,
                "kernel": before.kernel,
                "sha256_voxels": said_of_input["sha256"],
            },
            "output": {
                "name": Path(job.output).name,
                "format": "DICOM series" if _writes_series(job) else "volume file",
                "sha256_voxels": written_sha256,
            },
            "model": {"id": card.id, "reason": reason, "sha256": card.sha256},
            "engine": {
                "name": engine.name,
                "device": engine.device,
                "precision": engine.precision,
                "threads": done.threads,
                "tile": done.tile,
            },
            "strength": job.strength,
            "noise_hu": {"before": round(noise, 2), "after": round(noise_after.result(), 2)},
            "ct_number_check": {
                "passed": not moved,
                "low_band_change_hu": round(low_band_change, 4),
                "tissues": [asdict(row) for row in check],
            },
            "rois": _measure(rois, before, after),
            "slices": {"all": done.slices, "constant": done.constant_slices, "padding_voxels": done.padding_voxels},
            "warnings": warnings,
            "time": {"read_s": round(read_seconds, 2), **moment},
        }
        report["provenance"] = {
            **made_by,
            "parameters": {"strength": job.strength},
            "input": said_of_input,
            "result": {"sha256": result_sha256},
            "ct_numbers": ct_number_part(report["ct_number_check"]),
            "time": moment,
        }
        _write(job, before, after, report, finish, emit, cancelled)
    return report


def _check_paths(job: DenoiseJob) -> None:
    from inference_core.image.dicom_writing import check_series_folder
    from inference_core.image.writing import check_folder, check_writable, data_files

    output, source = Path(job.output), Path(job.input)
    given = [Path(path) for path in (job.input, job.roi_transform, job.again, *job.rois) if path]
    kept = {path.resolve() for path in (*given, *data_files(source))}
    made = [Path(path) for path in (job.output, job.picture, job.report) if path]
    for path in (*made, *data_files(output)):
        if path.resolve() in kept:
            what = "the input" if path.resolve() == source.resolve() else "a file that is read"
            raise UserError(
                "same-file", f"{path} is {what}.", "Give the output another name: the original is never changed."
            )
    _check_outside(made, given)
    if _writes_series(job):
        check_series_folder(output)
    else:
        check_writable(output)
    for path in made[1:]:
        check_folder(path)


def _check_outside(made: list[Path], given: list[Path]) -> None:
    """A result within a series that is read would be taken for a part of it the next time."""
    for folder in filter(Path.is_dir, given):
        for path in made:
            if folder.resolve() in path.resolve().parents:
                raise UserError(
                    "inside-input",
                    f"The output {path} lies inside the input {folder}.",
                    "Give it a place outside that folder, beside it for instance.",
                )


def _writes_series(job: DenoiseJob) -> bool:
    from inference_core.image.reading import volume_suffix

    return volume_suffix(Path(job.output)) is None


def _as_earlier(job: DenoiseJob) -> tuple[DenoiseJob, dict[str, Any] | None]:
    """The job with the model, engine and strength of the earlier result that it is to make again."""
    from dataclasses import replace

    if job.again is None:
        return job, None
    if (job.model, job.strength, job.engine, job.device, job.precision) != (None, 1, "auto", "auto", "float32"):
        raise UserError(
            "again-and-more",
            "The earlier result already says which model, strength, engine, device and precision made it.",
            "Give --again alone; or denoise without it.",
        )
    earlier = read_provenance(Path(job.again))
    model, engine = earlier["model"]["id"], earlier["engine"]
    strength = float(earlier["parameters"]["strength"])
    how = {"engine": engine["name"], "device": engine["device"], "precision": engine["precision"]}
    return replace(job, model=model, strength=strength, **how), earlier


def _model_of(earlier: dict[str, Any]) -> Card:
    """The installed model of the earlier result's name; whether it is the same one is checked by its hash."""
    from inference_core.models.registry import list_models

    name = earlier["model"]["id"]
    for card in list_models("denoise-ct"):
        if card.id == name:
            return card
    raise UserError(
        "other-model",
        f"The earlier result was made by the model {name}, which is not installed.",
        "Add that model (inference-core models --add CARD) and give the same command again.",
    )


def _with_known(volume: Volume, job: DenoiseJob) -> Volume:
    from dataclasses import replace

    return replace(volume, modality=volume.modality or job.modality, kernel=volume.kernel or job.kernel)


def _outside_training(card: Any, volume: Volume, noise: float) -> list[str]:
    warnings = []
    low, high = card.noise_hu
    if not low <= noise <= high:
        warnings.append(
            f"The measured noise, {noise:.0f} HU, lies outside what {card.id} was trained for ({low:g} to {high:g} HU)."
            " Fine structure may be lost: compare, and lower the strength if so."
        )
    low, high = card.pixel_size_mm
    if not 0.99 * low <= volume.spacing[0] <= 1.01 * high:
        warnings.append(
            f"The pixel size, {volume.spacing[0]:.3g} mm, lies outside what {card.id} was trained for"
            f" ({low:g} to {high:g} mm)."
        )
    return warnings


def _read_rois(job: DenoiseJob, volume: Volume) -> list[Any]:
    if not job.rois:
        return []
    from inference_core.measurement.roi_files import read_rois, read_transform

    transform = read_transform(Path(job.roi_transform)) if job.roi_transform else None
    return [roi for file in job.rois for roi in read_rois(Path(file), volume, transform)]


def _measure(rois: list[Any], before: Volume, after: Volume) -> list[dict[str, Any]]:
    if not rois:
        return []
    from inference_core.measurement.statistics import compare

    return [asdict(row) for row in compare(before, after, rois)]


def _written_early(
    job: DenoiseJob, after: Volume, cancelled: Callable[[], bool]
) -> AbstractContextManager[Callable[[], None] | None]:
    """A volume file is written while its CT numbers are checked; a series waits for the check, which it tells of."""
    from inference_core.image.writing import written_early

    if _writes_series(job):
        return nullcontext()
    return written_early(after, Path(job.output), lambda: not cancelled())


def _write(
    job: DenoiseJob,
    before: Volume,
    after: Volume,
    report: dict[str, Any],
    finish: Callable[[], None] | None,
    emit: Emit,
    cancelled: Callable[[], bool],
) -> None:
    """Each file whole or not at all, the volume first: its picture and report are never there without it."""
    from inference_core.image.dicom_header import Derivation
    from inference_core.image.dicom_writing import write_series
    from inference_core.image.picture import write_comparison
    from inference_core.image.writing import write_aside

    emit("progress", stage="write", done=0, total=1, eta_s=None)
    if finish is None:
        derivation = Derivation(report["model"]["id"], job.strength, report["provenance"])
        write_series(after, before.voxels, Path(job.output), derivation, wanted=lambda: not cancelled())
    else:
        finish()
    if job.picture:
        write_aside(Path(job.picture), lambda path: write_comparison(before, after, path))
    if job.report:
        text = json.dumps(report, indent=1) + "\n"
        write_aside(Path(job.report), lambda path: path.write_text(text, encoding="utf-8"))
    emit("progress", stage="write", done=1, total=1, eta_s=0.0)
