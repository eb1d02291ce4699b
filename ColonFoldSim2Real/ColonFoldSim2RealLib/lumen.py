"""The gas-filled lumen of a CT colonography: a threshold and two clicks, and the worker makes its surface."""

from contextlib import ExitStack
from pathlib import Path

import slicer
from slicer.i18n import tr as _

from FaithfulImagingLib.geometry import RAS_TO_LPS, indexToWorld
from FaithfulImagingLib.job_run import JobRun
from inference_core.errors import UserError
from inference_core.scratch import scratch_folder

from .path import worldPoints
from .surface import readSurface


class LumenRun(JobRun):
    """Find the lumen in a volume and make a model of its wall.

    Attributes
    ----------
    surfaceNode : vtkMRMLModelNode or None
        Once it is there.
    """

    def __init__(self, volumeNode, seeds, threshold: float, python: str) -> None:
        """``seeds``: fiducials in the lumen; ``threshold``: gas is below, in HU."""
        self.surfaceNode = None
        self._name = volumeNode.GetName()
        if volumeNode.GetImageData() is None:
            raise UserError("no-voxels", _("{name} has no voxels.").format(name=self._name), _("Load it again."))
        self._voxels = slicer.util.arrayFromVolume(volumeNode).copy()
        self._indexToLps = RAS_TO_LPS @ indexToWorld(volumeNode)
        self._files = ExitStack()
        self._output = Path(self._files.enter_context(scratch_folder()), "lumen.vtp")
        places = worldPoints(seeds) @ RAS_TO_LPS[:3, :3]
        job = {"job": "colon-lumen", "seeds": places.tolist(), "threshold": threshold, "output": str(self._output)}
        super().__init__(job, python, [volumeNode, seeds])

    def _work(self, task) -> dict:
        return task.job(self._job, {"input": self._voxels}, self._indexToLps)

    def _take(self, report: dict) -> None:
        name = slicer.mrmlScene.GenerateUniqueName(_("{name} lumen").format(name=self._name))
        self.surfaceNode = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", name)
        self.surfaceNode.SetAndObservePolyData(readSurface(self._output))
        self.surfaceNode.CreateDefaultDisplayNodes()
        self.surfaceNode.GetDisplayNode().SetBackfaceCulling(False)

    def _doneText(self, report: dict) -> str:
        text = _("{volume:.0f} ml of gas; its surface has {vertices} points.")
        return " ".join([text.format(volume=report["volume_ml"], vertices=report["vertices"]), *report["warnings"]])

    def _letGo(self) -> None:
        super()._letGo()
        self._voxels = None
        self._files.close()


def placeSeeds(seeds=None):
    """Let the next two clicks in the views set points in the lumen; gives their node."""
    if seeds is None:
        seeds = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", _("Lumen"))
        seeds.CreateDefaultDisplayNodes()
    selection = slicer.mrmlScene.GetNodeByID("vtkMRMLSelectionNodeSingleton")
    interaction = slicer.mrmlScene.GetNodeByID("vtkMRMLInteractionNodeSingleton")
    if selection and interaction:
        selection.SetReferenceActivePlaceNodeClassName(seeds.GetClassName())
        selection.SetActivePlaceNodeID(seeds.GetID())
        interaction.SetPlaceModePersistence(1)
        interaction.SetCurrentInteractionMode(interaction.Place)
    return seeds
