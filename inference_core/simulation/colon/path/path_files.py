"""Paths through the colon as files: a centreline with its radii (``.vtp``), or a curve that 3D Slicer edits.

A Markups file holds a curve's control points only. Slicer draws a spline through them, and so does `read_path`: the
path is the curve that the user saw.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_core.errors import UserError
from inference_core.extras import need
from inference_core.image.writing import write_aside
from inference_core.simulation.colon.mesh.polydata import vtk_messages
from inference_core.simulation.colon.mesh.surface import Points
from inference_core.simulation.colon.mesh.vtk_headers import check_vtp_counts
from inference_core.simulation.colon.path.centreline import Centreline

SUFFIXES = (".vtp", ".mrk.json")
CONTROL_STEP = 30.0  # mm between control points where the path is straight enough
NEAR = 1.0  # mm that the curve through the control points may lie off the path
FARTHEST = 1e4  # mm from the origin that a point of a path may lie
_PER_SEGMENT = 10  # points that Slicer draws from one control point to the next
_TO_LPS = {"LPS": (1.0, 1.0, 1.0), "RAS": (-1.0, -1.0, 1.0)}
_SCHEMA = "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/markups-schema-v1.0.3.json#"


def path_suffix(path: Path) -> str:
    """Which of `SUFFIXES` a path's file has.

    Raises
    ------
    UserError
        ``path-format``.
    """
    found = next((suffix for suffix in SUFFIXES if path.name.lower().endswith(suffix)), None)
    if found is None:
        raise UserError("path-format", f"{path} is not the file of a path.", "Give a .vtp or, of Slicer, a .mrk.json.")
    return found


def read_path(path: Path) -> Points:
    """Read the points of a path in their order.

    Parameters
    ----------
    path : Path
        ``.mrk.json`` with one open curve or line (LPS or RAS, as it says); ``.vtp`` with one line (LPS, or what its
        field SPACE says).

    Returns
    -------
    (K, 3) array
        mm, LPS; at least two, none twice in a row.

    Raises
    ------
    UserError
        ``path-format``, ``no-such-file``, ``unreadable-path``.
    """
    suffix = path_suffix(path)
    if not path.is_file():
        raise UserError("no-such-file", f"{path} does not exist.", "Check the path.")
    points = _read_markups(path) if suffix == ".mrk.json" else _read_line(path)
    if not np.isfinite(points).all():
        raise _unreadable(path, "some of its coordinates are no numbers")
    moves = np.linalg.norm(np.diff(points, axis=0), axis=1) > 1e-6
    points = points[np.concatenate([[True], moves])] if len(points) else points
    if len(points) < 2:
        raise _unreadable(path, f"it has {len(points)} point{'s' * (len(points) != 1)}, and a path needs two or more")
    return points


def write_path(centreline: Centreline, path: Path) -> int:
    """Write a centreline; gives how many points the file has: all of them (``.vtp``), or control points.

    Raises
    ------
    UserError
        ``path-format``, ``write-failed``.
    """
    if path_suffix(path) == ".vtp":
        write_centreline(centreline, path)
        return len(centreline.points)
    controls = control_points(centreline.points)
    text = json.dumps(_markups(controls), indent=1, allow_nan=False) + "\n"
    write_aside(path, lambda aside: aside.write_text(text, encoding="utf-8"))
    return len(controls)


def write_centreline(centreline: Centreline, path: Path) -> None:
    """Write the line as a ``.vtp`` that 3D Slicer opens as a model, with its radius (mm) at each point.

    Raises
    ------
    UserError
        ``write-failed``.
    """
    need("vtk", "colon", "Writing a centreline")
    from vtkmodules.util.numpy_support import numpy_to_vtk
    from vtkmodules.vtkCommonCore import vtkPoints
    from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkPolyData
    from vtkmodules.vtkIOXML import vtkXMLPolyDataWriter

    points, lines, polydata = vtkPoints(), vtkCellArray(), vtkPolyData()
    points.SetData(numpy_to_vtk(np.ascontiguousarray(centreline.points), deep=True))
    lines.InsertNextCell(len(centreline.points), list(range(len(centreline.points))))
    polydata.SetPoints(points)
    polydata.SetLines(lines)
    for name, values in (("radius", centreline.radius), ("arc_length", centreline.arc_length)):
        array = numpy_to_vtk(np.ascontiguousarray(values), deep=True)
        array.SetName(name)
        polydata.GetPointData().AddArray(array)

    def write(aside: Path) -> None:
        writer = vtkXMLPolyDataWriter()
        writer.SetFileName(str(aside))
        writer.SetInputData(polydata)
        if not writer.Write():
            raise OSError(5, "the disk may be full")

    write_aside(path, write)


def control_points(points: Points) -> Points:
    """Few points of a path, evenly along it, through which Slicer's curve stays within `NEAR` of the path; (C, 3)."""
    from scipy.spatial import cKDTree

    way = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    count = max(2, round(way[-1] / CONTROL_STEP) + 1)
    while True:
        wanted = np.linspace(0.0, way[-1], count)
        controls = np.stack([np.interp(wanted, way, points[:, axis]) for axis in range(3)], axis=1)
        off, _ = cKDTree(_spline(controls)).query(points)
        if off.max() <= NEAR or count >= len(points):
            return controls
        count = min(len(points), count + max(1, count // 8))


def _spline(controls: Points) -> Points:
    """Slicer's curve through control points: VTK's cardinal spline over their numbers; at most 1 mm apart."""
    need("vtk", "colon", "Reading a curve")
    from vtkmodules.vtkCommonComputationalGeometry import vtkParametricSpline
    from vtkmodules.vtkCommonCore import vtkPoints

    if len(controls) < 3:
        return controls
    spline, points = vtkParametricSpline(), vtkPoints()
    for control in controls:
        points.InsertNextPoint(*control)
    spline.SetPoints(points)
    spline.ParameterizeByLengthOff()
    longest = float(np.linalg.norm(np.diff(controls, axis=0), axis=1).max())
    each = max(_PER_SEGMENT, int(np.ceil(longest)))
    drawn = np.empty(((len(controls) - 1) * each + 1, 3))
    place, slopes = [0.0] * 3, [0.0] * 9
    for k, share in enumerate(np.linspace(0.0, 1.0, len(drawn))):
        spline.Evaluate([share, 0.0, 0.0], place, slopes)
        drawn[k] = place
    return drawn


def _read_markups(path: Path) -> Points:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        curves = [item for item in content["markups"] if item["type"] in ("Curve", "Line")]
        closed = any(item["type"] == "ClosedCurve" for item in content["markups"])
        space = curves[0].get("coordinateSystem", "LPS") if len(curves) == 1 else "LPS"
        points = [
            [float(x) for x in point["position"]]
            for item in curves[:1]
            for point in item["controlPoints"]
            if point.get("positionStatus", "defined") == "defined"
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise _unreadable(path, "it is no Markups file, or damaged") from error
    if len(curves) != 1:
        raise _unreadable(path, "its curve is closed" if closed else f"it holds {len(curves)} curves, not one")
    if not isinstance(space, str) or space not in _TO_LPS:
        raise _unreadable(path, f"its coordinate system is {space!r}, not LPS or RAS")
    if any(len(point) != 3 for point in points):
        raise _unreadable(path, "some of its points have not three coordinates")
    if not all(abs(x) < FARTHEST for point in points for x in point):
        raise _unreadable(path, "some of its coordinates are no places in a body")
    return _spline(np.array(points, np.float64).reshape(-1, 3) * _TO_LPS[space])


def _read_line(path: Path) -> Points:
    need("vtk", "colon", "Reading a .vtp file")
    from vtkmodules.util.numpy_support import vtk_to_numpy
    from vtkmodules.vtkIOXML import vtkXMLPolyDataReader

    try:
        check_vtp_counts(path)
    except ValueError as error:
        raise _unreadable(path, str(error)) from error
    reader = vtkXMLPolyDataReader()
    reader.SetFileName(str(path))
    with vtk_messages() as messages:
        if not reader.GetExecutive().Update() or reader.GetErrorCode() or messages():
            raise _unreadable(path, "it is damaged, cut short or no VTP file")
    polydata = reader.GetOutput()
    lines = polydata.GetLines()
    if lines is None or lines.GetNumberOfCells() != 1:
        raise _unreadable(path, f"it holds {lines.GetNumberOfCells() if lines else 0} lines, not one")
    numbers: NDArray[Any] = vtk_to_numpy(lines.GetConnectivityArray())
    points = vtk_to_numpy(polydata.GetPoints().GetData()).astype(np.float64)
    if numbers.size and not 0 <= numbers.min() <= numbers.max() < len(points):
        raise _unreadable(path, "its line names points that are not there")
    space = polydata.GetFieldData().GetAbstractArray("SPACE")
    name = space.GetVariantValue(0).ToString() if space and space.GetNumberOfValues() else "LPS"
    return points[numbers] * _TO_LPS.get(name, _TO_LPS["LPS"])


def _markups(controls: Points) -> dict[str, Any]:
    return {
        "@schema": _SCHEMA,
        "markups": [
            {
                "type": "Curve",
                "coordinateSystem": "LPS",
                "coordinateUnits": "mm",
                "controlPoints": [
                    {"id": str(k), "label": str(k), "position": np.round(place, 4).tolist()}
                    for k, place in enumerate(controls, 1)
                ],
            }
        ],
    }


def _unreadable(path: Path, reason: str) -> UserError:
    return UserError(
        "unreadable-path", f"{path} cannot be read as a path: {reason}.", "Save one open curve (in Slicer: .mrk.json)."
    )
