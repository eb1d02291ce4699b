"""Write a volume file that says the same as the one it came from."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from inference_core.errors import Cancelled, UserError
from inference_core.image.reading import VOLUME_SUFFIXES, nifti_is_whole, volume_suffix
from inference_core.image.volume import Volume
from inference_core.scratch import scratch_folder


def check_writable(path: Path) -> None:
    """Refuse an output path before any work is done for it.

    Raises
    ------
    UserError
        For a folder, a suffix that is no volume format, or a folder that is missing or read-only.
    """
    if volume_suffix(path) is None:
        raise UserError(
            "output-format",
            f"{path} is not a volume file.",
            f"Give a name that ends in {', '.join(VOLUME_SUFFIXES)}.",
        )
    check_folder(path)
    foreign = [file for file in data_files(path) if file.exists() and not path.exists()]
    if foreign:
        raise UserError(
            "data-file-exists",
            f"{path.name} keeps its voxels in {foreign[0].name}, which is there already.",
            "Choose another name.",
        )


def check_folder(path: Path) -> None:
    """Refuse a file whose folder is missing or read-only.

    Raises
    ------
    UserError
        ``no-such-folder`` or ``not-writable``.
    """
    folder = path.resolve().parent
    if path.is_dir():
        raise UserError("output-format", f"{path} is a folder.", "Give the name of a file.")
    if not folder.is_dir():
        raise UserError("no-such-folder", f"The folder {folder} does not exist.", "Make it first, or choose another.")
    if not os.access(folder, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
        raise UserError("not-writable", f"{path} cannot be written.", "Choose a folder you may write to.")


def data_files(path: Path) -> list[Path]:
    """Where a header file (.nhdr, .mhd) may keep its voxels; nothing for other formats."""
    if volume_suffix(path) not in (".nhdr", ".mhd"):
        return []
    return [path.with_suffix(suffix) for suffix in (".raw", ".raw.gz", ".zraw")]


def write_aside(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` make a file aside and move it into place: it is there whole, or not at all.

    Raises
    ------
    UserError
        ``write-failed``.
    """
    with scratch_folder(path.resolve().parent) as aside:
        try:
            write(aside / path.name)
        except OSError as error:
            raise UserError(
                "write-failed", f"{path} could not be written: {error.strerror}.", "Check the disk."
            ) from error
        os.replace(aside / path.name, path)


def write_volume(volume: Volume, path: Path, wanted: Callable[[], bool] = lambda: True) -> None:
    """Write a volume whole or not at all.

    Voxels are cast to ``volume.file_type``; integers are rounded to nearest and clipped to the type's range. The file
    is written aside and moved into place, so a full disk or a kill leaves no half file under its name.

    Parameters
    ----------
    volume : Volume
    path : Path
        Its suffix chooses the format (:data:`~inference_core.image.reading.VOLUME_SUFFIXES`).
    wanted : callable
        Asked once more before the file is moved into place.

    Raises
    ------
    UserError
        ``output-format``, ``no-such-folder``, ``not-writable``, ``data-file-exists`` or ``write-failed``.
    Cancelled
        Where it is no longer wanted.
    """
    import SimpleITK as sitk

    check_writable(path)
    voxels = volume.voxels
    if voxels.dtype != volume.file_type:
        if volume.file_type.kind in "iu":
            info = np.iinfo(volume.file_type)
            voxels = np.clip(np.rint(voxels), info.min, info.max)
        voxels = voxels.astype(volume.file_type)
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing(volume.spacing)
    image.SetOrigin(volume.origin)
    image.SetDirection(volume.direction)
    with scratch_folder(path.resolve().parent) as aside:
        try:
            sitk.WriteImage(image, str(aside / path.name))
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1].strip()
            raise UserError(
                "write-failed", f"{path} could not be written: {reason}", "Check the free space on that disk."
            ) from error
        if ".nii" in path.name and not nifti_is_whole(aside / path.name):  # ITK says nothing of a full disk there
            raise UserError("write-failed", f"{path} could not be written whole.", "Check the free space on that disk.")
        if not wanted():
            raise Cancelled
        # A header (.nhdr, .mhd) names its data file: the data moves first, the header last.
        for file in sorted(aside.iterdir(), key=lambda file: file.name == path.name):
            os.replace(file, path.resolve().parent / file.name)
