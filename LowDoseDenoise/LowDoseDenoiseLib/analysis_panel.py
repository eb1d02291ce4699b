"""The panel's sections with contrast, plots and homogeneous patches."""

import logging
from concurrent.futures import Future

import slicer
from slicer.i18n import tr as _

from FaithfulImagingLib.background import giveTurn, inBackground
from FaithfulImagingLib.chart import showInChart
from inference_core.errors import UserError

from .contrast import contrastText, fillPatchTable, measurePatches, patchText
from .measure import markupToPlace, voxelsToCompare
from .plots import PLOTS, histogram, noiseBars, noisePower, plotText, profile, profilePoints
from .structure import stateOfVolumes

PATCH_ATTRIBUTE = "FaithfulImaging.patchesOf"


class AnalysisPanel:
    """Works on the regions that were measured last."""

    def __init__(self, ui) -> None:
        self.ui = ui
        self._parameterNode = None
        self._rows: list = []
        self._regions: list = []
        self._plot: Future | None = None
        self._patches: Future | None = None
        self._patchesOf: list = []
        self._filling = False
        for kind in PLOTS:
            ui.plotComboBox.addItem(plotText(kind))
        for box in (ui.contrastRoiComboBox, ui.contrastBackgroundComboBox):
            box.connect("currentIndexChanged(int)", self.onContrast)
        ui.plotComboBox.connect("currentIndexChanged(int)", self.onPlotChosen)
        ui.plotButton.connect("clicked(bool)", self.onPlot)
        ui.drawLineButton.connect("clicked(bool)", self.onDrawLine)
        ui.patchesButton.connect("clicked(bool)", self.onPatches)

    def setParameterNode(self, parameterNode) -> None:
        """Look after another scene, or none."""
        self._parameterNode = parameterNode
        self._plot = self._patches = None
        self.ui.plotLabel.text = self.ui.patchesLabel.text = ""
        self.ui.patchesButton.enabled = True
        if parameterNode:
            kind = parameterNode.plot if parameterNode.plot in PLOTS else PLOTS[0]
            self.ui.plotComboBox.setCurrentIndex(PLOTS.index(kind))
            self.onPlotChosen()
        self.setRows([], [])

    def setRows(self, rows: list, regions: list) -> None:
        """Take the latest numbers of the regions."""
        self._rows, self._regions = rows, regions
        names = [row.name for row in rows]
        parameters = self._parameterNode
        chosen = (parameters.contrastRoi, parameters.contrastBackground) if parameters else ("", "")
        self._filling = True
        boxes = (self.ui.contrastRoiComboBox, self.ui.contrastBackgroundComboBox)
        for box, own, other in zip(boxes, chosen, (0, 1), strict=True):
            if [box.itemText(at) for at in range(box.count)] != names:
                box.clear()
                box.addItems(names)
            index = names.index(own) if own in names else min(other, len(names) - 1)
            box.setCurrentIndex(index)
        self._filling = False
        self._showContrast()

    def poll(self) -> None:
        """Take what was worked out in the background."""
        if self._plot or self._patches:
            giveTurn()
        if self._plot and self._plot.done():
            future, self._plot = self._plot, None
            data = self._result(future, self.ui.plotLabel)
            if data:
                self._show(data)
        if self.ui.patchesLabel.text and self._patchesOf != self._volumesState():
            self.ui.patchesLabel.text = ""  # it told of other voxels
        if self._patches and self._patches.done():
            future, self._patches = self._patches, None
            self.ui.patchesButton.enabled = True
            rows = self._result(future, self.ui.patchesLabel)
            if rows and self._parameterNode.inputVolume and self._patchesOf == self._volumesState():
                fillPatchTable(self._patchTable(), rows, self._parameterNode.patchSize)
                self.ui.patchesLabel.text = patchText(rows)

    def onContrast(self) -> None:
        """Keep the two chosen regions with the scene."""
        if self._filling or not self._parameterNode:
            return
        self._parameterNode.contrastRoi = self.ui.contrastRoiComboBox.currentText
        self._parameterNode.contrastBackground = self.ui.contrastBackgroundComboBox.currentText
        self._showContrast()

    def onPlotChosen(self) -> None:
        """Keep the chosen plot with the scene."""
        kind = PLOTS[max(self.ui.plotComboBox.currentIndex, 0)]
        self.ui.profileLineSelector.enabled = self.ui.drawLineButton.enabled = kind == "profile"
        if self._parameterNode and self._parameterNode.plot != kind:
            self._parameterNode.plot = kind

    def onDrawLine(self) -> None:
        """Let the user draw a line, and choose it."""
        line = markupToPlace("vtkMRMLMarkupsLineNode", _("Line"))
        self._parameterNode.profileLine = line
        letPlace(line)

    def onPlot(self) -> None:
        """Begin to work the plot out."""
        self.ui.plotLabel.text = ""
        try:
            self._plot = self._begin(self._parameterNode.plot)
        except UserError as error:
            self.ui.plotLabel.text = str(error)

    def onPatches(self) -> None:
        """Begin to measure patches."""
        parameters = self._parameterNode
        try:
            before, after = self._voxels()
        except UserError as error:
            self._patchesOf = self._volumesState()
            self.ui.patchesLabel.text = str(error)
            return
        self.ui.patchesButton.enabled = False
        self.ui.patchesLabel.text = _("Measuring...")
        self._patchesOf = self._volumesState()
        self._patches = inBackground(measurePatches, before, after, parameters.patchCount, parameters.patchSize)

    def _begin(self, kind: str) -> Future:
        before, after = self._voxels()
        if kind == "noise":
            return inBackground(noiseBars, self._rows)
        if kind == "profile":
            points = profilePoints(self._parameterNode.profileLine, self._parameterNode.inputVolume)
            return inBackground(profile, *points, before, after)
        if kind == "nps":
            return inBackground(noisePower, before, after, self._parameterNode.inputVolume.GetSpacing())
        at = self.ui.contrastRoiComboBox.currentIndex
        if not 0 <= at < len(self._regions):
            raise UserError("no-roi", _("There is no ROI to plot."), _("Place one."))
        return inBackground(histogram, self._regions[at], before, after)

    def _voxels(self) -> tuple:
        volume = self._parameterNode.inputVolume
        image = volume.GetImageData() if volume else None
        if not image or not image.GetPointData().GetScalars():
            raise UserError("no-input", _("No input volume is selected."), _("Load a CT and select it."))
        return voxelsToCompare(volume, self._parameterNode.outputVolume)

    def _volumesState(self) -> list:
        return stateOfVolumes(self._parameterNode.inputVolume, self._parameterNode.outputVolume)

    def _result(self, future: Future, label):
        try:
            return future.result()
        except UserError as error:
            label.text = str(error)
        except Exception as error:
            logging.error("LowDoseDenoise", exc_info=error)
            label.text = str(error)
        return None

    def _show(self, data) -> None:
        chart = showInChart(data)
        plots = getattr(slicer.modules, "plots", None)
        if plots:
            plots.logic().ShowChartInLayout(chart)
        self.ui.plotLabel.text = _("Shown in the plot view, and kept in the scene as {name}.").format(
            name=chart.GetName()
        )

    def _showContrast(self) -> None:
        boxes = (self.ui.contrastRoiComboBox, self.ui.contrastBackgroundComboBox)
        text = contrastText(self._rows, *(box.currentText for box in boxes))
        self.ui.contrastLabel.text = text or _("Two ROIs are needed.")

    def _patchTable(self):
        volume = self._parameterNode.inputVolume
        tables = slicer.util.getNodesByClass("vtkMRMLTableNode")
        table = next((one for one in tables if one.GetAttribute(PATCH_ATTRIBUTE) == volume.GetID()), None)
        if table is None:
            name = _("{name} homogeneous patches").format(name=volume.GetName())
            table = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", name)
            table.SetAttribute(PATCH_ATTRIBUTE, volume.GetID())
        return table


def letPlace(markup) -> None:
    """Let the user click a markup's points in the views."""
    slicer.modules.markups.logic().SetActiveList(markup)
    slicer.app.applicationLogic().GetInteractionNode().SwitchToSinglePlaceMode()
