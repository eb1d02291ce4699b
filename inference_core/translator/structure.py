"""Did a fold move? A dataset's frames before and after translation, measured at the truth's edges."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_core.measurement.edge_displacement import LIKENESS, REACH, edge_displacement

LIMIT = 1.0  # pixels; mean displacement above which a frame counts as moved
KEPT = 0.8  # share of its edges that must be found again; else it counts as moved too

DEFINITION = (
    "At pixels where the true depth jumps, the pattern of edges in the frame before (gradient magnitude, a patch of 15"
    f" x 15 pixels laid across the edge) is searched for in the frame after, up to {REACH} pixels across the edge."
    " displacement_px is the mean distance over a frame's edges; a shift of a whole frame by d counts about 2 d / pi,"
    " since only the part across an edge can be seen. edges_found is the share of edges that were found again"
    f" (correlation of {LIKENESS:g} or more). A frame counts as moved if its displacement is above limit_px, or fewer"
    f" than {KEPT:.0%} of its edges were found. null: too few edges to tell."
)


def frame_structure(
    before: NDArray[np.uint8],
    after: NDArray[np.uint8],
    depth: NDArray[Any],
    visible: NDArray[np.bool_] | None,
    limit: float = LIMIT,
) -> dict[str, Any]:
    """Row of one frame: ``displacement_px``, ``edges_found``, ``moved``; None where there is too little to see.

    Parameters
    ----------
    before, after : (H, W, 3) uint8
    depth : (H, W) array
        Truth.
    visible : (H, W) bool array, optional
    limit : float
        Pixels.
    """
    edges = edge_displacement(before, after, depth, visible)
    mean, found = edges.mean, edges.found
    if math.isnan(found):
        return {"displacement_px": None, "edges_found": None, "moved": None}
    moved = found < KEPT or (not math.isnan(mean) and mean > limit)
    return {
        "displacement_px": None if math.isnan(mean) else round(mean, 3),
        "edges_found": round(found, 3),
        "moved": bool(moved),
    }


def summary(rows: list[dict[str, Any]], limit: float = LIMIT) -> dict[str, Any]:
    """Of the rows of many frames: means over frames, and the share that moved; None where no frame could be judged."""

    def mean(name: str, of: Callable[[list[float]], float] = lambda values: float(np.mean(values))) -> float | None:
        values = [row[name] for row in rows if row[name] is not None]
        return round(of(values), 4) if values else None

    return {
        "frames": len(rows),
        "judged": sum(row["moved"] is not None for row in rows),
        "displacement_px": mean("displacement_px"),
        "displacement_px_95": mean("displacement_px", lambda values: float(np.percentile(values, 95))),
        "edges_found": mean("edges_found"),
        "moved": mean("moved"),
        "limit_px": limit,
    }
