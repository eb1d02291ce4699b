"""Figures 3 and 4 of the paper on the phantom: methods side by side, in the paper's windows.

One column a method; rows are the slice, a part of it, and what the method changed (output - low dose).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_core.evaluation.reproduction.temporal_data import TestCt
from inference_core.image.picture import Panel, upright, write_panels
from inference_core.image.volume import Volume
from inference_core.image.windows import WINDOWS
from inference_core.image.writing import write_aside
from inference_core.measurement.roi import Box, voxels_inside

PART_3 = ((25.0, 8.0), 80.0)
"""Centre (x, y) in LPS mm and side in mm of the part that figure 3 shows: brain, cisterns, petrous bones."""
PART_4 = ((45.0, -8.0), 74.0)
"""That of figure 4: the left temporal bone and the soft tissue before it, with the three regions."""
BONE = 500  # HU
Part = tuple[tuple[float, float], float]
Slices = Mapping[str, NDArray[Any]]


def write_figure_3(low: Volume, truth: Volume, outputs: Slices, path: Path) -> None:
    """Draw the quarter-dose phantom: slices and a part in -150 to 210 HU, what changed in the part in -50 to 50 HU.

    Parameters
    ----------
    low, truth : Volume
        Their middle slice is shown.
    outputs : mapping of (slices, H, W) arrays
        HU, by the methods' names.
    path : Path
        PNG.

    Raises
    ------
    UserError
        ``write-failed``.
    """
    k = len(low.voxels) // 2
    images = {"truth": truth.voxels[k], "low dose": low.voxels[k], **{name: out[k] for name, out in outputs.items()}}
    part = _part(low, PART_3)
    window, narrow = WINDOWS["abdomen"], WINDOWS["fine difference"]
    changes = {name: image.astype(np.int32) - low.voxels[k] for name, image in images.items()}
    panels = [Panel(name, upright(image, low), window) for name, image in images.items()]
    panels += [Panel("part", upright(image[part], low), window) for image in images.values()]
    panels += [Panel("part - low dose", upright(change[part], low), narrow) for change in changes.values()]
    write_aside(path, lambda aside: write_panels(panels, aside, len(images)))


def write_figure_4(ct: TestCt, outputs: Slices, path: Path) -> None:
    """Draw the temporal-bone phantom: slices and a part in -780 to 820 HU, their changes in -200 to 200 HU.

    The part shows the left temporal bone; the outlines are the regions of table 2.

    Parameters
    ----------
    ct : TestCt
        The phantom; its middle slice is shown.
    outputs : mapping of (slices, H, W) arrays
        HU, by the methods' names.
    path : Path
        PNG.

    Raises
    ------
    UserError
        ``write-failed``.
    """
    low = ct.low
    k = len(low.voxels) // 2
    images = {"high dose": ct.high.voxels[k], "low dose": low.voxels[k]}
    images |= {name: out[k] for name, out in outputs.items()}
    window, wide = WINDOWS["temporal bone"], WINDOWS["difference"]
    part, outlines = _part(low, PART_4), _outlines(ct, k)
    changes = {name: image.astype(np.int32) - low.voxels[k] for name, image in images.items()}
    ink = np.where(ct.truth.voxels[k] > BONE, *window)  # black on bone, white on the rest
    marked = {name: np.where(outlines, ink, image) for name, image in images.items()}
    panels = [Panel(name, upright(image, low), window) for name, image in images.items()]
    panels += [Panel("change", upright(change, low), wide) for change in changes.values()]
    panels += [Panel("part, regions", upright(image[part], low), window) for image in marked.values()]
    panels += [Panel("change of the part", upright(change[part], low), wide) for change in changes.values()]
    write_aside(path, lambda aside: write_panels(panels, aside, len(images)))


def _part(volume: Volume, part: Part) -> tuple[slice, slice]:
    """Rows and columns of a square part."""
    (x, y), side = part
    spacing, origin = volume.spacing[0], volume.origin
    pixels = round(side / spacing)
    column, row = (round((at - start - side / 2) / spacing) for at, start in ((x, origin[0]), (y, origin[1])))
    return slice(row, row + pixels), slice(column, column + pixels)


def _outlines(ct: TestCt, index: int) -> NDArray[np.bool_]:
    """(H, W) mask: the pixels along the inner edges of the regions in a slice."""
    mask = np.zeros(ct.low.voxels.shape, bool)
    for roi in ct.rois:
        block, inside = voxels_inside(ct.low, Box(roi.name, np.array(roi.centre), np.array(roi.size), np.eye(3)))
        mask[block] |= inside
    inside = mask[index]
    core = inside[1:-1, 1:-1] & inside[:-2, 1:-1] & inside[2:, 1:-1] & inside[1:-1, :-2] & inside[1:-1, 2:]
    return inside & ~np.pad(core, 1)
