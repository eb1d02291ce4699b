"""Hand frames over to training: copied into two folders of equally named datasets, with the command that trains."""

import shutil
from pathlib import Path

from slicer.i18n import tr as _

from inference_core.errors import UserError

from .steps import FolderRun

COMMAND_FILE = "train.txt"


class ExportRun(FolderRun):
    """Copy a dataset and its translation.

    Attributes
    ----------
    folder : Path
        With ``simulated`` and ``translated``.
    command : str
        That trains a segmenter on it.
    """

    def __init__(self, dataset: Path, translated: Path, folder: Path, browser, python: str) -> None:
        self.folder, self.command = folder, trainCommand(folder)
        self._copies = {
            dataset: folder / "simulated" / dataset.name,
            translated: folder / "translated" / dataset.name,  # twins are found by their names
        }
        super().__init__({}, python, [browser])

    def _work(self, task) -> dict:
        try:
            files = [  # all of them before the first copy, which may lie in one of the folders
                (path, copy / path.relative_to(source))
                for source, copy in self._copies.items()
                for path in sorted(source.rglob("*"))
                if path.is_file()
            ]
            for path, target in files:
                if task.cancelled:
                    return {}
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, target)
            (self.folder / COMMAND_FILE).write_text(self.command + "\n", encoding="utf-8")
        except OSError as error:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise UserError(
                "not-written",
                _("The training set could not be written: {error}.").format(error=error),
                _("Choose a folder that can be written to and has space."),
            ) from error
        return {"folder": str(self.folder), "command": self.command}

    def _doneText(self, report: dict) -> str:
        return _("Exported to {folder}. To train on it: {command}").format(**report)


def trainCommand(folder: Path) -> str:
    """The command that trains a segmenter on an exported folder."""
    simulated, translated, out = (f'"{folder / name}"' for name in ("simulated", "translated", "segmenter"))
    return f"inference-core train segmenter --config segmenter --data {simulated} {translated} out={out}"
