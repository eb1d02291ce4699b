"""From voxels to a colon surface: marching cubes, smoothing without shrinkage, decimation that keeps the topology."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_core.errors import UserError
from inference_core.extras import need
from inference_core.simulation.colon.mesh.polydata import from_polydata, to_polydata
from inference_core.simulation.colon.mesh.surface import Surface, enclosed_volume
from inference_core.simulation.colon.mesh.surface_parts import largest_part

_LEVEL = 0.4999  # not 0.5: a voxel that lies exactly on the level gives triangles without area
_SINC_ITERATIONS = 20
SECOND = 0.1  # of the largest piece of a mask: what is larger than that is no debris
_SINC_PASS_BAND = 0.1


def surface_of_mask(
    mask: NDArray[np.bool_],
    spacing: tuple[float, float, float],
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0),
    direction: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0),
    faces: int | None = None,
    blur: float = 0.8,
) -> Surface:
    """The closed surface of the largest connected piece of a mask; cavities inside it are filled.

    Parameters
    ----------
    mask : (slices, rows, columns) bool
        The lumen.
    spacing, origin, direction
        As of a :class:`~inference_core.image.volume.Volume`: mm, LPS, direction any rotation or mirror image.
    faces : int, optional
        Decimate to this number of triangles; none: as marching cubes made them.
    blur : float
        Standard deviation in mm of the Gaussian that rounds the voxels' steps.

    Returns
    -------
    Surface
        mm, LPS, watertight, outward normals.

    Raises
    ------
    UserError
        ``empty-label`` where nothing is set, or nothing that survives the blur; ``several-lumens`` where a second piece
        is too large to be left out; ``missing-package``.
    """
    need("scipy", "colon", "Making a surface of voxels")
    need("vtk", "colon", "Making a surface of voxels")
    from scipy import ndimage

    # At least half a voxel of blur: less leaves the steps of thick slices sharp.
    sigma = [max(blur / step, 0.5) for step in spacing[::-1]]
    margin = [int(np.ceil(4 * s)) + 1 for s in sigma]
    solid, first = _largest_solid(mask, margin)
    field = ndimage.gaussian_filter(solid.astype(np.float32), sigma)
    surface = _contour(field)
    if not len(surface.faces):
        raise _empty("The structure is thinner than a voxel, so no surface of it can be made.")
    # Smoothing works on the grid of voxels in mm, before the turn into the patient.
    smooth = _smoothed(Surface((surface.vertices + first[::-1]) * spacing, surface.faces))
    axes = np.reshape(direction, (3, 3))
    placed = Surface(smooth.vertices @ axes.T + origin, smooth.faces)
    if enclosed_volume(placed) < 0:
        placed = Surface(placed.vertices, np.ascontiguousarray(placed.faces[:, ::-1]))
    placed = largest_part(placed)
    return placed if faces is None else decimated(placed, faces)


def decimated(surface: Surface, faces: int) -> Surface:
    """The surface with fewer triangles of nearly one size, closed and of the same topology.

    The shortest edges collapse first, and only where that changes neither the number of handles nor of holes
    (libigl's ``decimate``). Edges stay between about half and twice their mean; a quadric error leaves slivers 20 times
    as long, on which values at vertices say little. Each vertex keeps the point arrays' values of the vertex it came
    from.

    Parameters
    ----------
    surface : Surface
        Closed and manifold.
    faces : int
        How many triangles to leave; a surface that has no more is returned as it is.
    """
    if len(surface.faces) <= faces:
        return surface
    need("igl", "colon", "Decimating a surface")
    import igl

    vertices, triangles, _, birth = igl.decimate(
        np.asfortranarray(surface.vertices), np.asfortranarray(surface.faces.astype(np.int32)), faces
    )
    return Surface(
        np.ascontiguousarray(vertices, dtype=np.float64),
        np.ascontiguousarray(triangles, dtype=np.int64),
        {name: values[birth] for name, values in surface.point_arrays.items()},
    )


def _largest_solid(mask: NDArray[np.bool_], margin: list[int]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """The largest piece of the mask with its cavities filled, cropped to a margin around it; and its first index."""
    from scipy import ndimage

    labels, count = ndimage.label(mask)
    if not count:
        raise _empty("No voxel is set.")
    sizes = np.bincount(labels.ravel())[1:]
    largest = 1 + int(np.argmax(sizes))
    if (sizes > SECOND * sizes.max()).sum() > 1:
        raise UserError(
            "several-lumens",
            f"The label is in {count} pieces; the largest have {' and '.join(map(str, sorted(sizes)[-2:]))} voxels.",
            "Join the lumen into one piece, or leave only the piece that is to be filmed.",
        )
    box = ndimage.find_objects(labels, max_label=largest)[largest - 1]
    piece = np.pad(labels[box] == largest, [(m, m) for m in margin])
    outside, _ = ndimage.label(~piece)
    first = np.array([side.start - m for side, m in zip(box, margin, strict=True)])
    return outside != outside[0, 0, 0], first


def _empty(what: str) -> UserError:
    return UserError("empty-label", what, "Choose a label or segment that holds the lumen of a colon.")


def _contour(field: NDArray[np.float32]) -> Surface:
    """The level set of a field, vertices as (column, row, slice)."""
    from vtkmodules.util.numpy_support import numpy_to_vtk
    from vtkmodules.vtkCommonDataModel import vtkImageData
    from vtkmodules.vtkFiltersCore import vtkFlyingEdges3D

    image = vtkImageData()
    image.SetDimensions(field.shape[::-1])
    image.GetPointData().SetScalars(numpy_to_vtk(np.ascontiguousarray(field).ravel()))
    cubes: Any = vtkFlyingEdges3D()
    cubes.SetInputData(image)
    cubes.SetValue(0, _LEVEL)
    cubes.ComputeNormalsOff()
    cubes.ComputeScalarsOff()
    cubes.Update()
    return from_polydata(cubes.GetOutput())


def _smoothed(surface: Surface) -> Surface:
    from vtkmodules.vtkFiltersCore import vtkWindowedSincPolyDataFilter

    sinc = vtkWindowedSincPolyDataFilter()
    sinc.SetInputData(to_polydata(surface))
    sinc.SetNumberOfIterations(_SINC_ITERATIONS)
    sinc.SetPassBand(_SINC_PASS_BAND)
    sinc.NormalizeCoordinatesOn()
    sinc.Update()
    return Surface(from_polydata(sinc.GetOutput()).vertices, surface.faces)
