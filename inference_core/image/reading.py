"""Read a volume, whatever it lies in."""

from __future__ import annotations

import gzip
import math
import os
import stat
import struct
import zlib
from pathlib import Path
from typing import IO, cast

import numpy as np

from inference_core.errors import UserError
from inference_core.image.data_files import check_data_files
from inference_core.image.meta_image import check_meta_image
from inference_core.image.volume import Volume, as_hounsfield_array, check_orthogonal

FARTHEST_OFFSET = 1 << 40  # bytes from a NIfTI file's begin to its voxels
VOLUME_SUFFIXES = (".nrrd", ".nhdr", ".mha", ".mhd", ".nii", ".nii.gz")


def volume_suffix(path: Path) -> str | None:
    """The suffix of a volume file that can be read and written (``.nii.gz`` as one), or None."""
    return next(
        (suffix for suffix in sorted(VOLUME_SUFFIXES, key=len, reverse=True) if path.name.lower().endswith(suffix)),
        None,
    )


def read_volume(path: Path | str, series_uid: str | None = None) -> Volume:
    """Read a CT from a volume file, a DICOM file, or a folder with a DICOM series.

    Parameters
    ----------
    path : Path or str
        ``.nrrd``, ``.nhdr``, ``.mha``, ``.mhd``, ``.nii``, ``.nii.gz``; anything else is taken for DICOM.
    series_uid : str, optional
        SeriesInstanceUID, for a folder that holds several.

    Returns
    -------
    Volume

    Raises
    ------
    UserError
        With the remedy, for everything that is not one scalar 3D image.
    """
    path = Path(path)
    check_readable(path)
    if path.is_dir() or volume_suffix(path) is None:
        from inference_core.image.dicom_series import read_dicom

        return read_dicom(path, series_uid)
    return _read_volume_file(path)


def check_readable(path: Path) -> None:
    """Refuse what is not there, is no file or folder, or may not be read.

    Raises
    ------
    UserError
        ``no-such-file`` or ``not-readable``.
    """
    try:
        kind = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError) as error:
        where = f" It is a link to {os.readlink(path)}." if path.is_symlink() else ""
        raise UserError("no-such-file", f"{path} does not exist.{where}", "Check the path.") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(
            "not-readable", f"{path} cannot be read: {reason}.", "Check the path and your rights."
        ) from error
    if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):  # a pipe would be waited for without an end
        raise UserError("not-readable", f"{path} is neither a file nor a folder.", "Save it to a file first.")
    if not os.access(path, os.R_OK):
        raise UserError("not-readable", f"{path} may not be read by you.", "Ask for the right to read it.")


def itk_name(path: Path) -> str:
    """A path as ITK takes it: in UTF-8, whatever the system's language settings are.

    Raises
    ------
    UserError
        ``file-name``.
    """
    try:
        return os.fsencode(path).decode()
    except UnicodeError as error:
        raise UserError("file-name", f"The name of {path} is not in UTF-8.", "Rename it (convmv does).") from error


def _read_volume_file(path: Path) -> Volume:
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetFileName(itk_name(path))
    try:
        check_data_files(path)
        check_meta_image(path)
        reader.ReadImageInformation()
        _check_scalar_3d(reader, path)
        if ".nii" in volume_suffix(path) and not nifti_is_whole(path):  # type: ignore[operator]
            raise EOFError
        image = reader.Execute()
    except (RuntimeError, EOFError, OSError, zlib.error, struct.error) as error:
        if "orthonormal" in str(error):
            check_orthogonal((1.0,) * 9, path.name)
        raise UserError(
            "unreadable-file",
            f"{path} cannot be read: it is damaged, cut short, or not what its name says.",
            "Save it again (in Slicer: as .nrrd).",
        ) from error
    if image.GetDimension() == 4:
        image = image[:, :, :, 0]
    elif image.GetDimension() == 2:
        image = sitk.JoinSeries(image)
    array = sitk.GetArrayFromImage(image)
    check_orthogonal(image.GetDirection(), path.name)
    return Volume(
        voxels=as_hounsfield_array(array, path.name),
        spacing=image.GetSpacing(),
        origin=image.GetOrigin(),
        direction=image.GetDirection(),
        file_type=np.dtype(array.dtype),
    )


def nifti_is_whole(path: Path) -> bool:
    """Whether all voxels are there, and their check sum fits: ITK reads a truncated file without a word, as zeros."""
    try:
        with gzip.open(path) if path.name.lower().endswith(".gz") else open(path, "rb") as file:
            return _all_there(cast(IO[bytes], file))
    except (EOFError, gzip.BadGzipFile, zlib.error, struct.error):  # the compressed stream itself is cut or damaged
        return False


def _all_there(file: IO[bytes]) -> bool:
    header = file.read(540)
    if len(header) < 348:
        return False
    for order in "<>":
        (size,) = struct.unpack_from(f"{order}i", header)
        if size == 348:
            dimensions = struct.unpack_from(f"{order}8h", header, 40)
            (bits,), (offset,) = (
                struct.unpack_from(f"{order}h", header, 72),
                struct.unpack_from(f"{order}f", header, 108),
            )
            break
        if size == 540:  # NIfTI-2
            dimensions = struct.unpack_from(f"{order}8q", header, 16)
            (bits,), (offset,) = (
                struct.unpack_from(f"{order}h", header, 14),
                struct.unpack_from(f"{order}q", header, 168),
            )
            break
    else:
        return True  # Analyze or something else that only ITK knows
    if not abs(offset) < FARTHEST_OFFSET:  # true for what is no number, too
        return False
    needed = int(offset) + math.prod(dimensions[1 : dimensions[0] + 1]) * bits // 8 - len(header)
    while part := file.read(1 << 24):  # to the end, where a compressed file has its check sum
        needed -= len(part)
    return needed <= 0


def _check_scalar_3d(reader: object, path: Path) -> None:
    size = reader.GetSize()  # type: ignore[attr-defined]
    if reader.GetNumberOfComponents() > 1:  # type: ignore[attr-defined]
        raise UserError(
            "not-scalar",
            f"{path.name} holds several values a voxel (a colour, vector or multi-volume image).",
            "Extract one scalar volume first.",
        )
    if len(size) > 4 or (len(size) == 4 and size[3] > 1):
        raise UserError(
            "not-3d",
            f"{path.name} has {len(size)} dimensions ({' x '.join(map(str, size))}).",
            "Save each time point as a volume of its own, and denoise them one by one.",
        )
