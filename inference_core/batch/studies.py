"""What is a study in an archive: each volume file, and each DICOM series of each folder.

Nothing is read here but the first tags of DICOM headers, and sizes and times of files.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from inference_core.batch.ledger import NAME as LEDGER
from inference_core.batch.ledger import has_ledger
from inference_core.errors import UserError
from inference_core.image.dicom_files import SECONDARY_CAPTURE, quiet_pydicom
from inference_core.image.reading import volume_suffix
from inference_core.image.writing import data_files

DICOM_SUFFIXES = (".dcm", ".ima")  # say that a file is DICOM; others are looked into
DISC = "DICOMDIR"  # in the folder of a disc, whose series may lie in several folders below it
READERS = 16  # files looked at a time; the wait is for the disk
HEAP = 64  # files that a thread takes at once
NAME_LENGTH = 80  # characters of a name made of a path; with what is added it stays below what file systems allow

Look = Callable[[int, int], None]


@dataclass(frozen=True)
class Study:
    """One volume.

    Attributes
    ----------
    path : str
        Of the volume file, or of the folder of the series; relative to the studies' folder, with forward slashes.
    series : str or None
        SeriesInstanceUID, of DICOM.
    files : tuple of str
        All that belongs to it, relative to its folder. Empty: the folder may not be read.
    size : int
        Bytes of them.
    stamp : str
        Changes when a file of it is written, renamed or touched: of names, sizes, times of change (mtime and ctime).
    sizes : str
        Of the series and the sizes of the files; what was moved, renamed or touched keeps it.
    left_out : str or None
        Why it is none to denoise.
    """

    path: str
    series: str | None
    files: tuple[str, ...]
    size: int
    stamp: str
    sizes: str
    left_out: str | None = None

    @property
    def folder(self) -> str:
        """What ``files`` are relative to, itself relative to the studies' folder."""
        return self.path if self.series is not None or not self.files else os.path.dirname(self.path)

    def name(self, *parts: str) -> str:
        """A file name without suffix: readable, and another for each study and for other ``parts``."""
        readable = re.sub(r"[^\w.-]+", "_", self.path).strip("._")[-NAME_LENGTH:].encode("ascii", "replace").decode()
        return f"{readable.replace('?', '_')}-{_hash(self.path, self.series or '', *parts)}"


@dataclass(frozen=True)
class _File:
    """What was seen of a file: ``found`` is None where there is nothing to see, ``uid`` where it is no DICOM slice."""

    path: Path
    found: os.stat_result | None
    uid: str | None = None
    no_ct: str | None = None
    fault: str | None = None
    """``broken``: cannot be read, and may be a slice of a series beside it; ``foreign``: named so, but no DICOM."""
    data: tuple[_File, ...] = ()


def find_studies(root: Path, besides: Path | None = None, look: Look = lambda done, total: None) -> list[Study]:
    """All studies below a folder, in the order of their paths.

    Hidden files and folders and results of other batches are passed over, and links to folders are not followed.

    Parameters
    ----------
    root : Path
    besides : Path, optional
        A folder in it that holds results, no studies.
    look : callable
        ``look(done, total)`` as files are looked into.

    Raises
    ------
    UserError
        ``no-such-folder``, ``same-folder``, ``no-studies``.
    """
    if not root.is_dir():
        raise UserError("no-such-folder", f"The folder {root} does not exist.", "Give the folder of the studies.")
    if root == besides:
        raise UserError("same-folder", f"{root} is named for studies and results.", "Name another folder for results.")
    paths, closed = _paths_below(root, besides)
    files: list[_File] = []
    heaps = [paths[first : first + HEAP] for first in range(0, len(paths), HEAP)]
    with quiet_pydicom(), ThreadPoolExecutor(READERS) as pool:
        for seen in pool.map(lambda heap: [_seen(path) for path in heap], heaps):
            files += seen
            look(len(files), len(paths))
    files = [file for file in files if file.found is None or stat.S_ISREG(file.found.st_mode)]
    volumes = [file for file in files if volume_suffix(file.path)]
    studies = [_study(root, file.path, None, [file, *file.data]) for file in volumes]
    studies += _series(root, [file for file in files if not volume_suffix(file.path)])
    studies += [Study(_relative(root, folder), None, (), 0, "", "") for folder in closed]
    if not studies:
        raise UserError("no-studies", f"{root} holds no volume and no DICOM series.", "Give another folder.")
    return sorted(studies, key=lambda study: (study.path, study.series or ""))


