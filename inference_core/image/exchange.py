"""Hand voxels over between two processes on one machine: a NRRD header (.nhdr) beside a raw file.

For whoever must stay responsive meanwhile (Slicer): only numpy is needed, and all the time goes into system calls that
leave Python's other threads free, so call these from a background thread.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_core.errors import UserError

NRRD_TYPES = {
    "int8": ("int8", "signed char", "int8_t"),
    "uint8": ("uint8", "unsigned char", "uchar", "uint8_t"),
    "int16": ("int16", "short", "short int", "signed short", "signed short int", "int16_t"),
    "uint16": ("uint16", "unsigned short", "unsigned short int", "ushort", "uint16_t"),
    "int32": ("int32", "int", "signed int", "int32_t"),
    "uint32": ("uint32", "unsigned int", "uint", "uint32_t"),
    "int64": ("int64", "long long", "long long int", "longlong", "signed long long", "signed long long int", "int64_t"),
    "uint64": ("uint64", "unsigned long long", "unsigned long long int", "ulonglong", "uint64_t"),
    "float32": ("float",),
    "float64": ("double",),
}
"""Voxel types that both ends know, by their numpy name."""


def write_exchange(voxels: NDArray[Any], index_to_lps: NDArray[np.float64], folder: Path) -> Path:
    """Write voxels for another process.

    Parameters
    ----------
    voxels : (slices, rows, columns) array
        Of a type in :data:`NRRD_TYPES`.
    index_to_lps : (4, 4) array
        From a voxel index (column, row, slice, 1) to a point in mm, LPS.
    folder : Path
        Existing folder; ``input.nhdr`` and ``input.raw`` are written there.

    Returns
    -------
    Path
        Of the header.

    Raises
    ------
    UserError
        ``voxel-type``, or ``write-failed`` where the disk is full.
    """
    if voxels.dtype.name not in NRRD_TYPES:
        raise UserError("voxel-type", f"It holds {voxels.dtype} voxels, not numbers in HU.", "Cast it to short.")
    native = np.ascontiguousarray(voxels, voxels.dtype.newbyteorder("<"))
    header = folder / "input.nhdr"
    axes = " ".join(_vector(index_to_lps[:3, axis]) for axis in range(3))
    lines = [
        "NRRD0004",
        f"type: {NRRD_TYPES[voxels.dtype.name][0]}",
        "dimension: 3",
        "space: left-posterior-superior",
        f"sizes: {' '.join(map(str, voxels.shape[::-1]))}",
        f"space directions: {axes}",
        "kinds: domain domain domain",
        "endian: little",
        "encoding: raw",
        f"space origin: {_vector(index_to_lps[:3, 3])}",
        "data file: input.raw",
    ]
    try:
        with open(folder / "input.raw", "wb", buffering=0) as file:
            rest = native.reshape(-1).view(np.uint8).data
            while rest:  # one call writes 2 GiB at most
                rest = rest[file.write(rest) :]
        header.write_text("\n".join(lines) + "\n\n", encoding="ascii")
    except OSError as error:
        raise UserError(
            "write-failed", f"{folder} cannot be written: {error}.", "Check the free space on that disk."
        ) from error
    return header


def read_exchange(path: Path, out: NDArray[Any] | None = None) -> NDArray[Any]:
    """Read what the other process wrote: an uncompressed NRRD whose header names its data file.

    Parameters
    ----------
    path : Path
        The ``.nhdr`` file.
    out : (slices, rows, columns) array, optional
        Contiguous; where to read the voxels to. Its shape and type must be the file's.

    Returns
    -------
    (slices, rows, columns) array
        ``out`` where given.

    Raises
    ------
    UserError
        ``bad-exchange`` where the file is not what was agreed.
    """
    fields = dict(
        line.split(": ", 1)
        for line in path.read_text(encoding="ascii", errors="replace").splitlines()
        if ": " in line and not line.startswith("#")
    )
    names = {nrrd: name for name, nrrds in NRRD_TYPES.items() for nrrd in nrrds}
    try:
        dtype = np.dtype(names[fields["type"]]).newbyteorder("<" if fields.get("endian", "little") == "little" else ">")
        shape = tuple(int(n) for n in fields["sizes"].split())[::-1]
        data = path.parent / fields["data file"]
    except (KeyError, ValueError) as error:
        raise _bad(path, f"its header lacks or garbles {error}") from error
    if fields.get("encoding") != "raw" or len(shape) != 3:
        raise _bad(path, f"it is {fields.get('encoding')}, {len(shape)}D")
    if out is None:
        out = np.empty(shape, dtype)
    if out.shape != shape or out.dtype != dtype or not out.flags.c_contiguous:
        raise _bad(path, f"it holds {dtype} voxels of shape {shape}, not {out.dtype} of shape {out.shape}")
    rest = out.reshape(-1).view(np.uint8).data
    with open(data, "rb", buffering=0) as file:
        while rest:
            count = file.readinto(rest)
            if not count:
                raise _bad(path, f"{len(rest)} bytes are missing")
            rest = rest[count:]
    return out


def _vector(values: NDArray[np.float64]) -> str:
    return "(" + ",".join(repr(float(v)) for v in values) + ")"


def _bad(path: Path, why: str) -> UserError:
    return UserError("bad-exchange", f"{path.name} is not the volume that was agreed: {why}.",
                     "Client and worker may be of different versions; install one of them again.")  # fmt: skip
