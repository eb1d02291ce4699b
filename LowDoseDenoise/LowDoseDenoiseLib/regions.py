"""What can be measured: Markups ROIs (box or inscribed ellipsoid), closed curves in a slice, segments.

A voxel belongs to a region when its centre, in world coordinates, lies in it: the volume's and the region's parent
transforms count, as long as they are linear.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _
from vtk.util import numpy_support

from FaithfulImagingLib.geometry import nodeToWorld
from inference_core.errors import UserError
from inference_core.image.volume import Volume
from inference_core.measurement.polygon import pixels_in_polygon
from inference_core.measurement.roi import Box, Sphere, voxels_inside

KINDS = ("vtkMRMLMarkupsROINode", "vtkMRMLMarkupsClosedCurveNode", "vtkMRMLSegmentationNode")
LABELMAP = "Binary labelmap"
OUT_OF_SLICE = 1.0  # voxels by which the points of a curve may lie apart across its slice


@dataclass(frozen=True)
class Region:
    """A region for a background thread: it holds no node.

    Attributes
    ----------
    name : str
    find : callable
        ``find(shape)`` gives the block of a volume of that shape (slices, rows, columns) that encloses the region, and
        which voxels of the block are in it.
    state : tuple
        Equal as long as the region is the same.
    """

    name: str
    find: Callable
    state: tuple = ()


def visibleRegionNodes() -> list:
    """Every visible node in the scene that holds a region; ROIs and curves that are not placed yet do not."""
    nodes = [node for kind in KINDS for node in slicer.util.getNodesByClass(kind)]
    return [node for node in nodes if isPlaced(node) and node.GetDisplayVisibility()]


def isPlaced(node) -> bool:
    """Whether a node holds a region."""
    if node.IsA("vtkMRMLMarkupsROINode"):
        return min(node.GetSize()) > 0
    if node.IsA("vtkMRMLMarkupsClosedCurveNode"):
        return node.GetNumberOfDefinedControlPoints() >= 3
    return node.IsA("vtkMRMLSegmentationNode") and node.GetSegmentation().GetNumberOfSegments() > 0


def regionsOf(node, indexToWorld: np.ndarray, shape: str) -> list[Region]:
    """The regions of a node: one, or one a visible segment.

    Parameters
    ----------
    node : vtkMRMLMarkupsROINode, vtkMRMLMarkupsClosedCurveNode or vtkMRMLSegmentationNode
    indexToWorld : (4, 4) array
        Of the volume to measure (:func:`.geometry.indexToWorld`).
    shape : str
        What of a Markups ROI counts: ``"box"`` or ``"ellipsoid"``.

    Raises
    ------
    UserError
        ``nonlinear-transform``, ``inside-out``, ``curve-not-in-slice`` or ``no-labelmap``.
    """
    if node.IsA("vtkMRMLSegmentationNode"):
        found = _segments(node, indexToWorld)
    elif node.IsA("vtkMRMLMarkupsClosedCurveNode"):
        found = [_curve(node, indexToWorld)]
    else:
        toHalves = _worldToHalves(node) @ indexToWorld
        found = [Region(node.GetName(), lambda size: _inHalves(toHalves, shape == "ellipsoid", size))]
    state = (node.GetID(), regionTime(node), shape)
    return [replace(region, state=(*state, number)) for number, region in enumerate(found)]


def regionTime(node) -> tuple:
    """Changes whenever the regions of a node may have changed."""
    transform = node.GetParentTransformNode()
    times: list = [node.GetMTime(), transform.GetTransformToWorldMTime() if transform else 0]
    if node.IsA("vtkMRMLMarkupsClosedCurveNode"):
        times.append(slicer.util.arrayFromMarkupsControlPoints(node).tobytes())  # they do not change the node's time
    if node.IsA("vtkMRMLSegmentationNode"):
        display, segmentation = node.GetDisplayNode(), node.GetSegmentation()
        for name in segmentation.GetSegmentIDs():
            segment = segmentation.GetSegment(name)
            image = segment.GetRepresentation(LABELMAP)
            shown = bool(display and display.GetSegmentVisibility(name))  # it does not change the display's time
            times += [shown, segment.GetMTime(), image.GetMTime() if image else 0]
    return tuple(times)


def _worldToHalves(roi) -> np.ndarray:
    if roi.GetInsideOut():
        raise UserError(
            "inside-out",
            _("{name} is inside out: it means all that lies outside of it.").format(name=roi.GetName()),
            _("Untick 'Inside out' in the Markups module."),
        )
    nodeToWorld(roi)  # refuses what is not linear
    objectToWorld = slicer.util.arrayFromVTKMatrix(roi.GetObjectToWorldMatrix())
    toHalves = np.diag([*(2 / np.array(roi.GetSize())), 1.0])
    return toHalves @ np.linalg.inv(objectToWorld)


def _inHalves(indexToHalves: np.ndarray, ellipsoid: bool, size: tuple) -> tuple:
    """``indexToHalves``: from a voxel index to where it lies from the ROI's centre, in half sides of the ROI."""
    axes = indexToHalves[:3, :3]
    lengths = np.linalg.norm(axes, axis=0)
    grid = Volume(
        voxels=np.broadcast_to(np.int16(0), size),  # only its size counts
        spacing=tuple(lengths),
        origin=tuple(indexToHalves[:3, 3]),
        direction=tuple((axes / lengths).ravel()),
    )
    centre = np.zeros(3)
    return voxels_inside(grid, Sphere("", centre, 1.0) if ellipsoid else Box("", centre, np.full(3, 2.0), np.eye(3)))


