"""A short bent tube with two known ring folds, ready to be filmed in a second."""

from pathlib import Path

import numpy as np
from made_tubes import arc_axis, tube

from inference_core.simulation.colon.dataset.scene import EXACT, Scene
from inference_core.simulation.colon.mesh.surface import Surface
from inference_core.simulation.colon.path.centreline import find_centreline

HEIGHT = 6.0  # mm, of the folds
PLACES = (50.0, 85.0)  # mm along the axis


def labelled_tube(bend=90.0):
    """Surface of a bent tube, 20 mm in radius, with the truth of its folds as point arrays."""
    axis = arc_axis(bend, angle=135 / bend)
    way = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(axis, axis=0), axis=1))])
    hills = [HEIGHT * np.exp(-0.5 * ((way - place) / 3) ** 2) for place in PLACES]
    around = 48
    surface = tube(axis, 20 - sum(hills), around)
    share = np.concatenate([np.repeat(sum(hills) / HEIGHT, around), [0, 0]])
    nearer = np.concatenate([np.repeat(np.argmax(hills, axis=0) + 1, around), [0, 0]])
    score = np.clip(2 * share, 0, 1).astype(np.float32)
    folds = np.where(score >= 0.5, nearer, 0).astype(np.int32)
    return Surface(surface.vertices, surface.faces, {"fold_score": score, "fold_instance": folds})


def tube_scene(bend=90.0):
    surface = labelled_tube(bend)
    return Scene("tube", surface, find_centreline(surface), [], EXACT)


def files_of(folder):
    """Bytes of every file below a folder, by relative name."""
    folder = Path(folder)
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}
