"""Files beside a header (.nhdr, .mhd) that hold its voxels: which they are, and that they lie where they may."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath

from inference_core.errors import UserError

NRRD, META = (".nrrd", ".nhdr"), (".mha", ".mhd")
OWN_ENDINGS = {".nhdr": (".raw", ".raw.gz"), ".mhd": (".raw", ".zraw")}  # that ITK gives to the files it writes
NAMES_DATA = {
    NRRD: re.compile(rb"\s*data ?file\s*:\s*(.*)", re.IGNORECASE),
    META: re.compile(rb"\s*ElementDataFile\s*[=:]\s*(.*)", re.IGNORECASE),
}
LONGEST_LINE = 1 << 16


def data_files(path: Path) -> list[Path]:
    """Where a header may keep its voxels: as we write it, and as the one that is there says."""
    made = [path.with_suffix(ending) for ending in OWN_ENDINGS.get(path.suffix.lower(), ())]
    return [*made, *(path.parent / name for name in _named(path))]


def check_data_files(path: Path) -> None:
    """Refuse a header whose voxels lie outside its folder: what came from elsewhere may read only what came with it.

    Raises
    ------
    UserError
        ``data-file-elsewhere``.
    """
    for name in _named(path):
        for kind in (PurePosixPath(name), PureWindowsPath(name)):
            if kind.is_absolute() or kind.drive or ".." in kind.parts:
                raise UserError(
                    "data-file-elsewhere",
                    f"{path.name} says that its voxels lie in {name}, outside its own folder.",
                    "Put that file beside it and name it there; or save the volume as one file (.nrrd).",
                )


def _named(path: Path) -> list[str]:
    """The data files that a header names; none where it holds its voxels itself, or is no header."""
    kind = next((kind for kind in (NRRD, META) if path.suffix.lower() in kind), None)
    if kind is None or not path.is_file():
        return []
    names: list[str] = []
    listed = False
    with path.open("rb") as file:
        for line in _lines(file):
            if kind is NRRD and not line and not listed:
                break  # the voxels follow
            if listed:
                names.append(line.decode("utf-8", "surrogateescape"))
            elif found := NAMES_DATA[kind].fullmatch(line):
                value = found[1].strip().decode("utf-8", "surrogateescape")
                listed = value.upper().startswith("LIST")
                if kind is META and value.upper() == "LOCAL":
                    break
                if not listed:
                    names.append(value)
                    if kind is META:
                        break
    return [name for name in names if name]


def _lines(file: object) -> Iterator[bytes]:
    while line := file.readline(LONGEST_LINE):  # type: ignore[attr-defined]
        yield line.strip(b"\r\n")
