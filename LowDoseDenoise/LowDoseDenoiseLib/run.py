"""One denoising of one volume: hand it over, wait for the worker, take the result back.

:meth:`VolumeRun.poll`, called a few dozen times a second from the main thread, only looks at what the task in the
background has come to and, at the end, puts the voxels into the scene.
"""

import contextlib
import json
import logging
from concurrent.futures import TimeoutError

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _
from vtk.util import numpy_support

from inference_core.errors import Cancelled, UserError

from .background import giveTurn
from .belonging import setMadeFrom
from .geometry import copyPlace, indexToLps
from .strength import blendInto, changeOf, checkBlend, keepChange, voxelHash, withCheck
from .task import WorkerTask

REPORT_ATTRIBUTE = "FaithfulImaging.report"


class VolumeRun:
    """Work on a volume that has begun.

    Attributes
    ----------
    inputVolume : vtkMRMLScalarVolumeNode or None
        Let go of when the run has ended.
    running : bool
    fraction : float
        Part of the work that is done, 0 to 1.
    status : str
        For the user.
    warnings : list of str
    report : dict or None
        Of a run that succeeded (:func:`inference_core.denoiser.job.run`).
    error : UserError or None
        Of a run that failed.
    log : list of str
        The last lines of the worker's log; technical.
    """

    _sceneTag = None

    def __init__(self, inputVolume, python: str, warnings: list[str]) -> None:
        self.inputVolume = inputVolume
        self.running = True
        self.fraction = 0.0
        self.status = _("Handing the volume to the worker...")
        self.warnings = list(warnings)
        self.report: dict | None = None
        self.error: UserError | None = None
        self.log: list[str] = []
        self._source = inputVolume.GetImageData()  # keeps the memory that _voxels looks at
        self._voxels = slicer.util.arrayFromVolume(inputVolume)
        self._indexToLps = indexToLps(inputVolume)
        self._sourceTime = self._source.GetMTime()
        self._changed = False
        self._gone = ""  # what was taken away from under the run
        self._prepare()
        self.task = WorkerTask(self._work, python)
        self._sceneTag = slicer.mrmlScene.AddObserver(slicer.mrmlScene.StartCloseEvent, self._sceneCloses)

    @property
    def cancelling(self) -> bool:
        """Whether the run was asked to stop."""
        return self.task.cancelled

    def poll(self) -> None:
        """Take in what has happened since the last call; takes some milliseconds."""
        if not self.running:
            return
        giveTurn()
        ended = self.task.outcome.done()  # before the messages are read, so that none comes after
        while not self.task.messages.empty():
            self._hear(self.task.messages.get())
        if not self.cancelling:
            self._gone = self._gone or self._whatIsGone()
        if not self.cancelling and self._gone:
            self.cancel()
        elif not self.cancelling and self._inputChanged():
            self._changed = True
            self.cancel()
        if ended:
            self._finish()

    def cancel(self) -> None:
        """Ask the worker to stop; :meth:`poll` says when it has."""
        self.status = _("Cancelling...")
        self.task.cancel()

    def stop(self) -> None:
        """End the worker now and wait until nothing of it is left; for when the application goes away."""
        self.task.kill()
        with contextlib.suppress(TimeoutError):
            self.task.outcome.exception(timeout=5)
        self.running = False
        self._letGo()

    def _prepare(self) -> None:
        """Make what the background work needs, on the main thread."""

    def _work(self, task: WorkerTask) -> dict:
        """Do it, on a background thread; gives the report."""
        raise NotImplementedError

    def _take(self, report: dict) -> None:
        """Put the result into the scene."""
        raise NotImplementedError

    def _hear(self, message: dict) -> None:
        if message["type"] == "warning":
            self.warnings.append(message["message"])
        elif message["type"] == "progress" and not self.cancelling:
            done, total = message["done"], message["total"]
            if message["stage"] == "denoise":
                self.fraction = done / total
                self.status = _("Denoising: {done} of {total} slices, {time} left").format(
                    done=done, total=total, time=durationText(message["eta_s"])
                )
            elif message["stage"] == "read":
                self.status = _("Checking the CT numbers...") if self.fraction == 1 else _("Measuring the noise...")
            else:
                self.status = _("Taking the result back...")

    def _sceneCloses(self, caller, event) -> None:
        if not self.cancelling:
            self._gone = _("the scene was closed")

    def _whatIsGone(self) -> str:
        return "" if self.inputVolume.GetScene() else _("the input volume was removed")

    def _inputChanged(self) -> bool:
        image = self.inputVolume.GetImageData()
        if image is not self._source or image.GetMTime() != self._sourceTime:
            return True
        return not np.array_equal(indexToLps(self.inputVolume), self._indexToLps)

    def _finish(self) -> None:
        self.running = False
        self.fraction = 0.0
        self.log = list(self.task.worker.log) if self.task.worker else []
        error = self.task.outcome.exception()
        if self._changed:
            self.error = UserError(
                "input-changed",
                _("{name} changed while it was being denoised; nothing was written.").format(
                    name=self.inputVolume.GetName()
                ),
                _("Press Apply again, and leave the volume as it is meanwhile."),
            )
            self.status = str(self.error)
        elif isinstance(error, Cancelled) or self.cancelling:
            stopped = _("Stopped: {gone}.").format(gone=self._gone)
            self.status = stopped if self._gone else _("Cancelled. Nothing was changed.")
        elif isinstance(error, UserError):
            self.error = error
            self.status = str(error)
        elif error:
            logging.error("LowDoseDenoise", exc_info=error)
            self.error = UserError("internal", f"{type(error).__name__}: {error}", _("Please report it with the log."))
            self.status = str(self.error)
        else:
            self.report = self.task.outcome.result()
            self.fraction = 1.0
            self._take(self.report)
            self.status = _("Done in {time}.").format(
                time=durationText(self.report["time"]["read_s"] + self.report["time"]["denoise_s"])
            )
        self._letGo()

    def _letGo(self) -> None:
        """Keep no voxels alive that the scene does not."""
        self.inputVolume = self._source = self._voxels = None
        if self._sceneTag is not None:
            slicer.mrmlScene.RemoveObserver(self._sceneTag)
            self._sceneTag = None


