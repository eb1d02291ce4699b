"""The panel's sections with the colon: its lumen out of a CT, its surface, its folds and their table."""

import qt
from slicer.i18n import tr as _

from .folds import TABLE_REFERENCE, goToFold
from .lumen import placeSeeds


class ColonPanel:
    """From a CT or a surface to a colon with labelled folds."""

    def __init__(self, ui, host) -> None:
        self.ui, self._host = ui, host
        ui.seedsButton.connect("clicked(bool)", self.onPlaceSeeds)
        ui.lumenButton.connect("clicked(bool)", self.onFindLumen)
        ui.foldsButton.connect("clicked(bool)", self.onLabelFolds)
        ui.foldTable.verticalHeader().hide()
        ui.foldTable.connect("cellClicked(int,int)", self.onFoldClicked)

    def onPlaceSeeds(self) -> None:
        """Let the next clicks set points in the lumen."""
        parameters = self._host.parameters
        parameters.lumenSeeds = placeSeeds(parameters.lumenSeeds)
        self.ui.statusLabel.text = _("Click into the lumen: near one end, and near the other. Then Segment lumen.")

    def onFindLumen(self) -> None:
        """Begin to make the lumen's surface."""
        self._host.begin(
            lambda parameters: self._host.logic.findLumen(
                parameters.lumenVolume, parameters.lumenSeeds, parameters.lumenThreshold
            ),
            self._lumenFound,
        )

    def onLabelFolds(self) -> None:
        """Begin to label the surface's folds."""
        self._host.begin(lambda parameters: self._host.logic.labelFolds(parameters.surface), self._foldsLabelled)

    def onFoldClicked(self, row: int, column: int) -> None:
        """Go to a fold."""
        table = self._table()
        if table:
            goToFold(self._host.parameters.colon, int(table.GetCellText(row, 0)))

    def show(self, parameters, free: bool) -> None:
        """Show what can be done."""
        self.ui.seedsButton.enabled = free and parameters.lumenVolume is not None
        self.ui.lumenButton.enabled = free and None not in (parameters.lumenVolume, parameters.lumenSeeds)
        self.ui.foldsButton.enabled = free and parameters.surface is not None

    def showFolds(self) -> None:
        """Show the table of the chosen colon's folds."""
        table = self._table()
        self.ui.foldTable.visible = table is not None
        self.ui.foldsLabel.text = _("{count} folds.").format(count=table.GetNumberOfRows()) if table else ""
        if table is None:
            return
        rows = range(table.GetNumberOfRows())
        texts = {
            table.GetColumnName(column): [table.GetCellText(row, column) for row in rows]
            for column in range(table.GetNumberOfColumns())
        }
        columns = {name: own for name, own in texts.items() if set(own) != {"nan"}}  # what nobody measured is left out
        self.ui.foldTable.setRowCount(len(rows))
        self.ui.foldTable.setColumnCount(len(columns))
        self.ui.foldTable.setHorizontalHeaderLabels(list(columns))
        for column, own in enumerate(columns.values()):
            for row, text in enumerate(own):
                self.ui.foldTable.setItem(row, column, qt.QTableWidgetItem("" if text == "nan" else text))

    def _table(self):
        parameters = self._host.parameters
        colon = parameters.colon if parameters else None
        return colon.GetNodeReference(TABLE_REFERENCE) if colon else None

    def _lumenFound(self, run) -> None:
        self._host.parameters.surface = run.surfaceNode

    def _foldsLabelled(self, run) -> None:
        self._host.parameters.colon = run.colonNode
