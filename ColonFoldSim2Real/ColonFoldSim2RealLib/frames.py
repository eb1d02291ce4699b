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
FOLDER_ATTRIBUTE = "FaithfulImaging.folder"  # where a sequence's pictures lie
FRAMES, DEPTH, FOLDS, TRANSLATED, FOUND = "frames", "depth", "folds", "translated", "found folds"
COMPARED = "compared folds"  # found ones in the colours of the true ones that they match
CLASSES = {FRAMES: "vtkMRMLVectorVolumeNode", TRANSLATED: "vtkMRMLVectorVolumeNode", DEPTH: "vtkMRMLScalarVolumeNode",
           FOLDS: "vtkMRMLLabelMapVolumeNode", FOUND: "vtkMRMLLabelMapVolumeNode",
           COMPARED: "vtkMRMLLabelMapVolumeNode"}  # fmt: skip
FOLDERS = {FRAMES: "rgb", DEPTH: "depth", FOLDS: "instances", TRANSLATED: "rgb", FOUND: "instances"}
IJK_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
LEAST_STEP = 0.001  # s between two frames; times are written so
A_TICK = 8  # frames that are read in one look; some 30 ms


class Loader:
    """Brings pictures into a browser, some at a look, so that the application stays alive.

    Parameters
    ----------
    name : str
        Of the sequence and, where it is new, of the browser.
    kind : str
        One of the kinds above.
    times : list of float
        Seconds, one a picture.
    browser : vtkMRMLSequenceBrowserNode, optional
        To join; by default a new one is made.
    attributes : dict of str, optional
        Of a new browser.

    Attributes
    ----------
    running : bool
    fraction : float
    kind : str
    sequence : vtkMRMLSequenceNode or None
    browser : vtkMRMLSequenceBrowserNode or None
        With all of the pictures, at the end; None where it was cancelled.
    """

    def __init__(self, name: str, kind: str, times: list[float], browser=None, attributes=None) -> None:
        self.running, self.fraction, self.browser = True, 0.0, None
        self.kind, self._name, self._times, self._joined = kind, name, rising(times), browser
        self._done = 0
        self._attributes = attributes or {}
        self.sequence = slicer.mrmlScene.CreateNodeByClass("vtkMRMLSequenceNode")
        self.sequence.UnRegister(None)
        self.sequence.SetName(slicer.mrmlScene.GenerateUniqueName(f"{name} {kind}"))
        self.sequence.SetIndexName("time")
        self.sequence.SetIndexUnit("s")
        self.sequence.SetNumericIndexValueTolerance(LEAST_STEP / 10)
        self.sequence.SetAttribute(KIND_ATTRIBUTE, kind)

    def poll(self) -> None:
        """Bring some more; at the end put them into the scene."""
        if not self.running:
            return
        if self._joined and self._joined.GetScene() is None:  # taken away meanwhile
            self.cancel()
            return
        begun = self._done
        for index in range(begun, min(begun + A_TICK, len(self._times))):
            node = slicer.mrmlScene.CreateNodeByClass(CLASSES[self.kind])
            node.UnRegister(None)
            node.SetName(self.kind)
            setPicture(node, self._picture(index))
            self.sequence.SetDataNodeAtValue(node, timeText(self._times[index]))
        self._done = min(begun + A_TICK, len(self._times))
        self.fraction = self._done / len(self._times)
        if self._done == len(self._times):
            self.running = False
            self._finish()

    def cancel(self) -> None:
        """Stop; nothing of it comes into the scene."""
        self.running = False
        self.sequence = None

    def _picture(self, index: int) -> np.ndarray:
        raise NotImplementedError

    def _finish(self) -> None:
        if getattr(self, "folder", None):
            self.sequence.SetAttribute(FOLDER_ATTRIBUTE, str(self.folder))
        slicer.mrmlScene.AddNode(self.sequence)
        browser = self._joined
        if browser is None:
            browser = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", self._name)
            for name, value in self._attributes.items():
                browser.SetAttribute(name, value)
        removeSequence(browser, self.kind)
        browser.AddSynchronizedSequenceNode(self.sequence)
        slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
        _showColors(browser.GetProxyNode(self.sequence), self.kind)
        self.browser = browser


class FramesLoader(Loader):
    """Reads the pictures of a kind from the folder of a dataset, of a translated one, or of segment-folds.

    Attributes
    ----------
    folder : Path
    """

    def __init__(self, folder: Path, kind: str, browser=None) -> None:
        self.folder = folder
        self._files = pictureFiles(folder / FOLDERS[kind])
        times = [float(text) for text in timesOf(browser)] if browser else frameTimes(folder)
        if len(self._files) != len(times):
            raise UserError(
                "other-frames",
                _("{folder} has {count} frames, not {expected}.").format(
                    folder=folder, count=len(self._files), expected=len(times)
                ),
                _("Choose the folder that was made from these frames, and finish the step that makes it."),
            )
        super().__init__(folder.name, kind, times, browser, {DATASET_ATTRIBUTE: str(folder)})

    def _picture(self, index: int) -> np.ndarray:
        return readPicture(self._files[index], self.kind)


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
        said = json.loads((folder / "cameras.json").read_text(encoding="utf-8"))
        for frame in said["frames"]:
            float(frame["time_s"])
            np.array(frame["camera_to_world"], float).reshape(4, 4)
        return said
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(
            "no-dataset",
            _("{folder} is no dataset of frames: cameras.json cannot be read.").format(folder=folder),
            _("Choose a folder that Make frames or Translate wrote."),
        ) from error


def rising(times: list[float]) -> list[float]:
    """Times of which each lies after the one before: some videos repeat a stamp, and a sequence holds each once."""
    made: list[float] = []
    for time in times:
        made.append(round(max(time, made[-1] + LEAST_STEP) if made else time, 3))  # as they are written
    return made


def timeText(seconds: float) -> str:
    """As it stands in the sequences; the same for all kinds, so that they stay in step."""
    return f"{seconds:.3f}"


def timesOf(browser) -> list[str]:
    """The times of a browser's frames."""
    master = browser.GetMasterSequenceNode()
    if master is None:
        return []
    return [master.GetNthIndexValue(k) for k in range(master.GetNumberOfDataNodes())]


def sequenceOf(browser, kind: str):
    """A browser's sequence of a kind; None where it has none."""
    if browser is None:
        return None
    nodes = vtk.vtkCollection()
    browser.GetSynchronizedSequenceNodes(nodes, True)
    every = [nodes.GetItemAsObject(k) for k in range(nodes.GetNumberOfItems())]
    return next((node for node in every if node.GetAttribute(KIND_ATTRIBUTE) == kind), None)


def removeSequence(browser, kind: str) -> None:
    """Take a browser's sequence of a kind, and the volume that shows it, out of the scene."""
    sequence = sequenceOf(browser, kind)
    if sequence:
        proxy = browser.GetProxyNode(sequence)
        browser.RemoveSynchronizedSequenceNode(sequence.GetID())
        for node in (proxy, sequence):
            if node:
                slicer.mrmlScene.RemoveNode(node)


def folderOf(node, attribute: str = FOLDER_ATTRIBUTE) -> Path | None:
    """The folder that a sequence or a browser names and that is there; None where there is none."""
    text = node.GetAttribute(attribute) if node else None
    return Path(text) if text and Path(text).is_dir() else None


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
    return pixels.astype(np.int16) if kind in (FOLDS, FOUND, COMPARED) else pixels


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
    if display and kind in (FOLDS, FOUND, COMPARED):
        display.SetAndObserveColorNodeID(foldColors(wall=False).GetID())