def _paths_below(root: Path, besides: Path | None) -> tuple[list[Path], list[Path]]:
    """Files, and the folders that may not be read; without results of other batches."""
    paths: list[Path] = []
    closed: list[Path] = []
    for folder, folders, names in os.walk(root, onerror=lambda error: closed.append(Path(error.filename))):
        if LEDGER in names and Path(folder) != root and has_ledger(Path(folder)):
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if name[0] != "." and Path(folder, name) != besides)
        paths += [Path(folder, name) for name in sorted(names) if name[0] != "."]
    return paths, closed


def _seen(path: Path) -> _File:
    """Look at a file; what is none (a pipe, say) is not opened."""
    named = path.suffix.lower() in DICOM_SUFFIXES
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            return _File(path, found)
        if volume_suffix(path):
            return _File(path, found, data=_data_files(path))
        with path.open("rb") as file:
            if file.read(132)[128:] != b"DICM":
                return _File(path, found, fault="foreign" if named else None)
            file.seek(0)
            return _File(path, found, *_first_tags(file))
    except PermissionError:
        return _File(path, None, fault="broken")
    except OSError:  # a dangling link, or it has gone
        return _File(path, None, fault="broken" if named else None)
    except Exception:  # pydicom raises whatever a damaged header makes it raise
        return _File(path, found, fault="broken")


def _first_tags(file: BinaryIO) -> tuple[str, str | None]:
    """SeriesInstanceUID, and why it is no CT slice; reading ends there."""
    from pydicom.filereader import read_partial
    from pydicom.tag import Tag

    wanted: list[Any] = [Tag(0x0008, 0x0008), Tag(0x0008, 0x0016), Tag(0x0008, 0x0060), Tag(0x0020, 0x000E)]
    header = read_partial(file, stop_when=lambda tag, vr, length: tag > wanted[-1], specific_tags=wanted)
    modality, no_ct = header.get("Modality"), None
    if "LOCALIZER" in (header.get("ImageType") or []):
        no_ct = "a localizer"
    elif header.get("SOPClassUID") == SECONDARY_CAPTURE:
        no_ct = "a secondary capture"
    elif modality != "CT":
        no_ct = f"of modality {modality}, not CT" if modality else "without a modality"
    return str(header.SeriesInstanceUID), no_ct


def _series(root: Path, files: list[_File]) -> list[Study]:
    discs = {file.path.parent for file in files if file.path.name.upper() == DISC}

    def home(path: Path) -> Path:
        return next((folder for folder in path.parents if folder in discs), path.parent)

    series: dict[tuple[Path, str], list[_File]] = {}
    broken: dict[Path, list[_File]] = {}
    alone = []
    for file in files:
        if file.path.name.upper() == DISC:
            continue
        if file.uid is not None:
            series.setdefault((home(file.path), file.uid), []).append(file)
        elif file.fault == "foreign":
            alone.append(file)
        elif file.fault == "broken":
            broken.setdefault(home(file.path), []).append(file)
    studies = []
    for (folder, uid), members in series.items():
        left_out = members[0].no_ct if all(file.no_ct for file in members) else None
        # Nobody knows which series of its folder a damaged file belongs to: reading it will refuse them by its name.
        more = [] if left_out else broken.get(folder, [])
        studies.append(_study(root, folder, uid, [*members, *more], left_out))
    taken = {root / study.path for study in studies if not study.left_out}
    alone += [file for folder, members in broken.items() if folder not in taken for file in members]
    return studies + [_study(root, file.path, None, [file]) for file in alone]


def _data_files(header: Path) -> tuple[_File, ...]:
    """Files beside a volume file that hold its voxels; a name with % stands for many."""
    named: set[Path] = set()
    for path in data_files(header):
        if path.is_file():
            named.add(path)
        elif "%" in path.name:  # slice%03d.raw 1 90 1
            named |= {other for other in header.parent.iterdir() if other.name.startswith(path.name.split("%")[0])}
    return tuple(_File(path, path.stat()) for path in sorted(named - {header}))


def _study(root: Path, path: Path, series: str | None, files: Iterable[_File], left_out: str | None = None) -> Study:
    folder = path if series is not None else path.parent
    names = []
    times, sizes = [], []
    for file in sorted(files, key=lambda file: file.path):
        name = Path(os.path.relpath(file.path, folder)).as_posix()
        names.append(name)
        found = file.found
        times.append(f"{name}\0{found.st_size}\0{found.st_mtime_ns}\0{found.st_ctime_ns}" if found else name)
        sizes.append(found.st_size if found else 0)
    told = _hash(series or "", *map(str, sorted(sizes)))
    return Study(_relative(root, path), series, tuple(names), sum(sizes), _hash(*times), told, left_out)


def _relative(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:16]
