"""Write a volume as a derived DICOM series: the source's slices with other pixels, and headers that say so.

One file a slice, explicit VR little endian, uncompressed; rescale, bit depth and padding as in the source.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_core.errors import Cancelled, UserError
from inference_core.image.dicom_files import quiet_pydicom, read_header
from inference_core.image.dicom_header import Derivation, derived_header
from inference_core.image.dicom_pixels import set_pixels, stored_values
from inference_core.image.volume import Volume
from inference_core.image.writing import check_name, plainly
from inference_core.scratch import scratch_folder

FILE_SUFFIX = re.compile(r"\.[A-Za-z]\w{0,5}$")
GRID_TOLERANCE = 0.05  # voxels, between where a file says its slice lies and where the volume has it
PLACE_TAGS = ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows", "Columns"]
REFERENCE_TAGS = ["StudyInstanceUID", "SOPClassUID", "SOPInstanceUID"]


def check_series_folder(path: Path) -> None:
    """Refuse an output folder before any work is done for it.

    Raises
    ------
    UserError
        ``bad-name``, ``linked-folder``, ``output-format``, ``folder-not-empty``, ``current-folder``,
        ``no-such-folder`` or ``not-writable``.
    """
    path = path.absolute()
    check_name(path)
    if path.is_symlink():  # a folder moved into place would take the place of the link
        raise UserError(
            "linked-folder",
            f"{path} is a symbolic link, and a series is written to a folder.",
            "Give the name of a new folder, or the one that the link points to.",
        )
    if path.is_file() or (not path.exists() and FILE_SUFFIX.search(path.name)):
        raise UserError(
            "output-format",
            f"{path} is neither a volume file nor a folder.",
            "Give a name that ends in .nrrd, .nii.gz or .mha; or, for a DICOM series, a new or empty folder (if its"
            " name has such an ending, make it first).",
        )
    if path.is_dir() and any(path.iterdir()):
        raise UserError("folder-not-empty", f"{path} is not empty.", "Give a new or empty folder for the series.")
    if path.is_dir() and path.samefile(os.curdir):  # it would be replaced under the feet of whoever works in it
        raise UserError("current-folder", f"{path} is the current folder.", "Give the name of a new folder.")
    if not path.parent.is_dir():
        raise UserError(
            "no-such-folder", f"The folder {path.parent} does not exist.", "Make it first, or choose another."
        )
    if not os.access(path.parent, os.W_OK):
        raise UserError("not-writable", f"{path} cannot be written.", "Choose a folder you may write to.")


@quiet_pydicom()
def check_has_files(volume: Volume) -> None:
    """Refuse a volume without DICOM headers that a series can be derived from, before any work is done for it.

    Raises
    ------
    UserError
        ``no-dicom-source`` or ``incomplete-header``.
    """
    if not volume.files:
        raise UserError(
            "no-dicom-source",
            "A DICOM series is derived from the headers of one, and the input is a volume file.",
            "Give the DICOM series as input; or write to a volume file (.nrrd, .nii.gz, .mha).",
        )
    for file in volume.files:
        _check_reference(file, read_header(file, REFERENCE_TAGS))


def write_series(
    volume: Volume,
    source: NDArray[Any],
    folder: Path,
    derivation: Derivation,
    wanted: Callable[[], bool] = lambda: True,
) -> str:
    """Write a derived series, whole or not at all.

    The files are written aside and their folder is moved into place, so a full disk, a cancel or a kill leaves no half
    series under its name.

    Parameters
    ----------
    volume : Volume
        With its ``files``, one a slice.
    source : (slices, rows, columns) array
        The voxels in those files, HU.
    folder : Path
        New or empty.
    derivation : Derivation
    wanted : callable
        Asked before each slice, and once more before the folder is moved into place.

    Returns
    -------
    str
        The new SeriesInstanceUID.

    Raises
    ------
    UserError
        As :func:`check_series_folder` and :func:`check_has_files`; ``incomplete-header`` or ``write-failed``.
    Cancelled
        Where it is no longer wanted.
    """
    check_series_folder(folder)
    check_has_files(volume)
    folder = folder.absolute()
    with plainly(folder), scratch_folder(folder.parent) as aside:
        made = aside / "series"
        made.mkdir()
        series_uid = write_slices(volume, source, made, derivation, wanted)
        if not wanted():
            raise Cancelled
        if folder.exists():
            folder.rmdir()
        os.replace(made, folder)
    return series_uid


@quiet_pydicom()
def write_slices(
    volume: Volume,
    source: NDArray[Any],
    folder: Path,
    derivation: Derivation,
    wanted: Callable[[], bool] = lambda: True,
) -> str:
    """Write the files of a derived series into an existing folder; as :func:`write_series`, but file by file."""
    from pydicom.uid import generate_uid

    series_uid, now = str(generate_uid(prefix=None)), datetime.now().astimezone()
    headers = [_source_header(file) for file in volume.files]
    numbers = _instance_numbers(headers)
    for k, (header, number) in enumerate(zip(headers, numbers, strict=True)):
        if not wanted():
            raise Cancelled
        made = derived_header(header, derivation, series_uid, str(generate_uid(prefix=None)), now)
        made.InstanceNumber = number
        set_pixels(made, stored_values(volume.voxels[k], source[k], header)[0])
        _save(made, folder / f"IM{k + 1:05d}.dcm", volume.files[k])
    return series_uid


def _instance_numbers(headers: Sequence[Any]) -> list[int]:
    """The source's, so that slices can be found side by side; slice order where they are missing or double."""
    numbers = [header.get("InstanceNumber") for header in headers]
    if all(number is not None and number != "" for number in numbers) and len(set(numbers)) == len(numbers):
        return [int(number) for number in numbers]
    return list(range(1, len(headers) + 1))


