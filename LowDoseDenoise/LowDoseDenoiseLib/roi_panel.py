"""The panel's section with regions of interest: place, measure, copy, save."""

import logging
from concurrent.futures import Future
from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

from inference_core.errors import UserError

from .background import giveTurn
from .measure import fillTable, measure, roisToMeasure, stateOf, tableText
from .parameters import LowDoseDenoiseParameterNode


class RoiPanel:
    """Keeps the table up to date: each :meth:`poll` looks whether anything that it shows has changed."""

    def __init__(self, ui) -> None:
        self.ui = ui
        self._parameterNode: LowDoseDenoiseParameterNode | None = None
        self._measured: tuple | None = None
        self._measurement: Future | None = None
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
                self._take(self._measurement)
                self._measurement = None
            return
        state = stateOf(self._parameterNode)
        if state != self._measured:
            self._measured = state
            self._measure()

    def onPlace(self) -> None:
        """Let the user draw a ROI."""
        roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", slicer.mrmlScene.GenerateUniqueName("ROI"))
        roi.CreateDefaultDisplayNodes()
        slicer.modules.markups.logic().SetActiveList(roi)
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
                Path(path).write_text(tableText(self._parameterNode.roiTable, ","), encoding="utf-8")
            except OSError as error:
                slicer.util.errorDisplay(_("The table could not be saved: {error}").format(error=error))

    def _measure(self) -> None:
        parameters = self._parameterNode
        rois = roisToMeasure(parameters)
        if not parameters.inputVolume or not rois:
            self._clear(_("Place a ROI to measure the mean and the standard deviation in it."))
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
        if not parameters.roiTable:
            parameters.roiTable = slicer.mrmlScene.AddNewNodeByClass(
                "vtkMRMLTableNode", _("{name} ROI statistics").format(name=parameters.inputVolume.GetName())
            )
        fillTable(parameters.roiTable, rows)
        self._showTable()
        outside = ", ".join(row.name for row in rows if not row.voxels)
        self.ui.roiStatusLabel.text = (
            _("No voxel in: {names}").format(names=outside) if outside else _("n: voxels; mean and std in HU")
        )

    def _clear(self, text: str) -> None:
        if self._parameterNode and self._parameterNode.roiTable:
            fillTable(self._parameterNode.roiTable, [])
        self._showTable()
        self.ui.roiStatusLabel.text = text

    def _showTable(self) -> None:
        table = self._parameterNode.roiTable if self._parameterNode else None
        filled = bool(table and table.GetNumberOfRows())
        self.ui.roiTableView.setMRMLTableNode(table)
        self.ui.roiTableView.resizeColumnsToContents()
        self.ui.roiTableView.visible = filled
        self.ui.copyButton.enabled = self.ui.saveButton.enabled = filled
