"""A labelled colon from outside in one picture: its wall, where it bends into the lumen, and its folds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_core.image.instance_colours import colours
from inference_core.image.writing import write_aside
from inference_core.simulation.colon.folds.curvature import principal_bend
from inference_core.simulation.colon.mesh.polydata import to_polydata
from inference_core.simulation.colon.mesh.surface import Surface, vertex_normals
from inference_core.simulation.colon.rendering.offscreen import open_window
from inference_core.simulation.colon.sheet import FAINT, GAP, GROUND, INK, MARGIN

PANEL = 460  # pixels
ROOM = 1.06  # of the colon's extent
HEADER, CAPTION = 54, 28
WALL = (226, 180, 166)
INWARDS, OUTWARDS = (214, 64, 52), (58, 110, 190)
SHARPEST = 0.15  # 1/mm that is drawn in full colour

Colours = NDArray[np.uint8]


def write_fold_picture(surface: Surface, path: Path, title: str) -> None:
    """Draw the colon from its flat side: bare, by its curvature, with its folds; and those from the other side.

    Parameters
    ----------
    surface : Surface
        With ``fold_instance``.
    path : Path
        PNG.
    title : str

    Raises
    ------
    UserError
        ``no-opengl``, ``missing-package``.
    """
    from PIL import Image, ImageDraw, ImageFont

    folds = _fold_colours(surface)
    bare = np.broadcast_to(np.array(WALL, np.uint8), (len(surface.vertices), 3)).copy()
    panels = [
        ("the wall", bare, -1.0),
        (f"bends into the lumen (red) or out of it (blue), up to {SHARPEST:g}/mm", _bend_colours(surface), -1.0),
        ("folds, one colour each", folds, -1.0),
        ("folds, from the other side", folds, 1.0),
    ]
    width = 2 * MARGIN + len(panels) * (PANEL + GAP) - GAP
    sheet = Image.new("RGB", (width, MARGIN + HEADER + PANEL + CAPTION + MARGIN), GROUND)
    draw = ImageDraw.Draw(sheet)
    large, small = (ImageFont.load_default(size=size) for size in (25, 14))
    draw.text((MARGIN, MARGIN - 6), title, fill=INK, font=large)
    for k, (caption, shades, side) in enumerate(panels):
        left, top = MARGIN + k * (PANEL + GAP), MARGIN + HEADER
        sheet.paste(Image.fromarray(_view(surface, shades, side)), (left, top))
        draw.text((left + PANEL / 2, top + PANEL + CAPTION - 6), caption, fill=FAINT, font=small, anchor="ms")
    write_aside(path, lambda aside: sheet.save(aside, format="PNG", optimize=True))


def _fold_colours(surface: Surface) -> Colours:
    instance = surface.point_arrays["fold_instance"]
    return np.where((instance > 0)[:, None], colours(instance), np.array(WALL, np.uint8)).astype(np.uint8)


def _bend_colours(surface: Surface) -> Colours:
    """White where the wall is flat; red where it bends into the lumen, blue where it bends out of it."""
    bend = principal_bend(surface)
    inwards = np.clip(bend.inwards / SHARPEST, 0, 1)[:, None]
    outwards = np.clip(-bend.other / SHARPEST, 0, 1)[:, None] * (inwards == 0)
    paper = np.array((238.0, 236, 232))
    return (paper + inwards * (np.array(INWARDS) - paper) + outwards * (np.array(OUTWARDS) - paper)).astype(np.uint8)


def _view(surface: Surface, shades: Colours, side: float) -> Colours:
    """From one side (-1: for a colon in its patient, the front) or the other (1): parallel; (PANEL, PANEL, 3)."""
    from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
    from vtkmodules.vtkCommonCore import vtkUnsignedCharArray
    from vtkmodules.vtkRenderingCore import vtkActor, vtkPolyDataMapper, vtkRenderer

    window = open_window(2 * PANEL, 2 * PANEL)  # first: it registers the classes that can draw
    shape: Any = to_polydata(surface)
    shape.GetPointData().SetNormals(numpy_to_vtk(np.ascontiguousarray(vertex_normals(surface)), deep=True))
    shape.GetPointData().SetScalars(numpy_to_vtk(np.ascontiguousarray(shades), deep=True))
    mapper = vtkPolyDataMapper()
    mapper.SetInputData(shape)
    actor = vtkActor()
    actor.SetMapper(mapper)
    actor.GetProperty().SetAmbient(0.15)
    actor.GetProperty().SetDiffuse(0.9)
    actor.GetProperty().SetSpecular(0.12)
    actor.GetProperty().SetSpecularPower(25)
    renderer: Any = vtkRenderer()
    renderer.AddActor(actor)
    renderer.SetBackground(*(channel / 255 for channel in GROUND))
    low, high = surface.vertices.min(axis=0), surface.vertices.max(axis=0)
    flat = int(np.argmin(high - low))
    up = 2 if flat != 2 else 1
    camera = renderer.GetActiveCamera()
    camera.SetFocalPoint(*(low + high) / 2)
    camera.SetPosition(*(low + high) / 2 + side * 1000 * np.eye(3)[flat])
    camera.SetViewUp(*np.eye(3)[up])
    camera.ParallelProjectionOn()
    camera.SetParallelScale(float((high - low).max()) / 2 * ROOM)
    renderer.ResetCameraClippingRange()
    try:
        window.AddRenderer(renderer)
        window.Render()
        pixels = vtkUnsignedCharArray()
        window.GetPixelData(0, 0, 2 * PANEL - 1, 2 * PANEL - 1, 0, pixels, 0)
        large = vtk_to_numpy(pixels).reshape(PANEL, 2, PANEL, 2, 3)[::-1].mean(axis=(1, 3))
    finally:
        window.Finalize()
    return large.astype(np.uint8)
