"""Film a colon: poses, frames, card and contact sheet of one dataset."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_core.errors import Cancelled, UserError
from inference_core.image.writing import write_aside
from inference_core.scratch import scratch_folder, sweep_stale
from inference_core.simulation.colon.dataset import dataset
from inference_core.simulation.colon.dataset.card import Filming, cameras_of, dataset_card
from inference_core.simulation.colon.dataset.scene import CARRIED, EXACT, Scene
from inference_core.simulation.colon.path.path_files import write_centreline
from inference_core.simulation.colon.path.trajectory import Poses, check_flight, fly_through
from inference_core.simulation.colon.rendering.camera import Camera, endoscope_camera

SIZES = (16, 2048)  # pixels
WRITERS = 2  # threads that compress pictures while the next one is drawn
WAITING = 8  # frames between drawing and disk: what the memory holds
INSIDE = 0.5  # a camera that sees less of the wall's inner side than this is not in the colon

Progress = Callable[[int, int], None]


def check_filming(filming: Filming) -> None:
    """Refuse settings before any work is done with them.

    Raises
    ------
    UserError
        ``frames``, ``size``, ``seed``, and as `check_flight`, `load_appearance` and `endoscope_camera`.
    """
    from inference_core.simulation.colon.rendering.appearance import load_appearance

    low, high = SIZES
    if not 1 <= filming.frames <= 1_000_000:
        raise UserError("frames", f"{filming.frames} frames cannot be made.", "Choose 1 to 1000000.")
    if not low <= filming.size <= high:
        raise UserError("size", f"The size is {filming.size} pixels.", f"Choose {low} to {high}; 256 is usual.")
    if not 0 <= filming.seed < 2**31:
        raise UserError("seed", f"The seed is {filming.seed}.", "Choose 0 to 2147483647.")
    check_flight(filming.direction, filming.speed_mm_s, filming.look_ahead_mm, filming.jitter)
    load_appearance(filming.appearance)
    _camera(filming)


def film(
    scene: Scene,
    filming: Filming,
    out: Path,
    split: str,
    attribution: str,
    progress: Progress = lambda done, total: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Write a dataset, or what is missing of one that an earlier run with the same settings began.

    Parameters
    ----------
    scene : Scene
    filming : Filming
    out : Path
        A new or empty folder, or the one of that earlier run.
    split : str
        train, validation or test; of the colon, never of single frames.
    attribution : str
        Whose colon it is, and under which licence.
    progress : callable
        Told (frames done, frames in all); those of the earlier run count as done.
    cancelled : callable

    Returns
    -------
    dict
        ``output``, ``frames``, ``made`` (frames made now), ``length_mm``, ``seconds_of_film``, ``folds``,
        ``folds_seen``, ``time_s``.

    Raises
    ------
    UserError
        As `dataset.start`, `fly_through`, `FrameRenderer`; ``outside`` where a camera is not in the colon.
    Cancelled
    """
    from inference_core.simulation.colon.mesh.surface_files import write_surface
    from inference_core.simulation.colon.rendering.appearance import load_appearance

    begun = time.perf_counter()
    look, camera = load_appearance(filming.appearance), _camera(filming)
    poses = _poses(scene, filming)
    visible = look.visible(camera)
    card = dataset_card(scene, filming, split, attribution, poses, look, visible)
    dataset.start(out, card)
    sweep_stale(out)
    missing = dataset.missing_frames(out, filming.frames, filming.size, filming.depth_float)
    with dataset.written(out):
        if missing:
            dataset.write_card(out, card, complete=False)
            dataset.write_json(out / dataset.CAMERAS, cameras_of(camera, poses))
            write_surface(scene.surface, out / "surface.vtp")
            write_centreline(scene.centreline, out / "centreline.vtp")
            _write_visible(visible, out / dataset.VISIBLE)
            _render(scene, filming, out, camera, look, poses, missing, progress, cancelled)
        if missing or not dataset.is_complete(out):
            _write_sheet(scene, filming, out, attribution, poses, visible)
            dataset.write_card(out, card, complete=True)
    return {
        "output": str(out),
        "frames": filming.frames,
        "made": len(missing),
        "length_mm": round(float(scene.centreline.arc_length[-1]), 1),
        "seconds_of_film": round(float(poses.time_s[-1]), 2),
        "folds": scene.folds,
        "time_s": round(time.perf_counter() - begun, 2),
    }


