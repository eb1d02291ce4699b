"""What made a result, in one block of JSON: enough to tell it from another, and to make it again.

The block is the same in a report (``provenance``), in the DICOM files of a derived series (ContributionDescription of
their ContributingEquipmentSequence), and in the attributes of a volume in Slicer. Nothing of a patient's header is in
it: the input is known by the hash of its voxels, and its series by the hash of its UID.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_core import __version__
from inference_core.errors import UserError
from inference_core.image.volume import Volume

SOFTWARE = "faithful-imaging"
FIELDS = {
    "model": ("id", "weights", "sha256"),
    "engine": ("name", "version", "device", "precision"),
    "parameters": ("strength",),
    "input": ("sha256", "padding_hu"),
    "result": ("sha256",),
}
"""What a block must hold to be run again."""


def sha256_of_voxels(voxels: NDArray[Any]) -> str:
    """Hash of the voxels in slice, row, column order, whatever file they lie in."""
    return hashlib.sha256(np.ascontiguousarray(voxels).data).hexdigest()


def model_and_engine(card: Any, engine: Any) -> dict[str, Any]:
    """The half of the block that is known before the work: which network, run by what.

    Parameters
    ----------
    card : inference_core.models.card.Card
    engine : inference_core.models.engines.Engine
    """
    weights = "onnx" if engine.name == "onnxruntime" else "safetensors"
    return {
        "software": {"name": SOFTWARE, "version": __version__},
        "model": {"id": card.id, "weights": weights, "sha256": card.sha256[weights]},
        "engine": {
            "name": engine.name,
            "version": _version(engine.name),
            "device": engine.device,
            "precision": engine.precision,
        },
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"


def input_part(volume: Volume) -> dict[str, Any]:
    """What identifies an input: its voxels, what it declares to be padding, and its DICOM series.

    The SeriesInstanceUID is hashed: who holds the archive can find the series by it, nobody else learns anything.
    """
    ends = [volume.padding_value, volume.padding_value if volume.padding_limit is None else volume.padding_limit]
    return {
        "sha256": sha256_of_voxels(volume.voxels),
        "padding_hu": None if volume.padding_value is None else ends,
        "series_sha256": _sha256_of_series(volume.files),
    }


def _sha256_of_series(files: tuple[Path, ...]) -> str | None:
    if not files:
        return None
    import pydicom

    header = pydicom.dcmread(files[0], specific_tags=["SeriesInstanceUID"], stop_before_pixels=True)
    return hashlib.sha256(str(header.get("SeriesInstanceUID", "")).encode()).hexdigest()


def ct_number_part(check: Mapping[str, Any]) -> dict[str, Any]:
    """The CT-number check of a report in short."""
    return {
        "passed": check["passed"],
        "shift_hu": {row["tissue"]: round(row["shift"], 2) for row in check["tissues"]},
        "low_band_hu": round(check["low_band_change_hu"], 2),
    }


def block_of(report: Mapping[str, Any]) -> dict[str, Any]:
    """The block of a report, true for the strength that the report tells of now (in Slicer it can be changed later).

    Parameters
    ----------
    report : mapping
        Of :func:`inference_core.denoiser.job.run`.
    """
    block = {**report["provenance"], "parameters": {"strength": report["strength"]}}
    if report["strength"] != report["provenance"]["parameters"]["strength"]:
        block["result"] = {"sha256": report["output"]["sha256_voxels"]}
        block["ct_numbers"] = ct_number_part(report["ct_number_check"])
    return block


def read_provenance(path: Path) -> dict[str, Any]:
    """The block of an earlier result.

    Parameters
    ----------
    path : Path
        Its report (``..._report.json``), or its derived DICOM series (the folder, or one of the files).

    Raises
    ------
    UserError
        ``no-provenance``.
    """
    text = _text_of(path)
    try:
        found = json.loads(text)
        block = block_of(found) if "provenance" in found else found
        complete = _well_formed(block)
    except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError):
        complete = False
    if not complete:
        raise UserError(
            "no-provenance",
            f"{path} does not say how a result was made.",
            "Give the _report.json of a denoised volume, or a DICOM series that denoise wrote.",
        )
    return dict(block)


def _well_formed(block: Mapping[str, Any]) -> bool:
    """Whether every value has its type; what is missing raises KeyError."""
    values = {(part, name): block[part][name] for part, names in FIELDS.items() for name in names}
    strength, padding = values.pop(("parameters", "strength")), values.pop(("input", "padding_hu"))
    return (
        all(isinstance(value, str) for value in values.values())
        and _is_number(strength)
        and (padding is None or (isinstance(padding, list) and len(padding) == 2 and all(map(_is_number, padding))))
        and isinstance(block.get("software") or {}, dict)
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _text_of(path: Path) -> str:
    if not path.exists():
        raise UserError("no-such-file", f"{path} does not exist.", "Check the path.")
    try:
        if path.is_file() and not _is_dicom(path):
            return path.read_text(encoding="utf-8", errors="replace")
        files = [path] if path.is_file() else sorted(child for child in path.rglob("*") if child.is_file())
        return next((text for text in map(_contribution, filter(_is_dicom, files)) if text), "")
    except OSError as error:
        raise UserError("not-readable", f"{path} cannot be read: {error.strerror}.", "Check your rights.") from error


def _is_dicom(file: Path) -> bool:
    with open(file, "rb") as stream:
        return stream.read(132)[128:] == b"DICM"


def _contribution(file: Path) -> str:
    import pydicom

    from inference_core.image.dicom_files import quiet_pydicom

    with quiet_pydicom():
        try:
            header = pydicom.dcmread(file, specific_tags=["ContributingEquipmentSequence"], stop_before_pixels=True)
            items = header.get("ContributingEquipmentSequence") or []
            texts = [str(item.get("ContributionDescription", "")) for item in items]
        except OSError:
            raise
        except Exception:  # no DICOM, or damaged: it says nothing
            return ""
    return next((text for text in reversed(texts) if text.startswith("{")), "")


def denoised_before(files: tuple[Path, ...]) -> bool:
    """Whether a DICOM series is itself one that was written here."""
    return bool(files) and _contribution(files[0]) != ""


def check_input(block: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse to run again on another input.

    Parameters
    ----------
    block : mapping
        From :func:`read_provenance`.
    now : mapping
        From :func:`input_part`.

    Raises
    ------
    UserError
        ``other-input``.
    """
    if block["input"]["sha256"] != now["sha256"]:
        raise UserError(
            "other-input",
            "The input's voxels are not those that the earlier result was made from (sha256 differs).",
            "Give the same CT; or denoise this one without --again.",
        )
    if block["input"]["padding_hu"] != now["padding_hu"]:
        raise UserError(
            "other-input",
            f"The input declares {_padding_words(now['padding_hu'])}; the earlier result was made from one with"
            f" {_padding_words(block['input']['padding_hu'])}.",
            "Give it in the same form: the DICOM series, or the volume file.",
        )


