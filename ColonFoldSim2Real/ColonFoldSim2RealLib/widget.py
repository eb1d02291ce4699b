"""The module's panel: the steps in the order of the data, one long step at a time."""

import importlib
import sys
from pathlib import Path

import qt
import slicer
import vtk
from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleWidget
from slicer.util import VTKObservationMixin

from FaithfulImagingLib.packages import ensurePackages
from FaithfulImagingLib.support import supportText
from inference_core.errors import UserError

from .colon_panel import ColonPanel
from .compare_panel import ComparePanel
from .folds import COLON_ATTRIBUTE
from .frames_panel import FramesPanel
from .logic import ColonFoldSim2RealLogic
from .models_panel import ModelsPanel
from .parameters import ColonFoldSim2RealParameterNode
from .path_panel import PathPanel
from .views import leave, registerLayouts

TICK = 50  # ms between two looks at what runs in the background
OWN_PACKAGES = ("inference_core", "FaithfulImagingLib", "ColonFoldSim2RealLib")
TITLE = "Colon Fold Sim2Real"
REQUIREMENTS = Path(__file__).parents[1] / "Resources" / "colon-requirements.txt"


class ColonFoldSim2RealWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """Uses ScriptedLoadableModuleWidget base class, available at:
    https://github.com/Slicer/Slicer/blob/main/Base/Python/slicer/ScriptedLoadableModule.py
    """

    def __init__(self, parent=None) -> None:
        """Called when the user opens the module the first time and the widget is initialized."""
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)  # needed for parameter node observation
        self.logic = None
        self._parameterNode: ColonFoldSim2RealParameterNode | None = None
        self._parameterNodeGuiTag = None

    def setup(self) -> None:
        """Called when the user opens the module the first time and the widget is initialized."""
        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/ColonFoldSim2Real.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)

        self.logic = ColonFoldSim2RealLogic()
        self._ended = None  # what the step that runs calls at its end
        registerLayouts()
        self.colonPanel = ColonPanel(self.ui, self)
        self.pathPanel = PathPanel(self.ui, self)
        self.framesPanel = FramesPanel(self.ui, self)
        self.modelsPanel = ModelsPanel(self.ui, self)
        self.comparePanel = ComparePanel(self.ui, self)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndImportEvent, self.onSceneEndClose)
        self.ui.cancelButton.connect("clicked(bool)", self.onCancel)
        self.ui.supportButton.connect("clicked(bool)", self.onCopyReport)
        self.timer = qt.QTimer()
        self.timer.setInterval(TICK)
        self.timer.connect("timeout()", self.onTimer)

        # Make sure parameter node is initialized (needed for module reload)
        self.initializeParameterNode()
        self.timer.start()

    def cleanup(self) -> None:
        """Called when the application closes and the module widget is destroyed."""
        self.timer.stop()
        self._showNothing()
        self.logic.stop()
        self.setParameterNode(None)
        self.removeObservers()

    def enter(self) -> None:
        """Called each time the user opens this module."""
        self.modelsPanel.fill()
        self.initializeParameterNode()
        self.timer.start()

    def exit(self) -> None:
        """Called each time the user opens a different module."""
        self.setParameterNode(None)  # a step goes on, and the timer with it
        leave()

    def onSceneStartClose(self, caller, event) -> None:
        """Called just before the scene is closed."""
        self._showNothing()
        self.setParameterNode(None)

    def onSceneEndClose(self, caller, event) -> None:
        """Called just after the scene is closed, or another was read."""
        registerLayouts()
        if self.parent.isEntered:
            self.initializeParameterNode()

    def onReload(self) -> None:
        """Reload the module with all that it is made of."""
        self.cleanup()
        for name in [name for name in sys.modules if name.split(".")[0] in OWN_PACKAGES]:
            del sys.modules[name]  # so that each is made anew, whatever imports whatever
        importlib.invalidate_caches()
        ScriptedLoadableModuleWidget.onReload(self)

    def initializeParameterNode(self) -> None:
        """Ensure parameter node exists and observed."""
        self.setParameterNode(self.logic.getParameterNode())
        colons = [m for m in slicer.util.getNodesByClass("vtkMRMLModelNode") if m.GetAttribute(COLON_ATTRIBUTE)]
        if colons and not self._parameterNode.colon:
            self._parameterNode.colon = colons[0]

    def setParameterNode(self, inputParameterNode: ColonFoldSim2RealParameterNode | None) -> None:
        """
        Set and observe parameter node.
        Observation is needed because when the parameter node is changed then the GUI must be updated immediately.
        """
        if self._parameterNode:
            self._parameterNode.disconnectGui(self._parameterNodeGuiTag)
            self._parameterNodeGuiTag = None
            self.removeObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self.onParametersModified)
        self._parameterNode = inputParameterNode
        if self._parameterNode:
            self._parameterNodeGuiTag = self._parameterNode.connectGui(self.ui)
            self.addObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self.onParametersModified)
            self.onParametersModified()

    def onParametersModified(self, caller=None, event=None) -> None:
        """Show what connectGui does not."""
        if not self._parameterNode:
            return
        if self._parameterNode.frames is not self.framesPanel.browser:
            self._showFrames()
        self.showFolds()
        self._showButtons()

    @property
    def parameters(self) -> ColonFoldSim2RealParameterNode:
        """What the user chose; there while the module is not shown, too."""
        return self._parameterNode or self.logic.getParameterNode()

    def onCancel(self) -> None:
        """Stop what runs."""
        run = self.logic.run
        if run and run.running:
            run.cancel()
        self.framesPanel.stopLoading()
        self._showRun()

    def onCopyReport(self) -> None:
        """Copy what a bug report needs."""
        parameters = self.parameters
        chosen = f"translator {parameters.translator}, segmenter {parameters.segmenter}, {parameters.frameSize} pixels"
        slicer.app.clipboard().setText(supportText([chosen], self.logic.run))
        self.ui.statusLabel.text = _("The report is on the clipboard.")

    def onTimer(self) -> None:
        """Look at what runs in the background."""
        run = self.logic.run
        if run and run.running:
            run.poll()
            if not run.running:
                self._runEnded(run)
            self._showRun()
        if self.framesPanel.loading:
            self._pollFrames()
        elif not self.parent.isEntered and not (run and run.running):
            self.timer.stop()

    def begin(self, action, ended=None) -> None:
        """Begin a step: ``action(parameters)``; ``ended(run)`` is called when it has succeeded."""
        with slicer.util.tryWithErrorDisplay(_("The step could not be started.")):
            try:
                ensurePackages(REQUIREMENTS, TITLE)
                action(self.parameters)
                self._ended = ended
                self.timer.start()
                self._showRun()
            except UserError as error:
                self.tell(error)
                self._showButtons()

    def tell(self, error: UserError) -> None:
        """Say what is wrong and what to do, in the panel and in a message."""
        self.ui.statusLabel.text = str(error)
        slicer.util.warningDisplay(f"{error.message}\n\n{error.remedy}", windowTitle=TITLE)

    def showFolds(self) -> None:
        """Show the folds of the chosen colon."""
        self.colonPanel.showFolds()

    def _runEnded(self, run) -> None:
        ended, self._ended = self._ended, None
        if run.error:
            self.tell(run.error)
        if run.report and ended:
            ended(run)

    def _pollFrames(self) -> None:
        browser = self.framesPanel.poll()
        if browser and self.parameters.frames is not browser:
            self.parameters.frames = browser  # which shows it, where the module is shown
        elif browser and self._parameterNode:
            self._showFrames()
        self._showRun()

    def _showFrames(self) -> None:
        self.framesPanel.showBrowser(self._parameterNode.frames, self._parameterNode.colon)
        self.comparePanel.showBrowser(self._parameterNode.frames)

    def _showNothing(self) -> None:
        self.framesPanel.stopLoading()
        self.framesPanel.showBrowser(None, None)
        self.comparePanel.showBrowser(None)
        self.pathPanel.stop()
        leave()

    def _showRun(self) -> None:
        run = self.logic.run
        running = bool(run and run.running)
        if self.framesPanel.loading:
            loader = self.framesPanel.loading[0]
            fraction, text = loader.fraction, _("Loading {kind}...").format(kind=loader.kind)
        else:
            fraction, text = (run.fraction if running else 0.0), (run.status if run else "")
        self.ui.progressBar.value = int(1000 * fraction)
        self.ui.progressBar.textVisible = running or bool(self.framesPanel.loading)
        self.ui.statusLabel.text = text
        self._showButtons()

    def _showButtons(self) -> None:
        parameters, run = self._parameterNode, self.logic.run
        busy = bool(run and run.running) or bool(self.framesPanel.loading)
        self.ui.cancelButton.enabled = busy and not (run and run.running and run.cancelling)
        if parameters:
            for panel in (self.colonPanel, self.pathPanel, self.framesPanel, self.modelsPanel, self.comparePanel):
                panel.show(parameters, not busy)
