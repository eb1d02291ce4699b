"""A CT volume: Hounsfield units and where they lie in the patient."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_core.errors import UserError


@dataclass(frozen=True)
class Volume:
    """Voxels in HU with their geometry.

    Attributes
    ----------
    voxels : (slices, rows, columns) array
        int16 or float32, HU.
    spacing : (x, y, z)
        Voxel size in mm along columns, rows, slices.
    origin : (x, y, z)
        Centre of voxel [0, 0, 0] in mm, LPS (DICOM, ITK).
    direction : 9 numbers
        Row-major 3x3 matrix; its columns are the unit vectors of the x, y and z axes in LPS.
    modality, kernel : str or None
        DICOM Modality and ConvolutionKernel, where known.
    padding_value : float or None
        DICOM PixelPaddingValue in HU, where given.
    padding_limit : float or None
        DICOM PixelPaddingRangeLimit in HU, where given: all values from ``padding_value`` to it are padding.
    file_type : numpy dtype
        Voxel type of the file it came from; the writer restores it.
    warnings : tuple of str
        What the reader did that the user should know.
    files : tuple of Path
        The DICOM files it was read from, one a slice; empty for other volumes.
    """

    voxels: NDArray[Any]
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    direction: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    modality: str | None = None
    kernel: str | None = None
    padding_value: float | None = None
    file_type: np.dtype[Any] = field(default_factory=lambda: np.dtype(np.int16))
    warnings: tuple[str, ...] = ()
    padding_limit: float | None = None
    files: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        if self.voxels.ndim != 3 or self.voxels.dtype not in (np.int16, np.float32):
            raise ValueError(
                f"voxels are [slice, row, column] int16 or float32, not {self.voxels.dtype}"
                f" of shape {self.voxels.shape}"
            )

    @property
    def index_to_lps(self) -> NDArray[np.float64]:
        """(4, 4) matrix from a voxel index (column, row, slice, 1) to a point in mm, LPS."""
        matrix = np.eye(4)
        matrix[:3, :3] = np.reshape(self.direction, (3, 3)) * self.spacing
        matrix[:3, 3] = self.origin
        return matrix

    @property
    def voxel_volume(self) -> float:
        """Volume of a voxel in mm3."""
        return float(np.prod(self.spacing))

    def with_voxels(self, voxels: NDArray[Any]) -> Volume:
        """The same place and kind with other voxels."""
        return replace(self, voxels=voxels)

    def same_grid_as(self, other: Volume, tolerance: float = 1e-3) -> bool:
        """Whether both have the same shape and, to ``tolerance`` mm, the same voxel positions."""
        return self.voxels.shape == other.voxels.shape and bool(
            np.allclose(self.index_to_lps, other.index_to_lps, atol=tolerance)
        )


def check_orthogonal(direction: tuple[float, ...], source: str) -> None:
    """Refuse a sheared or degenerate voxel grid.

    Raises
    ------
    UserError
        ``sheared-geometry``.
    """
    axes = np.reshape(direction, (3, 3))
    if not np.allclose(axes.T @ axes, np.eye(3), atol=1e-3):
        raise UserError(
            "sheared-geometry",
            f"{source}: the axes of its voxel grid are not at right angles (a tilted gantry or a sheared transform).",
            "Resample it to a rectangular grid first (in Slicer: Resample Scalar/Vector/DWI Volume).",
        )


def as_hounsfield_array(array: NDArray[Any], source: str) -> NDArray[Any]:
    """Bring voxels of any numeric type to int16 or float32 without changing a value.

    Integers that fit int16 become int16, other integers and all floats float32.

    Raises
    ------
    UserError
        ``voxel-type`` for booleans, complex numbers and integers that float32 cannot hold.
    """
    if array.dtype == np.int16 or array.dtype == np.float32:
        return array
    if array.dtype.kind == "f":
        return array.astype(np.float32)
    if array.dtype.kind not in "iu":
        raise UserError(
            "voxel-type", f"{source} holds {array.dtype} voxels, not numbers in HU.", "Convert it to int16."
        )
    low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
    if low >= -32768 and high <= 32767:
        return array.astype(np.int16)
    if max(abs(low), abs(high)) < 2**24:
        return array.astype(np.float32)
    raise UserError(
        "voxel-type", f"{source} holds values from {low} to {high}, far outside CT.", "Rescale it to Hounsfield units."
    )
