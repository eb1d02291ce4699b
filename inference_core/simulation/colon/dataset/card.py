"""What stands in a dataset's ``dataset.json`` and ``cameras.json``."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inference_core import __version__
from inference_core.simulation.colon.dataset.dataset import DEPTH_STEPS, FORMAT
from inference_core.simulation.colon.dataset.scene import Scene, sha256_of
from inference_core.simulation.colon.path.trajectory import FRAMES_PER_SECOND, Poses

if TYPE_CHECKING:
    from inference_core.simulation.colon.rendering.appearance import Appearance
    from inference_core.simulation.colon.rendering.camera import Camera


@dataclass(frozen=True)
class Filming:
    """How a colon is filmed; all of it stands in ``dataset.json`` under ``settings``."""

    frames: int = 1400
    size: int = 256
    """Pixels of width and height."""
    seed: int = 1
    appearance: str = "plain"
    camera: str = "pinhole"
    direction: str = "withdrawal"
    speed_mm_s: float = 20.0
    look_ahead_mm: float = 30.0
    jitter: float = 1.0
    depth_float: bool = False


def dataset_card(
    scene: Scene,
    filming: Filming,
    split: str,
    attribution: str,
    poses: Poses,
    look: Appearance,
    visible: NDArray[np.bool_],
) -> dict[str, Any]:
    """What a reader has to know to use the frames. It holds no time of day: the same command gives the same bytes."""
    surface, line = scene.surface, scene.centreline
    return {
        "what": "Simulated colonoscopy: frames rendered from a colon surface, with depth and fold truth. Research use"
        " only.",
        "software": {"name": "faithful-imaging", "version": __version__, "format": FORMAT},
        "attribution": attribution,
        "split": split,
        "mesh": {
            "name": scene.name,
            "sha256": sha256_of(surface.vertices, surface.faces),
            "vertices": len(surface.vertices),
            "faces": len(surface.faces),
            "repairs": scene.repairs,
        },
        "folds": {
            "labels": scene.labels,
            "count": scene.folds,
            "sha256": sha256_of(*(surface.point_arrays[name] for name in ("fold_score", "fold_instance"))),
        },
        "settings": asdict(filming),
        "appearance": asdict(look),
        "centreline": {
            "length_mm": round(float(line.arc_length[-1]), 3),
            "start_mm": [round(float(x), 3) for x in line.points[0]],
            "end_mm": [round(float(x), 3) for x in line.points[-1]],
            "sha256": sha256_of(line.points, line.radius),
            **({"follows": scene.path} if scene.path else {}),  # by name; what it says is in the sum
        },
        "film": {
            "camera_frames_per_second": FRAMES_PER_SECOND,
            "every_nth_of_them": poses.every,
            "speed_mm_s": round(poses.speed_mm_s, 4),
            "lasts_s": round(float(poses.time_s[-1]), 2),
        },
        "units": {
            "depth_steps_per_mm": DEPTH_STEPS,
            "depth": "16-bit value / depth_steps_per_mm = mm along the camera's axis (not along the ray); 0: no wall",
            "length": "mm",
            "time": "s",
            "space": "LPS, the surface's",
            "camera_axes": "OpenCV: x right, y down, z forward; the first pixel's centre is at (0, 0)",
        },
        "visible": {"file": "visible.png", "share": round(float(visible.mean()), 6)},
        "files": {
            "rgb/NNNNNN.png": "8-bit RGB",
            "depth/NNNNNN.png": "16-bit depth",
            "mask/NNNNNN.png": "8-bit, 255 on folds",
            "instances/NNNNNN.png": "16-bit fold number, the same in all frames; 0 off the folds",
            **({"depth_float/NNNNNN.npy": "float32 depth, mm"} if filming.depth_float else {}),
            "cameras.json": "intrinsics; per frame the camera-to-world matrix and the time",
            "visible.png": "255 where the picture shows the wall; labels go on behind the black frame",
            "surface.vtp": "the surface as filmed, with fold_score and fold_instance",
            "centreline.vtp": "the line the camera follows, with radius and arc_length in mm",
            "contact_sheet.png": "some frames at a glance",
        },
    }


def cameras_of(camera: Camera, poses: Poses) -> dict[str, Any]:
    """Intrinsics, and for each frame its file, time, place on the centreline, and pose."""
    return {
        "units": "mm, s; LPS",
        "axes": "OpenCV: x right, y down, z forward; camera_to_world, 4x4, rows",
        "camera": camera.to_dict(),
        "frames": [
            {
                "file": f"{number:06d}.png",
                "time_s": round(float(poses.time_s[number]), 2),
                "path_mm": round(float(poses.path_mm[number]), 4),
                "camera_to_world": np.round(poses.camera_to_world[number], 9).tolist(),
            }
            for number in range(len(poses.time_s))
        ],
    }
