"""The ``measure`` command: ROI statistics of a volume, or of a volume before and after."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from inference_core.errors import UserError
from inference_core.image.reading import read_volume
from inference_core.image.volume import Volume
from inference_core.image.writing import check_writable, data_files, write_volume
from inference_core.measurement.residual_structure import format_structure, residual_structure
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
    structure: Path | None = None,
) -> None:
    """Print mean and standard deviation (population, ddof=0) of the voxels in each ROI; search for lost structure.

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
    structure : Path, optional
        Search the difference to ``compare`` for structure (erased bones, blurred walls), list what is found, and write
        the score of each voxel to this volume file.

    Raises
    ------
    UserError
        With the remedy, for whatever cannot be read or written.
    """
    if not roi and structure is None:
        raise UserError("no-roi", "No ROI file is given.", "Name one or more with --roi.")
    if csv is not None:
        if not roi:
            raise UserError("no-roi", "No ROI file is given for the table.", "Name one or more with --roi.")
        check_csv_path(csv)
    if structure is not None:
        _check_structure(structure, compare, [volume, *(roi or []), *([csv] if csv else [])])
    transform = None if roi_transform is None else read_transform(roi_transform)
    before = read_volume(volume)
    after = None if compare is None else read_volume(compare)
    if after is not None:
        check_same_grid(before, after)
    rois = [one for path in roi or () for one in read_rois(path, before, transform)]
    rows: list[RoiStatistics] | list[RoiChange] = (
        [roi_statistics(before, one) for one in rois] if after is None else compare_volumes(before, after, rois)
    )
    if roi:
        print(format_table(rows))
    if structure is not None and after is not None:
        _search(before, after, structure)
    warnings = [*before.warnings, *(after.warnings if after else ()), *(row.warning for row in rows if row.warning)]
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if csv is not None:
        write_csv(rows, csv)


def _check_structure(path: Path, compare: Path | None, others: list[Path]) -> None:
    if compare is None:
        raise UserError(
            "nothing-to-compare", "Structure is searched for in the difference of two volumes; only one is given.",
            "Name the denoised volume with --compare.",
        )  # fmt: skip
    read = {file.resolve() for given in (compare, *others) for file in (given, *data_files(given))}
    if any(file.resolve() in read for file in (path, *data_files(path))):
        raise UserError("same-file", f"{path} is a file that is read.", "Give the scores another name.")
    check_writable(path)


def _search(before: Volume, after: Volume, path: Path) -> None:
    found = residual_structure(before.voxels, after.voxels, before.spacing)
    print(format_structure(found, before.index_to_lps))
    write_volume(replace(before, voxels=found.z, file_type=np.dtype(np.float32), files=()), path)
    print(f"wrote {path}")
