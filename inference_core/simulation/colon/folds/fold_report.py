"""How many folds, how large, how sure."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_core.simulation.colon.folds.fold_labels import BORDER, TOP
from inference_core.simulation.colon.folds.operators import neighbours
from inference_core.simulation.colon.mesh.surface import Surface, vertex_areas

NORMAL = 1.4826  # standard deviations in a median absolute deviation


def fold_report(surface: Surface) -> dict[str, Any]:
    """Measure the folds of a labelled surface.

    Parameters
    ----------
    surface : Surface
        With ``fold_instance``, and ``fold_height`` where :func:`label_folds` made it.

    Returns
    -------
    dict
        For JSON. ``folds``: how many; ``area_share``: of the whole wall; ``roughness_mm``: spread (normalised median
        absolute deviation) of the height off the folds; ``each``: per fold ``number``, ``area_mm2``, ``length_mm`` (the
        longest way within it, along edges), ``height_mm`` and ``confidence``; ``area_mm2``, ``length_mm``,
        ``height_mm``, ``confidence``: their 10th, 50th and 90th percentiles.

        ``confidence`` of a fold is the share of its area that stands more than the roughness above its border height:
        what would still be fold if the wall had been found that much higher. Without ``fold_height``, height,
        confidence and roughness are None.
    """
    instance = surface.point_arrays["fold_instance"].astype(np.int64)
    height = surface.point_arrays.get("fold_height")
    areas = vertex_areas(surface)
    roughness = None if height is None else _spread(height[instance == 0])
    lengths = _lengths(surface, instance)
    each = []
    for number, members in enumerate(_members(instance), start=1):
        fold: dict[str, Any] = {
            "number": number,
            "area_mm2": round(float(areas[members].sum()), 1),
            "length_mm": round(lengths[number - 1], 1),
            "height_mm": None,
            "confidence": None,
        }
        if height is not None and roughness is not None:
            top = float(np.percentile(height[members], TOP))
            sure = height[members] - BORDER * top > roughness
            fold["height_mm"] = round(top, 2)
            fold["confidence"] = round(float(areas[members][sure].sum() / areas[members].sum()), 3)
        each.append(fold)
    return {
        "folds": len(each),
        "area_share": round(float(areas[instance > 0].sum() / areas.sum()), 4),
        "roughness_mm": None if roughness is None else round(roughness, 3),
        **{name: _percentiles([fold[name] for fold in each]) for name in _NAMES},
        "each": each,
    }


_NAMES = ("area_mm2", "length_mm", "height_mm", "confidence")


def format_report(report: dict[str, Any]) -> str:
    """The report for a terminal."""
    if not report["folds"]:
        return "no fold found"
    plural = "s" * (report["folds"] > 1)
    lines = [
        f"{report['folds']} fold{plural}, {100 * report['area_share']:.1f} % of the wall",
        f"{'':10}     10 %   median     90 %",
    ]
    units = ("area, mm2", "length, mm", "height, mm", "confidence")
    for name, title, places in zip(_NAMES, units, (0, 0, 1, 2), strict=True):
        if report[name] is not None:
            lines.append(f"{title:10}" + "".join(f"{value:9.{places}f}" for value in report[name].values()))
    if report["roughness_mm"] is not None:
        doubtful = sum(fold["confidence"] < 0.5 for fold in report["each"])
        lines.append(
            f"confidence: share of a fold that stands more than the wall's roughness ({report['roughness_mm']:.2f} mm)"
            f" above its border; below 0.5 for {doubtful}"
        )
    return "\n".join(lines)


def _members(instance: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Vertex numbers of each fold, from fold 1."""
    order = np.argsort(instance, kind="stable")
    return np.split(order, np.searchsorted(instance[order], np.arange(1, instance.max(initial=0) + 1)))[1:]


def _lengths(surface: Surface, instance: NDArray[np.int64]) -> list[float]:
    """Longest way within each fold, in mm: from any vertex to the farthest, and from there to the farthest again."""
    from scipy.sparse.csgraph import dijkstra

    graph = neighbours(surface)
    lengths = []
    for members in _members(instance):
        inside = graph[members][:, members]
        way = np.zeros(len(members))
        for _ in range(2 if len(members) else 0):
            way = dijkstra(inside, indices=int(np.argmax(way)))
            way = np.where(np.isfinite(way), way, 0)
        lengths.append(float(way.max(initial=0)))
    return lengths


def _spread(values: NDArray[Any]) -> float:
    return float(NORMAL * np.median(np.abs(values - np.median(values)))) if len(values) else 0.0


def _percentiles(values: list[float | None]) -> dict[str, float] | None:
    known = [value for value in values if value is not None]
    if not known:
        return None
    return {f"p{q}": round(float(np.percentile(known, q)), 3) for q in (10, 50, 90)}