def _camera(filming: Filming) -> Camera:
    if filming.camera not in ("pinhole", "fisheye"):
        raise UserError("camera", f"There is no camera {filming.camera!r}.", "Choose pinhole or fisheye.")
    return endoscope_camera(filming.size, "fisheye" if filming.camera == "fisheye" else "pinhole")


def _poses(scene: Scene, filming: Filming) -> Poses:
    return fly_through(
        scene.centreline,
        filming.frames,
        filming.seed,
        "insertion" if filming.direction == "insertion" else "withdrawal",
        filming.speed_mm_s,
        filming.look_ahead_mm,
        filming.jitter,
    )


def _render(
    scene: Scene,
    filming: Filming,
    out: Path,
    camera: Camera,
    look: Any,
    poses: Poses,
    missing: list[int],
    progress: Progress,
    cancelled: Callable[[], bool],
) -> None:
    """Draw in this thread, compress and write in others."""
    from inference_core.simulation.colon.rendering.render import FrameRenderer

    done = filming.frames - len(missing)
    writing: list[Future[None]] = []
    with (
        scratch_folder(out) as aside,
        ThreadPoolExecutor(WRITERS) as pool,
        FrameRenderer(scene.surface, camera, look, texture_seed=filming.seed) as renderer,
    ):
        for number in missing:
            if cancelled():
                raise Cancelled
            frame = renderer.render(poses.camera_to_world[number], [filming.seed, number])
            if frame.inner_wall < INSIDE:
                raise UserError(
                    "outside",
                    f"In frame {number} the camera is not inside the colon.",
                    "The surface may be damaged there: look at centreline.vtp and surface.vtp in the output, mend the"
                    " surface, or choose --start and --end (x,y,z in mm, LPS).",
                )
            writing.append(pool.submit(dataset.write_frame, out, aside, number, frame, filming.depth_float))
            while len(writing) >= WAITING:
                writing.pop(0).result()
                done += 1
                progress(done, filming.frames)
        for future in writing:
            future.result()
            done += 1
            progress(done, filming.frames)


def _write_visible(visible: NDArray[np.bool_], path: Path) -> None:
    from PIL import Image

    image = Image.fromarray(visible.astype(np.uint8) * np.uint8(255))
    write_aside(path, lambda aside: image.save(aside, format="PNG"))


def _write_sheet(
    scene: Scene, filming: Filming, out: Path, attribution: str, poses: Poses, visible: NDArray[np.bool_]
) -> None:
    from inference_core.simulation.colon.dataset.contact_sheet import chosen, write_contact_sheet
    from inference_core.simulation.colon.dataset.frames import read_frame

    frames = []
    for number in chosen(filming.frames):
        caption = f"{poses.time_s[number]:.1f} s   {poses.path_mm[number] / 10:.0f} cm"
        frames.append({**read_frame(out, number, filming.size), "caption": caption})
    source = {EXACT: "exact truth", CARRIED: "labels of the surface"}.get(scene.labels, "labels computed")
    title = f"{scene.name}: {filming.frames} frames, {filming.appearance}"
    subtitle = (
        f"{filming.direction}, {filming.camera}, {filming.size} x {filming.size} pixels, seed {filming.seed};"
        f" path {scene.centreline.arc_length[-1] / 10:.0f} cm; {scene.folds} folds ({source})"
    )
    write_contact_sheet(out / "contact_sheet.png", frames, visible, title, subtitle, attribution)
