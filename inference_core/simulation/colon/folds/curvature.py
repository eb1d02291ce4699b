"""Where the wall bends into the lumen: principal curvatures, fitted over a length in mm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference_core.extras import need
from inference_core.simulation.colon.mesh.surface import Surface, mean_edge

RADIUS = 9.5  # mm: counted in rings of triangles instead, one number would mean another length on each mesh
FEWEST_RINGS = 2  # a quadric has more unknowns than one ring has neighbours


@dataclass(frozen=True)
class Bend:
    """Principal curvatures of a surface, signed: positive where it bends into the lumen, as the crest of a fold does.

    Attributes
    ----------
    inwards : (N,)
        The larger one, 1/mm.
    other : (N,)
        The other one, 1/mm.
    across : (N, 3)
        Unit direction of ``inwards``: it runs across a fold.
    """

    inwards: NDArray[np.float64]
    other: NDArray[np.float64]
    across: NDArray[np.float64]


def principal_bend(surface: Surface, radius: float = RADIUS) -> Bend:
    """Signed principal curvatures with libigl, from a quadric fitted over ``radius`` mm around each vertex.

    References
    ----------
    Panozzo, Puppo, Rocca: Efficient multi-scale curvature and crease estimation, 2010 (in libigl).
    """
    need("igl", "colon", "Labelling folds")
    import igl

    rings = max(FEWEST_RINGS, round(radius / mean_edge(surface)))
    _, across, largest, smallest, _ = igl.principal_curvature(surface.vertices, surface.faces, rings, True)
    # Outward normals make the tube itself positive for libigl, and what stands into the lumen negative.
    return Bend(*(np.nan_to_num(np.asarray(a, np.float64)) for a in (-smallest, -largest, across)))
