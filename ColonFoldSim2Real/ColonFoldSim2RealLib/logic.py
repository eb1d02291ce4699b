"""The steps for scripts and for the panel: each begins a run that the caller polls."""

from pathlib import Path

import numpy as np
import slicer
from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleLogic

from FaithfulImagingLib.job_run import JobRun
from FaithfulImagingLib.python import pythonExecutable
from inference_core.errors import UserError
from inference_core.measurement.segmentation import mask_iou
from inference_core.models.registry import list_models

from .folds import FoldsRun
from .frames import DATASET_ATTRIBUTE, FOLDS, FOUND, sequenceOf
from .parameters import ColonFoldSim2RealParameterNode
from .steps import FramesRun, SegmentRun, TranslateRun

TRANSLATE, SEGMENT = "translate-frames", "segment-folds"


class ColonFoldSim2RealLogic(ScriptedLoadableModuleLogic):
    """Begins the module's long steps; one at a time.

    Attributes
    ----------
    run : JobRun or None
        The last one.
    """

    def __init__(self) -> None:
        ScriptedLoadableModuleLogic.__init__(self)
        self.run: JobRun | None = None

    def getParameterNode(self):
        return ColonFoldSim2RealParameterNode(super().getParameterNode())

    @staticmethod
    def models(task: str) -> list:
        """Cards of the models for a task."""
        return list_models(task)

    def labelFolds(self, modelNode) -> FoldsRun:
        """Begin to label a surface's folds.

        Raises
        ------
        UserError
            ``busy``, ``no-surface``.
        """
        self._checkIdle()
        return self._begun(FoldsRun(modelNode, pythonExecutable()))

    def makeFrames(self, colonNode, folder: Path, settings: dict) -> FramesRun:
        """Begin to film a colon into a folder.

        Raises
        ------
        UserError
            ``busy``, ``no-surface``, ``no-folder``.
        """
        self._checkIdle()
        return self._begun(FramesRun(colonNode, newFolder(folder, "frames"), settings, pythonExecutable()))

    def translate(self, browser, model: str) -> TranslateRun:
        """Begin to translate a dataset; the result goes beside it.

        Raises
        ------
        UserError
            ``busy``, ``no-frames``.
        """
        self._checkIdle()
        dataset = datasetOf(browser)
        folder = newFolder(dataset.parent, f"{dataset.name} {model}")
        return self._begun(TranslateRun(dataset, folder, model, browser, pythonExecutable()))

    def segment(self, frames: Path, model: str, needs: list) -> SegmentRun:
        """Begin to mark folds in a folder of frames, or a video; the result goes beside it.

        Raises
        ------
        UserError
            ``busy``, ``no-frames``.
        """
        self._checkIdle()
        if not frames.exists():
            raise UserError("no-frames", _("There is no {path}.").format(path=frames), _("Choose it again."))
        folder = newFolder(frames.parent, f"{frames.stem} folds")
        return self._begun(SegmentRun(frames, folder, model, needs, pythonExecutable()))

    def stop(self) -> None:
        """End what runs, now; for when the application goes away."""
        if self.run and self.run.running:
            self.run.stop()

    def _checkIdle(self) -> None:
        if self.run and self.run.running:
            raise UserError("busy", _("Another step is running."), _("Wait for it, or cancel it."))

    def _begun(self, run):
        self.run = run
        return run


def newFolder(parent: Path, name: str) -> Path:
    """A folder that is not there yet.

    Raises
    ------
    UserError
        ``no-folder``.
    """
    if not parent.is_dir() or str(parent) == ".":
        raise UserError("no-folder", _("No folder is chosen for the frames."), _("Choose one under Frames."))
    numbers = ("", *(f" {k}" for k in range(2, 10_000)))
    return next(parent / f"{name}{k}" for k in numbers if not (parent / f"{name}{k}").exists())


def datasetOf(browser) -> Path:
    """The folder that a browser's frames lie in.

    Raises
    ------
    UserError
        ``no-frames``.
    """
    folder = Path(browser.GetAttribute(DATASET_ATTRIBUTE) or "") if browser else None
    if folder is None or not folder.is_dir():
        raise UserError(
            "no-frames", _("There are no frames, or their folder is gone."), _("Make frames, or open their folder.")
        )
    return folder


def foldOverlap(browser) -> np.ndarray | None:
    """IoU of true and found folds of each frame, NaN where neither is; None where one of them is not loaded."""
    true, found = (sequenceOf(browser, kind) for kind in (FOLDS, FOUND))
    if true is None or found is None:
        return None
    overlaps = []
    for index in range(true.GetNumberOfDataNodes()):
        one, other = (slicer.util.arrayFromVolume(node.GetNthDataNode(index)) > 0 for node in (true, found))
        overlaps.append(mask_iou(other, one))
    return np.array(overlaps)
