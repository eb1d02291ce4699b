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
from inference_core.errors import UserError

from .folds import COLON_ATTRIBUTE, TABLE_REFERENCE, goToFold
from .frames import FOUND, FRAMES, TRANSLATED, sequenceOf
from .frames_panel import FOLDER_ATTRIBUTE, FramesPanel
from .logic import SEGMENT, TRANSLATE, ColonFoldSim2RealLogic, datasetOf
from .parameters import ColonFoldSim2RealParameterNode

TICK = 50  # ms between two looks at what runs in the background
OWN_PACKAGES = ("inference_core", "FaithfulImagingLib", "ColonFoldSim2RealLib")
TITLE = "Colon Fold Sim2Real"
REQUIREMENTS = Path(__file__).parents[1] / "Resources" / "colon-requirements.txt"
VIDEOS = "*.mp4 *.mov *.avi *.mkv *.mpg *.webm"


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
        self.framesPanel = FramesPanel(self.ui, self._tell)
        self._translators = self._fill(self.ui.translatorComboBox, TRANSLATE)
        self._segmenters = self._fill(self.ui.segmenterComboBox, SEGMENT)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndImportEvent, self.onSceneEndClose)
        for button, action in (
            (self.ui.foldsButton, self.onLabelFolds), (self.ui.framesButton, self.onMakeFrames),
            (self.ui.openButton, self.onOpenFrames), (self.ui.translateButton, self.onTranslate),
            (self.ui.segmentButton, self.onSegment), (self.ui.segmentFileButton, self.onSegmentVideo),
            (self.ui.cancelButton, self.onCancel),
        ):  # fmt: skip
            button.connect("clicked(bool)", action)
        self.ui.translatorComboBox.connect("currentIndexChanged(int)", self.onTranslatorChanged)
        self.ui.segmenterComboBox.connect("currentIndexChanged(int)", self.onSegmenterChanged)
        self.ui.foldTable.verticalHeader().hide()
        self.ui.foldTable.connect("cellClicked(int,int)", self.onFoldClicked)
        self.timer = qt.QTimer()
        self.timer.setInterval(TICK)
        self.timer.connect("timeout()", self.onTimer)

        # Make sure parameter node is initialized (needed for module reload)
        self.initializeParameterNode()
        self.timer.start()

    def cleanup(self) -> None:
        """Called when the application closes and the module widget is destroyed."""
        self.timer.stop()
        self.framesPanel.stopLoading()
        self.framesPanel.show(None, None)
        self.logic.stop()
        self.setParameterNode(None)
        self.removeObservers()

    def enter(self) -> None:
        """Called each time the user opens this module."""
        self.initializeParameterNode()
        self.timer.start()

    def exit(self) -> None:
        """Called each time the user opens a different module."""
        self.setParameterNode(None)  # a step goes on, and the timer with it

    def onSceneStartClose(self, caller, event) -> None:
        """Called just before the scene is closed."""
        self.framesPanel.stopLoading()
        self.framesPanel.show(None, None)
        self.setParameterNode(None)

    def onSceneEndClose(self, caller, event) -> None:
        """Called just after the scene is closed, or another was read."""
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
        self._choose(self.ui.translatorComboBox, self._translators, "translator", self.ui.translateLabel)
        self._choose(self.ui.segmenterComboBox, self._segmenters, "segmenter", None)
        if self._parameterNode.frames is not self.framesPanel.browser:
            self.framesPanel.show(self._parameterNode.frames, self._parameterNode.colon)
        self._showFolds()
        self._showButtons()

    def onTranslatorChanged(self, index: int) -> None:
        """Keep the chosen model with the scene."""
        if self._parameterNode and index >= 0:
            self._parameterNode.translator = self._translators[index].id

    def onSegmenterChanged(self, index: int) -> None:
        """Keep the chosen model with the scene."""
        if self._parameterNode and index >= 0:
            self._parameterNode.segmenter = self._segmenters[index].id

    def onLabelFolds(self) -> None:
        """Begin to label the surface's folds."""
        self._begin(lambda parameters: self.logic.labelFolds(parameters.surface))

    def onMakeFrames(self) -> None:
        """Begin to film the colon."""

        def begin(parameters):
            settings = {"frames": parameters.frameCount, "size": parameters.frameSize, "seed": parameters.seed}
            settings["appearance"] = parameters.look.value
            self.logic.makeFrames(parameters.colon or parameters.surface, Path(parameters.folder), settings)

        self._begin(begin)

    def onOpenFrames(self) -> None:
        """Ask for a dataset's folder, and load it."""
        path = qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), _("Folder of frames"))
        if path:
            self.openFrames(Path(path))

    def openFrames(self, folder: Path) -> None:
        """Load a dataset: its pictures first, then depth and folds into the same browser."""
        self._begin(lambda parameters: self.framesPanel.load(folder, FRAMES, None))

    def onTranslate(self) -> None:
        """Begin to translate the frames."""
        self._begin(lambda parameters: self.logic.translate(parameters.frames, parameters.translator))

    def onSegment(self) -> None:
        """Begin to mark folds in the frames that are shown."""

        def begin(parameters):
            browser = parameters.frames
            own = sequenceOf(browser, TRANSLATED)
            folder = Path(own.GetAttribute(FOLDER_ATTRIBUTE)) if own else datasetOf(browser)
            self.logic.segment(folder, parameters.segmenter, [browser])

        self._begin(begin)

    def onSegmentVideo(self) -> None:
        """Ask for a video, and begin to mark folds in it."""
        path = qt.QFileDialog.getOpenFileName(
            slicer.util.mainWindow(), _("Video"), "", _("Videos ({kinds})").format(kinds=VIDEOS)
        )
        if path:
            self._begin(lambda parameters: self.logic.segment(Path(path), parameters.segmenter, []))

    def onCancel(self) -> None:
        """Stop what runs."""
        run = self.logic.run
        if run and run.running:
            run.cancel()
        self.framesPanel.stopLoading()
        self._showRun()

    def onFoldClicked(self, row: int, column: int) -> None:
        """Go to a fold."""
        colon = self._parameterNode.colon if self._parameterNode else None
        table = colon.GetNodeReference(TABLE_REFERENCE) if colon else None
        if table:
            goToFold(colon, int(table.GetCellText(row, 0)))

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

    def _begin(self, action) -> None:
        with slicer.util.tryWithErrorDisplay(_("The step could not be started.")):
            try:
                ensurePackages(REQUIREMENTS, TITLE)
                action(self._parameterNode)
                self.timer.start()
            except UserError as error:
                self._tell(error)
            self._showRun()

    def _runEnded(self, run) -> None:
        if run.error:
            self._tell(run.error)
        if not run.report:
            return
        parameters = self.logic.getParameterNode()
        if hasattr(run, "colonNode") and not hasattr(run, "folder"):
            parameters.colon = run.colonNode
        elif run._job["job"] == "simulate-colon":
            self.framesPanel.load(run.folder, FRAMES, None)
        elif run._job["job"] == "translate":
            self.ui.translateLabel.text = run.status
            self.framesPanel.load(run.folder, TRANSLATED, parameters.frames)
        elif parameters.frames and run._job["input"].startswith(str(datasetOf(parameters.frames))):
            self.framesPanel.load(run.folder, FOUND, parameters.frames)
        self.ui.segmentLabel.text = run.status if run._job["job"] == "segment-folds" else self.ui.segmentLabel.text

    def _pollFrames(self) -> None:
        browser = self.framesPanel.poll()
        parameters = self.logic.getParameterNode()
        if browser and parameters.frames is not browser:
            parameters.frames = browser
        if browser and self._parameterNode:
            self.framesPanel.show(browser, parameters.colon)
        self._showRun()

    def _showFolds(self) -> None:
        colon = self._parameterNode.colon
        table = colon.GetNodeReference(TABLE_REFERENCE) if colon else None
        self.ui.foldTable.visible = table is not None
        if table is None:
            self.ui.foldsLabel.text = ""
            return
        rows, columns = table.GetNumberOfRows(), table.GetNumberOfColumns()
        self.ui.foldsLabel.text = _("{count} folds.").format(count=rows)
        self.ui.foldTable.setRowCount(rows)
        self.ui.foldTable.setColumnCount(columns)
        self.ui.foldTable.setHorizontalHeaderLabels([table.GetColumnName(column) for column in range(columns)])
        for row in range(rows):
            for column in range(columns):
                text = table.GetCellText(row, column)
                self.ui.foldTable.setItem(row, column, qt.QTableWidgetItem("" if text == "nan" else text))

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
        free = parameters is not None and not busy
        self.ui.foldsButton.enabled = free and parameters.surface is not None
        self.ui.framesButton.enabled = free and (parameters.colon or parameters.surface) is not None
        self.ui.openButton.enabled = self.ui.segmentFileButton.enabled = free
        for button in (self.ui.translateButton, self.ui.segmentButton):
            button.enabled = free and parameters.frames is not None

    def _fill(self, comboBox, task: str) -> list:
        cards = self.logic.models(task)
        comboBox.clear()
        for card in cards:
            comboBox.addItem(f"{card.id}: {card.summary}")
        return cards

    def _choose(self, comboBox, cards: list, field: str, label) -> None:
        ids = [card.id for card in cards]
        if cards and getattr(self._parameterNode, field) not in ids:  # a scene made where there were other models
            setattr(self._parameterNode, field, ids[0])
        if cards:
            index = ids.index(getattr(self._parameterNode, field))
            comboBox.setCurrentIndex(index)
            comboBox.toolTip = cards[index].summary

    def _tell(self, error: UserError) -> None:
        """Say what is wrong and what to do, in the panel and in a message."""
        self.ui.statusLabel.text = str(error)
        slicer.util.warningDisplay(f"{error.message}\n\n{error.remedy}", windowTitle=TITLE)
