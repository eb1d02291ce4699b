"""A dataset of labelled frames in the scene: one sequence browser, all kinds of pictures in step.

Frames are volumes of one slice whose pixels are 1 mm: their first row is on top and their first column on the left in
an axial view. The browser's time is that of the frames.
"""

import json
from pathlib import Path

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _

from inference_core.errors import UserError

from .fold_colors import foldColors

DATASET_ATTRIBUTE = "FaithfulImaging.dataset"
KIND_ATTRIBUTE = "FaithfulImaging.kind"
FRAMES, DEPTH, FOLDS, TRANSLATED, FOUND = "frames", "depth", "folds", "translated", "found folds"
CLASSES = {FRAMES: "vtkMRMLVectorVolumeNode", TRANSLATED: "vtkMRMLVectorVolumeNode", DEPTH: "vtkMRMLScalarVolumeNode",
           FOLDS: "vtkMRMLLabelMapVolumeNode", FOUND: "vtkMRMLLabelMapVolumeNode"}  # fmt: skip
FOLDERS = {FRAMES: "rgb", DEPTH: "depth", FOLDS: "instances", TRANSLATED: "rgb", FOUND: "instances"}
IJK_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
A_TICK = 8  # frames that are read in one look; some 30 ms


class FramesLoader:
    """Reads a folder of pictures into a browser, some frames at a look, so that the application stays alive.

    Parameters
    ----------
    folder : Path
        Of a dataset, of a translated one, or what segment-folds wrote.
    kind : str
        One of the kinds above.
    browser : vtkMRMLSequenceBrowserNode, optional
        To join; by default a new one is made, where the kind is ``frames``.

    Attributes
    ----------
    running : bool
    fraction : float
    kind : str
    folder : Path
    sequence : vtkMRMLSequenceNode or None
    browser : vtkMRMLSequenceBrowserNode or None
        With all of the frames, at the end; None where it was cancelled.
    """

    def __init__(self, folder: Path, kind: str, browser=None) -> None:
        self.running, self.fraction, self.browser = True, 0.0, None
        self.kind, self.folder, self._joined = kind, folder, browser
        self._files = pictureFiles(folder / FOLDERS[kind])
        self._times = [float(text) for text in timesOf(browser)] if browser else frameTimes(folder)
        if len(self._files) != len(self._times):
            raise UserError(
                "other-frames",
                _("{folder} has {count} frames, not {expected}.").format(
                    folder=folder, count=len(self._files), expected=len(self._times)
                ),
                _("Choose the folder that was made from these frames, and finish the step that makes it."),
            )
        self.sequence = slicer.mrmlScene.CreateNodeByClass("vtkMRMLSequenceNode")
        self.sequence.UnRegister(None)
        self.sequence.SetName(slicer.mrmlScene.GenerateUniqueName(f"{folder.name} {kind}"))
        self.sequence.SetIndexName("time")
        self.sequence.SetIndexUnit("s")
        self.sequence.SetAttribute(KIND_ATTRIBUTE, kind)

    def poll(self) -> None:
        """Read some more frames; at the end put them into the scene."""
        if not self.running:
            return
        begun = self.sequence.GetNumberOfDataNodes()
        for index in range(begun, min(begun + A_TICK, len(self._files))):
            node = slicer.mrmlScene.CreateNodeByClass(CLASSES[self.kind])
            node.UnRegister(None)
            node.SetName(self.kind)
            setPicture(node, readPicture(self._files[index], self.kind))
            self.sequence.SetDataNodeAtValue(node, timeText(self._times[index]))
        done = self.sequence.GetNumberOfDataNodes()
        self.fraction = done / len(self._files)
        if done == len(self._files):
            self.running = False
            self._finish()

    def cancel(self) -> None:
        """Stop; nothing of it comes into the scene."""
        self.running = False
        self.sequence = None

    def _finish(self) -> None:
        slicer.mrmlScene.AddNode(self.sequence)
        browser = self._joined
        if browser is None:
            browser = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", f"{self.folder.name}")
            browser.SetAttribute(DATASET_ATTRIBUTE, str(self.folder))
        browser.AddSynchronizedSequenceNode(self.sequence)
        slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
        _showColors(browser.GetProxyNode(self.sequence), self.kind)
        self.browser = browser


