"""Find the slices of one CT series: in a folder tree, on a disc with a DICOMDIR, or in a single file."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from inference_core.errors import UserError

Slice = tuple[Path, Any]
"""A file and its pydicom header."""

HEADER_TAGS = [
    "SOPClassUID",
    "SOPInstanceUID",
    "SeriesInstanceUID",
    "SeriesNumber",
    "Modality",
    "ImageType",
    "ConvolutionKernel",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "SliceThickness",
    "SpacingBetweenSlices",
    "RescaleSlope",
    "RescaleIntercept",
    "RescaleType",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "PixelRepresentation",
    "GantryDetectorTilt",
    "InstanceNumber",
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "NumberOfFrames",
    "BitsStored",
    "HighBit",
    "BitsAllocated",
    "PhotometricInterpretation",
]
"""What is read of a header: nothing that could name a patient."""

MEDIA_DIRECTORY = "1.2.840.10008.1.3.10"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


@contextmanager
def quiet_pydicom() -> Iterator[None]:
    """Read and write headers as they are.

    pydicom warns of unusual values and quotes them; a patient's name must not reach a log.
    """
    import warnings

    from pydicom.config import disable_value_validation

    with disable_value_validation(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@quiet_pydicom()
def find_series(path: Path, series_uid: str | None = None) -> tuple[list[Slice], list[str]]:
    """The slices of one series, in no order, and what was left out.

    Parameters
    ----------
    path : Path
        A folder (searched with its subfolders), a DICOMDIR (its folder is searched), or one DICOM file.
    series_uid : str, optional
        Which series where there are several. Without it, the only CT series that is no localizer.

    Returns
    -------
    list of (file, header), list of warnings

    Raises
    ------
    UserError
        ``no-dicom``, ``damaged-header``, ``not-readable``, ``no-such-series``, ``several-series`` or ``altered-copy``.
    """
    headers, warnings = _read_headers(path)
    slices, left_out = _choose_series(headers, path, series_uid)
    slices, localizers = _drop_localizers(slices)
    slices, copies = _drop_copies(slices)
    return slices, [*warnings, *left_out, *localizers, *copies]


def _read_headers(path: Path) -> tuple[list[Slice], list[str]]:
    """Headers of the DICOM images, and a warning of DICOM files that hold none."""
    import pydicom
    from pydicom.errors import InvalidDicomError

    headers: list[Slice] = []
    without_image = []
    waiting = [path] if path.is_file() else _files_below(path)
    while waiting:
        file = waiting.pop(0)
        try:
            header = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=HEADER_TAGS)
            kind = header.file_meta.get("MediaStorageSOPClassUID")  # decoded here, and it may be damaged
        except InvalidDicomError:
            continue  # a file of another kind
        except PermissionError as error:
            raise _may_not_read(file) from error
        except Exception as error:  # pydicom raises whatever a damaged header leads to
            raise UserError("damaged-header", f"{file.name} is a damaged DICOM file.", "Export it again.") from error
        if kind == MEDIA_DIRECTORY:
            if file == path:  # what it lists lies beside and below it
                waiting = [other for other in _files_below(file.parent) if other != file]
        elif "SOPClassUID" in header and "Rows" in header:
            headers.append((file, header))
        else:
            without_image.append(file.name)  # reports, presentation states; or a header cut short
    if not headers:
        raise UserError(
            "no-dicom",
            f"{path} holds no DICOM image.",
            "Give the folder of one CT series, or a .nrrd, .mha or .nii file.",
        )
    if without_image:
        names = ", ".join(without_image[:5]) + (", ..." if len(without_image) > 5 else "")
        return headers, [f"{len(without_image)} DICOM file(s) without an image were left out: {names}."]
    return headers, []


def _files_below(folder: Path) -> list[Path]:
    def refuse(error: OSError) -> None:
        raise _may_not_read(Path(str(error.filename))) from error

    found = sorted(Path(where) / name for where, _, names in os.walk(folder, onerror=refuse) for name in names)
    return [path for path in found if path.is_file() or not path.exists()]  # a pipe would be waited for without an end


def _may_not_read(path: Path) -> UserError:
    return UserError("not-readable", f"{path} may not be read by you.", "Ask for the right to read it.")


def _choose_series(headers: list[Slice], source: Path, series_uid: str | None) -> tuple[list[Slice], list[str]]:
    series: dict[str, list[Slice]] = {}
    for file, header in headers:
        series.setdefault(str(header.get("SeriesInstanceUID", "")), []).append((file, header))
    if series_uid is not None:
        if series_uid not in series:
            raise UserError(
                "no-such-series", f"{source} holds no series {series_uid}.", f"It holds: {', '.join(series)}."
            )
        return series[series_uid], []
    if len(series) == 1:
        return next(iter(series.values())), []
    scans = [members for members in series.values() if not all(_is_no_scan(header) for _, header in members)]
    if len(scans) == 1:
        others = len(headers) - len(scans[0])
        return scans[0], [f"{others} image(s) of other series (no CT slices) were left out."]
    listing = "\n".join(f"  {uid}  {_words(members)}" for uid, members in series.items())
    raise UserError(
        "several-series",
        f"{source} holds {len(series)} series:\n{listing}\n",
        "Name one with --series UID, or give a folder that holds one series.",
    )


def _is_no_scan(header: Any) -> bool:
    return header.get("Modality") != "CT" or header.SOPClassUID == SECONDARY_CAPTURE or _is_localizer(header)


def _words(members: list[Slice]) -> str:
    """One series for a person to choose by; its description is free text and may hold a name."""
    file, header = members[0]
    parts = [
        f"series {header.get('SeriesNumber') or '?'}",
        f"{len(members)} files",
        kernel(header) or header.get("Modality") or "?",
        f"{header.SliceThickness} mm" if header.get("SliceThickness") else "",
        "derived" if "DERIVED" in (header.get("ImageType") or []) else "",
        f"e.g. {file.name}",
    ]
    return ", ".join(filter(None, parts))


def kernel(header: Any) -> str | None:
    """The convolution kernel, where the header names one."""
    value = header.get("ConvolutionKernel")
    if value is None or value == "":
        return None
    return str(value) if isinstance(value, str) else str(value[0])


def _is_localizer(header: Any) -> bool:
    return "LOCALIZER" in (header.get("ImageType") or [])


def _drop_localizers(slices: list[Slice]) -> tuple[list[Slice], list[str]]:
    kept = [s for s in slices if not _is_localizer(s[1])]
    dropped = len(slices) - len(kept)
    if kept and dropped:
        return kept, [f"{dropped} localizer image(s) of the series were left out."]
    return slices, []


def _drop_copies(slices: list[Slice]) -> tuple[list[Slice], list[str]]:
    """One file of each image; files that share a UID but not their pixels are refused."""
    first: dict[str, Path] = {}
    kept, copies = [], []
    for file, header in slices:
        uid = str(header.get("SOPInstanceUID") or file)
        if uid not in first:
            first[uid] = file
            kept.append((file, header))
        elif _pixels_of(file) == _pixels_of(first[uid]):
            copies.append(file.name)
        else:
            raise UserError(
                "altered-copy",
                f"{file.name} and {first[uid].name} claim to be the same image (one SOPInstanceUID), but differ.",
                "One of them was changed by a program that gave it no UID of its own: remove it.",
            )
    if copies:
        names = ", ".join(copies[:5]) + (", ..." if len(copies) > 5 else "")
        return kept, [f"{len(copies)} file(s) that are copies of others were left out: {names}."]
    return kept, []


def _pixels_of(file: Path) -> bytes:
    import pydicom

    pixels = pydicom.dcmread(file, specific_tags=["PixelData"]).get("PixelData") or b""
    return hashlib.sha256(pixels).digest()


def read_header(file: Path, tags: list[str] | None = None) -> Any:
    """A header with its values decoded, without pixels; all of it, or some tags.

    Raises
    ------
    UserError
        ``not-readable`` or ``damaged-header``; nothing of the header is in them.
    """
    import pydicom

    try:
        header = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=tags)
        header.decode()
    except OSError as error:
        raise UserError(
            "not-readable", f"{file.name} cannot be read: {error.strerror}.", "Check that it is still there."
        ) from error
    except Exception as error:  # pydicom raises whatever a damaged header leads to
        raise UserError("damaged-header", f"The header of {file.name} is damaged.", "Export it again.") from error
    return header
