"""The panel's section with the frames: made or opened, loaded bit by bit, gone through, shown."""

from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

from inference_core.errors import UserError

from .camera import Endoscope
from .compare import ComparedLoader
from .film import FilmLoader
from .frames import DATASET_ATTRIBUTE, DEPTH, FOLDS, FOUND, FRAMES, FramesLoader, sequenceOf, timesOf
from .views import enterFrames, lookThrough, showFrames


class FramesPanel:
    """Slider, views and camera of one browser of frames.

    Attributes
    ----------
    loading : list of Loader
        The first of them is at work.
    browser : vtkMRMLSequenceBrowserNode or None
        That is shown.
    """

    def __init__(self, ui, host) -> None:
        self.ui, self._host = ui, host
        self.loading: list = []
        self.browser = None
        self._endoscope: Endoscope | None = None
        ui.framesButton.connect("clicked(bool)", self.onMake)
        ui.openButton.connect("clicked(bool)", self.onOpen)
        ui.frameSlider.connect("valueChanged(int)", self.onFrame)

    def onMake(self) -> None:
        """Begin to film the colon, along the path where there is one."""

        def begin(parameters):
            settings = {"frames": parameters.frameCount, "size": parameters.frameSize, "seed": parameters.seed}
            settings["appearance"] = parameters.look.value
            self._host.logic.makeFrames(
                parameters.colon or parameters.surface, Path(parameters.folder), settings, parameters.path
            )

        self._host.begin(begin, lambda run: self.load(lambda: FramesLoader(run.folder, FRAMES)))

    def onOpen(self) -> None:
        """Ask for a dataset's folder, and load it."""
        path = qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), _("Folder of frames"))
        if path:
            self.open(Path(path))

    def open(self, folder: Path) -> None:
        """Load a dataset: its pictures first, then depth and folds into the same browser."""
        self._host.begin(lambda parameters: self.load(lambda: FramesLoader(folder, FRAMES)))

    def load(self, make) -> None:
        """Queue a loader, which ``make`` makes."""
        try:
            self.loading.append(make())
        except UserError as error:
            self._host.tell(error)

    def poll(self):
        """Load some more.

        Returns
        -------
        vtkMRMLSequenceBrowserNode or None
            Where all pictures of a kind have come.
        """
        loader = self.loading[0]
        try:
            loader.poll()
        except UserError as error:
            loader.cancel()
            self._host.tell(error)
        except Exception:
            self.stopLoading()  # else it would fail again at each tick
            raise
        if loader.running:
            return None
        self.loading.pop(0)
        if loader.browser:
            self._loaded(loader)
        return loader.browser

    def stopLoading(self) -> None:
        """What is not loaded yet does not come."""
        for loader in self.loading:
            loader.cancel()
        self.loading = []

    def showBrowser(self, browser, colonNode) -> None:
        """Show a browser's frames in the views, and the endoscope in 3D; None: nothing."""
        self.browser = browser
        if self._endoscope:
            self._endoscope.stop()
            self._endoscope = None
        times = self._times()
        self.ui.frameSlider.maximum = max(len(times) - 1, 0)
        self.ui.frameSlider.enabled = bool(times)
        if times:
            enterFrames()
            showFrames(browser)
        if times and browser.GetAttribute(DATASET_ATTRIBUTE):
            try:
                self._endoscope = Endoscope(browser, colonNode)
                lookThrough(self._endoscope.camera)
            except UserError as error:
                self.ui.statusLabel.text = str(error)
        self._showText()

    def onFrame(self, index: int) -> None:
        """Show a frame."""
        if self.browser and index != self.browser.GetSelectedItemNumber():
            enterFrames()
            self.browser.SetSelectedItemNumber(index)
        self._showText()

    def show(self, parameters, free: bool) -> None:
        """Show what can be done."""
        self.ui.framesButton.enabled = free and bool(parameters.colon or parameters.surface)
        self.ui.openButton.enabled = free

    def _loaded(self, loader) -> None:
        browser = loader.browser
        if isinstance(loader, FilmLoader):
            self.load(loader.foundLoader)
        elif loader.kind == FRAMES:
            for kind in (DEPTH, FOLDS):
                self.load(lambda kind=kind: FramesLoader(loader.folder, kind, browser))
        elif loader.kind in (FOLDS, FOUND) and sequenceOf(browser, FOLDS) and sequenceOf(browser, FOUND):
            self.load(lambda: ComparedLoader(browser))

    def _times(self) -> list[str]:
        return timesOf(self.browser) if self.browser and self.browser.GetMasterSequenceNode() else []

    def _showText(self) -> None:
        times = self._times()
        index = self.browser.GetSelectedItemNumber() if times else -1
        self.ui.frameLabel.text = (
            _("Frame {number} of {count}, {time} s").format(number=index + 1, count=len(times), time=times[index])
            if 0 <= index < len(times)
            else ""
        )
