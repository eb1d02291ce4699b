"""Table 2: mean and standard deviation in brain, air and named regions, to see noise reduction and CT-number shifts.

As the paper measures it: 300 homogeneous patches of 60 x 60 pixels of brain and of air, and regions of soft tissue,
cavity and bone (here of the phantom). A good method keeps the low-dose CT's means and has a low standard deviation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_core.errors import UserError
from inference_core.evaluation.networks import Denoiser
from inference_core.evaluation.reproduction.methods import (
    METHODS,
    PAPER_HIGH_DOSE,
    PAPER_LOW_DOSE,
    REGIONS,
    PaperFigures,
)
from inference_core.evaluation.reproduction.temporal_data import TestCt
from inference_core.evaluation.table import NOTHING, markdown
from inference_core.image.volume import Volume
from inference_core.measurement.homogeneous_patches import (
    COUNT,
    SIZE,
    PatchStatistics,
    homogeneous_patches,
    patch_statistics,
    smoothed,
)
from inference_core.measurement.roi import Box
from inference_core.measurement.statistics import roi_statistics

NAN = PatchStatistics(math.nan, math.nan)
LOW_DOSE, HIGH_DOSE = "low dose", "high dose"

NOTE = f"""\
Mean and standard deviation, HU. Brain and air: {COUNT} homogeneous patches of {SIZE} x {SIZE} pixels, found on the
truth; the others: regions of the phantom. Largest shift: of a method's means from those of the low-dose CT, which are
uncertain by themselves in cavity and bone, small and noisy as they are. With the shift, low-dose CT, trained and tested
on, has air at -870 HU, high-dose CT at -1000. The high dose is the same head with other noise, which the paper could
not have. Noise in air is not clipped at -1024 HU. The paper's figures are of its own scans of patients."""


@dataclass(frozen=True)
class Line:
    """One method on one CT: what it shows of each of :data:`REGIONS`, and how far a mean is from that at low dose."""

    label: str
    regions: dict[str, PatchStatistics]
    largest_shift: float


class Regions:
    """Where to measure a CT; found once, on its truth."""

    def __init__(self, ct: TestCt) -> None:
        truth = smoothed(ct.truth.voxels)
        padding = np.broadcast_to(ct.padding, truth.shape)
        self.patches = {tissue: _patches(truth, hu, padding) for tissue, hu in ct.tissue_hu.items()}
        axes = np.eye(3)
        self.boxes = {roi.name: Box(roi.name, np.array(roi.centre), np.array(roi.size), axes) for roi in ct.rois}

    def measure(self, volume: Volume) -> dict[str, PatchStatistics]:
        """Mean and standard deviation by region; NaN where the CT has no such region."""
        found = {tissue: patch_statistics(volume.voxels, corners) for tissue, corners in self.patches.items()}
        found |= {name: _box_statistics(volume, box) for name, box in self.boxes.items()}
        return {region: found.get(region, NAN) for region in REGIONS}


def measured(ct: TestCt, denoisers: Mapping[str, Denoiser]) -> tuple[list[Line], dict[str, NDArray[Any]]]:
    """Measure low dose, high dose and every method on a CT.

    Returns
    -------
    Lines, and the methods' outputs ((slices, H, W), HU) by label.
    """
    regions = Regions(ct)
    before = regions.measure(ct.low)
    outputs = {label: denoise(ct.low) for label, denoise in denoisers.items()}
    lines = [Line(LOW_DOSE, before, 0.0), Line(HIGH_DOSE, regions.measure(ct.high), math.nan)]
    for label, voxels in outputs.items():
        after = regions.measure(ct.low.with_voxels(voxels))
        lines.append(Line(label, after, largest_shift(before, after)))
    return lines, outputs


def largest_shift(before: Mapping[str, PatchStatistics], after: Mapping[str, PatchStatistics]) -> float:
    """Largest difference of two means of one region, HU; NaN where there is no region in both."""
    shifts = [abs(after[name].mean - before[name].mean) for name in before]
    return max((shift for shift in shifts if not math.isnan(shift)), default=math.nan)


def table(lines: list[Line]) -> str:
    """The table of one CT as Markdown."""
    columns = {"method": [line.label for line in lines]}
    for region in REGIONS:
        columns[f"{region} mean"] = [_number(line.regions[region].mean) for line in lines]
        columns[f"{region} std"] = [_number(line.regions[region].std) for line in lines]
    columns["largest shift"] = [_number(line.largest_shift) for line in lines]
    return markdown({title: cells for title, cells in columns.items() if set(cells) != {NOTHING}})


def paper_table() -> str:
    """The paper's own table 2, with its methods' largest shifts."""
    rows = [(LOW_DOSE, PAPER_LOW_DOSE), (HIGH_DOSE, PAPER_HIGH_DOSE)]
    rows += [(method.label, method.paper) for method in METHODS if method.paper.psnr is not None]
    before = _of_paper(PAPER_LOW_DOSE)
    lines = []
    for label, figures in rows:
        regions = _of_paper(figures)
        shift = {LOW_DOSE: 0.0, HIGH_DOSE: math.nan}.get(label, largest_shift(before, regions))
        lines.append(Line(label, regions, shift))
    return table(lines)


def records(lines: list[Line]) -> list[dict[str, Any]]:
    """The same for JSON and CSV."""
    return [
        {"method": line.label}
        | {f"{name} {kind}": getattr(values, kind) for name, values in line.regions.items() for kind in ("mean", "std")}
        | {"largest_shift": line.largest_shift}
        for line in lines
    ]


def _of_paper(figures: PaperFigures) -> dict[str, PatchStatistics]:
    return {
        name: PatchStatistics(*(math.nan if value is None else value for value in region))
        for name, region in zip(REGIONS, figures.regions, strict=True)
    }


def _patches(truth: NDArray[Any], hu: tuple[float, float], padding: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Corners of patches; none where none fits."""
    try:
        return homogeneous_patches(truth, hu, excluded=padding)
    except UserError:
        return np.empty((0, 3), np.intp)


def _box_statistics(volume: Volume, box: Box) -> PatchStatistics:
    found = roi_statistics(volume, box)
    return NAN if found.mean is None or found.std is None else PatchStatistics(found.mean, found.std)


def _number(value: float) -> str:
    return NOTHING if math.isnan(value) else f"{value:.2f}"
