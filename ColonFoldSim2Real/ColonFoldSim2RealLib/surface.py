"""Colon surfaces between the scene (RAS, transforms) and files for the worker (LPS, none)."""

from pathlib import Path

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _
from vtk.util import numpy_support

from inference_core.errors import UserError


def surfaceOf(node) -> vtk.vtkPolyData | None:
    """The surface of a model, or of the segments of a segmentation that are shown; as the node has it."""
    if node is None or not node.IsA("vtkMRMLSegmentationNode"):
        return node.GetPolyData() if node else None
    node.CreateClosedSurfaceRepresentation()
    segments, display = node.GetSegmentation(), node.GetDisplayNode()
    merged = vtk.vtkAppendPolyData()
    for name in (segments.GetNthSegmentID(k) for k in range(segments.GetNumberOfSegments())):
        surface = vtk.vtkPolyData()
        if (display is None or display.GetSegmentVisibility(name)) and node.GetClosedSurfaceRepresentation(
            name, surface
        ):
            merged.AddInputData(surface)
    if merged.GetNumberOfInputConnections(0) == 0:
        return None
    triangles = vtk.vtkTriangleFilter()
    triangles.SetInputConnection(merged.GetOutputPort())
    triangles.Update()
    return triangles.GetOutput()


def worldSurface(modelNode) -> vtk.vtkPolyData:
    """The surface of a model or segmentation in the world's RAS, its transforms applied; the node stays as it is.

    Raises
    ------
    UserError
        ``no-surface``.
    """
    surface = surfaceOf(modelNode)
    if surface is None or surface.GetNumberOfPolys() == 0:
        name = modelNode.GetName() if modelNode else ""
        raise UserError(
            "no-surface",
            _("{name} has no surface.").format(name=name),
            _("Load a colon's surface, or segment its lumen and let the segment be shown."),
        )
    toWorld = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(modelNode.GetParentTransformNode(), None, toWorld)
    moved = vtk.vtkTransformPolyDataFilter()
    moved.SetInputData(surface)
    moved.SetTransform(toWorld)
    moved.Update()
    return moved.GetOutput()


def writeSurface(modelNode, path: Path) -> None:
    """Write a model's surface as the worker reads it: LPS, mm, VTK's XML format.

    Raises
    ------
    UserError
        ``no-surface``.
    """
    writer = vtk.vtkXMLPolyDataWriter()
    writer.SetFileName(str(path))
    writer.SetInputData(_turned(worldSurface(modelNode)))
    if not writer.Write():
        raise UserError(
            "not-written",
            _("The surface could not be written to {path}.").format(path=path),
            _("Check that the folder can be written to and has space."),
        )


def readSurface(path: Path) -> vtk.vtkPolyData:
    """A surface that the worker wrote, in RAS, with its point arrays."""
    reader = vtk.vtkXMLPolyDataReader()
    reader.SetFileName(str(path))
    reader.Update()
    return _turned(reader.GetOutput())


def pointArray(surface, name: str) -> np.ndarray | None:
    """Numbers at the points of a surface; None where it has none of that name."""
    values = surface.GetPointData().GetArray(name)
    return None if values is None else numpy_support.vtk_to_numpy(values)


def _turned(surface) -> vtk.vtkPolyData:
    """RAS to LPS, or back: half a turn about the long axis, so that faces keep their outside."""
    turned = vtk.vtkPolyData()
    turned.DeepCopy(surface)
    points = numpy_support.vtk_to_numpy(turned.GetPoints().GetData()).copy()
    points[:, :2] *= -1
    made = vtk.vtkPoints()
    made.SetData(numpy_support.numpy_to_vtk(points, deep=True))
    turned.SetPoints(made)
    normals = turned.GetPointData().GetNormals()
    if normals is not None:
        turned.GetPointData().RemoveArray(normals.GetName())  # they would point elsewhere
    return turned
