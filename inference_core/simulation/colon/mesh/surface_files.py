"""Read and write colon surfaces."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from inference_core.errors import UserError
from inference_core.extras import need
from inference_core.image.reading import volume_suffix
from inference_core.image.writing import check_folder, write_aside
from inference_core.simulation.colon.mesh.obj_files import read_obj, write_obj
from inference_core.simulation.colon.mesh.ply_files import read_ply, write_ply
from inference_core.simulation.colon.mesh.polydata import from_polydata, to_polydata, vtk_messages
from inference_core.simulation.colon.mesh.stl_files import read_stl, write_stl
from inference_core.simulation.colon.mesh.surface import Surface
from inference_core.simulation.colon.mesh.vtk_headers import check_legacy_vtk, check_vtp_counts

SURFACE_SUFFIXES = (".ply", ".stl", ".obj", ".vtk", ".vtp")
_SPACE = "SPACE"  # 3D Slicer writes SPACE=LPS or SPACE=RAS into the header of its model files


def read_surface(path: Path | str, label: int | None = None) -> Surface:
    """Read a colon surface as it lies in the file, or make one from a label map.

    Parameters
    ----------
    path : Path or str
        ``.ply``, ``.stl``, ``.obj``, ``.vtk`` (legacy), ``.vtp``; or a label map or segmentation
        (:data:`~inference_core.image.reading.VOLUME_SUFFIXES`, ``.seg.nrrd``).
    label : int, optional
        The label that is the colon's lumen, for a label map with several.

    Returns
    -------
    Surface
        In mm if the file was; LPS, also where the file says ``SPACE=RAS``. Polygons are split into triangles, vertices
        are as in the file (those of STL merged), point arrays of one number a vertex are kept. Nothing else is checked
        or repaired: see :func:`~inference_core.simulation.colon.mesh.surface_check.checked`.

    Raises
    ------
    UserError
        ``no-such-file``, ``not-readable``, ``surface-format``, ``unreadable-surface``, ``empty-surface``, and those of
        :func:`~inference_core.simulation.colon.mesh.label_maps.surface_of_label_map`.
    """
    path = Path(path)
    if not path.exists():
        raise UserError("no-such-file", f"{path} does not exist.", "Check the path.")
    if path.is_file() and not os.access(path, os.R_OK):
        raise UserError("not-readable", f"{path} may not be read by you.", "Ask for the right to read it.")
    if path.is_file() and volume_suffix(path):
        from inference_core.simulation.colon.mesh.label_maps import surface_of_label_map

        return surface_of_label_map(path, label)
    suffix = surface_suffix(path)
    if label is not None:
        raise UserError("label", f"{path} is a surface: it has no labels to choose from.", "Leave --label out.")
    if path.is_dir():
        raise UserError("surface-format", f"{path} is a folder.", "Give the file of a surface or a label map.")
    try:
        surface, header = _READERS[suffix](path)
        _check_numbers(surface)
    except (ValueError, IndexError, OverflowError, MemoryError, OSError, struct.error) as error:
        raise UserError(
            "unreadable-surface",
            f"{path} cannot be read: {error or 'it is damaged'}.",
            "Save or copy it again (in Slicer: as .vtp or .ply).",
        ) from error
    if not len(surface.faces):
        raise UserError("empty-surface", f"{path} holds no triangles.", "Save the surface of the colon again.")
    if f"{_SPACE}=RAS" in header:
        return Surface(surface.vertices * (-1.0, -1.0, 1.0), surface.faces, surface.point_arrays, surface.notes)
    return surface


def write_surface(surface: Surface, path: Path | str) -> None:
    """Write a surface whole or not at all; the same surface gives the same bytes.

    Parameters
    ----------
    surface : Surface
    path : Path or str
        ``.vtp`` and ``.vtk`` keep everything, ``.ply`` coordinates to float32 and the point arrays, ``.stl`` and
        ``.obj`` the shape only. All say that they are in LPS, the way 3D Slicer does.

    Raises
    ------
    UserError
        ``surface-format``, ``no-such-folder``, ``not-writable`` or ``write-failed``.
    """
    path = Path(path)
    write = _WRITERS[surface_suffix(path)]
    check_folder(path)
    write_aside(path, lambda aside: write(surface, aside))


def surface_suffix(path: Path) -> str:
    """The suffix of a surface's file, in small letters.

    Raises
    ------
    UserError
        ``surface-format``.
    """
    suffix = path.suffix.lower()
    if suffix not in SURFACE_SUFFIXES:
        raise UserError(
            "surface-format",
            f"{path} is not the file of a surface.",
            f"Give one that ends in {', '.join(SURFACE_SUFFIXES)}.",
        )
    return suffix


def _check_numbers(surface: Surface) -> None:
    if surface.faces.size and not 0 <= surface.faces.min() <= surface.faces.max() < len(surface.vertices):
        raise ValueError("its faces name vertices that are not there")
    if not np.isfinite(surface.vertices).all():
        raise ValueError("some of its coordinates are no numbers")


def _read_vtk(path: Path) -> tuple[Surface, str]:
    need("vtk", "colon", "Reading a .vtk file")
    from vtkmodules.vtkIOLegacy import vtkPolyDataReader

    reader = vtkPolyDataReader()
    reader.SetFileName(str(path))
    check_legacy_vtk(path)
    with vtk_messages() as messages:
        if not reader.IsFilePolyData():
            raise ValueError("it holds no surface (VTK polydata)")
        reader.Update()
        if messages():  # the only trace that a cut file leaves
            raise ValueError("it is damaged or cut short")
    return from_polydata(reader.GetOutput()), f"{reader.GetHeader()} {_space_field(reader.GetOutput())}"


def _read_vtp(path: Path) -> tuple[Surface, str]:
    need("vtk", "colon", "Reading a .vtp file")
    from vtkmodules.vtkIOXML import vtkXMLPolyDataReader

    check_vtp_counts(path)
    reader = vtkXMLPolyDataReader()
    reader.SetFileName(str(path))
    with vtk_messages() as messages:
        if not reader.GetExecutive().Update() or reader.GetErrorCode() or messages():
            raise ValueError("it is damaged, cut short or no VTP file")
    return from_polydata(reader.GetOutput()), _space_field(reader.GetOutput())


def _space_field(polydata: Any) -> str:
    field = polydata.GetFieldData().GetAbstractArray(_SPACE)
    return f"{_SPACE}={field.GetVariantValue(0).ToString()}" if field and field.GetNumberOfValues() else ""


def _labelled_polydata(surface: Surface) -> Any:
    from vtkmodules.vtkCommonCore import vtkStringArray

    polydata = to_polydata(surface)
    space = vtkStringArray()
    space.SetName(_SPACE)
    space.InsertNextValue("LPS")
    polydata.GetFieldData().AddArray(space)
    return polydata


def _write_vtk(surface: Surface, path: Path) -> None:
    need("vtk", "colon", "Writing a .vtk file")
    from vtkmodules.vtkIOLegacy import vtkPolyDataWriter

    writer = vtkPolyDataWriter()
    writer.SetFileTypeToBinary()
    writer.SetHeader("Colon surface. SPACE=LPS")
    _write_with(writer, to_polydata(surface), path)


def _write_vtp(surface: Surface, path: Path) -> None:
    need("vtk", "colon", "Writing a .vtp file")
    from vtkmodules.vtkIOXML import vtkXMLPolyDataWriter

    writer = vtkXMLPolyDataWriter()
    writer.SetDataModeToAppended()
    writer.EncodeAppendedDataOff()
    writer.SetHeaderTypeToUInt64()
    _write_with(writer, _labelled_polydata(surface), path)


def _write_with(writer: Any, polydata: Any, path: Path) -> None:
    writer.SetInputData(polydata)
    writer.SetFileName(str(path))
    with vtk_messages() as messages:
        if not writer.Write() or writer.GetErrorCode() or messages():
            raise OSError(0, "the disk took no more of it")


_READERS: dict[str, Callable[[Path], tuple[Surface, str]]] = {
    ".ply": read_ply,
    ".stl": read_stl,
    ".obj": read_obj,
    ".vtk": _read_vtk,
    ".vtp": _read_vtp,
}
_WRITERS: dict[str, Callable[[Surface, Path], None]] = {
    ".ply": write_ply,
    ".stl": write_stl,
    ".obj": write_obj,
    ".vtk": _write_vtk,
    ".vtp": _write_vtp,
}
