"""Contrast of two regions against the noise, and the noise of homogeneous patches, in words."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import vtk
from slicer.i18n import tr as _

from inference_core.errors import UserError
from inference_core.image.padding import padding_mask
from inference_core.measurement.contrast import contrast_to_noise, signal_to_noise
from inference_core.measurement.homogeneous_patches import (
    PatchStatistics,
    homogeneous_patches,
    patch_statistics,
    smoothed,
)
from inference_core.measurement.tissue import RANGES_HU

PATCH_SLICES = 24


def contrastText(rows: list, name: str, background: str) -> str:
    """CNR of two regions and SNR of the first, before and after; empty where one of them has no voxel.

    Parameters
    ----------
    rows : list of RoiRow
    name, background : str
        Of the two regions; of several with one name the first counts.
    """
    first = next((row for row in rows if row.name == name and row.voxels), None)
    second = next((row for row in rows if row.name == background and row.voxels), None)
    if first is None or second is None or first is second:
        return ""
    cnr = _arrow(
        lambda when: contrast_to_noise(
            getattr(first, f"mean{when}"), getattr(second, f"mean{when}"), getattr(second, f"std{when}")
        ),
        first.meanAfter is not None,
    )
    snr = _arrow(
        lambda when: signal_to_noise(getattr(first, f"mean{when}"), getattr(first, f"std{when}")),
        first.meanAfter is not None,
    )
    return _("CNR {cnr}; SNR of {name} {snr}").format(cnr=cnr, name=name, snr=snr)


def _arrow(value: Callable, after: bool) -> str:
    values = [value(when) for when in (("Before", "After") if after else ("Before",))]
    return " \N{RIGHTWARDS ARROW} ".join("-" if one is None else f"{one:.2f}" for one in values)


@dataclass(frozen=True)
class PatchRow:
    """Patches of one tissue; HU. No after where there is no denoised volume, no before where no patch fits."""

    tissue: str
    patches: int
    before: PatchStatistics | None = None
    after: PatchStatistics | None = None


def measurePatches(before: np.ndarray, after: np.ndarray | None, count: int, size: int) -> list[PatchRow]:
    """Measure random homogeneous patches of air and of soft tissue, in the same places before and after.

    The tissue is found on at most 24 evenly spaced slices of the less noisy volume, smoothed.

    Parameters
    ----------
    before, after : (slices, rows, columns) arrays
        HU; after may be None.
    count, size : int
        Patches a tissue, and their pixels a side.
    """
    chosen = np.unique(np.linspace(0, len(before) - 1, PATCH_SLICES).astype(int))
    before, after = before[chosen], None if after is None else after[chosen]
    reference = smoothed(before if after is None else after)
    padding = np.stack([padding_mask(np.asarray(image, np.float32)) for image in before])
    rows = []
    for tissue in ("air", "soft"):
        try:
            corners = homogeneous_patches(reference, RANGES_HU[tissue], count, size, excluded=padding)
        except UserError:
            rows.append(PatchRow(tissue, 0))
            continue
        found = [None if volume is None else patch_statistics(volume, corners, size) for volume in (before, after)]
        rows.append(PatchRow(tissue, len(corners), *found))
    return rows


def tissueText(tissue: str) -> str:
    """A tissue for the user."""
    return {"air": _("air"), "soft": _("soft tissue"), "bone": _("bone")}.get(tissue, tissue)


def patchText(rows: list[PatchRow]) -> str:
    """Rows in words, a line each."""
    lines = []
    for row in rows:
        if row.before is None:
            text = _("{tissue}: no patch of this size fits").format(tissue=tissueText(row.tissue))
        else:
            both = [one for one in (row.before, row.after) if one is not None]
            mean, std = (
                " \N{RIGHTWARDS ARROW} ".join(f"{getattr(one, what) + 0.0:.2f}" for one in both)
                for what in ("mean", "std")
            )
            text = _("{tissue}: mean {mean}, std {std} HU").format(
                tissue=tissueText(row.tissue), mean=mean.replace("-", "\N{MINUS SIGN}"), std=std
            )
        lines.append(text[:1].upper() + text[1:])
    return "\n".join(lines)


def fillPatchTable(table, rows: list[PatchRow], size: int) -> None:
    """Put rows into a table node."""
    wasModified = table.StartModify()
    table.RemoveAllColumns()
    columns: dict[str, tuple] = {
        _("Tissue"): (vtk.vtkStringArray(), [tissueText(row.tissue) for row in rows]),
        _("Patches of {size} x {size}").format(size=size): (vtk.vtkIntArray(), [row.patches for row in rows]),
    }
    for when, text in (("before", _("before")), ("after", _("after"))):
        found = [getattr(row, when) for row in rows]
        if any(one is not None for one in found):
            for what, kind in (("mean", _("Mean")), ("std", _("Std"))):
                values = [float("nan") if one is None else round(getattr(one, what), 2) for one in found]
                columns[f"{kind} {text} (HU)"] = (vtk.vtkDoubleArray(), values)
    for name, (array, values) in columns.items():
        array.SetName(name)
        for value in values:
            array.InsertNextValue(value)
        table.AddColumn(array)
    table.SetLocked(True)
    table.EndModify(wasModified)