def pictureFiles(folder: Path) -> list[Path]:
    """The numbered pictures of a folder.

    Raises
    ------
    UserError
        ``no-frames``.
    """
    files = sorted(folder.glob("[0-9]*.png")) if folder.is_dir() else []
    if not files:
        raise UserError(
            "no-frames",
            _("{folder} holds no frames.").format(folder=folder),
            _("Choose a folder that Make frames, Translate or Segment wrote."),
        )
    return files


def frameTimes(folder: Path) -> list[float]:
    """Seconds of each frame of a dataset.

    Raises
    ------
    UserError
        ``no-dataset``.
    """
    return [frame["time_s"] for frame in cameras(folder)["frames"]]


def cameras(folder: Path) -> dict:
    """What ``cameras.json`` of a dataset says.

    Raises
    ------
    UserError
        ``no-dataset``.
    """
    try:
        return json.loads((folder / "cameras.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(
            "no-dataset",
            _("{folder} is no dataset of frames: cameras.json cannot be read.").format(folder=folder),
            _("Choose a folder that Make frames or Translate wrote."),
        ) from error


def timeText(seconds: float) -> str:
    """As it stands in the sequences; the same for all kinds, so that they stay in step."""
    return f"{seconds:.3f}"


def timesOf(browser) -> list[str]:
    """The times of a browser's frames."""
    master = browser.GetMasterSequenceNode()
    return [master.GetNthIndexValue(k) for k in range(master.GetNumberOfDataNodes())]


def sequenceOf(browser, kind: str):
    """A browser's sequence of a kind; None where it has none."""
    if browser is None:
        return None
    nodes = vtk.vtkCollection()
    browser.GetSynchronizedSequenceNodes(nodes, True)
    every = [nodes.GetItemAsObject(k) for k in range(nodes.GetNumberOfItems())]
    return next((node for node in every if node.GetAttribute(KIND_ATTRIBUTE) == kind), None)


def shown(browser, kind: str):
    """The volume that shows the selected frame; None where there is none."""
    sequence = sequenceOf(browser, kind)
    return browser.GetProxyNode(sequence) if sequence else None


def datasetBrowsers() -> list:
    """The scene's browsers of datasets."""
    return [
        node
        for node in slicer.util.getNodesByClass("vtkMRMLSequenceBrowserNode")
        if node.GetAttribute(DATASET_ATTRIBUTE)
    ]


def readPicture(path: Path, kind: str) -> np.ndarray:
    """Pixels as they are to be in the scene: colours (H, W, 3) uint8, depth (H, W) float32 mm, folds (H, W) int16."""
    from PIL import Image

    from inference_core.simulation.colon.dataset.dataset import DEPTH_STEPS

    try:
        with Image.open(path) as picture:
            pixels = np.array(picture)
    except (OSError, SyntaxError, ValueError) as error:
        raise UserError(
            "bad-frame", _("{path} cannot be read.").format(path=path), _("Make the frames again.")
        ) from error
    if kind == DEPTH:
        return pixels.astype(np.float32) / DEPTH_STEPS
    return pixels.astype(np.int16) if kind in (FOLDS, FOUND) else pixels


def setPicture(node, pixels: np.ndarray) -> None:
    """Make a picture the content of a volume node of one slice."""
    slicer.util.updateVolumeFromArray(node, np.ascontiguousarray(pixels[None]))
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(IJK_TO_RAS))


def _showColors(node, kind: str) -> None:
    if node is None:
        return
    if not node.GetDisplayNode():
        node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    if display and kind in (FOLDS, FOUND):
        display.SetAndObserveColorNodeID(foldColors(wall=False).GetID())
