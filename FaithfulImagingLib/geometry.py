"""Where nodes lie: from voxel indices and own coordinates to the world, RAS and LPS."""

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _

from inference_core.errors import UserError

RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def indexToLps(volume) -> np.ndarray:
    """(4, 4) matrix from a voxel index (column, row, slice, 1) to mm in LPS, without parent transforms."""
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    return RAS_TO_LPS @ slicer.util.arrayFromVTKMatrix(matrix)


def indexToWorld(volume) -> np.ndarray:
    """(4, 4) matrix from a voxel index to mm in the world's RAS, through all parent transforms.

    Raises
    ------
    UserError
        ``nonlinear-transform``.
    """
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    return nodeToWorld(volume) @ slicer.util.arrayFromVTKMatrix(matrix)


def nodeToWorld(node) -> np.ndarray:
    """(4, 4) matrix from a node's own coordinates to the world's, through all its parent transforms.

    Raises
    ------
    UserError
        ``nonlinear-transform``.
    """
    matrix = vtk.vtkMatrix4x4()
    transform = node.GetParentTransformNode()
    if transform and not transform.GetMatrixTransformToWorld(matrix):
        raise UserError(
            "nonlinear-transform",
            _("{name} is under a nonlinear transform.").format(name=node.GetName()),
            _("Harden the transform (Transforms module) or take the node out of it."),
        )
    return slicer.util.arrayFromVTKMatrix(matrix)
