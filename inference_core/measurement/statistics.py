"""Mean and standard deviation of ROIs, before and after, as a table and as CSV.

The standard deviation is that of the population (numpy's ``ddof=0``); all sums are taken in float64.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_core.errors import UserError
from inference_core.image.volume import Volume
from inference_core.image.writing import check_folder, write_aside
from inference_core.measurement.intervals import mean_shift
from inference_core.measurement.roi import Roi, voxels_inside, why_empty


@dataclass(frozen=True)
class RoiStatistics:
    """One ROI in one volume.

    Attributes
    ----------
    name : str
    n : int
        Voxels whose centre lies inside.
    volume_mm3 : float
        n times the volume of a voxel.
    mean, std : float or None
        HU; population standard deviation (ddof=0). None when there is nothing to measure.
    warning : str
        Why mean and std are missing; empty otherwise.
    """

    name: str
    n: int
    volume_mm3: float
    mean: float | None
    std: float | None
    warning: str = ""


@dataclass(frozen=True)
class RoiChange:
    """One ROI in two volumes on the same grid; the change is after minus before. Else as :class:`RoiStatistics`.

    Attributes
    ----------
    mean_change_low, mean_change_high : float or None
        95 % interval of the mean's change (:mod:`inference_core.measurement.intervals`); None in a small ROI.
    """

    name: str
    n: int
    volume_mm3: float
    mean_before: float | None
    mean_after: float | None
    mean_change: float | None
    mean_change_low: float | None
    mean_change_high: float | None
    std_before: float | None
    std_after: float | None
    std_change: float | None
    warning: str = ""


def roi_statistics(volume: Volume, roi: Roi) -> RoiStatistics:
    """Measure one ROI. Without a voxel n is 0, mean and std are None, and ``warning`` says why."""
    block, inside = voxels_inside(volume, roi)
    return _measure(volume, roi, volume.voxels[block][inside])


def compare(before: Volume, after: Volume, rois: Sequence[Roi]) -> list[RoiChange]:
    """Measure each ROI before and after.

    Raises
    ------
    UserError
        ``different-grid``.
    """
    check_same_grid(before, after)
    rows = []
    for roi in rois:
        block, inside = voxels_inside(before, roi)
        old = _measure(before, roi, before.voxels[block][inside])
        new = _measure(after, roi, after.voxels[block][inside])
        low = high = None
        if old.mean is not None and new.mean is not None:
            change = mean_shift(np.subtract(after.voxels[block], before.voxels[block], dtype=np.float32), inside)
            low, high = change.low, change.high
        rows.append(
            RoiChange(
                name=old.name,
                n=old.n,
                volume_mm3=old.volume_mm3,
                mean_before=old.mean,
                mean_after=new.mean,
                mean_change=_change(old.mean, new.mean),
                mean_change_low=low,
                mean_change_high=high,
                std_before=old.std,
                std_after=new.std,
                std_change=_change(old.std, new.std),
                warning=old.warning or new.warning,
            )
        )
    return rows


def _measure(volume: Volume, roi: Roi, values: NDArray[Any]) -> RoiStatistics:
    mean = std = None
    warning = ""
    if values.size == 0:
        warning = why_empty(volume, roi)
    elif not np.isfinite(values).all():
        warning = f"ROI {roi.name!r} covers voxels that are not a number (NaN or infinite). Move it off them."
    else:
        mean, std = float(values.mean(dtype=np.float64)), float(values.std(dtype=np.float64))
    return RoiStatistics(roi.name, values.size, values.size * volume.voxel_volume, mean, std, warning)


def _change(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after - before


def check_same_grid(before: Volume, after: Volume) -> None:
    """Refuse two volumes whose voxels do not lie in the same places.

    Raises
    ------
    UserError
        ``different-grid``, naming what differs.
    """
    if before.same_grid_as(after):
        return
    kinds = {
        "size (columns, rows, slices)": (before.voxels.shape[::-1], after.voxels.shape[::-1]),
        "spacing in mm": (before.spacing, after.spacing),
        "origin in mm": (before.origin, after.origin),
        "direction": (before.direction, after.direction),
    }
    differences = [
        f"{kind} {_short(one)} and {_short(other)}"
        for kind, (one, other) in kinds.items()
        if not np.allclose(one, other, rtol=0, atol=1e-5)
    ]
    raise UserError(
        "different-grid", f"The two volumes do not lie on the same voxel grid: {'; '.join(differences)}.",
        "Resample one to the other (in Slicer: Resample Scalar/Vector/DWI Volume), or compare with the volume that"
        " the result was made from.",
    )  # fmt: skip


def _short(values: Sequence[float]) -> str:
    return "(" + ", ".join(f"{value:g}" for value in values) + ")"


def format_table(rows: Sequence[RoiStatistics] | Sequence[RoiChange]) -> str:
    """Rows as aligned text, HU to two decimals; ``-`` where there is nothing to measure. Warnings are not in it."""
    if not rows:
        return ""
    names = [field.name for field in fields(rows[0]) if field.name != "warning"]
    header = [name.replace("mm3", "(mm3)").replace("_", " ") for name in names]
    lines = [header] + [[_cell(getattr(row, name)) for name in names] for row in rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(names))]
    return "\n".join(
        "  ".join(cell.rjust(width) if column else cell.ljust(width)
                  for column, (cell, width) in enumerate(zip(line, widths, strict=True))).rstrip()
        for line in lines
    )  # fmt: skip


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def check_csv_path(path: Path) -> None:
    """Find out whether a CSV file can be written, before time is spent on measuring.

    Raises
    ------
    UserError
        ``csv-path``, ``no-such-folder`` or ``not-writable``.
    """
    if path.suffix.lower() != ".csv" or path.is_dir():  # so that no image can be overwritten by a slip
        raise UserError("csv-path", f"{path} is no name for a CSV file.", "Give the name of a file that ends in .csv.")
    check_folder(path)


def write_csv(rows: Sequence[RoiStatistics] | Sequence[RoiChange], path: Path) -> None:
    """Write rows with full precision (UTF-8), empty where there is nothing to measure.

    The header names units and kind: ``mean_hu``, ``std_population_hu`` (ddof=0), with ``_before``, ``_after`` and
    ``_change`` for two volumes.

    Raises
    ------
    UserError
        As :func:`check_csv_path`.
    """
    check_csv_path(path)
    kind = type(rows[0]) if rows else RoiStatistics
    units = [(field.name, "_hu" if field.name.startswith(("mean", "std")) else "") for field in fields(kind)]
    header = [name.replace("std", "std_population") + unit for name, unit in units]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(astuple(row) for row in rows)
    write_aside(path, lambda aside: aside.write_text(text.getvalue(), encoding="utf-8", newline=""))
