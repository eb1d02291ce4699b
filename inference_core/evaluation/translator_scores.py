"""Score one translated frame against its input and against the simulation's truth."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_core.measurement.edge_displacement import edge_displacement
from inference_core.measurement.segmentation import mask_iou

Rgb = NDArray[np.uint8]
Depth = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Judges:
    """What judges frames.

    Attributes
    ----------
    depth : callable
        (H, W, 3) uint8 to (H, W) float32 depth, above 0.
    in_mm : bool
        Whether it is in mm; else only up to a factor, which is taken out by the median before errors are computed.
    folds : callable, optional
        (H, W, 3) uint8 to an (H, W) bool mask of folds.
    """

    depth: Callable[[Rgb], Depth]
    in_mm: bool = True
    folds: Callable[[Rgb], Mask] | None = None


@dataclass(frozen=True)
class FrameRow:
    """Scores of one method on one frame. NaN: nothing to measure on.

    Attributes
    ----------
    method, colon : str
    frame : int
    abs_rel_input, silog_input : float
        Depth of the translated frame against depth of its input, both by the depth network: mean of the error over
        depth, and standard deviation of the error of the logarithm (what a wrong scale does not explain).
    abs_rel, silog : float
        The same against the true depth.
    displacement_px : float
        Mean distance that edges moved (:mod:`inference_core.measurement.edge_displacement`).
    edges_found : float
        Share of edges that were found again.
    fold_iou : float
        Of the segmenter's mask in the translated frame and the true one.
    fold_iou_input : float
        Of its masks in the translated frame and in the input.
    cpu_seconds : float
        Of the translation.
    """

    method: str
    colon: str
    frame: int
    abs_rel_input: float
    silog_input: float
    abs_rel: float
    silog: float
    displacement_px: float
    edges_found: float
    fold_iou: float
    fold_iou_input: float
    cpu_seconds: float


@dataclass(frozen=True)
class Judged:
    """What the judges say of an input frame, once for all methods."""

    rgb: Rgb
    truth: NDArray[Any]
    mask: Mask
    visible: Mask
    depth: Depth
    folds: Mask | None


def judged(frame: dict[str, Any], visible: Mask, judges: Judges) -> Judged:
    """Of a frame as :class:`~inference_core.simulation.colon.dataset.frames.ColonFrames` gives it."""
    rgb = frame["rgb"]
    folds = judges.folds(rgb) if judges.folds else None
    return Judged(rgb, frame["depth"], frame["mask"], visible, judges.depth(rgb), folds)


def score_frame(
    method: str, colon: str, number: int, rgb: Rgb, before: Judged, judges: Judges, seconds: float
) -> FrameRow:
    """Scores of a translated frame."""
    known = (before.truth > 0) & before.visible
    same = rgb is before.rgb
    depth = before.depth if same else judges.depth(rgb)
    edges = edge_displacement(before.rgb, rgb, before.truth, before.visible)
    fold_iou = fold_iou_input = math.nan
    if judges.folds is not None and before.folds is not None:
        folds = before.folds if same else judges.folds(rgb)
        fold_iou = mask_iou(folds & before.visible, before.mask & before.visible)
        fold_iou_input = mask_iou(folds & before.visible, before.folds & before.visible)
    abs_rel_input, silog_input = depth_errors(depth, before.depth, known, judges.in_mm)
    abs_rel, silog = depth_errors(depth, before.truth, known, judges.in_mm)
    return FrameRow(
        method=method,
        colon=colon,
        frame=number,
        abs_rel_input=abs_rel_input,
        silog_input=silog_input,
        abs_rel=abs_rel,
        silog=silog,
        displacement_px=edges.mean,
        edges_found=edges.found,
        fold_iou=fold_iou,
        fold_iou_input=fold_iou_input,
        cpu_seconds=seconds,
    )


def depth_errors(depth: NDArray[Any], target: NDArray[Any], known: Mask, in_mm: bool = True) -> tuple[float, float]:
    """``abs_rel`` and ``silog`` (Eigen, Puhrsch, Fergus, NeurIPS 2014) over known pixels; NaN where there is none.

    Parameters
    ----------
    depth, target : (H, W) arrays
        Above 0 where known.
    known : (H, W) bool array
    in_mm : bool
        Where not, the depth is first multiplied by the median of target / depth.
    """
    if not known.any():
        return math.nan, math.nan
    ratio = depth[known].astype(np.float64) / target[known]
    error = np.log(ratio)
    if not in_mm:
        ratio = ratio / np.median(ratio)
    return float(np.abs(ratio - 1).mean()), float(error.std())
