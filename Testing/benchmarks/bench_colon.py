"""What does a labelled frame of a simulated colonoscopy cost, and is it right? ``make bench`` writes it.

CPU seconds of all threads for a frame of 256x256, without writing files: of a plain picture by VTK's own shaders from
one actor (what a render costs at the least effort of ours), of our picture, and of picture, depth, mask and instances.
The ways take turns, so that ratios come from one run under one load. Then the depth and the faces beside
a ray caster of other make (Embree). Nothing here passes or fails by the clock.
"""

from __future__ import annotations

import importlib.util
import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np

from inference_core.evaluation.table import markdown
from inference_core.simulation.colon.mesh.surface import Surface
from inference_core.simulation.colon.procedural.haustral_colon import colon_shape, haustral_colon
from inference_core.simulation.colon.rendering.appearance import list_appearances, load_appearance
from inference_core.simulation.colon.rendering.camera import Camera, endoscope_camera, pixel_rays
from inference_core.simulation.colon.rendering.offscreen import open_window
from inference_core.simulation.colon.rendering.render import FrameRenderer

SEED = 1
SIZE = 256
FACES = (20_000, 60_000, 120_000)
FRAMES = 30
EMBREE_FRAMES = 10
LEAST = "one picture by VTK alone"

Way = Callable[[np.ndarray], object]


def poses() -> list[np.ndarray]:
    """FRAMES cameras on the colon's axis, looking 30 mm ahead and a little aside; camera-to-world."""
    axis = colon_shape(SEED).axis
    rng = np.random.default_rng(0)
    made = []
    for k in np.linspace(40, len(axis) - 120, FRAMES).astype(int):
        z = axis[k + 60] - axis[k] + rng.normal(0, 4, 3)
        z /= np.linalg.norm(z)
        x = np.cross(z, rng.normal(size=3))
        x /= np.linalg.norm(x)
        pose = np.eye(4)
        pose[:3] = np.stack([x, np.cross(z, x), z, axis[k] + rng.normal(0, 2, 3)], axis=1)
        made.append(pose)
    return made


def plain_vtk(surface: Surface, camera: Camera) -> Way:
    """One actor, VTK's own shaders and a headlight; the picture alone."""
    from vtkmodules.util.numpy_support import numpy_to_vtk, numpy_to_vtkIdTypeArray, vtk_to_numpy
    from vtkmodules.vtkCommonCore import vtkPoints, vtkUnsignedCharArray
    from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkPolyData
    from vtkmodules.vtkFiltersCore import vtkPolyDataNormals
    from vtkmodules.vtkRenderingCore import vtkActor, vtkPolyDataMapper, vtkRenderer

    window = open_window(camera.width, camera.height)  # first: it registers the classes that draw
    points, cells, data = vtkPoints(), vtkCellArray(), vtkPolyData()
    points.SetData(numpy_to_vtk(surface.vertices.astype(np.float32), deep=True))
    cells.SetData(3, numpy_to_vtkIdTypeArray(surface.faces.ravel().copy(), deep=True))
    data.SetPoints(points)
    data.SetPolys(cells)
    normals = vtkPolyDataNormals()
    normals.SetInputData(data)
    normals.SplittingOff()
    normals.Update()
    mapper, actor, renderer = vtkPolyDataMapper(), vtkActor(), vtkRenderer()
    mapper.SetInputData(normals.GetOutput())
    actor.SetMapper(mapper)
    renderer.AddActor(actor)
    window.AddRenderer(renderer)
    view = renderer.GetActiveCamera()
    view.SetViewAngle(np.degrees(2 * np.arctan(camera.height / 2 / camera.fy)))

    def draw(pose: np.ndarray) -> object:
        view.SetPosition(*pose[:3, 3])
        view.SetFocalPoint(*(pose[:3, 3] + pose[:3, 2]))
        view.SetViewUp(*-pose[:3, 1])
        view.SetClippingRange(0.5, 300)
        window.Render()
        buffer = vtkUnsignedCharArray()
        window.GetRGBACharPixelData(0, 0, camera.width - 1, camera.height - 1, 0, buffer, 0)
        return vtk_to_numpy(buffer).reshape(camera.height, camera.width, 4)[::-1, :, :3].copy()

    return draw


def cpu_seconds() -> float:
    """Of all threads of this process."""
    return time.process_time()


