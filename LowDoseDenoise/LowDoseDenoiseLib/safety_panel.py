"""The panel's section on safety: did a CT number move, is structure lost?"""

import slicer
from slicer.i18n import tr as _

from FaithfulImagingLib.python import pythonExecutable
from inference_core.errors import UserError

from .belonging import madeFrom
from .contrast import tissueText
from .measure import MOVED, PERHAPS, alarmOf
from .report import explainedText, reportOf, signed
from .structure import (
    StructureSearch,
    findsOf,
    goTo,
    showStructure,
    stateOfVolumes,
    structureOf,
    structureShown,
    structureText,
)

ALARM = "color: #c62828"


class SafetyPanel:
    """Shows alarms as they come; searches for lost structure when asked to."""

    def __init__(self, ui) -> None:
        self.ui = ui
        self._parameterNode = None
        self._search: StructureSearch | None = None
        self._rows: list = []
        self._next = 0
        self._seen: tuple | None = None
        ui.structureButton.connect("clicked(bool)", self.onSearch)
        ui.nextFindButton.connect("clicked(bool)", self.onNext)
        ui.showStructureCheckBox.connect("toggled(bool)", self.onShow)

    def setParameterNode(self, parameterNode) -> None:
        """Look after another scene, or none."""
        self._parameterNode = parameterNode
        self._seen = None
        self._rows = []
        if self._search:
            self._search.stop()
            self._search = None
        self.ui.structureButton.text = _("Search for lost structure")

    def setRows(self, rows: list) -> None:
        """Take the latest numbers of the regions."""
        self._rows = rows
        self._seen = None

    def poll(self) -> None:
        """Show what has changed."""
        if self._search:
            self._search.poll()
            self._showSearch()
        parameters = self._parameterNode
        output = parameters.outputVolume
        state = (
            parameters.ctNumberLimit, output.GetID() if output else "", output.GetMTime() if output else 0,
            parameters.inputVolume, self._search is not None, stateOfVolumes(parameters.inputVolume, output),
            structureOf(output), slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSliceCompositeNode"),
        )  # fmt: skip
        if state != self._seen:
            self._seen = state
            self._showAlarms()
            self._showFinds()

    def onSearch(self) -> None:
        """Begin to search, or stop."""
        if self._search:
            self._search.cancel()
            return
        try:
            self._search = StructureSearch(
                self._parameterNode.inputVolume, self._parameterNode.outputVolume, pythonExecutable()
            )
        except UserError as error:
            self.ui.structureLabel.text = str(error)
        self._showSearch()

    def onNext(self) -> None:
        """Go to the next find."""
        labels = structureOf(self._parameterNode.outputVolume)
        if labels:
            self.ui.structureLabel.text = goTo(labels, self._next)
            self._next += 1

    def onShow(self, visible: bool) -> None:
        """Show or hide the finds."""
        labels = structureOf(self._parameterNode.outputVolume) if self._parameterNode else None
        if labels:
            showStructure(labels, visible)

    def _showSearch(self) -> None:
        search = self._search
        if search and search.running:
            self.ui.structureButton.text = _("Stop")
            self.ui.structureLabel.text = _("Searching: {percent:.0f} %").format(percent=100 * search.fraction)
            return
        self._search = None
        self.ui.structureButton.text = _("Search for lost structure")
        if search is None:
            return
        self._next = 0
        self._seen = None
        self._showFinds()
        if search.error:
            self.ui.structureLabel.text = str(search.error)
        elif search.labelVolume:
            showStructure(search.labelVolume, True)
            self.ui.showStructureCheckBox.checked = True

    def _showFinds(self) -> None:
        parameters = self._parameterNode
        labels = structureOf(parameters.outputVolume)
        finds = findsOf(labels) if labels else None
        if self._search:
            return
        self.ui.structureLabel.text = structureText(finds) if finds else ""
        self.ui.structureLabel.styleSheet = ALARM if finds and finds["regions"] else ""
        if finds and finds["state"] != stateOfVolumes(parameters.inputVolume, parameters.outputVolume):
            self.ui.structureLabel.text += " " + _("The volumes have changed since, or were loaded: search again.")
        self.ui.showStructureCheckBox.enabled = labels is not None
        if self.ui.showStructureCheckBox.checked and not structureShown(labels):
            self.ui.showStructureCheckBox.checked = False
        elif self.ui.showStructureCheckBox.checked:
            showStructure(labels, True)  # in views that are new, too
        self.ui.nextFindButton.enabled = bool(finds and finds["strongest"])
        self.ui.structureButton.enabled = madeFrom(parameters.outputVolume, parameters.inputVolume)

    def _showAlarms(self) -> None:
        moved = self._movedTissues() + [row.name for row in self._rows if self._alarm(row) == MOVED]
        perhaps = [row.name for row in self._rows if self._alarm(row) == PERHAPS]
        limit = f"{self._parameterNode.ctNumberLimit:g}"
        texts = []
        if moved:
            texts.append(_("Moved by more than {limit} HU: {names}.").format(limit=limit, names=", ".join(moved)))
        if perhaps:
            text = _("Moved by more than {limit} HU, perhaps by noise alone: {names}.")
            texts.append(text.format(limit=limit, names=", ".join(perhaps)))
        checked = madeFrom(self._parameterNode.outputVolume, self._parameterNode.inputVolume)
        explained = self._explained()
        if explained:
            texts.append(f"{explained[:1].upper()}{explained[1:]}.")
        if checked and not moved and not perhaps:
            fine = _("No other mean moved by more than {limit} HU.") if explained else _(
                "No mean CT number moved by more than {limit} HU."
            )  # fmt: skip
            texts.append(fine.format(limit=limit))
        self.ui.alarmLabel.text = " ".join(texts) or _("Not denoised yet.")
        self.ui.alarmLabel.styleSheet = ALARM if moved else ""
        self.ui.safetyCollapsibleButton.text = _("Safety: a CT number moved") if moved else _("Safety")

    def _alarm(self, row) -> str:
        return alarmOf(row, self._parameterNode.ctNumberLimit)

    def _report(self) -> dict | None:
        parameters = self._parameterNode
        own = madeFrom(parameters.outputVolume, parameters.inputVolume)
        return reportOf(parameters.outputVolume) if own else None

    def _explained(self) -> str:
        report = self._report()
        return explainedText(report, self._parameterNode.ctNumberLimit) if report else ""

    def _movedTissues(self) -> list[str]:
        report = self._report()
        shifts = report["ct_number_check"]["tissues"] if report else []
        return [
            _("{tissue} of the whole volume ({shift} HU)").format(
                tissue=tissueText(row["tissue"]), shift=signed(row["shift"])
            )
            for row in shifts
            if abs(row["shift"]) > self._parameterNode.ctNumberLimit and not row["passed"]  # passed: explained
        ]
