"""The panel's section with regions of interest: place, measure, copy, save."""

import logging
from concurrent.futures import Future
from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

from FaithfulImagingLib.background import giveTurn
from inference_core.errors import UserError

from .analysis_panel import AnalysisPanel, letPlace
from .measure import (
    MOVED,
    alarmOf,
    fillTable,
    markupToPlace,
    measureRegions,
    roisToMeasure,
    roiToPlace,
    sortOut,
    stateOf,
    tableCells,
    tableText,
)
from .parameters import LowDoseDenoiseParameterNode
from .safety_panel import SafetyPanel

ALARM = "#c62828"
LEFT_OUT = (_("Volume (mm3)"), _("{delta} std (HU)").format(delta="\N{GREEK CAPITAL LETTER DELTA}"), _("CT number"))
"""Columns of the table node that the panel has no room for."""


class RoiPanel:
    """Keeps the table up to date: each :meth:`poll` looks whether anything that it shows has changed."""

    def __init__(self, ui) -> None:
        self.ui = ui
        self._parameterNode: LowDoseDenoiseParameterNode | None = None
        self._measured: tuple | None = None
        self._measurement: Future | None = None
        self._problems: list[str] = []
        self._regions: list = []
        self._known: dict = {}
        self._alarmed: list[int] = []
        self.analysis = AnalysisPanel(ui)
        self.safety = SafetyPanel(ui)
        ui.placeButton.icon = qt.QIcon(":/Icons/MarkupsROIMouseModePlace.png")
        ui.placeButton.connect("clicked(bool)", self.onPlace)
        ui.placeCurveButton.connect("clicked(bool)", self.onPlaceCurve)
        ui.copyButton.connect("clicked(bool)", self.onCopy)
        ui.saveButton.connect("clicked(bool)", self.onSave)

    def setParameterNode(self, parameterNode: LowDoseDenoiseParameterNode | None) -> None:
        """Show the ROIs of a scene, or none."""
        self._parameterNode = parameterNode
        self._measured = None
        self._measurement = None
        self._known = {}
        self._alarmed = []
        self.analysis.setParameterNode(parameterNode)
        self.safety.setParameterNode(parameterNode)
        self._showTable()

    def poll(self) -> None:
        """Measure again where a volume, a ROI or a choice has changed; takes some milliseconds."""
        self.analysis.poll()
        self.safety.poll()
        if self._measurement:
            giveTurn()
            if self._measurement.done():
                measurement, self._measurement = self._measurement, None
                self._take(measurement)
            return
        state = stateOf(self._parameterNode)
        if state != self._measured:
            self._measured = state
            self._measure()

    def onPlace(self) -> None:
        """Let the user draw a ROI."""
        letPlace(roiToPlace())

    def onPlaceCurve(self) -> None:
        """Let the user draw a closed curve."""
        letPlace(markupToPlace("vtkMRMLMarkupsClosedCurveNode", _("Closed curve")))

    def onCopy(self) -> None:
        """Copy the table."""
        slicer.app.clipboard().setText(tableText(self._parameterNode.roiTable, "\t"))

    def onSave(self) -> None:
        """Ask for a file and save the table there."""
        name = f"{self._parameterNode.roiTable.GetName()}.csv"
        path = qt.QFileDialog.getSaveFileName(slicer.util.mainWindow(), _("Save ROI table"), name, "CSV (*.csv)")
        if path:
            try:
                text = tableText(self._parameterNode.roiTable, ",")
                Path(path).write_text(text, encoding="utf-8-sig")  # the mark tells Excel that it is UTF-8
            except OSError as error:
                slicer.util.errorDisplay(_("The table could not be saved: {error}").format(error=error))

    def _measure(self) -> None:
        parameters = self._parameterNode
        image = parameters.inputVolume.GetImageData() if parameters.inputVolume else None
        if not image or not image.GetPointData().GetScalars():
            self._clear(_("Place a ROI to measure the mean and the standard deviation in it."))
            return
        try:
            nodes = roisToMeasure(parameters)
            self._regions, self._problems = sortOut(nodes, parameters.inputVolume, parameters.roiShape.value)
            if not self._regions:
                hint = _("Place a ROI to measure the mean and the standard deviation in it.")
                self._clear(" ".join(self._problems) or hint)
                return
            self._measurement = measureRegions(
                parameters.inputVolume, parameters.outputVolume, self._regions, self._known
            )
        except UserError as error:
            self._clear(str(error))

    def _take(self, measurement: Future) -> None:
        try:
            rows = measurement.result()
        except UserError as error:
            self._clear(str(error))
            return
        except Exception as error:
            logging.error("LowDoseDenoise", exc_info=error)
            self._clear(str(error))
            return
        parameters = self._parameterNode
        if not parameters.inputVolume:  # removed meanwhile
            return
        if not parameters.roiTable:
            parameters.roiTable = slicer.mrmlScene.AddNewNodeByClass(
                "vtkMRMLTableNode", _("{name} ROI statistics").format(name=parameters.inputVolume.GetName())
            )
        fillTable(parameters.roiTable, rows, parameters.ctNumberLimit)
        self._alarmed = [at for at, row in enumerate(rows) if alarmOf(row, parameters.ctNumberLimit) == MOVED]
        self._showTable()
        self.analysis.setRows(rows, self._regions)
        self.safety.setRows(rows)
        outside = ", ".join(row.name for row in rows if not row.voxels)
        problems = [_("No voxel in: {names}.").format(names=outside)] if outside else []
        self.ui.roiStatusLabel.text = " ".join(problems + self._problems) or _("n: voxels; all else in HU")

    def _clear(self, text: str) -> None:
        if self._parameterNode and self._parameterNode.roiTable:
            fillTable(self._parameterNode.roiTable, [])
        self._alarmed = []
        self._showTable()
        self.analysis.setRows([], [])
        self.safety.setRows([])
        self.ui.roiStatusLabel.text = text

    def _showTable(self) -> None:
        node = self._parameterNode.roiTable if self._parameterNode else None
        cells = tableCells(node) if node else []
        view = self.ui.roiTableView
        view.visible = self.ui.copyButton.enabled = self.ui.saveButton.enabled = bool(cells)
        names = [node.GetColumnName(column) for column in range(node.GetNumberOfColumns())] if cells else []
        shown = [column for column, name in enumerate(names) if name not in LEFT_OUT]
        view.setRowCount(len(cells))
        view.setColumnCount(len(shown))
        for place, column in enumerate(shown):
            alignment = qt.Qt.AlignRight if place else qt.Qt.AlignLeft
            view.setHorizontalHeaderItem(place, _item(_narrow(names[column]), alignment))
            for row, texts in enumerate(cells):
                text = texts[column].replace("-", "\N{MINUS SIGN}") if place else texts[column]  # the first is a name
                item = _item(text, alignment)
                if row in self._alarmed:
                    item.setForeground(qt.QBrush(qt.QColor(ALARM)))
                view.setItem(row, place, item)
        view.resizeColumnsToContents()


def _narrow(title: str) -> str:
    """A column's name on two lines, without its unit, so that all columns can be seen at once."""
    return "\n".join(title.removesuffix(" (HU)").rsplit(" ", 1))


def _item(text: str, alignment):
    item = qt.QTableWidgetItem(text)
    item.setTextAlignment(int(alignment | qt.Qt.AlignVCenter))
    return item
