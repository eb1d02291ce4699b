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

from .coverage import CoverageRun
from .export import ExportRun
from .folds import FoldsRun
from .frames import DATASET_ATTRIBUTE, FOLDS, FOUND, TRANSLATED, folderOf, sequenceOf
from .lumen import LumenRun
from .parameters import ColonFoldSim2RealParameterNode
from .path import PathRun, worldPoints
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

    def findLumen(self, volumeNode, seeds, threshold: float) -> LumenRun:
        """Begin to make a surface of the gas-filled lumen in a CT.

        Raises
        ------
        UserError
            ``busy``, ``no-seeds``, ``nonlinear-transform``.
        """
        self._checkIdle()
        if seeds is None or not len(worldPoints(seeds)):
            raise UserError("no-seeds", _("No point is set in the lumen."), _("Press Place points, and click into it."))
        return self._begun(LumenRun(volumeNode, seeds, threshold, pythonExecutable()))

    def findPath(self, modelNode, ends=None, curve=None) -> PathRun:
        """Begin to find the line along a colon's middle, between ``ends`` where they are given, into ``curve``.

        Raises
        ------
        UserError
            ``busy``, ``no-surface``.
        """
        self._checkIdle()
        return self._begun(PathRun(modelNode, ends, curve, pythonExecutable()))

    def measureCoverage(self, browser) -> CoverageRun:
        """Begin to measure how much of the wall a dataset's frames show.

        Raises
        ------
        UserError
            ``busy``, ``no-frames``.
        """
        self._checkIdle()
        masks = folderOf(sequenceOf(browser, FOUND))
        return self._begun(CoverageRun(datasetOf(browser), masks, browser, pythonExecutable()))

    def exportTraining(self, browser, folder: Path) -> ExportRun:
        """Begin to copy frames and their translation to where inference-core trains from.

        Raises
        ------
        UserError
            ``busy``, ``no-frames``, ``no-translation``, ``no-folder``.
        """
        self._checkIdle()
        translated = folderOf(sequenceOf(browser, TRANSLATED))
        if translated is None:
            raise UserError("no-translation", _("The frames have no translation."), _("Press Translate first."))
        out = newFolder(folder, "training set")
        return self._begun(ExportRun(datasetOf(browser), translated, out, browser, pythonExecutable()))

    def makeFrames(self, colonNode, folder: Path, settings: dict, curve=None) -> FramesRun:
        """Begin to film a colon into a folder, along a path where one is given.

        Raises
        ------
        UserError
            ``busy``, ``no-surface``, ``no-folder``, ``no-path``.
        """
        self._checkIdle()
        return self._begun(FramesRun(colonNode, newFolder(folder, "frames"), settings, pythonExecutable(), curve))

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
    folder = folderOf(browser, DATASET_ATTRIBUTE)
    if folder is None:
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
        overlaps.append(mask_iou(other, one) if one.shape == other.shape else np.nan)
    return np.array(overlaps)
