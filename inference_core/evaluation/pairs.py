"""Pairs of a low-dose CT and its reference, from files or folders, one slice or many each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from inference_core.denoiser.guard import check_ct
from inference_core.errors import UserError
from inference_core.image.reading import read_volume, volume_suffix
from inference_core.image.volume import Volume
from inference_core.simulation.head_anatomy import Detail


@dataclass(frozen=True)
class Pair:
    """A CT at low dose, and what it is to be compared with.

    Attributes
    ----------
    name, scan, subject : str
        What it is called, the table it belongs to, and who it shows.
    low : Volume
        int16 HU.
    reference : Volume or None
        Full dose, or noise-free truth; of the same shape.
    details : tuple of Detail
        Small objects of known place, in a phantom.
    """

    name: str
    scan: str
    subject: str
    low: Volume
    reference: Volume | None = None
    details: tuple[Detail, ...] = ()


@dataclass(frozen=True)
class PairFiles:
    """Where a pair lies; the name is that of the file without its suffix."""

    name: str
    low: Path
    reference: Path | None

    @property
    def prefix(self) -> str:
        """The name up to its last ``_``, or all of it where it has none."""
        return self.name.rpartition("_")[0] or self.name

    @property
    def subject(self) -> str:
        """The name up to its first ``_``."""
        return self.name.partition("_")[0]


def find_pairs(low: Path, reference: Path | None, only: str = "") -> list[PairFiles]:
    """Files to compare: the one given, or those of one name in both folders, by name.

    Parameters
    ----------
    low, reference : Path
        Two files, or two folders; without a reference, one file or folder.
    only : str
        Of a folder, the files whose name starts with this.

    Raises
    ------
    UserError
        ``no-such-file``, ``file-and-folder`` or ``no-pairs``.
    """
    for path in filter(None, (low, reference)):
        if not path.exists():
            raise UserError("no-such-file", f"{path} does not exist.", "Check the path.")
    if reference is not None and low.is_dir() != reference.is_dir():
        raise UserError(
            "file-and-folder", f"One of {low} and {reference} is a file, the other a folder.",
            "Give two files, or two folders that hold files of the same names.",
        )  # fmt: skip
    if not low.is_dir():
        return [PairFiles(_name(low), low, reference)]
    names = _entries(low) & (_entries(low) if reference is None else _entries(reference))
    chosen = sorted(name for name in names if name.startswith(only))
    if not chosen:
        where = f"{low}" if reference is None else f"both {low} and {reference}"
        raise UserError(
            "no-pairs",
            f"No file name{f' that starts with {only!r}' if only else ''} is in {where}.",
            "A pair is one file name in both folders; a file may hold one slice or many.",
        )
    return [PairFiles(_name(low / name), low / name, reference and reference / name) for name in chosen]


def read_pair(files: PairFiles) -> Pair:
    """Read and check one pair.

    A file of one slice belongs to the scan of its prefix; a file of several slices is a scan of its own.

    Raises
    ------
    UserError
        What reading and :func:`~inference_core.denoiser.guard.check_ct` raise, ``not-whole-hu`` or
        ``different-shape``.
    """
    low = _read(files.low)
    reference = None if files.reference is None else _read(files.reference)
    if reference is not None and reference.voxels.shape != low.voxels.shape:
        one, other = (" x ".join(map(str, volume.voxels.shape)) for volume in (low, reference))
        raise UserError(
            "different-shape",
            f"{files.name}: {one} voxels at low dose, {other} in the reference (slices x rows x columns).",
            "Reconstruct both on one grid, or give the file that belongs to this one.",
        )
    scan = files.prefix if len(low.voxels) == 1 else files.name
    return Pair(files.name, scan, files.subject, low, reference)


def _read(path: Path) -> Volume:
    volume = read_volume(path)
    try:
        check_ct(volume)
    except UserError as error:
        raise UserError(error.code, f"{path}: {error.message}", error.remedy) from error
    if volume.voxels.dtype != np.int16:
        raise UserError(
            "not-whole-hu",
            f"{path} holds {volume.voxels.dtype} voxels; scores are defined on whole HU.",
            "Round it to int16 first.",
        )
    return volume


def _entries(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.startswith(".")}


def _name(path: Path) -> str:
    suffix = volume_suffix(path) or path.suffix
    return path.name[: -len(suffix)] if suffix else path.name
