"""The CT scans in a person's folder, to train on: DICOM, NRRD, MetaImage, NIfTI, or NumPy arrays with their unit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from inference_core.errors import UserError
from inference_core.image.reading import read_volume, volume_suffix
from inference_core.simulation.projection import WATER_ATTENUATION

NpyUnit = Literal["", "HU", "HU+1024", "1/mm"]
LEAST_SIDE = 32  # pixels
MOST = 1e5  # HU; nothing has more


@dataclass(frozen=True)
class Scan:
    """Slices of one scan.

    Attributes
    ----------
    patient, name : str
        See :func:`patient_of` and :func:`scan_of`.
    slices : list of (H, W) float32 arrays
        HU.
    pixel_size : float
        mm.
    """

    patient: str
    name: str
    slices: list[NDArray[np.float32]]
    pixel_size: float


def patient_of(path: Path) -> str:
    """Whose scan a file or folder is: its name up to the first ``_`` (``L096`` of ``L096_D45f_0021.IMA``)."""
    return _stem(path).split("_")[0]


def scan_of(path: Path) -> str:
    """Which scan: of a folder its name, of a file its name up to the last ``_`` (files of one scan share the rest)."""
    return path.name if path.is_dir() else _stem(path).rpartition("_")[0] or _stem(path)


def scan_paths(folder: Path) -> list[Path]:
    """What is read as one volume each: the volume files, ``.npy`` files, single DICOM files and subfolders.

    Raises
    ------
    UserError
        ``no-such-folder`` or ``no-scans``.
    """
    if not folder.is_dir():
        raise UserError("no-such-folder", f"{folder} is not a folder.", "Give the folder that your CT scans lie in.")
    paths = sorted(path for path in folder.iterdir() if not path.name.startswith(".") and not _is_raw(path))
    if not paths:
        raise UserError("no-scans", f"There is no scan in {folder}.", "Put volume files or DICOM folders in it.")
    return paths


def check_apart_from(out: Path, folders: Iterable[Path]) -> None:
    """Refuse a run's folder in a folder of data, and a folder of data in the run's.

    Raises
    ------
    UserError
        ``out-folder``.
    """
    run = out.resolve()
    for folder in folders:
        data = folder.resolve()
        if run.is_relative_to(data) or data.is_relative_to(run):
            raise UserError(
                "out-folder",
                f"The run's folder {out} and the data folder {folder} lie one in the other.",
                "Give out= a folder apart from the data.",
            )


def read_scan(path: Path, npy_unit: NpyUnit = "", npy_pixel_size: float = 0.0) -> Scan:
    """Read one of :func:`scan_paths`.

    Parameters
    ----------
    path : Path
    npy_unit : str
        What the numbers of ``.npy`` files are: ``HU``, ``HU+1024`` (stored with an offset), or ``1/mm`` (attenuation).
    npy_pixel_size : float
        Of ``.npy`` files, mm.

    Raises
    ------
    UserError
        ``npy-unit``, ``npy-shape``, ``too-small``, ``not-hounsfield``, or what reading a volume raises.
    """
    if path.suffix == ".npy":
        voxels, pixel_size = _read_npy(path, npy_unit, npy_pixel_size)
    else:
        try:
            volume = read_volume(path)
        except UserError as error:
            remedy = "Take it out of the folder; each DICOM series needs a subfolder of its own."
            raise UserError(error.code, error.message, remedy) from error
        voxels, pixel_size = volume.voxels, volume.spacing[0]
    if not voxels.size:
        raise UserError("empty", f"{path} holds no slice.", "Take it out of the folder.")
    if min(voxels.shape[1:]) < LEAST_SIDE:
        raise UserError("too-small", f"{path} has slices of {voxels.shape[1:]}.", f"Use slices >= {LEAST_SIDE} pixels.")
    sensible = np.isfinite(voxels).all() and -MOST < voxels.min() < 0 and 50 + voxels.min() < voxels.max() < MOST
    if not sensible:
        raise UserError(
            "not-hounsfield",
            f"{path} reaches from {voxels.min():g} to {voxels.max():g}: no Hounsfield units (air -1000, water 0).",
            "Convert it, or take it out of the folder.",
        )
    return Scan(patient_of(path), scan_of(path), [image.astype(np.float32) for image in voxels], pixel_size)


def read_scans(paths: list[Path], npy_unit: NpyUnit = "", npy_pixel_size: float = 0.0) -> Iterator[Scan]:
    """:func:`read_scan` of each, files of one scan put together."""
    gathered: dict[str, Scan] = {}
    for path in paths:
        scan = read_scan(path, npy_unit, npy_pixel_size)
        if scan.name in gathered:
            first = gathered[scan.name]
            if abs(scan.pixel_size / first.pixel_size - 1) > 0.01:
                raise UserError(
                    "pixel-sizes-differ",
                    f"Files of {scan.name} have pixels of {first.pixel_size:g} and of {scan.pixel_size:g} mm ({path}).",
                    "A scan is the files that share a name up to the last _: name different scans differently.",
                )
            first.slices.extend(scan.slices)
        else:
            gathered[scan.name] = scan
    yield from gathered.values()


def _read_npy(path: Path, unit: NpyUnit, pixel_size: float) -> tuple[NDArray[np.float32], float]:
    if not unit or pixel_size <= 0:
        raise UserError(
            "npy-unit",
            f"{path.name} does not say what its numbers are.",
            "Give npy_unit=HU (or HU+1024, or 1/mm) and npy_pixel_size=MILLIMETRES.",
        )
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, OSError) as error:
        raise UserError("unreadable-file", f"{path} is no NumPy array.", "Save it again by numpy.save.") from error
    if array.dtype.kind not in "iuf" or array.ndim not in (2, 3):
        raise UserError(
            "npy-shape",
            f"{path.name} holds {array.dtype} of shape {array.shape}.",
            "Give (rows, columns) or (slices, rows, columns) of numbers.",
        )
    if not array.size:
        raise UserError("empty", f"{path} holds no slice.", "Take it out of the folder.")
    voxels = array.reshape(-1, *array.shape[-2:]).astype(np.float32)
    if unit == "HU+1024":
        voxels = voxels - 1024
    elif unit == "1/mm":
        voxels = 1000 * (voxels / np.float32(WATER_ATTENUATION) - 1)
    return voxels, pixel_size


def _stem(path: Path) -> str:
    suffix = volume_suffix(path)
    return path.name[: -len(suffix)] if suffix else path.name if path.is_dir() else path.stem


def _is_raw(path: Path) -> bool:
    """Voxel files that belong to a header file, and what lies about in folders of scans."""
    if volume_suffix(path):
        return False
    return path.suffix.lower() in (".raw", ".zraw", ".gz", ".json", ".md", ".txt", ".csv", ".png")
