"""The panel's sections with the networks: frames translated, folds segmented, training sets exported."""

from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

from .film import FilmLoader
from .frames import DATASET_ATTRIBUTE, FOUND, TRANSLATED, FramesLoader, folderOf, sequenceOf
from .logic import SEGMENT, TRANSLATE, datasetOf

VIDEOS = "*.mp4 *.mov *.avi *.mkv *.mpg *.webm"


class ModelsPanel:
    """The models that are there, and what is done with them."""

    def __init__(self, ui, host) -> None:
        self.ui, self._host = ui, host
        self._cards: dict = {}
        self._boxes = {
            "translator": (ui.translatorComboBox, TRANSLATE), "segmenter": (ui.segmenterComboBox, SEGMENT),
        }  # fmt: skip
        self.fill()
        ui.translatorComboBox.connect("currentIndexChanged(int)", lambda index: self._chosen("translator", index))
        ui.segmenterComboBox.connect("currentIndexChanged(int)", lambda index: self._chosen("segmenter", index))
        for button, action in (
            (ui.translateButton, self.onTranslate), (ui.segmentButton, self.onSegment),
            (ui.segmentFileButton, self.onSegmentVideo), (ui.segmentFolderButton, self.onSegmentFolder),
            (ui.exportButton, self.onExport),
        ):  # fmt: skip
            button.connect("clicked(bool)", action)

    def fill(self) -> None:
        """List the models anew: some may have come into the model folder."""
        for field, (box, task) in self._boxes.items():
            self._cards[field] = []  # while the box is filled, it chooses nothing
            cards = self._host.logic.models(task)
            box.clear()
            for card in cards:
                box.addItem(f"{card.id}: {card.summary}")
            self._cards[field] = cards

    def onTranslate(self) -> None:
        """Begin to translate the frames."""
        self._host.begin(
            lambda parameters: self._host.logic.translate(parameters.frames, parameters.translator), self._translated
        )

    def onSegment(self) -> None:
        """Begin to mark folds in the frames that are shown: the translated ones where there are some."""

        def begin(parameters):
            folder = folderOf(sequenceOf(parameters.frames, TRANSLATED)) or datasetOf(parameters.frames)
            self._host.logic.segment(folder, parameters.segmenter, [parameters.frames])

        self._host.begin(begin, self._segmented)

    def onSegmentVideo(self) -> None:
        """Ask for a video, and begin to mark folds in it."""
        kinds = _("Videos ({kinds})").format(kinds=VIDEOS)
        path = qt.QFileDialog.getOpenFileName(slicer.util.mainWindow(), _("Video"), "", kinds)
        if path:
            self.segmentFilm(Path(path))

    def onSegmentFolder(self) -> None:
        """Ask for a folder of real frames, and begin to mark folds in them."""
        path = qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), _("Folder of real frames"))
        if path:
            self.segmentFilm(Path(path))

    def segmentFilm(self, film: Path) -> None:
        """Begin to mark folds in a video or a folder of pictures; both are then loaded."""
        self._host.begin(
            lambda parameters: self._host.logic.segment(film, parameters.segmenter, []), self._filmSegmented
        )

    def onExport(self) -> None:
        """Ask for a folder, and begin to export a training set into it."""
        path = qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), _("Where to put the training set"))
        if path:
            self.export(Path(path))

    def export(self, folder: Path) -> None:
        """Begin to export frames and translation; the command that trains is shown at the end."""
        self._host.begin(lambda parameters: self._host.logic.exportTraining(parameters.frames, folder), self._exported)

    def show(self, parameters, free: bool) -> None:
        """Show the chosen models, and what can be done."""
        for field, (box, _task) in self._boxes.items():
            self._choose(parameters, field, box)
        dataset = free and bool(parameters.frames and parameters.frames.GetAttribute(DATASET_ATTRIBUTE))
        self.ui.translateButton.enabled = self.ui.segmentButton.enabled = dataset
        self.ui.exportButton.enabled = bool(dataset and sequenceOf(parameters.frames, TRANSLATED))
        self.ui.segmentFileButton.enabled = self.ui.segmentFolderButton.enabled = free

    def _choose(self, parameters, field: str, box) -> None:
        ids = [card.id for card in self._cards[field]]
        if not ids:
            return
        if getattr(parameters, field) not in ids:  # a scene made where there were other models
            setattr(parameters, field, ids[0])
        index = ids.index(getattr(parameters, field))
        box.setCurrentIndex(index)
        box.toolTip = self._cards[field][index].summary

    def _chosen(self, field: str, index: int) -> None:
        cards = self._cards[field]
        if self._host.parameters and 0 <= index < len(cards):
            setattr(self._host.parameters, field, cards[index].id)

    def _translated(self, run) -> None:
        self.ui.translateLabel.text = run.status
        self._host.framesPanel.load(lambda: FramesLoader(run.folder, TRANSLATED, run.browser))

    def _segmented(self, run) -> None:
        self.ui.segmentLabel.text = run.status
        self._host.framesPanel.load(lambda: FramesLoader(run.folder, FOUND, run.browser))

    def _filmSegmented(self, run) -> None:
        said = _("{status} Masks, tables and the overlay: {folder}")
        self.ui.segmentLabel.text = said.format(status=run.status, folder=run.folder)
        self._host.framesPanel.load(lambda: FilmLoader(run.frames, run.folder, run.report["frames"]))

    def _exported(self, run) -> None:
        self.ui.exportLabel.text = run.status
