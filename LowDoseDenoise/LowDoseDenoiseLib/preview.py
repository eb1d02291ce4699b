"""A preview: some slices around the one that is looked at, denoised as a run would, in about a second."""

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _

from FaithfulImagingLib.geometry import indexToWorld
from FaithfulImagingLib.task import WorkerTask
from inference_core.denoiser.blend import blend
from inference_core.errors import UserError

from .geometry import copyPlace
from .run import VolumeRun, voxelsOf
from .strength import STRENGTH_ATTRIBUTE, changeOf

PREVIEW_REFERENCE = "FaithfulImaging.previewOf"


class PreviewRun(VolumeRun):
    """Denoise some slices of a volume at full strength.

    Attributes
    ----------
    slices : slice
        Which slices of the volume.
    before, change : array (slices, rows, columns) or None
        Those slices as they were, and what full strength changes.
    """

    def __init__(self, inputVolume, slices: slice, job: dict, python: str) -> None:
        self.slices = slices
        super().__init__(inputVolume, job, python, [])

    def _prepare(self) -> None:
        self.before = self._voxels[self.slices].copy()
        self.change = None

    def _work(self, task: WorkerTask) -> dict:
        full = np.empty_like(self.before)
        place = self._indexToLps.copy()
        place[:3, 3] += place[:3, 2] * self.slices.start
        report = task.job({**self._job, "strength": 1.0}, {"input": self.before}, place, full)
        self.change = changeOf(self.before, full)
        return report

    def _doneText(self, report: dict) -> str:
        return _("Preview ready.")


class Preview:
    """The volume node that shows a preview, "<input> preview"; it is not saved with the scene.

    Attributes
    ----------
    inputVolume, volume : vtkMRMLScalarVolumeNode
    strength : float or None
        By which it is blended.
    """

    def __init__(self, run: PreviewRun, inputVolume) -> None:
        self.inputVolume = inputVolume
        self.strength: float | None = None
        self._before, self._change = run.before, run.change
        removePreviews()
        self.volume = slicer.mrmlScene.AddNewNodeByClass(
            "vtkMRMLScalarVolumeNode", _("{name} preview").format(name=inputVolume.GetName())
        )
        self.volume.SetSaveWithScene(False)
        self.volume.SetNodeReferenceID(PREVIEW_REFERENCE, inputVolume.GetID())
        copyPlace(inputVolume, self.volume)
        self.volume.SetOrigin(_originOf(inputVolume, run.slices.start))
        image = vtk.vtkImageData()
        image.SetDimensions(self._before.shape[::-1])
        image.AllocateScalars(inputVolume.GetImageData().GetScalarType(), 1)
        self._voxels = voxelsOf(image)
        self._voxels[:] = self._before
        self.volume.SetAndObserveImageData(image)
        self._inputTime = inputVolume.GetImageData().GetMTime()

    def blend(self, strength: float) -> None:
        """Show it at another strength."""
        blend(self._before, self._change, strength, self._voxels)
        self.strength = strength
        self.volume.SetAttribute(STRENGTH_ATTRIBUTE, repr(float(strength)))
        slicer.util.arrayFromVolumeModified(self.volume)

    def outdated(self, inputVolume) -> bool:
        """Whether another input is selected, or it has changed, or a node is gone."""
        if self.volume.GetScene() is None or self.inputVolume.GetScene() is None or inputVolume is not self.inputVolume:
            return True
        image = inputVolume.GetImageData()
        return image is None or image.GetMTime() != self._inputTime


def removePreviews() -> None:
    """Take every preview out of the scene; views that showed one show its input again."""
    for volume in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode"):
        if volume.GetNodeReferenceID(PREVIEW_REFERENCE):
            inputId = volume.GetNodeReferenceID(PREVIEW_REFERENCE)
            for view in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
                if view.GetBackgroundVolumeID() == volume.GetID():
                    view.SetBackgroundVolumeID(inputId)
            slicer.mrmlScene.RemoveNode(volume)


def slicesInView(inputVolume, sliceNode, count: int) -> slice:
    """The slices of a volume around the centre of a slice view.

    Parameters
    ----------
    inputVolume : vtkMRMLScalarVolumeNode
    sliceNode : vtkMRMLSliceNode
    count : int
        How many; fewer at the ends of the volume.

    Raises
    ------
    UserError
        ``not-in-view``, or ``nonlinear-transform``.
    """
    sliceToRas = sliceNode.GetSliceToRAS()
    centre = [sliceToRas.GetElement(row, 3) for row in range(4)]
    column, row, index = (np.linalg.inv(indexToWorld(inputVolume)) @ centre)[:3]
    columns, rows, slices = inputVolume.GetImageData().GetDimensions()
    inside = -0.5 <= index <= slices - 0.5 and -columns <= column <= 2 * columns and -rows <= row <= 2 * rows
    if not inside:
        raise UserError(
            "not-in-view",
            _("The view {view} shows no slice of {name}.").format(view=sliceNode.GetName(), name=inputVolume.GetName()),
            _("Scroll to the slice that you want to preview, or reset the view's field of view."),
        )
    first = min(max(int(np.floor(index + 0.5)), 0), slices - 1) - (count - 1) // 2
    return slice(max(first, 0), min(first + count, slices))


def _originOf(inputVolume, first: int) -> list[float]:
    """Where a volume's slice begins, in its own RAS."""
    ijkToRas = vtk.vtkMatrix4x4()
    inputVolume.GetIJKToRASMatrix(ijkToRas)
    return list(ijkToRas.MultiplyPoint((0, 0, first, 1))[:3])
