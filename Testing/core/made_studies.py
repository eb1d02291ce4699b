"""Small studies for batches: round bodies with noise, and files that are none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

SHAPE = (4, 96, 96)


def study_voxels(seed: int, slices: int = SHAPE[0], side: int = SHAPE[1]) -> np.ndarray[Any, np.dtype[np.int16]]:
    """A CT: air, soft tissue, a ring of bone, noise; [slice, row, column] in HU."""
    random = np.random.default_rng(seed)
    rows, columns = np.indices((side, side)) * SHAPE[1] / side
    away = np.hypot(rows - 48, columns - 44 - seed % 5)
    slice_hu = np.where(away < 40, 40.0, -1000.0)
    slice_hu[(away > 28) & (away < 32)] = 900
    voxels = np.repeat(slice_hu[None], slices, 0) + random.normal(0, 40, (slices, side, side))
    return np.round(voxels).clip(-1024, 3071).astype(np.int16)


def write_study(path: Path, seed: int, slices: int = SHAPE[0], side: int = SHAPE[1]) -> None:
    """A volume file of `study_voxels`."""
    image = sitk.GetImageFromArray(study_voxels(seed, slices, side))
    image.SetSpacing((0.5, 0.5, 1.0))
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path))


def write_bad_studies(folder: Path) -> list[str]:
    """Five files that cannot be denoised; gives their paths in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "empty.nrrd").write_bytes(b"")
    (folder / "text.nii.gz").write_bytes(b"no gzip")
    write_study(folder / "cut.nrrd", 1)
    whole = (folder / "cut.nrrd").read_bytes()
    (folder / "cut.nrrd").write_bytes(whole[: len(whole) // 2])
    (folder / "slice.dcm").write_bytes(b"\0" * 132 + b"nothing")
    picture = sitk.GetImageFromArray(np.zeros((4, 32, 32, 3), np.uint8), isVector=True)
    sitk.WriteImage(picture, str(folder / "colour.mha"))
    return ["empty.nrrd", "text.nii.gz", "cut.nrrd", "slice.dcm", "colour.mha"]


def write_headers(folder: Path, names: list[str], series: str, **tags: Any) -> None:
    """DICOM files without pixels: enough to be sorted by; ``tags`` set others than those of a CT slice."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    folder.mkdir(parents=True, exist_ok=True)
    header = Dataset()
    header.SOPClassUID, header.Modality, header.SeriesInstanceUID = CTImageStorage, "CT", series
    header.PatientName, header.StudyDescription, header.Manufacturer = "Mustermann^Erika", "Head", "Made"
    for tag, value in tags.items():
        setattr(header, tag, value)
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    for name in names:
        header.SOPInstanceUID = generate_uid()
        header.save_as(folder / name, enforce_file_format=True)
