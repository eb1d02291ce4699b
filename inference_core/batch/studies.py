"""What is a study in a folder: each volume file, and each DICOM series of each folder."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from inference_core.errors import UserError
from inference_core.image.reading import volume_suffix
from inference_core.scratch import PREFIX

DICOM_SUFFIXES = (".dcm", ".ima", "")
READERS = 16  # files whose headers are read at a time; the wait is for the disk
NAME_LENGTH = 80  # characters of a name made of a path; with what is added it stays below what file systems allow


@dataclass(frozen=True)
class Study:
    """One volume to denoise.

    Attributes
    ----------
    path : str
        Relative to the studies' folder, with forward slashes.
    series : str or None
        SeriesInstanceUID, of DICOM.
    files : int
    fingerprint : str
        Changes when a file of it is another: of names, sizes and times of change.
    """

    path: str
    series: str | None
    files: int
    fingerprint: str

    def name(self, parameters: str) -> str:
        """File name without suffix of its result: readable, and another for each study and each set of parameters."""
        readable = re.sub(r"[^\w.-]+", "_", self.path).strip("._")[-NAME_LENGTH:].encode("ascii", "replace").decode()
        key = hashlib.sha256("\0".join((self.path, self.series or "", parameters)).encode()).hexdigest()[:12]
        return f"{readable.replace('?', '_')}-{key}"


def find_studies(root: Path, besides: Path | None = None) -> list[Study]:
    """All studies below a folder, in the order of their paths.

    Parameters
    ----------
    root : Path
    besides : Path, optional
        A folder in it that holds results, no studies.

    Raises
    ------
    UserError
        ``no-such-folder``, ``no-studies``.
    """
    if not root.is_dir():
        raise UserError("no-such-folder", f"The folder {root} does not exist.", "Give the folder of the studies.")
    studies: list[Study] = []
    maybe_dicom: list[Path] = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(
            name for name in folders if not name.startswith(PREFIX) and Path(folder, name).resolve() != besides
        )
        for name in sorted(names):
            path = Path(folder, name)
            if volume_suffix(path):
                studies.append(_study(root, path, None, [path]))
            elif path.suffix.lower() in DICOM_SUFFIXES and not name.startswith(".") and name != "DICOMDIR":
                maybe_dicom.append(path)
    studies += _series(root, maybe_dicom)
    if not studies:
        raise UserError("no-studies", f"{root} holds no volume and no DICOM series.", "Give another folder.")
    return sorted(studies, key=lambda study: (study.path, study.series or ""))


def _series(root: Path, files: list[Path]) -> list[Study]:
    with ThreadPoolExecutor(READERS) as pool:
        uids = list(pool.map(_series_uid, files, chunksize=64))
    series: dict[tuple[Path, str], list[Path]] = {}
    studies = []
    for path, uid in zip(files, uids, strict=True):
        if uid:
            series.setdefault((path.parent, uid), []).append(path)
        elif path.suffix:  # says that it is DICOM, and is not: to be refused by name
            studies.append(_study(root, path, None, [path]))
    return studies + [_study(root, folder, uid, paths) for (folder, uid), paths in series.items()]


def _series_uid(path: Path) -> str | None:
    import pydicom

    try:
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["SeriesInstanceUID"])
        return str(header.SeriesInstanceUID)
    except Exception:  # pydicom raises whatever a damaged header makes it raise
        return None


def _study(root: Path, path: Path, series: str | None, files: Iterable[Path]) -> Study:
    print_of = hashlib.sha256()
    count = 0
    for file in files:
        count += 1
        try:
            found = file.stat()
            print_of.update(f"{file.name}\0{found.st_size}\0{found.st_mtime_ns}\0".encode())
        except OSError:  # a dangling link; reading it will say so
            print_of.update(f"{file.name}\0".encode())
    return Study(path.relative_to(root).as_posix(), series, count, print_of.hexdigest()[:16])
