"""The panel's button that sends a result to Slicer's DICOM database."""

import slicer
from slicer.i18n import tr as _

from inference_core.errors import UserError

from .dicom_export import DicomExport, canExport
from .parameters import LowDoseDenoiseParameterNode
from .report import reportOf
from .strength import strengthChanged


class ExportPanel:
    """One export at a time.

    Parameters
    ----------
    ui : widgets
    tell : callable
        ``tell(error)`` says what is wrong.
    """

    def __init__(self, ui, tell) -> None:
        self.ui, self._tell = ui, tell
        self._parameterNode: LowDoseDenoiseParameterNode | None = None
        self._export: DicomExport | None = None
        ui.dicomButton.connect("clicked(bool)", self.onExport)

    def setParameterNode(self, parameterNode: LowDoseDenoiseParameterNode | None) -> None:
        """Export a scene's output, or nothing."""
        self._parameterNode = parameterNode

    @property
    def running(self) -> bool:
        """Whether an export has begun and not ended."""
        return bool(self._export and self._export.running)

    def onExport(self) -> None:
        """Begin to export."""
        with slicer.util.tryWithErrorDisplay(_("The volume could not be exported.")):
            try:
                self._export = DicomExport(self._parameterNode.outputVolume)
            except UserError as error:
                self._tell(error)

    def poll(self) -> None:
        """Look at what has come, and whether there is something to export."""
        if self.running:
            self._export.poll()
            self.ui.statusLabel.text = self._export.status
            if self._export.error:
                self._tell(self._export.error)
        self.ui.dicomButton.enabled = not self.running and self._exportable()

    def stop(self) -> None:
        """Give up."""
        if self.running:
            self._export.stop()

    def _exportable(self) -> bool:
        output = self._parameterNode.outputVolume if self._parameterNode else None
        if not canExport(output):
            return False
        report = reportOf(output)  # of a blend that is still being checked, it does not speak
        return report is not None and not strengthChanged(output, report)
