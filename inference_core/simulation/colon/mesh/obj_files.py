"""Wavefront OBJ files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from inference_core.simulation.colon.mesh.surface import Surface
from inference_core.simulation.colon.mesh.surface_parts import polygon_triangles


def read_obj(path: Path) -> tuple[Surface, str]:
    """Read the vertices and polygons of an OBJ file.

    Returns
    -------
    Surface
        Coordinates as in the file; faces are not checked.
    str
        The comments.

    Raises
    ------
    ValueError
        With the reason, for a damaged file.
    """
    points: list[list[float]] = []
    polygons: list[list[int]] = []
    comments = []
    for number, line in enumerate(path.read_text(encoding="latin-1").splitlines(), 1):
        words = line.split()
        try:
            if line.startswith("v "):
                points.append([float(words[1]), float(words[2]), float(words[3])])
            elif line.startswith("f "):
                corners = [int(word.partition("/")[0]) for word in words[1:]]
                # Numbers count from 1, or back from the newest vertex.
                polygons.append([corner - 1 if corner > 0 else len(points) + corner for corner in corners])
            elif line.startswith("#"):
                comments.append(line)
        except (ValueError, IndexError) as error:
            raise ValueError(f"its line {number} cannot be read: {line[:60]!r}") from error
    return Surface(np.array(points, np.float64).reshape(-1, 3), polygon_triangles(polygons)), "\n".join(comments)


def write_obj(surface: Surface, path: Path) -> None:
    """Write an OBJ file: coordinates in LPS to a ten thousandth of a millimetre, no point arrays."""
    lines = ["# Colon surface. SPACE=LPS"]
    lines += [f"v {x:.4f} {y:.4f} {z:.4f}" for x, y, z in surface.vertices.tolist()]
    lines += [f"f {a} {b} {c}" for a, b, c in (surface.faces + 1).tolist()]
    path.write_text("\n".join(lines) + "\n", encoding="ascii", newline="\n")
