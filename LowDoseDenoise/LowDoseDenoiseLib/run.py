"""One denoising of one volume: hand it over, wait for the worker, take the result back.

All that takes long happens on a background thread and in the worker's process; :meth:`DenoiseRun.poll`, called a few
dozen times a second from the main thread, only looks at what has come and, at the end, puts the voxels into the scene.
"""

import contextlib
import json
import logging
import queue
import tempfile
import threading
from concurrent.futures import Future, TimeoutError

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _
from vtk.util import numpy_support

from inference_core.client import Worker
from inference_core.errors import Cancelled, UserError
from inference_core.image.exchange import read_exchange, write_exchange
from inference_core.scratch import scratch_folder

from .background import giveTurn, inBackground
from .belonging import setMadeFrom
from .geometry import copyPlace, indexToLps

REPORT_ATTRIBUTE = "FaithfulImaging.report"


class DenoiseRun:
    """A run that has begun.

    Attributes
    ----------
    inputVolume, outputVolume : vtkMRMLScalarVolumeNode or None
        The input is let go of when the run has ended, and so is the output where nothing came of it. Where a new output
        is made, it is None until then.
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
    """

    def __init__(self, inputVolume, outputVolume, job: dict, python: str, warnings: list[str]) -> None:
        self.inputVolume = inputVolume
        self.outputVolume = outputVolume
        self.running = True
        self.fraction = 0.0
        self.status = _("Handing the volume to the worker...")
        self.warnings = list(warnings)
        self.report: dict | None = None
        self.error: UserError | None = None
        self._job = job
        self._python = python
        self._ownOutput = outputVolume is None
        self._source = inputVolume.GetImageData()  # keeps the memory that _voxels looks at
        self._voxels = slicer.util.arrayFromVolume(inputVolume)
        self._indexToLps = indexToLps(inputVolume)
        self._sourceTime = self._source.GetMTime()
        self._changed = False
        self._result = vtk.vtkImageData()
        self._result.SetDimensions(self._source.GetDimensions())
        self._result.AllocateScalars(self._source.GetScalarType(), 1)
        scalars = numpy_support.vtk_to_numpy(self._result.GetPointData().GetScalars())
        self._resultVoxels = scalars.reshape(self._voxels.shape)
        self._messages: queue.SimpleQueue = queue.SimpleQueue()
        self._cancelled = threading.Event()
        self._worker: Worker | None = None
        self._outcome: Future = inBackground(self._work)

    @property
    def cancelling(self) -> bool:
        """Whether the run was asked to stop."""
        return self._cancelled.is_set()

    def poll(self) -> None:
        """Take in what has happened since the last call; takes some milliseconds."""
        if not self.running:
            return
        giveTurn()
        ended = self._outcome.done()  # before the messages are read, so that none comes after
        while not self._messages.empty():
            self._hear(self._messages.get())
        if not self._cancelled.is_set() and self._nodesGone():
            self.cancel()
        elif not self._cancelled.is_set() and self._inputChanged():
            self._changed = True
            self.cancel()
        if ended:
            self._finish()

    def cancel(self) -> None:
        """Ask the worker to stop; :meth:`poll` says when it has."""
        self.status = _("Cancelling...")
        self._cancelled.set()
        if self._worker:
            self._worker.cancel()

    def stop(self) -> None:
        """End the worker now and wait until nothing of it is left; for when the application goes away."""
        self._cancelled.set()
        if self._worker:
            self._worker.kill()
        with contextlib.suppress(TimeoutError):
            self._outcome.exception(timeout=5)
        self.running = False
        self._letGo()

    def _work(self) -> dict:
        try:
            return self._workInScratch()
        except OSError as error:
            raise UserError(
                "no-scratch",
                _("The volume could not be handed to the worker: {error}.").format(error=error),
                _("Check that the temporary folder {folder} is there, can be written to and has space.").format(
                    folder=tempfile.tempdir
                ),
            ) from error

    def _workInScratch(self) -> dict:
        with scratch_folder() as folder:
            source = write_exchange(self._voxels, self._indexToLps, folder)
            if self._cancelled.is_set():
                raise Cancelled
            output = folder / "output.nhdr"
            self._worker = self._startWorker({**self._job, "input": str(source), "output": str(output)})
            if self._cancelled.is_set():  # in the moment before the worker was there to be told
                self._worker.cancel()
            report = self._listen(self._worker)
            read_exchange(output, self._resultVoxels)
            return report

    def _startWorker(self, job: dict) -> Worker:
        try:
            return Worker(job, self._python)
        except OSError as error:
            raise UserError(
                "no-python",
                _("The Python interpreter {path} could not be started: {error}.").format(
                    path=self._python, error=error
                ),
                _("Start Slicer by its launcher, or install it anew."),
            ) from error

    def _listen(self, worker: Worker) -> dict:
        while True:
            message = worker.next_message()
            if message["type"] == "result":
                return message["report"]
            if message["type"] == "error":
                if self._cancelled.is_set() or message["code"] == "cancelled":
                    raise Cancelled
                raise UserError(message["code"], message["message"], message["remedy"])
            self._messages.put(message)

    def _hear(self, message: dict) -> None:
        if message["type"] == "warning":
            self.warnings.append(message["message"])
        elif message["type"] == "progress" and not self._cancelled.is_set():
            done, total = message["done"], message["total"]
            if message["stage"] == "denoise":
                self.fraction = done / total
                self.status = _("Denoising: {done} of {total} slices, {time} left").format(
                    done=done, total=total, time=_duration(message["eta_s"])
                )
            elif message["stage"] == "read":
                self.status = _("Measuring the noise...")
            else:
                self.status = _("Taking the result back...")

    def _nodesGone(self) -> bool:
        return self.inputVolume.GetScene() is None or (not self._ownOutput and self.outputVolume.GetScene() is None)

    def _inputChanged(self) -> bool:
        image = self.inputVolume.GetImageData()
        if image is not self._source or image.GetMTime() != self._sourceTime:
            return True
        return not np.array_equal(indexToLps(self.inputVolume), self._indexToLps)

    def _finish(self) -> None:
        self.running = False
        self.fraction = 0.0
        error = self._outcome.exception()
        if self._changed:
            self.error = UserError(
                "input-changed",
                _("{name} changed while it was being denoised; nothing was written.").format(
                    name=self.inputVolume.GetName()
                ),
                _("Press Apply again, and leave the volume as it is meanwhile."),
            )
            self.status = str(self.error)
        elif isinstance(error, Cancelled) or self._cancelled.is_set():
            self.status = _("Cancelled. Nothing was changed.")
        elif isinstance(error, UserError):
            self.error = error
            self.status = str(error)
        elif error:
            logging.error("LowDoseDenoise", exc_info=error)
            self.error = UserError("internal", f"{type(error).__name__}: {error}", _("Please report it with the log."))
            self.status = str(self.error)
        else:
            self.report = self._outcome.result()
            self.fraction = 1.0
            self._putIntoScene(self.report)
            self.status = _("Done in {time}.").format(
                time=_duration(self.report["time"]["read_s"] + self.report["time"]["denoise_s"])
            )
        self._letGo()

    def _letGo(self) -> None:
        """Keep no voxels alive that the scene does not."""
        self.inputVolume = self._source = self._voxels = self._result = self._resultVoxels = None
        if self.report is None:
            self.outputVolume = None

    def _putIntoScene(self, report: dict) -> None:
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


def _duration(seconds: float | None) -> str:
    """Seconds in words, coarse enough not to flicker."""
    if seconds is None:
        return _("some time")
    if seconds < 90:
        return _("{seconds} s").format(seconds=int(np.ceil(seconds)))
    return _("{minutes} min {seconds} s").format(minutes=int(seconds // 60), seconds=int(seconds % 60) // 10 * 10)
