"""The panel's section with regions of interest: place, measure, copy, save."""

import logging
from concurrent.futures import Future
from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

from inference_core.errors import UserError

from .background import giveTurn
from .measure import fillTable, measure, roisToMeasure, roiToPlace, sortOut, stateOf, tableCells, tableText
from .parameters import LowDoseDenoiseParameterNode


class RoiPanel:
    """Keeps the table up to date: each :meth:`poll` looks whether anything that it shows has changed."""

    def __init__(self, ui) -> None:
        self.ui = ui
        self._parameterNode: LowDoseDenoiseParameterNode | None = None
        self._measured: tuple | None = None
        self._measurement: Future | None = None
        self._problems: list[str] = []
        ui.placeButton.icon = qt.QIcon(":/Icons/MarkupsROIMouseModePlace.png")
        ui.placeButton.connect("clicked(bool)", self.onPlace)
        ui.copyButton.connect("clicked(bool)", self.onCopy)
        ui.saveButton.connect("clicked(bool)", self.onSave)

    def setParameterNode(self, parameterNode: LowDoseDenoiseParameterNode | None) -> None:
        """Show the ROIs of a scene, or none."""
        self._parameterNode = parameterNode
        self._measured = None
        self._measurement = None
        self._showTable()

    def poll(self) -> None:
        """Measure again where a volume, a ROI or a choice has changed; takes some milliseconds."""
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
        slicer.modules.markups.logic().SetActiveList(roiToPlace())
        slicer.app.applicationLogic().GetInteractionNode().SwitchToSinglePlaceMode()

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
        rois, self._problems = sortOut(roisToMeasure(parameters))
        image = parameters.inputVolume.GetImageData() if parameters.inputVolume else None
        if not image or not image.GetPointData().GetScalars() or not rois:
            hint = _("Place a ROI to measure the mean and the standard deviation in it.")
            self._clear(" ".join(self._problems) or hint)
            return
        try:
            self._measurement = measure(
                parameters.inputVolume, parameters.outputVolume, rois, parameters.roiShape.value
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
        fillTable(parameters.roiTable, rows)
        self._showTable()
        outside = ", ".join(row.name for row in rows if not row.voxels)
        problems = [_("No voxel in: {names}.").format(names=outside)] if outside else []
        self.ui.roiStatusLabel.text = " ".join(problems + self._problems) or _("n: voxels; all else in HU")

    def _clear(self, text: str) -> None:
        if self._parameterNode and self._parameterNode.roiTable:
            fillTable(self._parameterNode.roiTable, [])
        self._showTable()
        self.ui.roiStatusLabel.text = text

    def _showTable(self) -> None:
        node = self._parameterNode.roiTable if self._parameterNode else None
        cells = tableCells(node) if node else []
        view = self.ui.roiTableView
        view.visible = self.ui.copyButton.enabled = self.ui.saveButton.enabled = bool(cells)
        columns = len(cells[0]) if cells else 0
        view.setRowCount(len(cells))
        view.setColumnCount(columns)
        for column in range(columns):
            alignment = qt.Qt.AlignRight if column else qt.Qt.AlignLeft
            view.setHorizontalHeaderItem(column, _item(_narrow(node.GetColumnName(column)), alignment))
            for row, texts in enumerate(cells):
                view.setItem(row, column, _item(texts[column], alignment))
        view.resizeColumnsToContents()


def _narrow(title: str) -> str:
    """A column's name on two lines, without its unit, so that all columns can be seen at once."""
    return title.removesuffix(" (HU)").replace(" ", "\n")


def _item(text: str, alignment):
    item = qt.QTableWidgetItem(text)
    item.setTextAlignment(int(alignment | qt.Qt.AlignVCenter))
    return item
