"""The panel's part with the model: which there are, which one fits the input and why, what a run will take."""

import logging
from concurrent.futures import Future

import slicer
from slicer.i18n import tr as _

from FaithfulImagingLib.background import giveTurn
from inference_core.errors import UserError

from .estimate import expectedText, measuredSpeed, settingOf
from .parameters import LowDoseDenoiseParameterNode


class ModelPanel:
    """Suggests a model for each input, and shows time and memory of a run.

    Attributes
    ----------
    suggested : str
        Id of the model that fits the input; empty until that is known.
    """

    def __init__(self, ui, logic) -> None:
        self.ui, self._logic = ui, logic
        self._parameterNode: LowDoseDenoiseParameterNode | None = None
        self._suggestion: Future | None = None
        self._suggestedFor = None
        self._voxelsSeen: tuple | None = None
        self.suggested = ""
        cards = logic.models()
        self._modelIds = ["", *(card.id for card in cards)]
        ui.modelComboBox.clear()
        ui.modelComboBox.addItem(_("Automatic"))
        for card in cards:
            ui.modelComboBox.addItem(f"{card.id}: {card.summary}")
        ui.modelComboBox.connect("currentIndexChanged(int)", self.onModelChanged)

    def setParameterNode(self, parameterNode: LowDoseDenoiseParameterNode | None) -> None:
        """Suggest for a scene's input, or for none."""
        self._parameterNode = parameterNode
        if parameterNode is None:
            self._suggestedFor = None
            self._clear()

    def showChoices(self) -> None:
        """Show what the scene has selected; a model is suggested where that is another input."""
        parameters = self._parameterNode
        if parameters.model not in self._modelIds:  # a scene made where there were other models
            parameters.model = ""
        self.ui.modelComboBox.setCurrentIndex(self._modelIds.index(parameters.model))
        if parameters.inputVolume is not self._suggestedFor:
            self._suggest()
        self._showExpected()

    def onModelChanged(self, index: int) -> None:
        """Keep the chosen model with the scene."""
        if self._parameterNode and index >= 0:
            self._parameterNode.model = self._modelIds[index]

    def poll(self) -> None:
        """Take the suggestion where it has come; see when the input gets other voxels, of which no node tells."""
        if self._suggestion:
            giveTurn()
            if self._suggestion.done():
                self._take()
        elif self._parameterNode and _voxelTime(self._suggestedFor) != self._voxelsSeen and self._suggestedFor:
            self._suggest()
            self._showExpected()

    def keepSpeed(self, report: dict) -> None:
        """How fast this machine is stays with the application, not with the scene."""
        speed = measuredSpeed(report)
        if speed and self._parameterNode:
            slicer.app.userSettings().setValue(self._speedSetting(), speed)
            self._showExpected()

    def _suggest(self) -> None:
        self._suggestedFor = self._parameterNode.inputVolume
        self._clear()
        self._voxelsSeen = _voxelTime(self._suggestedFor)
        if self._suggestedFor:
            try:
                self._suggestion = self._logic.suggest(self._suggestedFor)
                self.ui.reasonLabel.text = _("Measuring the noise...")
            except UserError as error:
                self.ui.reasonLabel.text = str(error)

    def _clear(self) -> None:
        self._suggestion = None
        self._voxelsSeen = None
        self.suggested = ""
        self.ui.reasonLabel.text = ""
        self.ui.modelComboBox.setItemText(0, _("Automatic"))

    def _take(self) -> None:
        suggestion, self._suggestion = self._suggestion, None
        try:
            self.suggested, self.ui.reasonLabel.text = suggestion.result()
            self.ui.modelComboBox.setItemText(0, _("Automatic ({model})").format(model=self.suggested))
            if self._parameterNode:
                self._showExpected()
        except Exception as error:
            self.ui.reasonLabel.text = str(error)
            if not isinstance(error, UserError):
                logging.error("LowDoseDenoise", exc_info=error)

    def _showExpected(self) -> None:
        volume = self._parameterNode.inputVolume
        image = volume.GetImageData() if volume else None
        if image is None or image.GetNumberOfPoints() == 0:
            self.ui.expectedValueLabel.text = ""
            return
        speed = slicer.app.userSettings().value(self._speedSetting())
        self.ui.expectedValueLabel.text = expectedText(
            image.GetDimensions()[::-1], image.GetScalarSize(), float(speed) if speed else None
        )

    def _speedSetting(self) -> str:
        parameters = self._parameterNode
        return settingOf(parameters.model or self.suggested, parameters.engine.value, parameters.device.value)


def _voxelTime(volume) -> tuple | None:
    """Changes with the volume and with its voxels."""
    image = volume.GetImageData() if volume else None
    return (volume.GetID(), image.GetMTime()) if image else None
