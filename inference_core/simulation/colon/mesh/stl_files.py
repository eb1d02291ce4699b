"""STL files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from inference_core.simulation.colon.mesh.surface import Surface, face_vectors
from inference_core.simulation.colon.mesh.surface_parts import merged_duplicates

_RECORD = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])


def read_stl(path: Path) -> tuple[Surface, str]:
    """Read an ASCII or binary STL file; corners at the same place become one vertex.

    Returns
    -------
    Surface
        Coordinates as in the file.
    str
        The header.

    Raises
    ------
    ValueError
        With the reason, for a damaged file.
    """
    data = path.read_bytes()
    count = int.from_bytes(data[80:84], "little") if len(data) >= 84 else -1
    size = 84 + _RECORD.itemsize * count
    # The length decides first: many binary files begin with "solid" too.
    if data[:5].lower() == b"solid" and len(data) != size:
        corners = _ascii_corners(data)
        header = data.split(b"\n", 1)[0]
    elif count >= 0 and len(data) >= size:
        corners = np.frombuffer(data, _RECORD, count, 84)["corners"].reshape(-1, 3)
        header = data[:80]
    else:
        raise ValueError("it is no STL file, or cut short")
    faces = np.arange(len(corners), dtype=np.int64).reshape(-1, 3)
    return merged_duplicates(Surface(corners.astype(np.float64), faces)), header.decode("latin-1")


def write_stl(surface: Surface, path: Path) -> None:
    """Write a binary STL file: float32 coordinates in LPS, no point arrays."""
    records = np.zeros(len(surface.faces), _RECORD)
    vectors = face_vectors(surface)
    records["normal"] = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    records["corners"] = surface.vertices[surface.faces]
    header = b"Colon surface. SPACE=LPS".ljust(80)
    path.write_bytes(header + len(records).to_bytes(4, "little") + records.tobytes())


def _ascii_corners(data: bytes) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    if b"endsolid" not in data[-400:].lower():
        raise ValueError("it is cut short")
    words = np.array(data.lower().split(), dtype=bytes)
    at = np.flatnonzero(words == b"vertex")
    if len(at) % 3 or len(at) != 3 * np.count_nonzero(words == b"endfacet") or (len(at) and at[-1] + 3 >= len(words)):
        raise ValueError("a facet of it has not three corners")
    return np.asarray(words[at[:, None] + [1, 2, 3]].astype(np.float64))
