"""Write a volume file that says the same as the one it came from."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from inference_core.errors import UserError
from inference_core.image.reading import VOLUME_SUFFIXES, volume_suffix
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
            f"Give a name that ends in {', '.join(VOLUME_SUFFIXES)} (a DICOM folder cannot be written yet).",
        )
    if path.is_dir():
        raise UserError("output-format", f"{path} is a folder.", "Give the name of a file.")
    check_folder(path)


def check_folder(path: Path) -> None:
    """Refuse a file whose folder is missing or read-only.

    Raises
    ------
    UserError
        ``no-such-folder`` or ``not-writable``.
    """
    folder = path.resolve().parent
    if not folder.is_dir():
        raise UserError("no-such-folder", f"The folder {folder} does not exist.", "Make it first, or choose another.")
    if not os.access(folder, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
        raise UserError("not-writable", f"{path} cannot be written.", "Choose a folder you may write to.")


def write_volume(volume: Volume, path: Path) -> None:
    """Write a volume whole or not at all.

    Voxels are cast to ``volume.file_type``; integers are rounded to nearest and clipped to the type's range. The file
    is written aside and moved into place, so a full disk or a kill leaves no half file under its name.

    Parameters
    ----------
    volume : Volume
    path : Path
        Its suffix chooses the format (:data:`~inference_core.image.reading.VOLUME_SUFFIXES`).

    Raises
    ------
    UserError
        ``output-format``, ``no-such-folder``, ``not-writable``, or ``write-failed``.
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
        # A header (.nhdr, .mhd) names its data file: the data moves first, the header last.
        for file in sorted(aside.iterdir(), key=lambda file: file.name == path.name):
            os.replace(file, path.resolve().parent / file.name)
