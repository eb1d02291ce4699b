"""The long steps that write a folder: frames of a colon, their translation, their folds."""

import shutil
from contextlib import ExitStack
from pathlib import Path

from slicer.i18n import tr as _

from FaithfulImagingLib.job_run import JobRun
from inference_core.scratch import scratch_folder

from .path import writeCurve
from .surface import writeSurface


class FolderRun(JobRun):
    """A step whose result is a new folder; stopped, it leaves none.

    Attributes
    ----------
    folder : Path
    """

    folder: Path

    def _takeBack(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


class FramesRun(FolderRun):
    """Film a colon.

    Attributes
    ----------
    folder : Path
        The dataset.
    colonNode : vtkMRMLModelNode
    """

    def __init__(self, colonNode, folder: Path, settings: dict, python: str, curve=None) -> None:
        """``settings``: fields of the job ``simulate-colon``; ``curve``: to fly, where it is not found on the way."""
        self.folder, self.colonNode = folder, colonNode
        self._files = ExitStack()
        surface = Path(self._files.enter_context(scratch_folder()), "colon.vtp")
        try:
            writeSurface(colonNode, surface)
            if curve:
                writeCurve(curve, surface.with_name("path.vtp"))
                settings = {**settings, "path": str(surface.with_name("path.vtp"))}
        except BaseException:
            self._files.close()
            raise
        job = {"job": "simulate-colon", "input": str(surface), "output": str(folder), **settings}
        super().__init__(job, python, [colonNode])

    def _doneText(self, report: dict) -> str:
        return _("{frames} frames in {folder}.").format(frames=self._job["frames"], folder=self.folder)

    def _letGo(self) -> None:
        super()._letGo()
        self._files.close()


class TranslateRun(FolderRun):
    """Translate a dataset.

    Attributes
    ----------
    folder : Path
        The translated one.
    browser : vtkMRMLSequenceBrowserNode
        Of the frames.
    """

    def __init__(self, dataset: Path, folder: Path, model: str, browser, python: str) -> None:
        self.folder, self.browser = folder, browser
        job = {"job": "translate", "input": str(dataset), "output": str(folder), "model": model}
        super().__init__(job, python, [browser])

    def _doneText(self, report: dict) -> str:
        found = report["structure"]
        if found.get("displacement_px") is None:
            return _("Translated.")
        return _("Translated; edges moved by {px:.2f} px in the mean, {share:.0%} were found again.").format(
            px=found["displacement_px"], share=found["edges_found"]
        )


class SegmentRun(FolderRun):
    """Mark folds in a dataset's frames, in pictures, or in a video.

    Attributes
    ----------
    frames : Path
    folder : Path
        With masks, instances, overlays and tables.
    browser : vtkMRMLSequenceBrowserNode or None
        Of the frames, where they are in the scene.
    """

    def __init__(self, frames: Path, folder: Path, model: str, needs: list, python: str) -> None:
        self.frames, self.folder, self.browser = frames, folder, needs[0] if needs else None
        job = {"job": "segment-folds", "input": str(frames), "output": str(folder), "model": model}
        super().__init__(job, python, needs)

    def _doneText(self, report: dict) -> str:
        return _("{folds} folds in {frames} frames; no lumen view in {blind}.").format(
            folds=report["folds"], frames=report["frames"], blind=report["no_lumen_view"]
        )
