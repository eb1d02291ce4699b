"""The panel's part for comparing: the layout, the flip, the window presets."""

import qt
import slicer
from slicer.i18n import tr as _

from FaithfulImagingLib.layout import compositeOf

from .belonging import madeFrom
from .compare import (
    DIFFERENCE_WINDOWS,
    IMAGE_WINDOWS,
    flip,
    removeDifferences,
    setWindow,
    shareWindow,
    showDifference,
    windowText,
)
from .layout import VIEWS, comparing, enterLayout, leaveLayout, lookAt, showVolumes, viewToPreview
from .parameters import LowDoseDenoiseParameterNode

FLIP_KEY = "D"


class ComparePanel:
    """Keeps the three views on the chosen input and on what was made from it.

    Parameters
    ----------
    ui : widgets
    previewOf : callable
        The :class:`~LowDoseDenoiseLib.preview.Preview` that is in the scene, or None.
    """

    def __init__(self, ui, previewOf) -> None:
        self.ui, self._previewOf = ui, previewOf
        self._parameterNode: LowDoseDenoiseParameterNode | None = None
        self._shown: tuple | None = None
        self._difference = None
        self._window: tuple | None = None
        self._wasComparing = False
        self._fill(ui.windowComboBox, ["", *IMAGE_WINDOWS], _("As it is"))
        self._fill(ui.differenceComboBox, DIFFERENCE_WINDOWS)
        ui.compareButton.connect("clicked(bool)", self.onCompare)
        ui.flipButton.connect("clicked(bool)", self.onFlip)
        ui.windowComboBox.connect("currentIndexChanged(int)", self.onWindow)
        ui.differenceComboBox.connect("currentIndexChanged(int)", self.onDifferenceWindow)
        self._shortcut = qt.QShortcut(slicer.util.mainWindow() or ui.compareButton)
        self._shortcut.setKey(qt.QKeySequence(FLIP_KEY))
        self._shortcut.setEnabled(False)
        self._shortcut.connect("activated()", self.onFlip)

    def setParameterNode(self, parameterNode: LowDoseDenoiseParameterNode | None) -> None:
        """Compare what a scene has selected, or nothing: then the flip key is free for others."""
        self._parameterNode = parameterNode
        self._shown = None
        self._shortcut.setEnabled(parameterNode is not None)
        self.showChoices()

    def showChoices(self) -> None:
        """Show the window presets that the scene keeps."""
        parameters = self._parameterNode
        if parameters:
            self._select(self.ui.windowComboBox, ["", *IMAGE_WINDOWS], parameters.window)
            self._select(self.ui.differenceComboBox, DIFFERENCE_WINDOWS, parameters.differenceWindow)

    def denoised(self):
        """What is compared with the input: the preview, else the result; None where there is neither."""
        parameters = self._parameterNode
        preview = self._previewOf()
        if preview and preview.volume.GetScene():
            return preview.volume
        result = parameters.outputVolume
        made = madeFrom(result, parameters.inputVolume) and result.GetImageData()
        return result if made and result.GetImageData().GetNumberOfPoints() else None

    def onCompare(self, on=None) -> None:
        """Show the layout for comparing, or the one that was shown before."""
        if comparing():
            self.leave()
        elif self._parameterNode:
            self.enter()

    def enter(self) -> None:
        """Show the layout, turned to where the user looks."""
        parameters = self._parameterNode
        reference = viewToPreview(parameters.inputVolume)
        if not comparing():
            parameters.layoutBefore = enterLayout()
        self._shown = None
        self._wasComparing = True
        self.poll()
        if reference and parameters.inputVolume:
            preview = self._previewOf()
            lookAt(reference, parameters.inputVolume, _middle(preview.volume) if preview else None)

    def leave(self) -> None:
        """Show the layout that was shown before, and drop the difference."""
        if self._parameterNode:
            leaveLayout(self._parameterNode.layoutBefore)
        self._ended()

    def onFlip(self) -> None:
        """Show the original where the denoised volume is shown, and the other way round."""
        parameters = self._parameterNode
        denoised = self.denoised() if parameters else None
        if denoised:
            flip(parameters.inputVolume, denoised, keep=(VIEWS["original"],))

    def onWindow(self, index: int) -> None:
        """Show the images in a window preset."""
        if self._parameterNode and index >= 0:
            self._parameterNode.window = ["", *IMAGE_WINDOWS][index]
            for volume in (self._parameterNode.inputVolume, self.denoised()):
                setWindow(volume, self._parameterNode.window)

    def onDifferenceWindow(self, index: int) -> None:
        """Show the difference in a window preset."""
        if self._parameterNode and index >= 0:
            self._parameterNode.differenceWindow = DIFFERENCE_WINDOWS[index]
            if self._difference and self._difference.GetScene():
                setWindow(self._difference, self._parameterNode.differenceWindow)

    def poll(self) -> None:
        """Bring the views up to date where a volume has changed."""
        parameters = self._parameterNode
        denoised = self.denoised()
        self.ui.flipButton.enabled = denoised is not None
        self.ui.compareButton.enabled = comparing() or parameters.inputVolume is not None
        self.ui.compareButton.checked = comparing()
        if not comparing():
            if self._wasComparing:  # left through Slicer's own layout menu
                self._ended()
            return
        self._wasComparing = True
        views = tuple(compositeOf(name) is not None for name in VIEWS.values())
        state = (*map(_state, (parameters.inputVolume, denoised)), views)
        if state != self._shown:
            self._show(parameters.inputVolume, denoised, anew=not _sameNodes(state, self._shown))
            self._shown = state
        self._window = shareWindow([parameters.inputVolume, denoised], self._window)

    def _show(self, inputVolume, denoised, anew: bool) -> None:
        if denoised:
            node = showDifference(inputVolume, denoised, self._difference)
            if node is not self._difference:
                self._difference = node
                setWindow(node, self._parameterNode.differenceWindow)
        else:
            removeDifferences()
            self._difference = None
        if anew:
            showVolumes({"original": inputVolume, "denoised": denoised, "difference": self._difference})

    def _ended(self) -> None:
        removeDifferences()
        self._difference = self._shown = self._window = None
        self._wasComparing = False
        self.ui.compareButton.checked = False

    def _fill(self, box, names, none: str = "") -> None:
        box.clear()
        for name in names:
            box.addItem(windowText(name) if name else none)

    def _select(self, box, names, name: str) -> None:
        index = list(names).index(name) if name in names else 0
        if box.currentIndex != index:
            box.setCurrentIndex(index)


def _state(volume) -> tuple | None:
    image = volume.GetImageData() if volume else None
    return (volume.GetID(), image.GetMTime()) if image else None


def _sameNodes(state: tuple, shown: tuple | None) -> bool:
    """Whether only voxels have changed."""
    return (
        shown is not None
        and [one and one[0] for one in state[:2]] == [one and one[0] for one in shown[:2]]
        and (state[2] == shown[2])
    )


def _middle(volume) -> list[float]:
    bounds = [0.0] * 6
    volume.GetRASBounds(bounds)
    return [(bounds[axis] + bounds[axis + 1]) / 2 for axis in (0, 2, 4)]