def _padding_words(padding: list[float] | None) -> str:
    return f"padding of {padding[0]:g} to {padding[1]:g} HU" if padding else "no padding"


def check_model_and_engine(block: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse to run again with another model or engine, which need not give the same bytes.

    Parameters
    ----------
    block : mapping
        From :func:`read_provenance`.
    now : mapping
        From :func:`model_and_engine`.

    Raises
    ------
    UserError
        ``other-model`` or ``other-engine``.
    """
    if block["model"] != now["model"]:
        raise UserError(
            "other-model",
            f"The earlier result was made by {block['model']['id']} with other weights than those installed"
            f" (sha256 {block['model']['sha256'][:12]}..., here {now['model']['sha256'][:12]}...).",
            f"Install the {_software_words(block)} that made it, or that model in your models folder.",
        )
    if block["engine"] != now["engine"]:
        then, here = (" ".join(str(engine[name]) for name in ("name", "version", "device", "precision"))
                      for engine in (block["engine"], now["engine"]))  # fmt: skip
        raise UserError(
            "other-engine",
            f"The earlier result was made with {then}; here is {here}.",
            f"Install it: pip install {block['engine']['name']}=={block['engine']['version']}",
        )


def check_result(block: Mapping[str, Any], sha256: str) -> None:
    """Refuse a result that did not come out the same.

    Raises
    ------
    UserError
        ``not-reproduced``.
    """
    if block["result"]["sha256"] != sha256:
        raise UserError(
            "not-reproduced",
            "Input, model and engine are the same, but the result is not; nothing was written.",
            f"It was made with {_software_words(block)}, this is {SOFTWARE} {__version__}; another processor may round"
            " differently too. Run it where it was made, or denoise without --again.",
        )


def _software_words(block: Mapping[str, Any]) -> str:
    software = block.get("software") or {}
    return f"{software.get('name', SOFTWARE)} {software.get('version', '(version unknown)')}"