class DenoiseRun(VolumeRun):
    """Denoise a whole volume.

    Attributes
    ----------
    outputVolume : vtkMRMLScalarVolumeNode or None
        Where a new output is made, None until then; let go of where nothing came of it.
    """

    def __init__(self, inputVolume, outputVolume, job: dict, python: str, warnings: list[str]) -> None:
        self.outputVolume = outputVolume
        self._ownOutput = outputVolume is None
        self._job = job
        super().__init__(inputVolume, python, warnings)

    def _prepare(self) -> None:
        self._result, self._resultVoxels = emptyLike(self._source)
        self._change = self._inputHash = None

    def _work(self, task: WorkerTask) -> dict:
        """At full strength always, so that the strength can still be chosen when it is done."""
        before, after, place = self._voxels, self._resultVoxels, self._indexToLps
        strength = self._job["strength"]
        report = task.job({**self._job, "strength": 1.0}, {"input": before}, place, after)
        self._inputHash = voxelHash(before)
        self._change = changeOf(before, after)
        if strength == 1:
            return report
        blendInto(after, before, self._change, strength)
        return withCheck(report, checkBlend(task, before, after, place, report["model"]["id"], strength))

    def _whatIsGone(self) -> str:
        outputGone = not self._ownOutput and self.outputVolume.GetScene() is None
        return super()._whatIsGone() or (_("the output volume was removed") if outputGone else "")

    def _letGo(self) -> None:
        super()._letGo()
        self._result = self._resultVoxels = self._change = None
        if self.report is None:
            self.outputVolume = None

    def _take(self, report: dict) -> None:
        if self.outputVolume is None:
            name = _("{name} denoised").format(name=self.inputVolume.GetName())
            self.outputVolume = slicer.mrmlScene.AddNewNodeByClass(
                "vtkMRMLScalarVolumeNode", slicer.mrmlScene.GenerateUniqueName(name)
            )
        report["input"]["name"] = self.inputVolume.GetName()
        report["output"]["name"] = self.outputVolume.GetName()
        report["warnings"] = self.warnings
        copyPlace(self.inputVolume, self.outputVolume)
        self.outputVolume.SetAndObserveImageData(self._result)
        setMadeFrom(self.outputVolume, self.inputVolume)
        for name, value in _provenance(report).items():
            self.outputVolume.SetAttribute(f"FaithfulImaging.{name}", value)
        self.outputVolume.SetAttribute(REPORT_ATTRIBUTE, json.dumps(report))
        keepChange(self.outputVolume, self._change, self._inputHash)


def emptyLike(image) -> tuple:
    """A new image of the same size and type, and its voxels as an array (slices, rows, columns)."""
    made = vtk.vtkImageData()
    made.SetDimensions(image.GetDimensions())
    made.AllocateScalars(image.GetScalarType(), 1)
    return made, voxelsOf(made)


def voxelsOf(image) -> np.ndarray:
    """The voxels of an image as an array (slices, rows, columns) that shares its memory."""
    return numpy_support.vtk_to_numpy(image.GetPointData().GetScalars()).reshape(image.GetDimensions()[::-1])


def _provenance(report: dict) -> dict[str, str]:
    """What a reader of the node's attributes looks for first; the report holds all of it."""
    engine = report["engine"]
    weights = "onnx" if engine["name"] == "onnxruntime" else "safetensors"
    return {
        "model": report["model"]["id"],
        "modelSha256": report["model"]["sha256"][weights],
        "version": report["software"]["version"],
        "strength": f"{report['strength']:g}",
        "engine": f"{engine['name']} {engine['device']}",
        "input": report["input"]["name"],
    }


def durationText(seconds: float | None) -> str:
    """Seconds in words, coarse enough not to flicker."""
    if seconds is None:
        return _("some time")
    if seconds < 90:
        return _("{seconds} s").format(seconds=int(np.ceil(seconds)))
    return _("{minutes} min {seconds} s").format(minutes=int(seconds // 60), seconds=int(seconds % 60) // 10 * 10)
