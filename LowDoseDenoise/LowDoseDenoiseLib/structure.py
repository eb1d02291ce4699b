"""The search for anatomy that a denoiser took out: it runs in the worker's process, its finds become a label map."""

import json
import logging

import numpy as np
import slicer
from slicer.i18n import tr as _

from FaithfulImagingLib.background import giveTurn
from FaithfulImagingLib.geometry import indexToLps, indexToWorld
from FaithfulImagingLib.task import WorkerTask
from inference_core.errors import Cancelled, UserError
from inference_core.measurement.structure_job import BRIGHT, DARK

from .geometry import copyGeometry
from .measure import voxelsToCompare
from .report import signed

STRUCTURE_ATTRIBUTE = "FaithfulImaging.structure"
STRUCTURE_REFERENCE = "FaithfulImaging.structureOf"
COLOR_NAME = "FaithfulImaging structure"
COLORS = {BRIGHT: (1.0, 0.55, 0.0), DARK: (0.0, 0.75, 1.0)}


class StructureSearch:
    """A search that has begun.

    Attributes
    ----------
    running : bool
    fraction : float
        Part that is done, 0 to 1.
    labelVolume : vtkMRMLLabelMapVolumeNode or None
        With what was found, once that is there.
    error : UserError or None
    """

    def __init__(self, inputVolume, outputVolume, python: str) -> None:
        """Begin.

        Raises
        ------
        UserError
            ``no-result``, where the output was not made from the input.
        """
        before, after = voxelsToCompare(inputVolume, outputVolume)
        if after is None:
            raise UserError(
                "no-result", _("There is no denoised volume of this input to compare."), _("Press Apply first.")
            )
        self.running = True
        self.fraction = 0.0
        self.labelVolume = None
        self.error: UserError | None = None
        self._volumes = inputVolume, outputVolume
        self._state = stateOfVolumes(inputVolume, outputVolume)
        self._labels = np.empty(before.shape, np.int16)
        volumes, place = {"before": before, "after": after}, indexToLps(inputVolume)
        self._task = WorkerTask(lambda task: task.job({"job": "structure"}, volumes, place, self._labels), python)

    def poll(self) -> None:
        """Take in what has happened since the last call."""
        if not self.running:
            return
        giveTurn()
        done = self._task.outcome.done()
        while not self._task.messages.empty():
            message = self._task.messages.get()
            if message["type"] == "progress" and message["stage"] == "search":
                self.fraction = message["done"] / message["total"]
        if not self._task.cancelled and stateOfVolumes(*self._volumes) != self._state:
            self.cancel()  # what it would find belongs to another image
        if done:
            self.running = False
            self._end()

    def cancel(self) -> None:
        """Ask it to stop."""
        self._task.cancel()

    def stop(self) -> None:
        """End it now."""
        self._task.kill()
        self.running = False

    def _end(self) -> None:
        error = self._task.outcome.exception()
        if isinstance(error, Cancelled) or self._task.cancelled:
            return
        if isinstance(error, UserError):
            self.error = error
        elif error:
            logging.error("LowDoseDenoise", exc_info=error)
            self.error = UserError("internal", f"{type(error).__name__}: {error}", _("Please report it with the log."))
        else:
            self.labelVolume = _putIntoScene(*self._volumes, self._labels, self._task.outcome.result(), self._state)


def stateOfVolumes(inputVolume, outputVolume) -> list:
    """What a find belongs to: it changes with the volumes and their voxels; shorter where one is gone."""
    volumes = [volume for volume in (inputVolume, outputVolume) if volume is not None and volume.GetScene()]
    return [[volume.GetID(), volume.GetImageData().GetMTime()] for volume in volumes if volume.GetImageData()]


def structureOf(outputVolume):
    """The label map with what was found in a volume; None where it was not searched."""
    if outputVolume is None:
        return None
    labels = slicer.util.getNodesByClass("vtkMRMLLabelMapVolumeNode")
    return next((one for one in labels if one.GetNodeReferenceID(STRUCTURE_REFERENCE) == outputVolume.GetID()), None)


