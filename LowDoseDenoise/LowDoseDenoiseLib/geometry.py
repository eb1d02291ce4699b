"""The place of one volume for another: geometry, display, place in the hierarchy."""

import slicer
import vtk


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
