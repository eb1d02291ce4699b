"""The panel's part with the frames: loads them bit by bit, goes through them, and shows what they are."""

from pathlib import Path

import numpy as np
from slicer.i18n import tr as _

from inference_core.errors import UserError

from .camera import Endoscope
from .frames import DEPTH, FOLDS, FRAMES, FramesLoader, timesOf
from .logic import foldOverlap
from .views import lookThrough, showFrames

FOLDER_ATTRIBUTE = "FaithfulImaging.folder"


class FramesPanel:
    """Slider, views and camera of one browser of frames.

    Attributes
    ----------
    loading : list of FramesLoader
        The first of them is being read.
    browser : vtkMRMLSequenceBrowserNode or None
        That is shown.
    """

    def __init__(self, ui, tell) -> None:
        self.ui, self._tell = ui, tell
        self.loading: list[FramesLoader] = []
        self.browser = None
        self._endoscope: Endoscope | None = None
        ui.frameSlider.connect("valueChanged(int)", self.onFrame)

    def load(self, folder: Path, kind: str, browser) -> None:
        """Begin to load pictures of a kind; those of a dataset bring depth and folds."""
        try:
            self.loading.append(FramesLoader(folder, kind, browser))
        except UserError as error:
            self._tell(error)

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
            self._tell(error)
        if loader.running:
            return None
        self.loading.pop(0)
        if loader.browser is None:
            return None
        loader.sequence.SetAttribute(FOLDER_ATTRIBUTE, str(loader.folder))
        if loader.kind == FRAMES:
            for kind in (DEPTH, FOLDS):
                self.load(loader.folder, kind, loader.browser)
        return loader.browser

    def stopLoading(self) -> None:
        """What is not loaded yet does not come."""
        for loader in self.loading:
            loader.cancel()
        self.loading = []

    def show(self, browser, colonNode) -> None:
        """Show a browser's frames in the views, and the endoscope in 3D; None: nothing."""
        self.browser = browser
        if self._endoscope:
            self._endoscope.stop()
            self._endoscope = None
        times = self._times()
        self.ui.frameSlider.maximum = max(len(times) - 1, 0)
        self.ui.frameSlider.enabled = bool(times)
        if times:
            showFrames(browser)
            try:
                self._endoscope = Endoscope(browser, colonNode)
                lookThrough(self._endoscope.camera)
            except UserError as error:
                self.ui.statusLabel.text = str(error)
            self._showOverlap()
        self._showText()

    def onFrame(self, index: int) -> None:
        """Show a frame."""
        if self.browser and index != self.browser.GetSelectedItemNumber():
            self.browser.SetSelectedItemNumber(index)
        self._showText()

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

    def _showOverlap(self) -> None:
        overlaps = foldOverlap(self.browser)
        if overlaps is None:
            return
        known = overlaps[~np.isnan(overlaps)]
        text = _("IoU with the true folds: {mean:.1f} ± {spread:.1f} % over {count} frames.")
        self.ui.segmentLabel.text = text.format(
            mean=100 * known.mean() if len(known) else 0,
            spread=100 * known.std() if len(known) else 0,
            count=len(known),
        )
