"""Read a DICOM CT series, one file a slice, into Hounsfield units.

Headers are read with pydicom; pixels through SimpleITK (GDCM), which decodes every lossless transfer syntax and
applies the rescale slope and intercept.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from inference_core.errors import UserError
from inference_core.image.dicom_files import Slice, find_series, kernel, quiet_pydicom
from inference_core.image.volume import Volume, as_hounsfield_array, check_orthogonal

ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"
READERS = 4  # files read and decoded at a time: while one waits for the disk, another is decoded
POSITION_TOLERANCE = 0.05  # mm, between a slice and where even spacing would put it


@quiet_pydicom()
def read_dicom(path: Path, series_uid: str | None = None) -> Volume:
    """Read the CT series in a folder, or the slice in a file.

    Parameters
    ----------
    path : Path
        A folder (searched with its subfolders), a DICOMDIR or one DICOM file.
    series_uid : str, optional
        Which series to read where the folder holds several.

    Returns
    -------
    Volume
        Slices sorted by their position along the normal; int16 where every HU is a whole number, else float32.

    Raises
    ------
    UserError
        Naming the files at fault and the remedy; see the codes below.
    """
    slices, warnings = find_series(path, series_uid)
    try:
        return _volume_of(slices, warnings)
    except (UserError, OSError, MemoryError):
        raise
    except Exception as error:  # pydicom raises whatever a damaged header leads to
        raise UserError(
            "damaged-header", f"The headers in {path} are damaged ({type(error).__name__}).", "Export the series again."
        ) from error


def _volume_of(slices: list[Slice], warnings: list[str]) -> Volume:
    _check_each(slices)
    axes = _check_alike(slices)
    slices, positions = _sort_by_position(slices, axes[:, 2])
    spacing_z, spacing_warnings = _slice_spacing(slices, positions)
    _check_gantry_tilt(slices, axes)

    voxels, file_type = _read_pixels(slices)
    first = slices[0][1]
    row_spacing, column_spacing = (float(v) for v in first.PixelSpacing)
    return Volume(
        voxels=voxels,
        spacing=(column_spacing, row_spacing, spacing_z),
        origin=_three(first.ImagePositionPatient),
        direction=tuple(float(v) for v in axes.ravel()),
        modality="CT",
        kernel=kernel(first),
        padding_value=_padding_in_hu(first, "PixelPaddingValue"),
        padding_limit=_padding_in_hu(first, "PixelPaddingRangeLimit"),
        file_type=file_type,
        warnings=(*warnings, *spacing_warnings),
        files=tuple(file for file, _ in slices),
    )


def _check_each(slices: list[Slice]) -> None:
    for file, header in slices:
        if header.SOPClassUID == ENHANCED_CT or int(header.get("NumberOfFrames") or 1) > 1:
            raise UserError(
                "multi-frame",
                f"{file.name} is an enhanced multi-frame image.",
                "Export it as classic CT, one file a slice (dcm4che emf2sf), or save it as .nrrd in Slicer.",
            )
        if header.get("Modality") != "CT":
            raise UserError(
                "not-ct",
                f"{file.name} is of modality {header.get('Modality', 'unknown')}, not CT.",
                "Only CT can be denoised: its numbers are Hounsfield units.",
            )
        if header.get("PhotometricInterpretation", "MONOCHROME2") == "MONOCHROME1":
            raise UserError(
                "inverted-pixels",
                f"{file.name} is stored inverted (MONOCHROME1): its values are no Hounsfield units as they stand.",
                "Export the series as MONOCHROME2.",
            )
        if int(header.get("SamplesPerPixel", 1)) != 1:
            raise UserError("colour-image", f"{file.name} is a colour image.", "Give the original CT slices.")
        _check_bits(file, header)
        missing = [
            tag
            for tag in (
                "ImagePositionPatient",
                "ImageOrientationPatient",
                "PixelSpacing",
                "RescaleSlope",
                "RescaleIntercept",
            )
            if header.get(tag) in (None, "")
        ]
        if missing:
            raise UserError(
                "incomplete-header",
                f"{file.name} lacks {', '.join(missing)}.",
                "Its values cannot be placed or read as HU; export the series again.",
            )
        _check_numbers(file, header)
        rescale_type = header.get("RescaleType") or "HU"
        if str(rescale_type).upper() not in ("HU", "US"):
            raise UserError(
                "not-hounsfield",
                f"{file.name} is rescaled to {rescale_type}, not to Hounsfield units.",
                "Give the series in HU (a dual-energy or perfusion map cannot be denoised as CT).",
            )


def _check_numbers(file: Path, header: Any) -> None:
    """Refuse spacing, orientation, position and rescale that are no numbers, too few, or zero where they cannot be."""
    for tag, count in (
        ("ImagePositionPatient", 3), ("ImageOrientationPatient", 6), ("PixelSpacing", 2), ("RescaleSlope", 1),
        ("RescaleIntercept", 1),
    ):  # fmt: skip
        try:
            numbers = [float(value) for value in np.atleast_1d(header[tag].value)]
        except (TypeError, ValueError):
            numbers = []
        right = len(numbers) == count and bool(np.isfinite(numbers).all())
        if not right or (tag in ("PixelSpacing", "RescaleSlope") and min(numbers) <= 0):
            raise UserError("bad-header", f"{file.name} has {tag} {header[tag].value}.", "Export the series again.")


def _check_alike(slices: list[Slice]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """All slices on one grid; returns the 3x3 matrix whose columns are the x, y and z axes."""
    first_file, first = slices[0]
    for file, header in slices[1:]:
        for tag, tolerance in (("ImageOrientationPatient", 1e-4), ("PixelSpacing", 1e-4), ("Rows", 0), ("Columns", 0)):
            if not np.allclose(
                np.atleast_1d(header[tag].value), np.atleast_1d(first[tag].value), rtol=0, atol=tolerance
            ):
                raise UserError(
                    "mixed-geometry",
                    f"{file.name} and {first_file.name} differ in {tag}: {header[tag].value} and {first[tag].value}.",
                    "Give a folder whose slices share one grid.",
                )
    row, column = np.reshape([float(v) for v in first.ImageOrientationPatient], (2, 3))
    axes = np.stack([row, column, np.cross(row, column)], axis=1)
    check_orthogonal(tuple(axes.ravel()), first_file.name)
    return axes


def _sort_by_position(slices: list[Slice], normal: np.ndarray[Any, Any]) -> tuple[list[Slice], list[float]]:
    placed = sorted(
        ((float(np.dot(_three(header.ImagePositionPatient), normal)), file, header) for file, header in slices),
        key=lambda entry: (entry[0], entry[1]),
    )
    for (here, file, _), (there, other, _) in zip(placed, placed[1:], strict=False):
        if abs(here - there) < 1e-3:
            raise UserError(
                "same-position",
                f"{file.name} and {other.name} lie at the same position ({here:g} mm).",
                "Remove the copies, or give one time point (or one reconstruction) a folder.",
            )
    return [(file, header) for _, file, header in placed], [position for position, _, _ in placed]


def _slice_spacing(slices: list[Slice], positions: list[float]) -> tuple[float, list[str]]:
    if len(slices) == 1:
        header = slices[0][1]
        return float(header.get("SpacingBetweenSlices") or header.get("SliceThickness") or 1.0), []
    gaps = np.diff(positions)
    spacing = float(np.sort(gaps)[(len(gaps) - 1) // 2])  # one that is there
    uneven = np.flatnonzero(np.abs(gaps - spacing) > max(POSITION_TOLERANCE, 0.01 * spacing))
    if not len(uneven):
        return float(positions[-1] - positions[0]) / len(gaps), []
    places = "; ".join(f"{gaps[i]:g} mm between {slices[i][0].name} and {slices[i + 1][0].name}" for i in uneven[:5])
    more = f"; and {len(uneven) - 5} more" if len(uneven) > 5 else ""
    return spacing, [
        f"Slices are missing or uneven: the usual distance is {spacing:g} mm, but {places}{more}. Each slice is"
        f" processed on its own and is right, but a volume file is written with {spacing:g} mm throughout: do not"
        " measure across slices in it."
    ]


def _check_gantry_tilt(slices: list[Slice], axes: np.ndarray[Any, Any]) -> None:
    if len(slices) == 1:
        return
    shift = np.subtract(_three(slices[-1][1].ImagePositionPatient), _three(slices[0][1].ImagePositionPatient))
    in_plane = float(np.linalg.norm(axes[:, :2].T @ shift))
    if in_plane > max(0.1, 0.002 * float(np.linalg.norm(shift))):
        tilt = slices[0][1].get("GantryDetectorTilt")
        raise UserError(
            "gantry-tilt",
            f"The slices from {slices[0][0].name} to {slices[-1][0].name} slide by {in_plane:.1f} mm in their own plane"
            f" (gantry tilt{f' {float(tilt):g} degrees' if tilt else ''}).",
            "Load the series in Slicer, which corrects the tilt, and save it as .nrrd.",
        )


def _check_bits(file: Path, header: Any) -> None:
    """Refuse values that do not lie in the lowest bits: GDCM would read other ones."""
    bits, high_bit = header.get("BitsStored"), header.get("HighBit")
    if bits and high_bit is not None and int(high_bit) != int(bits) - 1:
        raise UserError(
            "unusual-bits",
            f"{file.name} keeps its {bits} bits up to bit {high_bit} (HighBit), not {int(bits) - 1}: they cannot be"
            " read with certainty.",
            "Export the series again in the usual form (HighBit one less than BitsStored).",
        )


def _read_pixels(slices: list[Slice]) -> tuple[np.ndarray[Any, Any], np.dtype[Any]]:
    with ThreadPoolExecutor(READERS) as pool:
        planes = list(pool.map(lambda slice_: _read_plane(*slice_), slices))
    file_type = np.dtype(np.int16 if all(plane.dtype == np.int16 for plane in planes) else np.float32)
    voxels = np.empty((len(planes), *planes[0].shape), file_type)
    for target, plane in zip(voxels, planes, strict=True):
        target[...] = plane
    return voxels, file_type


def _read_plane(file: Path, header: Any) -> np.ndarray[Any, Any]:
    import SimpleITK as sitk

    from inference_core.image.reading import itk_name

    _check_length(file, header)
    try:
        return as_hounsfield_array(sitk.GetArrayFromImage(sitk.ReadImage(itk_name(file)))[0], file.name)
    except RuntimeError as error:
        raise UserError(
            "unreadable-pixels",
            f"The pixels of {file.name} cannot be read: {str(error).splitlines()[-1].strip()}",
            f"The file may be cut short, or its compression ({_compression(file)}) is not known here: export it"
            " again, uncompressed (gdcmconv --raw or dcmdjpeg do that too).",
        ) from error


def _compression(file: Path) -> str:
    import pydicom

    return str(pydicom.filereader.read_file_meta_info(file).get("TransferSyntaxUID", pydicom.uid.UID("")).name)


def _check_length(file: Path, header: Any) -> None:
    """Refuse uncompressed pixels that are fewer than the header says: GDCM would make some up."""
    import pydicom

    if pydicom.uid.UID(header.file_meta.TransferSyntaxUID).is_compressed:
        return
    pixels = pydicom.dcmread(file, specific_tags=["PixelData"]).get("PixelData") or b""
    if len(pixels) < int(header.Rows) * int(header.Columns) * int(header.get("BitsAllocated", 16)) // 8:
        raise UserError("unreadable-pixels", f"{file.name} holds fewer pixels than it says.", "Export it again.")


def _padding_in_hu(header: Any, tag: str) -> float | None:
    value = header.get(tag)
    if value is None:
        return None
    stored = int(value)
    if int(header.get("PixelRepresentation", 0)) == 1 and stored > 32767:
        stored -= 65536  # written as unsigned by some scanners
    return stored * float(header.RescaleSlope) + float(header.RescaleIntercept)


def _three(values: Any) -> tuple[float, float, float]:
    x, y, z = (float(v) for v in values)
    return x, y, z
