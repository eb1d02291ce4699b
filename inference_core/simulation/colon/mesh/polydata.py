"""Between Surface and VTK's polygon data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_core.extras import need
from inference_core.simulation.colon.mesh.surface import Surface
from inference_core.simulation.colon.mesh.surface_parts import polygon_triangles, strip_triangles

NOTES = ("attribution", "fold_labels")
"""Fields of a file, of one text each, that become a surface's notes."""


@contextmanager
def vtk_messages() -> Iterator[Callable[[], str]]:
    """Keep VTK from printing or opening a window; gives a function that returns what it would have said."""
    from vtkmodules.vtkCommonCore import vtkLogger, vtkOutputWindow, vtkStringOutputWindow

    window, cutoff = vtkOutputWindow.GetInstance(), vtkLogger.GetCurrentVerbosityCutoff()
    quiet = vtkStringOutputWindow()
    vtkOutputWindow.SetInstance(quiet)
    vtkLogger.SetStderrVerbosity(vtkLogger.VERBOSITY_OFF)
    try:
        yield lambda: str(quiet.GetOutput())
    finally:
        vtkOutputWindow.SetInstance(window)
        vtkLogger.SetStderrVerbosity(vtkLogger.ConvertToVerbosity(cutoff))


def to_polydata(surface: Surface) -> Any:
    """The surface as a vtkPolyData that owns a copy of it, point arrays included."""
    need("vtk", "colon", "Work on a colon surface")
    from vtkmodules.util.numpy_support import numpy_to_vtk, numpy_to_vtkIdTypeArray
    from vtkmodules.vtkCommonCore import vtkPoints, vtkStringArray
    from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkPolyData

    points = vtkPoints()
    points.SetData(numpy_to_vtk(np.ascontiguousarray(surface.vertices, dtype=np.float64), deep=True))
    cells = vtkCellArray()
    cells.SetData(3, numpy_to_vtkIdTypeArray(np.ascontiguousarray(surface.faces, dtype=np.int64).ravel(), deep=True))
    polydata = vtkPolyData()
    polydata.SetPoints(points)
    polydata.SetPolys(cells)
    for name, values in surface.point_arrays.items():
        array = numpy_to_vtk(np.ascontiguousarray(values), deep=True)
        array.SetName(name)
        polydata.GetPointData().AddArray(array)
    for name, note in surface.notes.items():
        words = vtkStringArray()
        words.SetName(name)
        words.InsertNextValue(note)
        polydata.GetFieldData().AddArray(words)
    return polydata


def from_polydata(polydata: Any) -> Surface:
    """The triangles of a vtkPolyData; polygons are split, strips unrolled, lines and lone points left out.

    Point arrays of one number a point are kept. Vertex numbers are not checked, and VTK's own triangle filter would
    end the program on wrong ones, so none is used.

    Raises
    ------
    ValueError
        For cells that are no cells.
    """
    from vtkmodules.util.numpy_support import vtk_to_numpy

    if polydata.GetNumberOfPoints() == 0:
        return Surface(np.empty((0, 3)), np.empty((0, 3), np.int64))
    triangles = [
        polygon_triangles(_cells(polydata.GetPolys())),
        strip_triangles(_cells(polydata.GetStrips())),
    ]
    points = vtk_to_numpy(polydata.GetPoints().GetData()).astype(np.float64)
    data = polydata.GetPointData()
    arrays = {}
    for number in range(data.GetNumberOfArrays()):
        array = data.GetArray(number)  # None for strings
        if (
            array is not None
            and array.GetName()
            and array.GetNumberOfComponents() == 1
            and array.GetNumberOfTuples() == len(points)
        ):
            arrays[array.GetName()] = vtk_to_numpy(array).copy()
    return Surface(points, np.concatenate(triangles), arrays, _notes(polydata.GetFieldData()))


def _notes(field: Any) -> dict[str, str]:
    found = {name: field.GetAbstractArray(name) for name in NOTES}
    return {
        name: array.GetValue(0)
        for name, array in found.items()
        if array is not None and array.IsA("vtkStringArray") and array.GetNumberOfValues()
    }


def _cells(cells: Any) -> list[NDArray[Any]] | NDArray[Any]:
    """Vertex numbers of each cell; as one (N, 3) array where all are triangles."""
    from vtkmodules.util.numpy_support import vtk_to_numpy

    if not cells.GetNumberOfCells():
        return []
    offsets = vtk_to_numpy(cells.GetOffsetsArray()).astype(np.int64)
    numbers = vtk_to_numpy(cells.GetConnectivityArray()).astype(np.int64)
    sizes = np.diff(offsets)
    if offsets[0] != 0 or (sizes < 0).any() or offsets[-1] > len(numbers):
        raise ValueError("its list of faces is damaged")
    if (sizes == 3).all():
        return np.asarray(numbers[: offsets[-1]].reshape(-1, 3))
    return np.split(numbers[: offsets[-1]], offsets[1:-1])