def _curve(curve, indexToWorld: np.ndarray) -> Region:
    nodeToWorld(curve)  # refuses what is not linear
    points = vtk.vtkPoints()
    points.DeepCopy(curve.GetCurvePointsWorld())
    world = numpy_support.vtk_to_numpy(points.GetData()).astype(float)
    index = world @ np.linalg.inv(indexToWorld)[:3, :3].T + np.linalg.inv(indexToWorld)[:3, 3]
    index = index[:, ::-1]  # slice, row, column
    axis = int(np.argmin(np.ptp(index, axis=0)))
    if np.ptp(index[:, axis]) > OUT_OF_SLICE:
        raise UserError(
            "curve-not-in-slice",
            _("{name} does not lie in one slice of the volume.").format(name=curve.GetName()),
            _("Turn the slice view to the volume's plane (Rotate to volume plane) and draw it there again."),
        )
    return Region(curve.GetName(), lambda size: _inCurve(index, axis, size))


def _inCurve(index: np.ndarray, axis: int, size: tuple) -> tuple:
    place = int(np.floor(index[:, axis].mean() + 0.5))
    across = [other for other in range(3) if other != axis]
    inside = pixels_in_polygon(index[:, across], (size[across[0]], size[across[1]]))
    if not 0 <= place < size[axis] or not inside.any():
        return (slice(0, 0),) * 3, np.zeros((0, 0, 0), bool)
    inside = np.expand_dims(inside, axis)
    block = [_span(inside.any(axis=tuple(other for other in range(3) if other != along))) for along in range(3)]
    inside = inside[tuple(block)]
    block[axis] = slice(place, place + 1)
    return tuple(block), inside


def _segments(node, indexToWorld: np.ndarray) -> list[Region]:
    toWorld = nodeToWorld(node)
    segmentation, display = node.GetSegmentation(), node.GetDisplayNode()
    if not segmentation.ContainsRepresentation(LABELMAP):
        raise UserError(
            "no-labelmap",
            _("{name} has no binary labelmap, only surfaces.").format(name=node.GetName()),
            _("Create the binary labelmap representation in the Segmentations module."),
        )
    regions = []
    for name in segmentation.GetSegmentIDs():
        if display and not display.GetSegmentVisibility(name):
            continue
        segment = segmentation.GetSegment(name)
        image = segment.GetRepresentation(LABELMAP)
        first = np.array(image.GetExtent()[::2])
        scalars = image.GetPointData().GetScalars()
        if scalars is None or min(image.GetDimensions()) < 1:
            regions.append(Region(segment.GetName(), lambda size: ((slice(0, 0),) * 3, np.zeros((0, 0, 0), bool))))
            continue
        labels = numpy_support.vtk_to_numpy(scalars).reshape(image.GetDimensions()[::-1])
        matrix = vtk.vtkMatrix4x4()
        image.GetImageToWorldMatrix(matrix)
        toLabel = np.linalg.inv(toWorld @ slicer.util.arrayFromVTKMatrix(matrix)) @ indexToWorld
        toLabel[:3, 3] -= first
        value = segment.GetLabelValue()
        regions.append(Region(segment.GetName(), lambda size, a=labels, v=value, m=toLabel: _inLabels(a, v, m, size)))
    return regions


def _inLabels(labels: np.ndarray, value: int, toLabel: np.ndarray, size: tuple) -> tuple:
    """Voxels whose centre lies in a voxel of a label map that has the value."""
    own = labels == value
    if not own.any():
        return (slice(0, 0),) * 3, np.zeros((0, 0, 0), bool)
    spans = [_span(own.any(axis=tuple(other for other in range(3) if other != axis))) for axis in range(3)]
    corners = np.array(np.meshgrid(*[(span.start - 0.5, span.stop - 0.5) for span in spans[::-1]])).reshape(3, -1)
    toVolume = np.linalg.inv(toLabel)
    reach = toVolume[:3, :3] @ corners + toVolume[:3, 3:]  # columns, rows, slices
    limits = np.array(size[::-1])
    low = np.clip(np.floor(reach.min(axis=1)), 0, limits).astype(int)
    high = np.clip(np.ceil(reach.max(axis=1)) + 1, low, limits).astype(int)
    block = tuple(slice(int(one), int(two)) for one, two in zip(low[::-1], high[::-1], strict=True))
    rows, columns = (np.arange(part.start, part.stop) for part in block[1:])
    inside = np.zeros([part.stop - part.start for part in block], bool)
    for plane, index in zip(inside, range(block[0].start, block[0].stop), strict=True):
        at = [
            np.floor(
                (toLabel[axis, 3] + 0.5 + toLabel[axis, 2] * index + toLabel[axis, 1] * rows)[:, None]
                + toLabel[axis, 0] * columns
                + 1e-6  # a centre on the border of two label voxels must not be lost to rounding
            ).astype(int)
            for axis in range(3)
        ]
        there = np.all([(one >= 0) & (one < count) for one, count in zip(at, own.shape[::-1], strict=True)], axis=0)
        plane[there] = own[at[2][there], at[1][there], at[0][there]]
    return block, inside


def _span(there: np.ndarray) -> slice:
    """The range from the first to the last that is set."""
    where = np.flatnonzero(there)
    return slice(int(where[0]), int(where[-1]) + 1)
