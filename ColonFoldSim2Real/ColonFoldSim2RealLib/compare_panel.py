"""The panel's section that compares: found against true folds, and what of the wall was seen."""

from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

from FaithfulImagingLib.chart import showInChart
from inference_core.errors import UserError

from .compare import overlapPlot, overlapText, writeOverlaps
from .frames import DATASET_ATTRIBUTE, timesOf
from .logic import foldOverlap


class ComparePanel:
    """Looks at the browser of frames that is chosen."""

    def __init__(self, ui, host) -> None:
        self.ui, self._host = ui, host
        self._overlaps = None
        ui.coverageButton.connect("clicked(bool)", self.onCoverage)
        ui.plotButton.connect("clicked(bool)", self.onPlot)
        ui.csvButton.connect("clicked(bool)", self.onSave)

    def onCoverage(self) -> None:
        """Begin to measure the coverage."""
        self._host.begin(lambda parameters: self._host.logic.measureCoverage(parameters.frames), self._measured)

    def onPlot(self) -> None:
        """Plot the IoU of each frame."""
        chart = showInChart(overlapPlot(timesOf(self._host.parameters.frames), self._overlaps))
        plots = getattr(slicer.modules, "plots", None)
        if plots:
            plots.logic().ShowChartInLayout(chart)

    def onSave(self) -> None:
        """Ask for a file, and write the IoU of each frame into it."""
        path = qt.QFileDialog.getSaveFileName(slicer.util.mainWindow(), _("Save IoU"), "iou.csv", "CSV (*.csv)")
        if path:
            self.save(Path(path))

    def save(self, path: Path) -> None:
        """Write the IoU of each frame."""
        try:
            writeOverlaps(path, timesOf(self._host.parameters.frames), self._overlaps)
            self.ui.statusLabel.text = _("Written: {path}").format(path=path)
        except UserError as error:
            self._host.tell(error)

    def showBrowser(self, browser) -> None:
        """Measure a browser's found folds, where it has them and the truth."""
        self._overlaps = foldOverlap(browser) if browser else None
        self.ui.compareLabel.text = "" if self._overlaps is None else overlapText(self._overlaps)

    def show(self, parameters, free: bool) -> None:
        """Show what can be done."""
        frames = parameters.frames
        self.ui.coverageButton.enabled = bool(free and frames and frames.GetAttribute(DATASET_ATTRIBUTE))
        self.ui.plotButton.enabled = self.ui.csvButton.enabled = free and self._overlaps is not None

    def _measured(self, run) -> None:
        self.ui.coverageLabel.text = run.status
