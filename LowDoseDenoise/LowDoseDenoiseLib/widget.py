"""The module's panel: shows the parameters, starts and cancels runs, shows what came of them."""

import importlib
import sys

import qt
import slicer
import vtk
from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleWidget
from slicer.util import VTKObservationMixin

from inference_core.errors import UserError
from inference_core.measurement.ct_number import LIMIT_HU

from .belonging import INPUT_REFERENCE, acceptResult, madeFrom, outputFor
from .compare import setWindow
from .compare_panel import ComparePanel
from .export_panel import ExportPanel
from .helpers import removeHelpers
from .install import REQUIREMENTS, ensurePackages
from .install_panel import InstallPanel
from .layout import comparing, registerLayout
from .logic import LowDoseDenoiseLogic, checkVolumes
from .marks import stopWatchingViews, watchViews
from .model_panel import ModelPanel
from .parameters import LowDoseDenoiseParameterNode
from .report import ctNumberText, inputText, lowBandText, modelText, moved, noiseText, reportOf, warningText
from .roi_panel import RoiPanel
from .strength import strengthChanged, strengthOf
from .strength_panel import StrengthPanel
from .support import supportText

TICK = 50  # ms between two looks at what runs in the background
OWN_PACKAGES = ("inference_core", "FaithfulImagingLib", "LowDoseDenoiseLib")


class LowDoseDenoiseWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """Uses ScriptedLoadableModuleWidget base class, available at:
    https://github.com/Slicer/Slicer/blob/main/Base/Python/slicer/ScriptedLoadableModule.py
    """

    def __init__(self, parent=None) -> None:
        """Called when the user opens the module the first time and the widget is initialized."""
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)  # needed for parameter node observation
        self.logic = None
        self._parameterNode: LowDoseDenoiseParameterNode | None = None
        self._parameterNodeGuiTag = None
        self._outputOfferedFor = None
        self._outputSeen: tuple | None = None

    def setup(self) -> None:
        """Called when the user opens the module the first time and the widget is initialized."""
        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/LowDoseDenoise.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)

        self.logic = LowDoseDenoiseLogic()
        registerLayout()
        watchViews()
        self.modelPanel = ModelPanel(self.ui, self.logic)
        self.strengthPanel = StrengthPanel(
            self.ui, self.logic, lambda: self.modelPanel.suggested, self._tell, self._showReport
        )
        self.comparePanel = ComparePanel(self.ui, lambda: self.strengthPanel.preview)
        self.exportPanel = ExportPanel(self.ui, self._tell)
        self.roiPanel = RoiPanel(self.ui)
        self.installPanel = InstallPanel(self.ui)
        self._panels = (self.modelPanel, self.strengthPanel, self.comparePanel, self.exportPanel, self.roiPanel)
        self.ui.ctNumberValueLabel.toolTip = _(
            "By how much the mean of each tissue moved. Kept: by less than {soft:g} HU (bone, which borders on"
            " everything: {bone:g} HU), or by less than chance explains."
        ).format(soft=LIMIT_HU["soft"], bone=LIMIT_HU["bone"])

        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartImportEvent, self.onSceneStartImport)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndImportEvent, self.onSceneEndImport)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.NodeRemovedEvent, self.onNodeRemoved)
        self.ui.applyButton.connect("clicked(bool)", self.onApplyButton)
        self.ui.supportButton.connect("clicked(bool)", self.onSupportButton)
        self.timer = qt.QTimer()
        self.timer.setInterval(TICK)
        self.timer.connect("timeout()", self.onTimer)

        # Make sure parameter node is initialized (needed for module reload)
        self.initializeParameterNode()
        self._showRun()
        self.timer.start()

    def cleanup(self) -> None:
        """Called when the application closes and the module widget is destroyed."""
        self.timer.stop()
        for panel in (self.strengthPanel, self.exportPanel, self.installPanel):
            panel.stop()
        self.logic.stop()
        self.setParameterNode(None)
        self.removeObservers()

    def enter(self) -> None:
        """Called each time the user opens this module."""
        # Make sure parameter node exists and observed
        self.initializeParameterNode()
        self.timer.start()

    def exit(self) -> None:
        """Called each time the user opens a different module."""
        # Do not react to parameter node changes (GUI will be updated when the user enters into the module);
        # a run goes on, and the timer with it.
        self.setParameterNode(None)

    def onSceneStartClose(self, caller, event) -> None:
        """Called just before the scene is closed."""
        # Parameter node will be reset, do not use it anymore. A run notices by itself that its volumes are gone.
        if comparing():
            self.comparePanel.leave()
        self.strengthPanel.dropPreview()
        self.setParameterNode(None)

    def onSceneStartImport(self, caller, event) -> None:
        """Called just before a scene is read into this one."""
        self.setParameterNode(None)  # its volumes are not there yet

    def onSceneEndImport(self, caller, event) -> None:
        """Called just after a scene was read into this one."""
        registerLayout()
        if self.parent.isEntered:
            self.initializeParameterNode()

    def onSceneEndClose(self, caller, event) -> None:
        """Called just after the scene is closed."""
        self._outputOfferedFor = None
        if self.logic.run and not self.logic.run.running:
            self.logic.run = None
        self._showRun()
        # If this module is shown while the scene is closed then recreate a new parameter node immediately
        if self.parent.isEntered:
            self.initializeParameterNode()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def onNodeRemoved(self, caller, event, node) -> None:
        """Called just after a node was removed from the scene."""
        removeHelpers(node)

    def onReload(self) -> None:
        """Reload the module with all that it is made of."""
        self.cleanup()
        stopWatchingViews()
        for name in [name for name in sys.modules if name.split(".")[0] in OWN_PACKAGES]:
            del sys.modules[name]  # so that each is made anew, whatever imports whatever
        importlib.invalidate_caches()
        ScriptedLoadableModuleWidget.onReload(self)

    def initializeParameterNode(self) -> None:
        """Ensure parameter node exists and observed."""
        self.setParameterNode(self.logic.getParameterNode())
        # Select default input nodes if nothing is selected yet to save a few clicks for the user
        if not self._parameterNode.inputVolume:
            volumes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
            firstVolumeNode = next((volume for volume in volumes if not volume.GetHideFromEditors()), None)
            if firstVolumeNode:
                self._parameterNode.inputVolume = firstVolumeNode

    def setParameterNode(self, inputParameterNode: LowDoseDenoiseParameterNode | None) -> None:
        """
        Set and observe parameter node.
        Observation is needed because when the parameter node is changed then the GUI must be updated immediately.
        """
        if self._parameterNode:
            self._parameterNode.disconnectGui(self._parameterNodeGuiTag)
            self._parameterNodeGuiTag = None
            self.removeObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self.onParametersModified)
        self._parameterNode = inputParameterNode
        for panel in self._panels:
            panel.setParameterNode(inputParameterNode)
        if self._parameterNode:
            self._parameterNodeGuiTag = self._parameterNode.connectGui(self.ui)
            self.addObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self.onParametersModified)
            self.onParametersModified()

    def onParametersModified(self, caller=None, event=None) -> None:
        """Show what connectGui does not."""
        if not self._parameterNode:
            return
        self.modelPanel.showChoices()
        self._offerOutput()
        self.comparePanel.showChoices()
        self._showReport()
        self._checkCanApply()

    def onApplyButton(self) -> None:
        """Start a run, or cancel the one that runs."""
        run = self.logic.run
        if run and run.running:
            run.cancel()
            self._showRun()
            return
        with slicer.util.tryWithErrorDisplay(_("The volume could not be denoised.")):
            try:
                self._start(self._parameterNode)
            except UserError as error:
                self._showRun()
                self._tell(error)

    def _start(self, parameters: LowDoseDenoiseParameterNode) -> None:
        engine, device = parameters.engine.value, parameters.device.value
        ensurePackages(REQUIREMENTS, engine, device)
        self.logic.start(
            parameters.inputVolume, parameters.outputVolume, model=parameters.model, strength=parameters.strength,
            engine=engine, device=device,
        )  # fmt: skip
        self.timer.start()
        self._showRun()

    def onTimer(self) -> None:
        """Look at what runs in the background."""
        run = self.logic.run
        if run and run.running:
            run.poll()
            self._showRun()
            if not run.running:
                self._runEnded()
        self.modelPanel.poll()
        self._pollPreview()
        self.exportPanel.poll()
        if self._parameterNode:
            self._lookAtOutput()
            self.comparePanel.poll()
            self.roiPanel.poll()
        busy = (run and run.running) or self.exportPanel.running
        if not self.parent.isEntered and not busy:
            self.timer.stop()

    def _runEnded(self) -> None:
        run = self.logic.run
        if run.report:
            parameters = self.logic.getParameterNode()
            acceptResult(parameters, run.outputVolume)
            self.strengthPanel.resultTaken(run.outputVolume)
            setWindow(run.outputVolume, parameters.window)
            self.modelPanel.keepSpeed(run.report)
            watchViews()
            if self.parent.isEntered and not comparing():
                _showInsteadOfInput(run.outputVolume)
            if self._parameterNode:
                self._showReport()
        elif run.error:
            self._tell(run.error)
        self._checkCanApply()

    def _showRun(self) -> None:
        run = self.logic.run
        running = bool(run and run.running)
        self.ui.progressBar.textVisible = running
        self.ui.progressBar.value = int(1000 * run.fraction) if running else 0
        self.ui.statusLabel.text = run.status if run else ""
        self._checkCanApply()

    def _checkCanApply(self) -> None:
        button = self.ui.applyButton
        run = self.logic.run
        if run and run.running:
            button.text = _("Cancelling...") if run.cancelling else _("Cancel")
            button.toolTip = _("Stop; nothing is changed.")
            button.enabled = not run.cancelling
            return
        button.text = _("Apply")
        button.enabled = self._parameterNode is not None
        if self._parameterNode:
            try:
                checkVolumes(self._parameterNode.inputVolume, self._parameterNode.outputVolume)
                button.toolTip = _("Denoise the input volume. You can go on working meanwhile.")
            except UserError as error:
                button.toolTip = str(error)
                button.enabled = False

    def _offerOutput(self) -> None:
        """Where another input was selected, leave the result of the one before alone."""
        parameters = self._parameterNode
        inputVolume, outputVolume = parameters.inputVolume, parameters.outputVolume
        another = inputVolume is not self._outputOfferedFor
        first, self._outputOfferedFor = self._outputOfferedFor is None, inputVolume
        if another and not (self.logic.run and self.logic.run.running):
            self.ui.statusLabel.text = ""  # it told of the input before
        if another and inputVolume and not (first and outputVolume is None):
            parameters.outputVolume = outputFor(inputVolume, outputVolume)

    def _lookAtOutput(self) -> None:
        """See when a volume gets other voxels, of which no node tells."""
        volumes = (self._parameterNode.inputVolume, self._parameterNode.outputVolume)
        images = [volume.GetImageData() if volume else None for volume in volumes]
        seen = tuple(image and image.GetMTime() for image in images)
        if seen != self._outputSeen:
            self._outputSeen = seen
            self._showReport()
            self._checkCanApply()

    def _showReport(self) -> None:
        parameters = self._parameterNode
        own = madeFrom(parameters.outputVolume, parameters.inputVolume)
        report = reportOf(parameters.outputVolume) if own else None
        texts = {
            "source": inputText, "noise": noiseText, "ctNumber": ctNumberText, "lowBand": lowBandText,
            "used": modelText,
        }  # fmt: skip
        self.ui.resultHintLabel.visible = report is None
        self.ui.resultWidget.visible = report is not None
        for name, text in texts.items():
            getattr(self.ui, f"{name}ValueLabel").text = text(report) if report else ""
        stale = bool(report) and strengthChanged(parameters.outputVolume, report)
        if stale:
            for name in ("noise", "ctNumber", "lowBand"):
                getattr(self.ui, f"{name}ValueLabel").text = _("Being checked...")
            self.ui.usedValueLabel.text = modelText({**report, "strength": strengthOf(parameters.outputVolume)})
        self.ui.ctNumberValueLabel.styleSheet = "color: #c62828" if report and not stale and moved(report) else ""
        self.ui.warningLabel.text = warningText(report) if report and not stale else ""
        self.ui.warningLabel.visible = bool(self.ui.warningLabel.text)

    def _pollPreview(self) -> None:
        before = self.strengthPanel.preview
        self.strengthPanel.poll()
        preview = self.strengthPanel.preview
        if preview and preview is not before:
            setWindow(preview.volume, self._parameterNode.window)
            self.comparePanel.enter()

    def onSupportButton(self) -> None:
        """Copy what a bug report needs."""
        slicer.app.clipboard().setText(supportText(self._parameterNode, self.logic.run or self.logic.previewRun))
        self.ui.statusLabel.text = _("The report is on the clipboard.")

    def _tell(self, error: UserError) -> None:
        """Say what is wrong and what to do, in the panel and in a message."""
        self.ui.statusLabel.text = str(error)
        slicer.util.warningDisplay(f"{error.message}\n\n{error.remedy}", windowTitle=_("Low-Dose CT Denoising"))


def _showInsteadOfInput(outputVolume) -> None:
    """Show a result in the slice views that show what it was made from."""
    inputId = outputVolume.GetNodeReferenceID(INPUT_REFERENCE)
    for view in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
        if view.GetBackgroundVolumeID() == inputId:
            view.SetBackgroundVolumeID(outputVolume.GetID())
