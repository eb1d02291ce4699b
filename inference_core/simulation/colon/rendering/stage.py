"""The wall on VTK's stage: two passes over the same triangles, one for numbers and one for the picture."""

from __future__ import annotations

from dataclasses import asdict
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_core.simulation.colon.rendering.appearance import Appearance, WallLook, of_one_colon
from inference_core.simulation.colon.rendering.camera import Camera
from inference_core.simulation.colon.rendering.offscreen import open_window
from inference_core.simulation.colon.rendering.seen import Seen, Wall
from inference_core.simulation.colon.rendering.texture import mucosa_pattern, ripples

NEAREST, FARTHEST = 0.5, 300.0  # mm; with a 24-bit z-buffer depth is known to 0.001 mm at 100 mm
GL_BLEND = 3042


class Stage:
    """An open OpenGL window with the wall in it; `close` it."""

    def __init__(self, wall: Wall, camera: Camera, appearance: Appearance, texture_seed: int) -> None:
        self._window = open_window(camera.width, camera.height)
        self._wall, self._camera = wall, camera
        self._view = _vtk_camera(camera)
        pieces = [_poly_data(wall, numbers) for numbers in wall.pieces]
        starts = np.cumsum([0] + [len(numbers) for numbers in wall.pieces])
        self._numbers = self._pass([_numbers_actor(p, int(start)) for p, start in zip(pieces, starts, strict=False)])
        look = of_one_colon(appearance.wall, texture_seed)
        textures = {}
        if _patterned(look):
            textures["pattern"] = _texture(mucosa_pattern(look.textureSize, texture_seed))
        if look.bumps:
            textures["ripples"] = _texture(ripples(texture_seed))
        self._lit = [_wall_actor(piece, look, textures) for piece in pieces]
        self._light = self._pass(self._lit)

    def close(self) -> None:
        """Give the OpenGL context back."""
        self._window.Finalize()

    def seen_faces(self, pose: NDArray[np.float64]) -> Seen:
        """Render the numbers at a camera-to-world pose."""
        from vtkmodules.util.numpy_support import vtk_to_numpy
        from vtkmodules.vtkCommonCore import vtkFloatArray

        pixels = self._render(self._numbers, pose).view("<u4")[..., 0]
        buffer = vtkFloatArray()
        self._window.GetZbufferData(0, 0, self._camera.width - 1, self._camera.height - 1, buffer)
        z = vtk_to_numpy(buffer).reshape(pixels.shape)[::-1]
        numbers = (pixels & 0x7FFFFF).astype(np.int64)
        wall = numbers > 0
        depth = (NEAREST * FARTHEST) / (FARTHEST - z.astype(np.float64) * (FARTHEST - NEAREST))
        return Seen(
            faces=np.where(wall, numbers, len(self._wall.order) + 1) - 1,
            score=np.maximum(pixels >> 24, 1).astype(np.uint8) - np.uint8(1),
            depth=np.where(wall, depth, 0).astype(np.float32),
            inner=wall & (pixels & 0x800000 == 0),
        )

    def picture(self, pose: NDArray[np.float64], seen: Seen | None = None) -> NDArray[np.uint8]:
        """Render the light that reaches the lens, as the shader writes it; (height, width, 3).

        Where it is known what is seen at this pose, pieces that are not seen need not be drawn.
        """
        drawn = np.ones(len(self._lit), dtype=np.bool_)
        if seen:
            faces = seen.faces[seen.faces < len(self._wall.order)]
            drawn = np.bincount(self._wall.piece_of[faces], minlength=len(self._lit)) > 0
        for actor, visible in zip(self._lit, drawn.tolist(), strict=True):
            actor.SetVisibility(visible)
        return self._render(self._light, pose)[..., :3]

    def _render(self, which: Any, pose: NDArray[np.float64]) -> NDArray[np.uint8]:
        """(height, width, 4) of one pass."""
        from vtkmodules.util.numpy_support import vtk_to_numpy
        from vtkmodules.vtkCommonCore import vtkUnsignedCharArray

        place = pose[:3, 3]
        self._view.SetPosition(*place)
        self._view.SetFocalPoint(*(place + pose[:3, 2]))
        self._view.SetViewUp(*-pose[:3, 1])
        for renderer in (self._numbers, self._light):
            renderer.SetDraw(renderer is which)
        self._window.Render()
        width, height = self._camera.width, self._camera.height
        buffer = vtkUnsignedCharArray()
        self._window.GetRGBACharPixelData(0, 0, width - 1, height - 1, 0, buffer, 0)
        return np.ascontiguousarray(vtk_to_numpy(buffer).reshape(height, width, 4)[::-1])

    def _pass(self, actors: list[Any]) -> Any:
        from vtkmodules.vtkCommonCore import vtkCommand
        from vtkmodules.vtkRenderingCore import vtkRenderer

        renderer = vtkRenderer()
        renderer.SetBackground(0, 0, 0)
        renderer.SetBackgroundAlpha(0)
        renderer.SetAutomaticLightCreation(False)
        renderer.SetActiveCamera(self._view)
        for actor in actors:
            renderer.AddActor(actor)
        # Alpha holds a number here, not a transparency.
        state = self._window.GetState()
        renderer.AddObserver(vtkCommand.StartEvent, lambda *_: state.vtkglDisable(GL_BLEND))
        self._window.AddRenderer(renderer)
        return renderer


