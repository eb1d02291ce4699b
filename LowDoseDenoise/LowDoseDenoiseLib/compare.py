"""What is compared: a volume, what was made from it, and the difference; window presets; one key to flip."""

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _

from inference_core.image.windows import WINDOWS, window_level

from .geometry import copyPlace
from .strength import changeOf

DIFFERENCE_REFERENCE = "FaithfulImaging.differenceTo"
FLIPPED_REFERENCE = "FaithfulImaging.flipped"
IMAGE_WINDOWS = ("temporal bone", "abdomen", "brain")
DIFFERENCE_WINDOWS = ("difference", "fine difference")


def windowText(name: str) -> str:
    """A window preset for the user, with its range in HU."""
    texts = {
        "temporal bone": _("Temporal bone"), "abdomen": _("Abdomen"), "brain": _("Brain"),
        "difference": _("Wide"), "fine difference": _("Narrow"),
    }  # fmt: skip
    lower, upper = WINDOWS[name]
    return f"{texts[name]} ({lower:g} to {upper:g})".replace("-", "\N{MINUS SIGN}")


def setWindow(volume, name: str) -> None:
    """Show a volume in a window preset; an empty name leaves it as it is."""
    if volume is None or name not in WINDOWS:
        return
    if not volume.GetScalarVolumeDisplayNode():
        volume.CreateDefaultDisplayNodes()
    display = volume.GetScalarVolumeDisplayNode()
    display.SetAutoWindowLevel(False)
    display.SetWindowLevel(*window_level(*WINDOWS[name]))


def windowOf(volume) -> tuple | None:
    """Window and level a volume is shown in."""
    display = volume.GetScalarVolumeDisplayNode() if volume else None
    return (display.GetWindow(), display.GetLevel()) if display else None


def shareWindow(volumes: list, last: tuple | None) -> tuple | None:
    """Show all in the window and level that the user gave one of them.

    Parameters
    ----------
    volumes : list of vtkMRMLScalarVolumeNode or None
    last : tuple or None
        What this gave back the last time.
    """
    windows = [window for window in map(windowOf, volumes) if window]
    wanted = next((window for window in windows if window != last), last)
    for volume in volumes:
        if wanted and windowOf(volume) not in (None, wanted):
            display = volume.GetScalarVolumeDisplayNode()
            display.SetAutoWindowLevel(False)
            display.SetWindowLevel(*wanted)
    return wanted


def showDifference(inputVolume, denoised, node=None):
    """Put what was changed, denoised minus original in HU, into a volume node; it is not saved with the scene.

    Parameters
    ----------
    inputVolume, denoised : vtkMRMLScalarVolumeNode
        The denoised one may hold some of the input's slices only.
    node : vtkMRMLScalarVolumeNode, optional
        Where an earlier difference is; default: a new one, named "<denoised> difference".
    """
    after = slicer.util.arrayFromVolume(denoised)
    before = slicer.util.arrayFromVolume(inputVolume)
    first = firstSlice(inputVolume, denoised)
    if node is None or node.GetScene() is None:
        name = _("{name} difference").format(name=denoised.GetName())
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
        node.SetSaveWithScene(False)
        copyPlace(denoised, node)
    node.SetNodeReferenceID(DIFFERENCE_REFERENCE, denoised.GetID())
    node.SetName(_("{name} difference").format(name=denoised.GetName()))
    node.SetOrigin(denoised.GetOrigin())
    there = slicer.util.arrayFromVolume(node) if node.GetImageData() else None
    change = changeOf(before[first : first + len(after)], after, there)
    if change is there:
        slicer.util.arrayFromVolumeModified(node)
    else:
        slicer.util.updateVolumeFromArray(node, change)
    return node


def removeDifferences() -> None:
    """Take every difference out of the scene."""
    for volume in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode"):
        if volume.GetNodeReferenceID(DIFFERENCE_REFERENCE):
            slicer.mrmlScene.RemoveNode(volume)


def firstSlice(inputVolume, denoised) -> int:
    """The slice of the input that the first slice of a result or preview belongs to."""
    rasToIjk = vtk.vtkMatrix4x4()
    inputVolume.GetRASToIJKMatrix(rasToIjk)
    return int(np.rint(rasToIjk.MultiplyPoint((*denoised.GetOrigin(), 1))[2]))


def flip(inputVolume, denoised, keep: tuple = ()) -> bool:
    """Show the original where the denoised volume is shown; called again, the other way round.

    Parameters
    ----------
    inputVolume, denoised : vtkMRMLScalarVolumeNode
    keep : tuple of str
        Names of views to leave alone.

    Returns
    -------
    bool
        Whether the denoised volume is shown now.
    """
    views = [
        view for view in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode") if view.GetLayoutName() not in keep
    ]
    denoisedShown = [view for view in views if view.GetBackgroundVolumeID() == denoised.GetID()]
    for view in denoisedShown:
        view.SetBackgroundVolumeID(inputVolume.GetID())
        view.SetNodeReferenceID(FLIPPED_REFERENCE, denoised.GetID())
    if denoisedShown:
        return False
    originals = [view for view in views if view.GetBackgroundVolumeID() == inputVolume.GetID()]
    flipped = [view for view in originals if view.GetNodeReferenceID(FLIPPED_REFERENCE) == denoised.GetID()]
    for view in flipped or originals:
        view.SetBackgroundVolumeID(denoised.GetID())
        view.SetNodeReferenceID(FLIPPED_REFERENCE, None)
    return bool(originals)
