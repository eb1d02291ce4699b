"""Whether a surface can be a colon's, and the repairs that make it usable: each is said, none is silent."""

from __future__ import annotations

import numpy as np

from inference_core.errors import UserError
from inference_core.simulation.colon.mesh.surface import Surface, enclosed_volume, face_areas
from inference_core.simulation.colon.mesh.surface_holes import without_holes
from inference_core.simulation.colon.mesh.surface_parts import merged_duplicates, part_of_faces, with_faces
from inference_core.simulation.colon.mesh.surface_winding import (
    consistent,
    damaged,
    faces_at_edges,
    manifold,
    without_useless_faces,
)

WIDTHS = (8.0, 70.0)  # mm: a lumen is 10 to 60 mm wide, and folds make the estimate a little narrow
LONGEST = (40.0, 600.0)  # mm, longest side of the box around it: from a short piece to a whole colon
FARTHEST = 1e6  # mm from the origin: pictures are drawn in single precision
_DEBRIS = 0.1  # of the largest part's area: smaller parts are dropped, larger ones are another organ
_UNITS = {"centimetres": 10.0, "inches": 25.4, "metres": 1000.0, "micrometres": 0.001}


def checked(surface: Surface) -> tuple[Surface, list[str]]:
    """Check a surface and repair what can be repaired without changing the wall.

    Parameters
    ----------
    surface : Surface
        Of any origin.

    Returns
    -------
    Surface
        One closed part with outward normals, every vertex in use, mm. Point arrays go with their vertices; vertices
        that close a hole have 0.
    list of str
        A sentence for each repair; empty for a surface that was right.

    Raises
    ------
    UserError
        ``surface-damaged``, ``several-surfaces`` or ``surface-scale``, with the reason.
    """
    notes: list[str] = []
    if not len(surface.faces):
        raise damaged("it has no triangles")
    if not np.isfinite(surface.vertices).all():
        count = np.count_nonzero(~np.isfinite(surface.vertices).all(axis=1))
        raise damaged(f"{count} of its vertices have coordinates that are no numbers")
    surface = without_useless_faces(surface, notes)
    surface = _joined(surface, notes)
    surface = _only_part(surface, notes)
    surface = manifold(surface, notes)
    surface = consistent(surface, notes)
    surface = without_holes(surface, notes)
    if enclosed_volume(surface) < 0:
        notes.append("Turned the whole surface over: its normals pointed into the lumen.")
        surface = Surface(surface.vertices, np.ascontiguousarray(surface.faces[:, ::-1]), surface.point_arrays)
    check_scale(surface)
    return surface, notes


def lumen_width(surface: Surface) -> float:
    """Width in mm of a tube with the volume and the area of a closed surface: 4 volume / area."""
    return 4 * abs(enclosed_volume(surface)) / max(float(face_areas(surface).sum()), 1e-12)


def check_scale(surface: Surface) -> None:
    """Refuse a closed surface that is not in millimetres.

    Raises
    ------
    UserError
        ``surface-scale``, with the factor that would put it right where one does.
    """
    width, longest = lumen_width(surface), float(np.ptp(surface.vertices, axis=0).max())
    away = float(np.abs(surface.vertices).max())
    if away > FARTHEST:
        raise UserError(
            "far-away",
            f"The surface lies {away:.3g} mm from the origin: too far to be drawn to the hundredth of a millimetre.",
            "Move it near the origin and save it again.",
        )
    if _fits(width, longest):
        return
    message = (
        f"Taken as millimetres, the surface is {longest:.3g} mm long (the box around it) and its lumen {width:.3g} mm"
        " wide; of a colon these are 150 to 600 mm and 10 to 60 mm."
    )
    fitting = [(unit, factor) for unit, factor in _UNITS.items() if _fits(width * factor, longest * factor)]
    if fitting:
        units = " or ".join(f"in {unit} (then multiply its coordinates by {factor:g})" for unit, factor in fitting)
        raise UserError(
            "surface-scale", message, f"It seems to be {units}; of a label map, check the spacing. Save it again."
        )
    raise UserError(
        "surface-scale",
        message,
        "Save it in millimetres; if its coordinates count voxels, multiply them by the voxel size.",
    )


def _fits(width: float, longest: float) -> bool:
    return WIDTHS[0] <= width <= WIDTHS[1] and LONGEST[0] <= longest <= LONGEST[1]


def _joined(surface: Surface, notes: list[str]) -> Surface:
    """Vertices at one place joined, if the surface is open: some programs save each triangle on its own."""
    if (faces_at_edges(surface) > 1).all():
        return surface
    joined = merged_duplicates(surface)
    lost = len(surface.vertices) - len(joined.vertices)
    if not lost:
        return surface
    notes.append(f"Joined {lost} vertices that lay at the place of another.")
    return without_useless_faces(joined, notes)


def _only_part(surface: Surface, notes: list[str]) -> Surface:
    parts = part_of_faces(surface)
    areas = np.bincount(parts, face_areas(surface))
    main = int(np.argmax(areas))
    large = np.flatnonzero(areas >= _DEBRIS * areas[main])
    if len(large) > 1:
        sizes = ", ".join(_size(surface, parts == part) for part in large[np.argsort(-areas[large])][:5])
        raise UserError(
            "several-surfaces",
            f"The file holds {len(large)} separate surfaces: {sizes}.",
            "Save the colon alone, in one piece.",
        )
    if len(areas) > 1:
        share = 1 - areas[main] / areas.sum()
        pieces = f"{len(areas) - 1} loose piece{'s'[: len(areas) > 2]}"
        notes.append(f"Dropped {pieces} ({100 * share:.2g} % of the area).")
    kept = with_faces(surface, parts == main)
    unused = len(surface.vertices) - len(np.unique(surface.faces))
    if unused:
        notes.append(f"Dropped {unused} vertices that no triangle uses.")
    return kept


def _size(surface: Surface, faces: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> str:
    extent = np.ptp(surface.vertices[np.unique(surface.faces[faces])], axis=0)
    return " x ".join(f"{side:.0f}" for side in extent) + f" mm ({np.count_nonzero(faces)} triangles)"