def _vtk_camera(camera: Camera) -> Any:
    """Principal point, focal lengths and clipping as OpenGL wants them: x right, y up, z backwards."""
    from vtkmodules.vtkCommonMath import vtkMatrix4x4
    from vtkmodules.vtkRenderingCore import vtkCamera

    projection = np.zeros((4, 4))
    projection[0, 0] = 2 * camera.fx / camera.width
    projection[0, 2] = 1 - 2 * (camera.cx + 0.5) / camera.width
    projection[1, 1] = 2 * camera.fy / camera.height
    projection[1, 2] = 2 * (camera.cy + 0.5) / camera.height - 1
    projection[2, 2] = -(FARTHEST + NEAREST) / (FARTHEST - NEAREST)
    projection[2, 3] = -2 * FARTHEST * NEAREST / (FARTHEST - NEAREST)
    projection[3, 2] = -1
    matrix = vtkMatrix4x4()
    matrix.DeepCopy(projection.ravel().tolist())
    view = vtkCamera()
    view.SetUseExplicitProjectionTransformMatrix(True)
    view.SetExplicitProjectionTransformMatrix(matrix)
    view.SetClippingRange(NEAREST, FARTHEST)
    return view


def _poly_data(wall: Wall, numbers: NDArray[np.int64]) -> Any:
    """One piece of the wall with its normals and fold scores."""
    from vtkmodules.util.numpy_support import numpy_to_vtk, numpy_to_vtkIdTypeArray
    from vtkmodules.vtkCommonCore import vtkPoints
    from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkPolyData

    used, corners = np.unique(wall.surface.faces[numbers], return_inverse=True)
    points, cells, piece = vtkPoints(), vtkCellArray(), vtkPolyData()
    points.SetData(numpy_to_vtk(wall.surface.vertices[used].astype(np.float32), deep=True))
    cells.SetData(3, numpy_to_vtkIdTypeArray(corners.ravel().astype(np.int64), deep=True))
    piece.SetPoints(points)
    piece.SetPolys(cells)
    piece.GetPointData().SetNormals(numpy_to_vtk(wall.normals[used].astype(np.float32), deep=True))
    scores = numpy_to_vtk(wall.scores[used], deep=True)
    scores.SetName("fold_score")
    piece.GetPointData().AddArray(scores)
    return piece


def _actor(piece: Any, fragment_shader: str) -> Any:
    from vtkmodules.vtkRenderingCore import vtkActor, vtkPolyDataMapper

    mapper = vtkPolyDataMapper()
    mapper.SetInputData(piece)
    mapper.ScalarVisibilityOff()
    mapper.SetVBOShiftScaleMethod(0)  # millimetres stay millimetres
    mapper.SetResolveCoincidentTopologyToOff()
    mapper.StaticOn()
    mapper.MapDataArrayToVertexAttribute("fold", "fold_score", 0, -1)
    actor = vtkActor()
    actor.SetMapper(mapper)
    actor.ForceOpaqueOn()
    shaders = actor.GetShaderProperty()
    shaders.SetVertexShaderCode(_shader("wall.vert"))
    shaders.SetFragmentShaderCode(fragment_shader)
    return actor


def _numbers_actor(piece: Any, first_face: int) -> Any:
    actor = _actor(piece, _shader("labels.frag"))
    actor.GetShaderProperty().GetFragmentCustomUniforms().SetUniformi("firstFace", first_face)
    return actor


def _wall_actor(piece: Any, look: WallLook, textures: dict[str, Any]) -> Any:
    features = {"LIGHTS": 2 if look.lightApart else 1, "PATTERN": int("pattern" in textures)}
    features["RIPPLES"] = int("ripples" in textures)
    lines = "\n".join(f"#define {name} {value}" for name, value in features.items())
    actor = _actor(piece, _shader("wall.frag").replace("// FEATURES", lines))
    for name, texture in textures.items():
        actor.GetProperty().SetTexture(name, texture)
    uniforms = actor.GetShaderProperty().GetFragmentCustomUniforms()
    for name, value in asdict(look).items():
        if isinstance(value, tuple):
            uniforms.SetUniform3f(name, value)
        else:
            uniforms.SetUniformf(name, value)
    return actor


def _patterned(look: WallLook) -> bool:
    return look.vessels > 0 or look.patches > 0


def _texture(picture: NDArray[np.uint8]) -> Any:
    """A picture that repeats. Without smaller copies (mipmaps): they make Mesa's llvmpipe five times slower."""
    from vtkmodules.util.numpy_support import numpy_to_vtk
    from vtkmodules.vtkCommonDataModel import vtkImageData
    from vtkmodules.vtkRenderingCore import vtkTexture

    height, width, colours = picture.shape
    image = vtkImageData()
    image.SetDimensions(width, height, 1)
    image.GetPointData().SetScalars(numpy_to_vtk(picture.reshape(-1, colours), deep=True))
    texture = vtkTexture()
    texture.SetInputData(image)
    texture.SetColorModeToDirectScalars()
    texture.InterpolateOn()
    texture.RepeatOn()
    return texture


def _shader(name: str) -> str:
    return (files(__package__) / "shaders" / f"{name}.glsl").read_text(encoding="utf-8")
