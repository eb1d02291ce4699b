"""The volumes that belong to a result go with it: full-strength change, lost structure, difference."""

import slicer

from .compare import DIFFERENCE_REFERENCE
from .strength import CHANGE_REFERENCE
from .structure import STRUCTURE_REFERENCE


def removeHelpers(removed) -> None:
    """Take out of the scene what belonged to a node that was just removed from it.

    Parameters
    ----------
    removed : vtkMRMLNode
        Any node; where no result, or where the scene closes, nothing happens.
    """
    if slicer.mrmlScene.IsClosing() or not removed.IsA("vtkMRMLScalarVolumeNode"):
        return
    volumes = list(slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode"))  # label maps, too
    helpers = [
        volume
        for volume in volumes
        for role in (STRUCTURE_REFERENCE, DIFFERENCE_REFERENCE)
        if volume.GetNodeReferenceID(role) == removed.GetID()
    ]
    change = removed.GetNodeReferenceID(CHANGE_REFERENCE)
    if change and not any(volume.GetNodeReferenceID(CHANGE_REFERENCE) == change for volume in volumes):  # of a copy
        helpers.append(slicer.mrmlScene.GetNodeByID(change))
    for helper in helpers:
        slicer.mrmlScene.RemoveNode(helper)
