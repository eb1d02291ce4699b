"""The inside of a colon surface as voxels, and how far each lies from the wall."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference_core.extras import need
from inference_core.simulation.colon.mesh.polydata import to_polydata
from inference_core.simulation.colon.mesh.surface import Points, Surface


@dataclass(frozen=True)
class Lumen:
    """Cubic voxels inside a closed surface.

    Attributes
    ----------
    inside : (Z, Y, X) bool
        The outermost voxels are all outside.
    wall_distance : (Z, Y, X) float32
        mm from a voxel's centre to the wall, to about half a voxel; 0 outside.
    origin : (3,)
        Centre of voxel [0, 0, 0] as (x, y, z) mm.
    step : float
        Edge of a voxel in mm.
    """

    inside: NDArray[np.bool_]
    wall_distance: NDArray[np.float32]
    origin: Points
    step: float

    def points(self, indices: NDArray[np.int64]) -> Points:
        """Places in mm of voxels given as (z, y, x) rows."""
        return np.asarray(self.origin + indices[:, ::-1] * self.step)

    def indices(self, points: Points) -> NDArray[np.int64]:
        """Voxels (z, y, x) in which points in mm lie; those off the grid are moved to its rim."""
        rounded = np.rint((points - self.origin) / self.step).astype(np.int64)[:, ::-1]
        return np.asarray(np.clip(rounded, 0, np.array(self.inside.shape) - 1))


def lumen(surface: Surface, step: float) -> Lumen:
    """Fill a closed surface with voxels.

    Parameters
    ----------
    surface : Surface
        Closed; mm.
    step : float
        Edge of a voxel in mm; 2 suits a lumen 40 mm wide.
    """
    need("vtk", "colon", "Finding a centreline")
    need("scipy", "colon", "Finding a centreline")
    from scipy import ndimage
    from vtkmodules.util.numpy_support import vtk_to_numpy
    from vtkmodules.vtkImagingStencil import vtkImageStencilToImage, vtkPolyDataToImageStencil

    low = surface.vertices.min(axis=0) - 2 * step
    shape = np.ceil((surface.vertices.max(axis=0) + 2 * step - low) / step).astype(int) + 1
    stencil = vtkPolyDataToImageStencil()
    stencil.SetInputData(to_polydata(Surface(surface.vertices, surface.faces)))
    stencil.SetOutputOrigin(*low)
    stencil.SetOutputSpacing(step, step, step)
    stencil.SetOutputWholeExtent(0, int(shape[0]) - 1, 0, int(shape[1]) - 1, 0, int(shape[2]) - 1)
    stencil.SetTolerance(0.0)
    to_image = vtkImageStencilToImage()
    to_image.SetInputConnection(stencil.GetOutputPort())
    to_image.SetOutputScalarTypeToUnsignedChar()
    to_image.SetInsideValue(1)
    to_image.SetOutsideValue(0)
    to_image.Update()
    scalars = to_image.GetOutput().GetPointData().GetScalars()
    inside = vtk_to_numpy(scalars).reshape(shape[::-1]).astype(bool)
    # The wall lies about half a voxel short of the centre of the first voxel outside.
    distance = np.maximum(ndimage.distance_transform_edt(inside) - 0.5, 0).astype(np.float32) * np.float32(step)
    return Lumen(inside, distance, low, step)