def _source_header(file: Path) -> Any:
    header = read_header(file)
    _check_reference(file, header)
    return header


def _check_reference(file: Path, header: Any) -> None:
    missing = [tag for tag in REFERENCE_TAGS if not header.get(tag)]
    if missing:
        raise UserError(
            "incomplete-header",
            f"{file.name} lacks {', '.join(missing)}: a derived series could not refer to it.",
            "Export the series again, or write to a volume file (.nrrd).",
        )


def _save(header: Any, file: Path, source: Path) -> None:
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.file_meta.MediaStorageSOPClassUID = header.SOPClassUID
    header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
    try:
        header.save_as(file, **_save_options(header))
    except OSError:
        raise
    except Exception as error:  # an element of the source that cannot be written again
        raise UserError(
            "damaged-header",
            f"The header of {source.name} holds a value that cannot be written again ({type(error).__name__}).",
            "Export the series again, or write to a volume file (.nrrd).",
        ) from error


def _save_options(header: Any) -> dict[str, bool]:
    """pydicom 3 takes the encoding from the file's meta data, pydicom 2 from the data set."""
    import pydicom

    if int(pydicom.__version__.split(".")[0]) >= 3:
        return {"enforce_file_format": True}
    header.is_little_endian, header.is_implicit_VR = True, False
    return {"write_like_original": False}


@quiet_pydicom()
def with_files(volume: Volume, files: Sequence[Path]) -> Volume:
    """A volume that came another way (through Slicer's scene), with the files its slices came from, in its order.

    Parameters
    ----------
    volume : Volume
    files : sequence of Path
        One a slice, in any order.

    Raises
    ------
    UserError
        ``other-grid`` where they do not lie where the volume's slices lie.
    """
    to_index = np.linalg.inv(volume.index_to_lps)
    slices, rows, columns = volume.voxels.shape
    placed: dict[int, Path] = {}
    for file in files:
        header = read_header(file, PLACE_TAGS)
        try:
            corners = _corners(header)
        except (AttributeError, TypeError, ValueError, KeyError):
            continue  # a file without a place: a localizer's, or none of this volume
        index = (to_index @ corners)[:3].T
        k = round(float(index[0, 2]))
        there = [[0, 0, k], [columns - 1, 0, k], [0, rows - 1, k]]
        same_size = (int(header.Rows), int(header.Columns)) == (rows, columns)
        if same_size and np.allclose(index, there, atol=GRID_TOLERANCE):
            placed[k] = file
    if sorted(placed) != list(range(slices)):
        raise UserError(
            "other-grid",
            f"The volume's {slices} slices do not lie where those of its DICOM series lie ({len(placed)} do): it was"
            " cropped, resampled, flipped, or loaded with a correction (tilted gantry, uneven slices).",
            "Denoise the series as it was loaded; or use inference-core denoise SERIES_FOLDER OUT_FOLDER.",
        )
    return replace(volume, files=tuple(placed[k] for k in range(slices)))


def _corners(header: Any) -> NDArray[np.float64]:
    """First voxel, last of the first row, and first of the last row: (4, 3), columns in LPS mm."""
    position = np.array([float(v) for v in header.ImagePositionPatient])
    row, column = np.reshape([float(v) for v in header.ImageOrientationPatient], (2, 3))
    row_spacing, column_spacing = (float(v) for v in header.PixelSpacing)
    points = [
        position,
        position + row * column_spacing * (int(header.Columns) - 1),
        position + column * row_spacing * (int(header.Rows) - 1),
    ]
    return np.vstack([np.transpose(points), np.ones(3)])