def findsOf(labelVolume) -> dict | None:
    """What was found, as the structure job reports it; None where that cannot be read."""
    try:
        finds = json.loads(labelVolume.GetAttribute(STRUCTURE_ATTRIBUTE) or "null")
        structureText(finds)
        [find["index"] for find in finds["strongest"]]
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    return finds


def structureText(finds: dict) -> str:
    """What was found, in words."""
    chance = f"{100 * finds['false_alarm']:g}"
    if not finds["regions"]:
        return _("Nothing found: the difference looks like noise alone.")
    return _(
        "{count} places, {volume:.1f} mm3 in all, where the difference is not noise alone (a false alarm in at most"
        " {chance} % of CTs). Orange: something bright is gone or fainter; blue: something dark."
    ).format(count=finds["regions"], volume=finds["volume_mm3"], chance=chance)


def showStructure(labelVolume, visible: bool) -> None:
    """Lay a label map over every slice view, or take it off."""
    for view in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
        if visible:
            view.SetLabelVolumeID(labelVolume.GetID())
            view.SetLabelOpacity(0.6)
        elif view.GetLabelVolumeID() == labelVolume.GetID():
            view.SetLabelVolumeID(None)


def structureShown(labelVolume) -> bool:
    """Whether a slice view shows a label map."""
    views = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    return labelVolume is not None and any(view.GetLabelVolumeID() == labelVolume.GetID() for view in views)


def goTo(labelVolume, number: int) -> str:
    """Show a find in all slice views; they are in the order of their strength.

    Returns
    -------
    str
        What it is, for the user; empty where there is none.
    """
    finds = findsOf(labelVolume)
    if not finds or not finds["strongest"]:
        return ""
    count = len(finds["strongest"])
    find = finds["strongest"][number % count]
    slices, row, column = find["index"]
    point = (indexToWorld(labelVolume) @ [column, row, slices, 1.0])[:3]
    slicer.vtkMRMLSliceNode.JumpAllSlices(slicer.mrmlScene, *point)
    text = (
        _("Find {number} of {count}: something bright is gone or fainter, {volume:.2f} mm3, z {z}.")
        if find["z"] > 0
        else _("Find {number} of {count}: something dark is gone or fainter, {volume:.2f} mm3, z {z}.")
    )
    return text.format(number=number % count + 1, count=count, volume=find["volume_mm3"], z=signed(find["z"], 1))


def _putIntoScene(inputVolume, outputVolume, labels: np.ndarray, report: dict, state: list):
    name = _("{name} lost structure").format(name=outputVolume.GetName())
    node = structureOf(outputVolume) or slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", name)
    copyGeometry(inputVolume, node)
    slicer.util.updateVolumeFromArray(node, labels)
    node.SetNodeReferenceID(STRUCTURE_REFERENCE, outputVolume.GetID())
    node.SetAttribute(STRUCTURE_ATTRIBUTE, json.dumps({**report, "state": state}))
    if not node.GetDisplayNode():
        node.CreateDefaultDisplayNodes()
    if node.GetDisplayNode():
        node.GetDisplayNode().SetAndObserveColorNodeID(_colors().GetID())
    return node


def _colors():
    node = slicer.mrmlScene.GetFirstNodeByName(COLOR_NAME)
    if node is None:
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLColorTableNode", COLOR_NAME)
        node.SetTypeToUser()
        node.SetHideFromEditors(True)
        node.SetNumberOfColors(3)
        node.SetColor(0, _("nothing"), 0.0, 0.0, 0.0, 0.0)
        node.SetColor(BRIGHT, _("bright taken out"), *COLORS[BRIGHT], 1.0)
        node.SetColor(DARK, _("dark taken out"), *COLORS[DARK], 1.0)
    return node
