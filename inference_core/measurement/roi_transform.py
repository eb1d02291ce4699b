"""The transform a ROI was under in Slicer, read from an ITK transform file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference_core.errors import UserError
from inference_core.image.reading import itk_name

_HARDEN = "In Slicer, harden the transform on the ROI, save the ROI again and leave the transform away."


def read_transform(path: Path) -> NDArray[np.float64]:
    """Read a rigid transform as the matrix that takes ROI points to the patient.

    An ITK file holds the resampling direction: it takes points of the patient to the ROI's own coordinates. So does
    Slicer when it saves a transform node ("from parent"); the matrix returned is the inverse, what Slicer shows as
    "transform to parent", in LPS.

    Only rigid transforms (rotation, translation, mirroring): with scaling or shear Slicer itself keeps a ROI a
    rectangular box, and its size then depends on whether the transform was hardened.

    Parameters
    ----------
    path : Path
        ``.tfm``, ``.txt``, ``.mat`` or ``.h5`` as written by Slicer or ITK.

    Returns
    -------
    (4, 4) array
        mm, LPS.

    Raises
    ------
    UserError
        ``no-such-file``, ``unreadable-transform``, ``not-linear``, ``not-rigid``.
    """
    import SimpleITK as sitk

    path = Path(path)
    if not path.is_file():
        raise UserError("no-such-file", f"The transform file {path} does not exist.", "Check the path.")
    try:
        transform = sitk.ReadTransform(itk_name(path))
    except RuntimeError as error:
        raise UserError(
            "unreadable-transform", f"{path} cannot be read as an ITK transform.",
            "Save the transform in Slicer as .tfm or .h5.",
        ) from error  # fmt: skip
    if transform.GetDimension() != 3:
        raise UserError("unreadable-transform", f"{path} holds a {transform.GetDimension()}D transform.",
                        "Give a 3D transform.")  # fmt: skip
    if not transform.IsLinear():
        raise UserError("not-linear", f"The transform in {path} is not linear.", _HARDEN)
    from_parent = np.eye(4)
    from_parent[:3, 3] = transform.TransformPoint((0.0, 0.0, 0.0))
    for axis in range(3):
        from_parent[:3, axis] = transform.TransformPoint(tuple(np.eye(3)[axis])) - from_parent[:3, 3]
    rotation = from_parent[:3, :3]
    if not np.isfinite(from_parent).all() or not np.allclose(rotation.T @ rotation, np.eye(3), atol=1e-4):
        raise UserError("not-rigid", f"The transform in {path} scales or shears, so a ROI box would not stay that box.",
                        _HARDEN)  # fmt: skip
    return np.asarray(np.linalg.inv(from_parent), dtype=np.float64)
