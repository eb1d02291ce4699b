"""The endoscope in 3D: a camera that looks from where the selected frame was taken."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import slicer
import vtk

from FaithfulImagingLib.geometry import RAS_TO_LPS

from .frames import DATASET_ATTRIBUTE, cameras

CAMERA_REFERENCE = "FaithfulImaging.endoscope"
MARKER = "Endoscope"
COLON_REFERENCE = "FaithfulImaging.filmedColon"
FOCUS = 20.0  # mm in front of the lens


@dataclass(frozen=True)
class View:
    """Where a camera is and what it sees; RAS of the world, mm, degrees.

    Attributes
    ----------
    position, focus, up : (3,) arrays
    angle : float
        Across the frame's height.
    """

    position: np.ndarray
    focus: np.ndarray
    up: np.ndarray
    angle: float


def viewOfFrame(said: dict, index: int, toWorld: np.ndarray | None = None) -> View:
    """The view of a frame.

    Parameters
    ----------
    said : dict
        Of ``cameras.json``.
    index : int
    toWorld : (4, 4) array, optional
        Where the colon that was filmed lies now: its own RAS to the world's.
    """
    pose = RAS_TO_LPS @ np.array(said["frames"][index]["camera_to_world"])
    pose = pose if toWorld is None else toWorld @ pose
    ahead, down = (pose[:3, k] / np.linalg.norm(pose[:3, k]) for k in (2, 1))
    camera = said["camera"]
    angle = math.degrees(2 * math.atan(camera["height"] / 2 / camera["fy"]))
    return View(pose[:3, 3], pose[:3, 3] + FOCUS * ahead, -down, angle)


def applyView(cameraNode, view: View) -> None:
    """Look from there."""
    wasModifying = cameraNode.StartModify()
    cameraNode.SetPosition(*view.position)
    cameraNode.SetFocalPoint(*view.focus)
    cameraNode.SetViewUp(*view.up)
    cameraNode.SetViewAngle(view.angle)
    camera = cameraNode.GetCamera()
    camera.SetClippingRange(0.5, 400)
    cameraNode.EndModify(wasModifying)


def cameraOf(node):
    """The camera that belongs to a path or to frames; made where there is none yet."""
    camera = node.GetNodeReference(CAMERA_REFERENCE)
    if camera is None:
        camera = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLCameraNode", f"{node.GetName()} endoscope")
        node.SetNodeReferenceID(CAMERA_REFERENCE, camera.GetID())
    return camera


def showMarker(view: View) -> None:
    """Show in 3D where the endoscope is and where it looks: a line that is seen through the wall."""
    line = slicer.mrmlScene.GetFirstNode(MARKER, "vtkMRMLMarkupsLineNode")
    if line is None:
        line = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsLineNode", MARKER)
        line.SetLocked(True)
        line.SetSaveWithScene(False)
        line.CreateDefaultDisplayNodes()
        display = line.GetDisplayNode()
        if display:
            display.SetSaveWithScene(False)
            display.SetOccludedVisibility(True)
            display.SetOccludedOpacity(0.8)
            display.SetSelectedColor(1.0, 0.8, 0.1)
            display.SetPropertiesLabelVisibility(False)
    points = vtk.vtkPoints()
    for place in (view.position, view.focus):
        points.InsertNextPoint(*place)
    line.SetControlPointPositionsWorld(points)


class Endoscope:
    """Keeps a camera, and a marker, at the selected frame of a browser.

    Attributes
    ----------
    camera : vtkMRMLCameraNode
    """

    def __init__(self, browser, colonNode=None) -> None:
        self._browser, self._colon = browser, colonNode
        self._said = cameras(Path(browser.GetAttribute(DATASET_ATTRIBUTE)))
        self.camera = cameraOf(browser)
        if colonNode:
            browser.SetNodeReferenceID(COLON_REFERENCE, colonNode.GetID())
        self._tags = [(browser, browser.AddObserver(vtk.vtkCommand.ModifiedEvent, self._follow))]
        if colonNode:
            event = slicer.vtkMRMLTransformableNode.TransformModifiedEvent
            self._tags.append((colonNode, colonNode.AddObserver(event, self._follow)))
        self._follow()

    def stop(self) -> None:
        """Follow no longer."""
        for node, tag in self._tags:
            node.RemoveObserver(tag)
        self._tags = []

    def _follow(self, caller=None, event=None) -> None:
        index = self._browser.GetSelectedItemNumber()
        if 0 <= index < len(self._said["frames"]) and self.camera.GetScene():
            view = viewOfFrame(self._said, index, _toWorld(self._colon))
            applyView(self.camera, view)
            showMarker(view)


def _toWorld(node) -> np.ndarray | None:
    parent = node.GetParentTransformNode() if node else None
    if parent is None:
        return None
    matrix = vtk.vtkMatrix4x4()
    parent.GetMatrixTransformToWorld(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)
