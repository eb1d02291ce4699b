"""A path that the user drew or edited, made ready to be flown like one that was found."""

from __future__ import annotations

import numpy as np

from inference_core.errors import UserError
from inference_core.extras import need
from inference_core.simulation.colon.mesh.surface import Points, Surface
from inference_core.simulation.colon.path.centreline import STEP, Centreline, centreline_through
from inference_core.simulation.colon.path.curve import arc_length, evenly_spaced

SHORTEST = 30.0  # mm: less is no way through a colon


def centreline_along(surface: Surface, path: Points) -> Centreline:
    """The centreline that follows a given path.

    Parameters
    ----------
    surface : Surface
        Closed, outward normals, mm.
    path : (K, 3)
        mm, LPS, from where the endoscope enters to where it turns.

    Returns
    -------
    Centreline
        Evenly spaced and smoothed as one that was found.

    Raises
    ------
    UserError
        ``short-path``, or ``path-outside`` with the first place where it leaves the lumen.
    """
    length = float(arc_length(path)[-1])
    if length < SHORTEST:
        raise UserError("short-path", f"The path is {length:.0f} mm long.", f"Give one of {SHORTEST:g} mm or more.")
    points = evenly_spaced(path, STEP)
    outside = ~_inside(surface, points)
    if outside.any():
        way = arc_length(points)
        first = int(np.argmax(outside))
        raise UserError(
            "path-outside",
            f"The path leaves the lumen {way[first]:.0f} mm from its start, at"
            f" {', '.join(f'{x:.1f}' for x in points[first])} mm (LPS); {np.count_nonzero(outside)} of its"
            f" {way[-1]:.0f} mm lie outside.",
            "Move its points back into the lumen there; or it is of another colon, or saved under a transform.",
        )
    return centreline_through(surface, points)


def _inside(surface: Surface, points: Points) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    need("igl", "colon", "Checking a path")
    import igl

    winding = igl.fast_winding_number(surface.vertices, surface.faces, np.ascontiguousarray(points))
    return np.abs(np.asarray(winding, np.float64).ravel()) > 0.5
