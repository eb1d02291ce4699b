"""The panel's part with preview and strength: the slider blends a preview and a finished result while it moves."""

import json
import logging
import time

import slicer
from slicer.i18n import tr as _

from FaithfulImagingLib.background import giveTurn, inBackground
from FaithfulImagingLib.geometry import indexToLps
from FaithfulImagingLib.python import pythonExecutable
from FaithfulImagingLib.task import WorkerTask
from inference_core.errors import Cancelled, UserError

from .layout import viewToPreview
from .logic import checkVolumes
from .parameters import LowDoseDenoiseParameterNode
from .preview import Preview, removePreviews, slicesInView
from .report import reportOf
from .run import REPORT_ATTRIBUTE
from .strength import (
    CHANGE_REFERENCE,
    INPUT_HASH_ATTRIBUTE,
    SAME,
    checkBlend,
    setStrength,
    strengthChanged,
    strengthOf,
    voxelHash,
    whyFixed,
    withCheck,
)

STILL = 0.5  # seconds that the slider must rest before the blend is checked


class StrengthPanel:
    """Makes previews, and keeps preview and result at the strength that the slider says.

    Parameters
    ----------
    ui : widgets
    logic : LowDoseDenoiseLogic
    suggested : callable
        ``suggested()`` is the id of the model that fits the input, or empty.
    tell : callable
        ``tell(error)`` says what is wrong.
    checked : callable
        Called when the report of the result is out of date, and when it has been brought up to date.

    Attributes
    ----------
    preview : Preview or None
        The one that is in the scene.
    """

    def __init__(self, ui, logic, suggested, tell, checked) -> None:
        self.ui, self._logic, self._suggested, self._tell, self._checked = ui, logic, suggested, tell, checked
        self.preview: Preview | None = None
        self._parameterNode: LowDoseDenoiseParameterNode | None = None
        self._known = None
        self._trust: tuple | None = None
        self._trusted = None
        self._check: tuple | None = None
        self._movedAt = 0.0
        ui.previewButton.connect("clicked(bool)", self.onPreview)

    def setParameterNode(self, parameterNode: LowDoseDenoiseParameterNode | None) -> None:
        """Work on a scene's choices, or on none."""
        self._parameterNode = parameterNode
        self._known = None
        if parameterNode is None and self._logic.previewRun:
            self._logic.previewRun.cancel()
        if not self.preview:
            self._say("")
        self._stopCheck()

    def resultTaken(self, outputVolume) -> None:
        """A run has ended: its result takes the preview's place, and is blended to what the slider says by now."""
        self._known = outputVolume
        self.dropPreview()

    def dropPreview(self) -> None:
        """Take the preview out of the scene."""
        self.preview = None
        self._say("")
        removePreviews()

    def onPreview(self) -> None:
        """Denoise the slices that are looked at."""
        parameters = self._parameterNode
        try:
            checkVolumes(parameters.inputVolume, None)
            view = viewToPreview(parameters.inputVolume)
            if view is None:
                raise UserError("not-in-view", _("No slice view is shown."), _("Choose a layout with a slice view."))
            slices = slicesInView(parameters.inputVolume, view, parameters.previewSlices)
            self._logic.startPreview(
                parameters.inputVolume, slices, model=parameters.model or self._suggested(),
                engine=parameters.engine.value, device=parameters.device.value,
            )  # fmt: skip
        except UserError as error:
            self._tell(error)

    def poll(self) -> None:
        """Look at what has come and what has changed; takes some milliseconds, and a blend of a whole volume longer."""
        self._pollPreview()
        parameters = self._parameterNode
        if not parameters:
            return
        if self.preview and self.preview.outdated(parameters.inputVolume):
            self.dropPreview()
        if self.preview and self.preview.strength != parameters.strength:
            self.preview.blend(parameters.strength)
        self._pollResult(parameters.inputVolume, parameters.outputVolume)

    def stop(self) -> None:
        """End what runs."""
        self._stopCheck(now=True)

    def _pollPreview(self) -> None:
        run = self._logic.previewRun
        running = bool(run and run.running)
        if running:
            inputVolume = run.inputVolume
            run.poll()
            self._say(run.status)
            if not run.running:
                self._previewEnded(run, inputVolume)
        self.ui.previewButton.enabled = bool(self._parameterNode and self._parameterNode.inputVolume)

    def _previewEnded(self, run, inputVolume) -> None:
        parameters = self._parameterNode
        self._logic.previewRun = None
        if run.error:
            self._say(str(run.error))
            self._tell(run.error)
        elif run.report and parameters and parameters.inputVolume is inputVolume:
            self.preview = Preview(run, inputVolume)
            self.preview.blend(parameters.strength)
            self._say(_previewText(run))

    def _say(self, text: str) -> None:
        self.ui.previewStatusLabel.text = text
        self.ui.previewStatusLabel.visible = bool(text)

    def _pollResult(self, inputVolume, outputVolume) -> None:
        fixed = whyFixed(inputVolume, outputVolume)
        hasResult = strengthOf(outputVolume) is not None and bool(outputVolume.GetAttribute(REPORT_ATTRIBUTE))
        if not fixed:
            fixed = self._whyNotTrusted(inputVolume, outputVolume)
        live = hasResult and not fixed
        self.ui.strengthSlider.enabled = live or not hasResult or bool(self.preview)
        self.ui.strengthStatusLabel.text = fixed if hasResult else ""
        self.ui.strengthStatusLabel.visible = bool(self.ui.strengthStatusLabel.text)
        self._pollCheck()
        if not live:
            return
        parameters = self._parameterNode
        if outputVolume is not self._known:  # another result, another scene: the slider follows, not the voxels
            self._known = outputVolume
            parameters.strength = min(max(strengthOf(outputVolume), 0.0), 1.0)
        if abs(strengthOf(outputVolume) - parameters.strength) > SAME:
            self._stopCheck()
            setStrength(inputVolume, outputVolume, parameters.strength)
            self._movedAt = time.monotonic()
            self._checked()  # its report tells of the strength before
        self._startCheck(inputVolume, outputVolume)

    def _whyNotTrusted(self, inputVolume, outputVolume) -> str:
        """Whether the input is still the one that was denoised; looked at once, in the background."""
        change = outputVolume.GetNodeReference(CHANGE_REFERENCE)
        image = inputVolume.GetImageData()
        state = (inputVolume.GetID(), image.GetMTime(), change.GetAttribute(INPUT_HASH_ATTRIBUTE))
        if self._trusted == state:
            return ""
        if not self._trust or self._trust[0] != state:
            voxels = slicer.util.arrayFromVolume(inputVolume)
            self._trust = (state, inBackground(voxelHash, voxels), image)  # the image keeps the voxels' memory
        future = self._trust[1]
        giveTurn()
        if not future.done():
            return _("Looking whether the input is the one that was denoised...")
        if future.exception() is None and future.result() == state[2]:
            self._trusted, self._trust = state, None
            return ""
        return _("The input volume has changed since it was denoised. Press Apply to change the strength.")

    def _startCheck(self, inputVolume, outputVolume) -> None:
        report = reportOf(outputVolume)
        strength = strengthOf(outputVolume)
        busy = self._check or (self._logic.run and self._logic.run.running)
        if busy or report is None or not strengthChanged(outputVolume, report):
            return
        if time.monotonic() - self._movedAt < STILL:
            return
        images = (inputVolume.GetImageData(), outputVolume.GetImageData())  # keep the voxels' memory
        before, after = map(slicer.util.arrayFromVolume, (inputVolume, outputVolume))
        place, model = indexToLps(inputVolume), report["model"]["id"]

        def work(task: WorkerTask) -> dict:
            assert images
            return checkBlend(task, before, after, place, model, strength)

        self._check = (outputVolume, strength, WorkerTask(work, pythonExecutable()))

    def _pollCheck(self) -> None:
        if not self._check:
            return
        outputVolume, strength, task = self._check
        giveTurn()
        if not task.outcome.done():
            return
        self._check = None
        error = task.outcome.exception()
        if error:
            if not isinstance(error, Cancelled):
                logging.error("LowDoseDenoise", exc_info=error)
                self._movedAt = time.monotonic() + 30  # not again at once
            return
        report = reportOf(outputVolume)
        if outputVolume.GetScene() and report and abs(strengthOf(outputVolume) - strength) < SAME:
            outputVolume.SetAttribute(REPORT_ATTRIBUTE, json.dumps(withCheck(report, task.outcome.result())))
            self._checked()

    def _stopCheck(self, now: bool = False) -> None:
        if self._check:
            task = self._check[2]
            task.kill() if now else task.cancel()
            self._check = None


def _previewText(run) -> str:
    first, last = run.slices.start + 1, run.slices.stop
    which = _("Slice {first}") if first == last else _("Slices {first} to {last}")
    noise = _("noise {before:.0f} HU, {after:.0f} HU at full strength").format(**run.report["noise_hu"])
    return f"{which.format(first=first, last=last)}: {noise}"
