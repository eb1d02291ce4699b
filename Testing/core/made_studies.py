"""Small studies for batches: round bodies with noise, and files that are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

SHAPE = (4, 96, 96)


def write_study(path: Path, seed: int) -> None:
    """A CT of four slices: air, soft tissue, a ring of bone, noise."""
    random = np.random.default_rng(seed)
    rows, columns = np.indices(SHAPE[1:])
    away = np.hypot(rows - 48, columns - 44 - seed % 5)
    slice_hu = np.where(away < 40, 40.0, -1000.0)
    slice_hu[(away > 28) & (away < 32)] = 900
    voxels = np.repeat(slice_hu[None], SHAPE[0], 0) + random.normal(0, 40, SHAPE)
    image = sitk.GetImageFromArray(np.round(voxels).clip(-1024, 3071).astype(np.int16))
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
