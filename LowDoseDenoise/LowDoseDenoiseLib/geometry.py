"""Where volumes and ROIs lie: MRML's RAS matrices for inference_core, and the place of one volume for another."""

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


def copyPlace(source, target) -> None:
    """Give a volume another one's geometry (to the bit), parent transform, units and place in the hierarchy.

    Its display too where the volume has none of its own.

    Call it before the voxels are set: with the window and level fixed, Slicer need not search them for a good one.
    """
    copyGeometry(source, target)
    target.SetVoxelValueQuantity(source.GetVoxelValueQuantity())
    target.SetVoxelValueUnits(source.GetVoxelValueUnits())
    _copyDisplay(source, target)
    _copyHierarchyPlace(source, target)


def copyGeometry(source, target) -> None:
    """Give a volume another one's geometry (to the bit) and parent transform."""
    directions = vtk.vtkMatrix4x4()
    source.GetIJKToRASDirectionMatrix(directions)
    target.SetIJKToRASDirectionMatrix(directions)
    target.SetSpacing(source.GetSpacing())
    target.SetOrigin(source.GetOrigin())
    target.SetAndObserveTransformNodeID(source.GetTransformNodeID())


def _copyDisplay(source, target) -> None:
    shown = source.GetScalarVolumeDisplayNode()
    if target.GetScalarVolumeDisplayNode():  # the user may have set its window and level
        return
    target.CreateDefaultDisplayNodes()
    display = target.GetScalarVolumeDisplayNode()
    if not shown:
        return
    display.SetAndObserveColorNodeID(shown.GetColorNodeID())
    display.SetInterpolate(shown.GetInterpolate())
    display.SetAutoWindowLevel(False)
    display.SetWindowLevel(shown.GetWindow(), shown.GetLevel())


def _copyHierarchyPlace(source, target) -> None:
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    place = hierarchy.GetItemByDataNode(source) if hierarchy else 0
    if not place:
        return
    parent = hierarchy.GetItemParent(place)
    item = hierarchy.GetItemByDataNode(target)
    if item:
        hierarchy.SetItemParent(item, parent)
    else:
        hierarchy.CreateItem(parent, target)
