"""Write a volume file that says the same as the one it came from."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from inference_core.errors import Cancelled, UserError
from inference_core.image.data_files import data_files
from inference_core.image.reading import VOLUME_SUFFIXES, itk_name, nifti_is_whole, volume_suffix
from inference_core.image.volume import Volume
from inference_core.scratch import scratch_folder

__all__ = ["check_folder", "check_writable", "data_files", "plainly", "write_aside", "write_volume", "written_early"]

HEADER_END = re.compile(rb"\n\r?\n|ElementDataFile = LOCAL\r?\n")  # of a .nrrd, of a .mha
HEADER_BYTES = 1 << 16


def check_writable(path: Path) -> None:
    """Refuse an output path before any work is done for it.

    Raises
    ------
    UserError
        For a folder, a link, a suffix that is no volume format, a name that cannot be, or a folder that is missing or
        read-only.
    """
    if volume_suffix(path) is None:
        raise UserError(
            "output-format",
            f"{path} is not a volume file.",
            f"Give a name that ends in {', '.join(VOLUME_SUFFIXES)}.",
        )
    check_folder(path)
    itk_name(path)
    if data_files(path) and ("%" in path.name or not path.name.isprintable()):
        raise UserError(
            "bad-name",
            f"A header cannot say that its voxels lie in a file of the name {path.name!r}.",
            "Choose a name without percent signs and line breaks, or one file (.nrrd).",
        )
    foreign = [file for file in data_files(path) if file.exists() and not path.exists()]
    if foreign:
        raise UserError(
            "data-file-exists",
            f"{path.name} keeps its voxels in {foreign[0].name}, which is there already.",
            "Choose another name.",
        )


def check_folder(path: Path) -> None:
    """Refuse a file whose name cannot be, that is a link, or whose folder is missing or read-only.

    Raises
    ------
    UserError
        ``bad-name``, ``output-format``, ``linked-file``, ``no-such-folder`` or ``not-writable``.
    """
    check_name(path)
    if path.is_dir():
        raise UserError("output-format", f"{path} is a folder.", "Give the name of a file.")
    if path.is_symlink():  # a file moved into place would take the place of the link, or the header lose its voxels
        raise UserError(
            "linked-file",
            f"{path} is a symbolic link to {os.readlink(path)}.",
            "Give the name of a new file, or the one that the link points to.",
        )
    folder = path.absolute().parent
    if not folder.is_dir():
        raise UserError("no-such-folder", f"The folder {folder} does not exist.", "Make it first, or choose another.")
    if not os.access(folder, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
        raise UserError("not-writable", f"{path} cannot be written.", "Choose a folder you may write to.")


def check_name(path: Path) -> None:
    """Refuse a name that the disk cannot have: too long, or through a loop of links.

    Raises
    ------
    UserError
        ``bad-name``.
    """
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        pass
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(
            "bad-name", f"{path} cannot be written: {reason}.", "Choose a shorter name, or another folder."
        ) from error


@contextmanager
def plainly(path: Path) -> Iterator[None]:
    """What the disk refuses while ``path`` is written, in words.

    Raises
    ------
    UserError
        ``write-failed``.
    """
    try:
        yield
    except OSError as error:
        chain = (error, error.__cause__)  # pydicom wraps the disk's error into one of many lines
        reasons = [one.strerror for one in chain if isinstance(one, OSError) and one.strerror]
        raise UserError(
            "write-failed",
            f"{path} could not be written: {reasons[0] if reasons else error}.",
            "Check the free space on that disk and your rights.",
        ) from error


def write_aside(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` make a file aside and move it into place: it is there whole, or not at all.

    Raises
    ------
    UserError
        ``write-failed``.
    """
    with plainly(path), scratch_folder(path.absolute().parent) as aside:
        write(aside / path.name)
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
    with plainly(path), scratch_folder(path.absolute().parent) as aside:
        try:
            sitk.WriteImage(image, itk_name(aside / path.name))
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1].strip()
            raise UserError(
                "write-failed", f"{path} could not be written: {reason}", "Check the free space on that disk."
            ) from error
        if not _is_whole(aside / path.name, image, voxels.nbytes):  # ITK may say nothing of a full disk
            raise UserError("write-failed", f"{path} could not be written whole.", "Check the free space on that disk.")
        if not wanted():
            raise Cancelled
        # A header (.nhdr, .mhd) names its data file: the data moves first, the header last.
        for file in sorted(aside.iterdir(), key=lambda file: file.name == path.name):
            os.replace(file, path.absolute().parent / file.name)


@contextmanager
def written_early(
    volume: Volume, path: Path, wanted: Callable[[], bool] = lambda: True
) -> Iterator[Callable[[], None]]:
    """Write a volume aside while the caller still measures it; as :func:`write_volume` otherwise.

    Yields
    ------
    callable
        Moves it into place, or raises what :func:`write_volume` raises. Where it is not called, nothing is written.
    """
    decided: Future[bool] = Future()
    with ThreadPoolExecutor(1, thread_name_prefix="write") as beside:
        writing = beside.submit(write_volume, volume, path, lambda: decided.result() and wanted())

        def finish() -> None:
            decided.set_result(True)
            writing.result()

        try:
            yield finish
        finally:
            if not decided.done():
                decided.set_result(False)


def _is_whole(path: Path, image: Any, size: int) -> bool:
    """Whether a file that ITK wrote, uncompressed but for ``.nii.gz``, holds all ``size`` bytes of its voxels."""
    if ".nii" in path.name.lower():
        return nifti_is_whole(path)
    if made := [file for file in data_files(path) if file.exists()]:
        return made[0].stat().st_size == size and _says_the_same(path, image)
    with path.open("rb") as file:
        end = HEADER_END.search(file.read(HEADER_BYTES))
    return end is not None and path.stat().st_size == end.end() + size


def _says_the_same(header: Path, image: Any) -> bool:
    """Whether a header (.nhdr, .mhd) is whole: it may be the file that found no more room."""
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetFileName(itk_name(header))
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        return False
    same = np.allclose(reader.GetOrigin(), image.GetOrigin()) and np.allclose(
        reader.GetDirection(), image.GetDirection()
    )
    kinds = reader.GetPixelID() == image.GetPixelID() and np.allclose(reader.GetSpacing(), image.GetSpacing())
    return same and kinds and reader.GetSize() == image.GetSize() and header.read_bytes().endswith(b"\n")
