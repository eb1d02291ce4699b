"""What is filmed: a checked colon surface with its folds labelled, and the line along its middle."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_core.errors import UserError
from inference_core.simulation.colon.mesh.surface import Points, Surface, edges
from inference_core.simulation.colon.path.centreline import Centreline, find_centreline

LABELS = ("fold_score", "fold_instance")
EXACT = "exact: of the procedural colon"
MADE = "made by Faithful Imaging (Apache-2.0); the anatomy of no one"
NARROW = 9.0  # mm from the centreline to the wall
CARRIED = "carried by the surface (point arrays fold_score and fold_instance), as exact as whoever made them"
COMPUTED = "computed from the surface's shape (label_folds); an estimate, not an annotation"

Stage = Callable[[str], None]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Scene:
    """A colon that can be filmed.

    Attributes
    ----------
    name : str
    surface : Surface
        With ``fold_score`` and ``fold_instance``.
    centreline : Centreline
    repairs : list of str
        What was changed in the surface as it was read, and what is doubtful about it.
    labels : str
        Where the fold labels come from.
    attribution : str, optional
        Whose colon it is, where its file says so.
    path : str, optional
        Name of the file whose path the centreline follows; none: it was found.
    """

    name: str
    surface: Surface
    centreline: Centreline
    repairs: list[str]
    labels: str
    attribution: str | None = None
    path: str | None = None

    @property
    def folds(self) -> int:
        """How many folds are labelled."""
        instance = self.surface.point_arrays["fold_instance"]
        return len(np.unique(instance[instance > 0]))


def scene_of_file(
    path: Path,
    label: int | None,
    start: Points | None,
    end: Points | None,
    stage: Stage,
    progress: Progress,
    along: Path | None = None,
) -> Scene:
    """Read, check and label a colon; its own fold labels are kept where it has both arrays.

    Parameters
    ----------
    path : Path
    label : int, optional
        Of a label map.
    start, end : (3,) mm, optional
        Where the endoscope enters, and where it turns.
    stage : callable
        Told what begins: read, check, label, centreline.
    progress : callable
        Told (done, total) of the stage.
    along : Path, optional
        File of a path to follow instead of the centreline that would be found.

    Raises
    ------
    UserError
        As :func:`read_surface`, :func:`checked`, :func:`find_centreline`; :func:`read_path`, :func:`centreline_along`.
    """
    from inference_core.simulation.colon.mesh.surface_check import checked
    from inference_core.simulation.colon.mesh.surface_files import read_surface
    from inference_core.simulation.colon.path.given_path import centreline_along
    from inference_core.simulation.colon.path.path_files import read_path

    stage("read")
    surface = read_surface(path, label)
    notes = surface.notes
    stage("check")
    surface, repairs = checked(surface)
    stage("centreline")
    centreline = centreline_along(surface, read_path(along)) if along else find_centreline(surface, start, end)
    name = along.name if along else None
    repairs = [*repairs, *doubts(surface, centreline)]
    whose = notes.get("attribution")
    if set(LABELS) <= set(surface.point_arrays):
        carried = notes.get("fold_labels", CARRIED)
        return Scene(path.name, consistent(surface), centreline, repairs, carried, whose, name)
    stage("label")
    from inference_core.simulation.colon.folds.fold_labels import label_folds

    return Scene(path.name, label_folds(surface, progress), centreline, repairs, COMPUTED, whose, name)


def procedural_scene(seed: int, stage: Stage) -> Scene:
    """A procedural colon with its exact truth."""
    from inference_core.simulation.colon.procedural.haustral_colon import haustral_colon

    stage("make")
    surface = haustral_colon(seed)
    stage("centreline")
    return Scene(f"procedural colon, seed {seed}", surface, find_centreline(surface), [], EXACT, MADE)


def doubts(surface: Surface, centreline: Centreline) -> list[str]:
    """What was left as it is, and shows in the frames: handles, and a lumen that is nearly shut."""
    found = []
    euler = len(surface.vertices) - len(edges(surface)) + len(surface.faces)
    if euler < 2:
        count = f"{(2 - euler) // 2} handle{'s' * (euler < 0)}"
        found.append(
            f"Left as it is: {count}, where loops or folds touch. They show as bars and holes; some get labels."
        )
    radius = float(np.median(centreline.radius))
    if radius < NARROW:
        found.append(f"The lumen is narrow ({radius:.0f} mm to the wall): many frames look at the wall from close by.")
    return found


def consistent(surface: Surface) -> Surface:
    """The surface with its labels as the contract has them: a number above 0 exactly where the score is 0.5 or more.

    Raises
    ------
    UserError
        ``fold-labels``.
    """
    score, instance = (surface.point_arrays[name] for name in LABELS)
    in_range = np.isfinite(score).all() and 0 <= score.min() <= score.max() <= 1
    if not (in_range and 0 <= instance.min() <= instance.max() < 65536):
        raise UserError(
            "fold-labels",
            "The surface's fold_score has to be from 0 to 1 at each vertex, its fold_instance from 0 to 65535.",
            "Label it again (inference-core label-folds), or save it without these arrays: it is labelled here then.",
        )
    if not np.array_equal(score >= 0.5, instance > 0):
        wrong = int(np.count_nonzero((score >= 0.5) != (instance > 0)))
        raise UserError(
            "fold-labels",
            f"The surface's fold_score and fold_instance do not agree at {wrong} vertices: a fold's number has to be"
            " above 0 exactly where the score is 0.5 or more.",
            "Label it again (inference-core label-folds), or save it without these arrays: it is labelled here then.",
        )
    return Surface(
        surface.vertices, surface.faces, {LABELS[0]: score.astype(np.float32), LABELS[1]: instance.astype(np.int32)}
    )


def sha256_of(*arrays: NDArray[Any]) -> str:
    """Of arrays' values and shapes: the same for a surface in another file format."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