def timed(ways: dict[str, Way], cameras: list[np.ndarray]) -> dict[str, float]:
    """CPU milliseconds a frame of each way, taking turns."""
    spent = dict.fromkeys(ways, 0.0)
    for name, draw in ways.items():
        drawn = draw(cameras[0])  # compiles shaders, sends the mesh
        if not np.any(getattr(drawn, "rgb", drawn)):
            raise RuntimeError(f"{name}: the picture is black")
    for block in np.array_split(np.array(cameras), 6):
        for name, draw in ways.items():
            begun = cpu_seconds()
            for pose in block:
                draw(pose)
            spent[name] += cpu_seconds() - begun
    return {name: seconds * 1000 / len(cameras) for name, seconds in spent.items()}


def bench(surface: Surface, cameras: list[np.ndarray]) -> dict[str, float]:
    """CPU milliseconds of frames of one mesh in each appearance, pinhole, and fisheye in the plain one."""
    with ExitStack() as open_ones:
        ways: dict[str, Way] = {LEAST: plain_vtk(surface, endoscope_camera(SIZE))}
        for name, model in [*((name, "pinhole") for name in list_appearances()), ("plain", "fisheye")]:
            camera = endoscope_camera(SIZE, "fisheye" if model == "fisheye" else "pinhole")
            renderer = open_ones.enter_context(FrameRenderer(surface, camera, load_appearance(name)))
            ways[f"{name}, {model}: picture"] = lambda pose, r=renderer: r.picture(pose, 0)
            ways[f"{name}, {model}: all"] = lambda pose, r=renderer: r.render(pose, 0)
        return timed(ways, cameras)


def beside_embree(surface: Surface, cameras: list[np.ndarray], model: Any) -> str:
    """How far depth and faces are from a ray caster's, in words."""
    from embreex.mesh_construction import TriangleMesh
    from embreex.rtcore_scene import EmbreeScene

    camera = endoscope_camera(SIZE, model)
    scene = EmbreeScene(robust=True)
    TriangleMesh(scene, surface.vertices[surface.faces].astype(np.float32))
    apart, same = [], []
    with FrameRenderer(surface, camera, load_appearance("plain")) as renderer:
        for pose in cameras[:: len(cameras) // EMBREE_FRAMES]:
            depth, faces = renderer.render(pose, 0).depth, renderer.faces(pose)
            rays = (pixel_rays(camera).reshape(-1, 3) @ pose[:3, :3].T).astype(np.float32)
            start = np.repeat(pose[:3, 3][np.newaxis].astype(np.float32), len(rays), axis=0)
            met = scene.run(start, rays, output=True)
            within = (faces.ravel() >= 0) & (met["primID"] >= 0)
            apart.append(np.abs(depth.ravel() - met["tfar"])[within])
            same.append((faces.ravel() == met["primID"])[within])
    errors = np.concatenate(apart)
    return (
        f"{model}: depth p50 {np.median(errors):.5f}, p99 {np.percentile(errors, 99):.5f} mm, "
        f"> 0.5 mm in {(errors > 0.5).mean():.4%}; same face {np.concatenate(same).mean():.3%}"
    )


def section() -> str:
    """The section on rendering: a column a mesh, then the comparison with a ray caster on the last one."""
    cameras = poses()
    columns: dict[str, list[str]] = {}
    for faces in FACES:
        surface = haustral_colon(SEED, faces)
        spent = bench(surface, cameras)
        columns.setdefault("way", [*spent])
        columns[f"{len(surface.faces)} faces"] = [
            f"{milliseconds:.1f} ({milliseconds / spent[LEAST]:.2f}x)" for milliseconds in spent.values()
        ]
    threads = os.environ.get("LP_NUM_THREADS", "not set")
    lines = [
        f"CPU milliseconds of all threads for a frame of {SIZE}x{SIZE}, mean of {FRAMES}, without files; in brackets,"
        f" times a picture by VTK's own shaders from one actor. Software rendering, LP_NUM_THREADS {threads}. *All*:"
        " picture, depth, mask, instances.\n",
        markdown(columns),
    ]
    if importlib.util.find_spec("embreex"):
        lines.append("Beside a ray caster of other make (Embree), on the largest mesh:\n")
        lines += [f"* {beside_embree(surface, cameras, model)}" for model in ("pinhole", "fisheye")]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(section())
