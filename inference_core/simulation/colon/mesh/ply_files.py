"""PLY files, without VTK: its reader ends the whole program on a file that was cut short."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_core.simulation.colon.mesh.surface import Surface
from inference_core.simulation.colon.mesh.surface_parts import polygon_triangles

_TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2",
    "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4",
    "double": "f8", "float64": "f8",
}  # fmt: skip
_NAMES = {kind: name for name, kind in _TYPES.items() if not name[-1].isdigit()}
_CUT_SHORT = "it is cut short"
_NOT_ARRAYS = {"x", "y", "z", "nx", "ny", "nz", "red", "green", "blue", "alpha", "s", "t", "u", "v"}


@dataclass
class _Element:
    name: str
    count: int
    scalars: list[tuple[str, str]] = field(default_factory=list)  # name, type
    lists: dict[str, tuple[str, str]] = field(default_factory=dict)  # name to types of the count and of the items
    order: list[str] = field(default_factory=list)


def read_ply(path: Path) -> tuple[Surface, str]:
    """Read vertices, polygons and numbers at vertices of an ASCII or binary PLY file.

    Returns
    -------
    Surface
        Polygons are split into triangles; faces are not checked. Coordinates as in the file.
    str
        The header, for what its comments say.

    Raises
    ------
    ValueError
        With the reason, for a damaged file.
    """
    data = path.read_bytes()
    end = re.search(rb"end_header[ \t]*\r?\n", data)
    if not data.startswith(b"ply") or end is None:
        raise ValueError("it has no PLY header")
    header = data[: end.start()].decode("latin-1")
    encoding, elements = _parse_header(header)
    body = data[end.end() :]
    rows = _ascii_rows(body, elements) if encoding == "ascii" else _binary_rows(body, elements, encoding)
    if "vertex" not in rows or "face" not in rows:
        raise ValueError("it holds no vertices or no faces")
    vertex, face = rows["vertex"], rows["face"]
    polygons = face.get("vertex_indices", face.get("vertex_index"))
    if polygons is None or not {"x", "y", "z"} <= vertex.keys():
        raise ValueError("its vertices have no x, y and z, or its faces no vertex_indices")
    points = np.stack([np.asarray(vertex[axis], np.float64) for axis in "xyz"], axis=1)
    arrays = {
        name: np.asarray(values)
        for name, values in vertex.items()
        if name not in _NOT_ARRAYS and isinstance(values, np.ndarray)
    }
    return Surface(points, polygon_triangles(polygons), arrays), header


def write_ply(surface: Surface, path: Path) -> None:
    """Write a binary PLY file: float32 coordinates in LPS, point arrays as properties of the vertices."""
    arrays = {name: values for name, values in surface.point_arrays.items() if values.dtype.str[1:] in _NAMES}
    columns = [(axis, "<f4") for axis in "xyz"]
    columns += [(name, f"<{values.dtype.str[1:]}") for name, values in arrays.items()]
    vertex = np.empty(len(surface.vertices), columns)
    for axis, name in enumerate("xyz"):
        vertex[name] = surface.vertices[:, axis]
    for name, values in arrays.items():
        vertex[name] = values
    face = np.empty(len(surface.faces), [("count", "u1"), ("vertex_indices", "<i4", 3)])
    face["count"], face["vertex_indices"] = 3, surface.faces
    lines = ["ply", "format binary_little_endian 1.0", "comment SPACE=LPS", f"element vertex {len(vertex)}"]
    lines += [f"property {_NAMES[kind[1:]]} {name}" for name, kind in columns]
    lines += [f"element face {len(face)}", "property list uchar int vertex_indices", "end_header", ""]
    path.write_bytes("\n".join(lines).encode() + vertex.tobytes() + face.tobytes())


def _parse_header(header: str) -> tuple[str, list[_Element]]:
    encoding, elements = "", []
    for line in header.splitlines():
        words = line.split()
        try:
            if words[:1] == ["format"]:
                encoding = {"ascii": "ascii", "binary_little_endian": "<", "binary_big_endian": ">"}[words[1]]
            elif words[:1] == ["element"]:
                elements.append(_Element(words[1], int(words[2])))
            elif words[:2] == ["property", "list"]:
                elements[-1].lists[words[4]] = (_TYPES[words[2]], _TYPES[words[3]])
                elements[-1].order.append(words[4])
            elif words[:1] == ["property"]:
                elements[-1].scalars.append((words[2], _TYPES[words[1]]))
                elements[-1].order.append(words[2])
        except (KeyError, IndexError, ValueError) as error:
            raise ValueError(f"its header has a line that says nothing: {line[:60]!r}") from error
    if not encoding or any(element.count < 0 for element in elements):
        raise ValueError("its header is damaged")
    return encoding, elements


def _binary_rows(body: bytes, elements: list[_Element], order: str) -> dict[str, dict[str, Any]]:
    rows, at = {}, 0
    for element in elements:
        row, at = _binary_element(body, at, element, order)
        rows[element.name] = row
    return rows


def _binary_element(body: bytes, at: int, element: _Element, order: str) -> tuple[dict[str, Any], int]:
    """Values of one element by property: an array, or for a list a list of arrays or an (N, 3) array."""
    scalars = dict(element.scalars)
    # First as if every list held three items, as the faces of nearly every file do.
    columns: list[Any] = []
    for name in element.order:
        if name in scalars:
            columns.append((name, order + scalars[name]))
        else:
            counts, items = element.lists[name]
            columns += [(f"{name} count", order + counts), (name, order + items, 3)]
    kind = np.dtype(columns)
    if len(body) - at >= kind.itemsize * element.count:
        table = np.frombuffer(body, kind, element.count, at)
        if all((table[f"{name} count"] == 3).all() for name in element.lists):
            return {name: _native(table[name]) for name in element.order}, at + kind.itemsize * element.count
    if not element.lists:
        raise ValueError(_CUT_SHORT)
    values: dict[str, Any] = {name: [] for name in element.order}
    for _ in range(element.count):
        for name in element.order:
            if name in scalars:
                one, at = _take(body, at, order + scalars[name], 1)
                values[name].append(one[0])
            else:
                counts, items = element.lists[name]
                size, at = _take(body, at, order + counts, 1)
                one, at = _take(body, at, order + items, int(size[0]))
                values[name].append(one)
    return values, at


def _take(body: bytes, at: int, kind: str, count: int) -> tuple[NDArray[Any], int]:
    size = np.dtype(kind).itemsize * count
    if count < 0 or at + size > len(body):
        raise ValueError(_CUT_SHORT)
    return np.frombuffer(body, kind, count, at), at + size


def _native(values: NDArray[Any]) -> NDArray[Any]:
    return values.astype(values.dtype.newbyteorder("="))


def _ascii_rows(body: bytes, elements: list[_Element]) -> dict[str, dict[str, Any]]:
    numbers = np.array(body.split(), dtype=bytes).astype(np.float64)
    rows: dict[str, dict[str, Any]] = {}
    at = 0
    for element in elements:
        scalars = dict(element.scalars)
        if not element.lists:
            width = len(element.order)
            if at + width * element.count > len(numbers):
                raise ValueError(_CUT_SHORT)
            table = numbers[at : at + width * element.count].reshape(-1, width)
            rows[element.name] = {
                name: table[:, column].astype(scalars[name]) for column, name in enumerate(element.order)
            }
            at += width * element.count
            continue
        values: dict[str, Any] = {name: [] for name in element.order}
        for _ in range(element.count):
            for name in element.order:
                if at >= len(numbers):
                    raise ValueError(_CUT_SHORT)
                count = 1 if name in scalars else int(numbers[at])
                at += 0 if name in scalars else 1
                if count < 0 or at + count > len(numbers):
                    raise ValueError(_CUT_SHORT)
                values[name].append(numbers[at : at + count])
                at += count
        rows[element.name] = values
    return rows
