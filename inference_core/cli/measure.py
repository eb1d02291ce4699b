"""The ``measure`` command: ROI statistics of a volume, or of a volume before and after."""

from __future__ import annotations

import sys
from pathlib import Path

from inference_core.errors import UserError
from inference_core.image.reading import read_volume
from inference_core.measurement.roi_files import read_rois
from inference_core.measurement.roi_transform import read_transform
from inference_core.measurement.statistics import (
    RoiChange,
    RoiStatistics,
    check_csv_path,
    check_same_grid,
    format_table,
    roi_statistics,
    write_csv,
)
from inference_core.measurement.statistics import compare as compare_volumes


def measure(
    volume: Path,
    roi: list[Path] | None = None,
    compare: Path | None = None,
    roi_transform: Path | None = None,
    csv: Path | None = None,
) -> None:
    """Print mean and standard deviation (population, ddof=0) of the voxels in each ROI.

    A voxel belongs to a ROI when its centre lies inside, the boundary included.

    Parameters
    ----------
    volume : Path
        The volume to measure: a volume file, or a folder with a DICOM series.
    roi : list of Path
        One or more ROI files: Slicer ROI markups (.mrk.json), Slicer segmentations (.seg.nrrd), label maps (.nrrd,
        .nii.gz, .mha), or .json files with spheres, circles and boxes.
    compare : Path, optional
        A second volume on the same grid (after); the change from ``volume`` (before) is printed too.
    roi_transform : Path, optional
        The rigid transform that the ROIs were under in Slicer (.tfm, .txt, .h5), if it was not hardened. It is
        applied to every ROI of the command.
    csv : Path, optional
        Write the table with full precision to this .csv file.

    Raises
    ------
    UserError
        With the remedy, for whatever cannot be read or written.
    """
    if not roi:
        raise UserError("no-roi", "No ROI file is given.", "Name one or more with --roi.")
    if csv is not None:
        check_csv_path(csv)
    transform = None if roi_transform is None else read_transform(roi_transform)
    before = read_volume(volume)
    after = None if compare is None else read_volume(compare)
    if after is not None:
        check_same_grid(before, after)
    rois = [one for path in roi for one in read_rois(path, before, transform)]
    rows: list[RoiStatistics] | list[RoiChange] = (
        [roi_statistics(before, one) for one in rois] if after is None else compare_volumes(before, after, rois)
    )
    print(format_table(rows))
    warnings = [*before.warnings, *(after.warnings if after else ()), *(row.warning for row in rows if row.warning)]
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if csv is not None:
        write_csv(rows, csv)
