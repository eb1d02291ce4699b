"""One denoising of one volume: hand it over, wait for the worker, take the result back."""

import json

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _
from vtk.util import numpy_support

from FaithfulImagingLib.geometry import indexToLps
from FaithfulImagingLib.job_run import JobRun
from FaithfulImagingLib.task import WorkerTask
from FaithfulImagingLib.text import durationText
from inference_core.errors import UserError

from .belonging import setMadeFrom
from .geometry import copyPlace
from .strength import blendInto, changeOf, checkBlend, keepChange, voxelHash, withCheck

REPORT_ATTRIBUTE = "FaithfulImaging.report"


class VolumeRun(JobRun):
    """Work on a volume that has begun.

    Attributes
    ----------
    inputVolume : vtkMRMLScalarVolumeNode or None
        Let go of when the run has ended.
    """

    def __init__(self, inputVolume, job: dict, python: str, warnings: list[str]) -> None:
        self.inputVolume = inputVolume
        self._source = inputVolume.GetImageData()  # keeps the memory that _voxels looks at
        self._voxels = slicer.util.arrayFromVolume(inputVolume)
        self._indexToLps = indexToLps(inputVolume)
        self._sourceTime = self._source.GetMTime()
        self._changed = False
        super().__init__(job, python, warnings=warnings)
        self.status = _("Handing the volume to the worker...")

    def _showProgress(self, message: dict) -> None:
        if message["stage"] == "denoise":
            done, total = message["done"], message["total"]
            self.fraction = done / total
            self.status = _("Denoising: {done} of {total} slices, {time} left").format(
                done=done, total=total, time=durationText(message["eta_s"])
            )
        elif message["stage"] == "read":
            self.status = _("Checking the CT numbers...") if self.fraction == 1 else _("Measuring the noise...")
        else:
            self.status = _("Taking the result back...")

    def _whatIsGone(self) -> str:
        return "" if self.inputVolume.GetScene() else _("the input volume was removed")

    def _isOutdated(self) -> bool:
        image = self.inputVolume.GetImageData()
        self._changed = (
            image is not self._source
            or image.GetMTime() != self._sourceTime
            or not np.array_equal(indexToLps(self.inputVolume), self._indexToLps)
        )
        return self._changed

    def _ownError(self) -> UserError | None:
        if not self._changed:
            return None
        return UserError(
            "input-changed",
            _("{name} changed while it was being denoised; nothing was written.").format(
                name=self.inputVolume.GetName()
            ),
            _("Press Apply again, and leave the volume as it is meanwhile."),
        )

    def _doneText(self, report: dict) -> str:
        time = report["time"]["read_s"] + report["time"]["denoise_s"]
        return _("Done in {time}.").format(time=durationText(time))

    def _letGo(self) -> None:
        """Keep no voxels alive that the scene does not."""
        super()._letGo()
        self.inputVolume = self._source = self._voxels = None


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
        super().__init__(inputVolume, job, python, warnings)

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
