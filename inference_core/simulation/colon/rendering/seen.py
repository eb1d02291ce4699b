"""What the first pass yields at every pixel, and the numbers in which it is written."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_core.errors import UserError
from inference_core.simulation.colon.mesh.surface import Surface, vertex_normals
from inference_core.simulation.colon.rendering.chunks import compact_pieces

LEVELS = 254  # steps of the fold score in the 8 bits that hold it: 0 is kept for "no wall"
BORDER = 127  # the step that is a score of 0.5
MOST_FACES = 2**23 - 2  # a face's number, and one for "no wall", in 23 bits
MOST_FOLDS = 2**16 - 1


@dataclass(frozen=True)
class Seen:
    """One value for every pixel; all (height, width).

    Attributes
    ----------
    faces : int64
        Number of the face that is seen, in the order of ``Wall.order``; the number of faces where there is none.
    score : uint8
        Fold score in steps of 1/254.
    depth : float32
        mm along the axis, 0 where no wall is seen.
    inner : bool
        Whether a face is seen from inside.
    """

    faces: NDArray[np.int64]
    score: NDArray[np.uint8]
    depth: NDArray[np.float32]
    inner: NDArray[np.bool_]


class Wall:
    """A surface sorted into compact pieces.

    Attributes
    ----------
    pieces : list of (F,) int64
        Faces of each piece.
    order : (M,) int64
        All of them, one piece after the other: pixel numbers count in this order.
    piece_of : (M,) int64
        Number of the piece of each face in this order.
    faces : (M, 3) int64
        Vertex numbers of each face in this order.
    normals : (N, 3) float64
    scores : (N,) float32
    face_instances : (M + 1,) uint16
        Fold of each face in this order: that of its corner with the highest score. Last: 0, for "no wall".
    """

    def __init__(self, surface: Surface, piece: int) -> None:
        if not 0 < len(surface.faces) <= MOST_FACES:
            raise UserError(
                "too-many-faces",
                f"The surface has {len(surface.faces)} faces; 1 to {MOST_FACES} can be drawn.",
                "Decimate it.",
            )
        self.surface = surface
        self.normals = vertex_normals(surface)
        self.scores, instances = fold_arrays(surface)
        self.pieces = compact_pieces(surface, piece)
        self.order = np.concatenate(self.pieces)
        self.piece_of = np.repeat(np.arange(len(self.pieces)), [len(piece) for piece in self.pieces])
        self.faces = surface.faces[self.order]
        highest = np.argmax(self.scores[self.faces], axis=1)
        self.face_instances = np.zeros(len(self.order) + 1, dtype=np.uint16)
        self.face_instances[:-1] = instances[self.faces[np.arange(len(self.faces)), highest]]

    @cached_property
    def neighbours(self) -> NDArray[np.int64]:
        """Faces across the edge opposite to each corner, both in this order; itself where there is none; (M, 3)."""
        edges = np.sort(self.faces[:, [1, 2, 2, 0, 0, 1]].reshape(-1, 2), axis=1)
        sides = np.lexsort(edges.T)
        twins = np.flatnonzero((edges[sides[1:]] == edges[sides[:-1]]).all(axis=1))
        across = np.repeat(np.arange(len(self.faces)), 3)
        across[sides[twins]], across[sides[twins + 1]] = sides[twins + 1] // 3, sides[twins] // 3
        return across.reshape(-1, 3)


def fold_arrays(surface: Surface) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Score and instance of each vertex; zeros where the surface has neither.

    Raises
    ------
    UserError
        ``bad-folds``: only one of the two, or they contradict each other, or there are too many.
    """
    arrays = surface.point_arrays
    if "fold_score" not in arrays and "fold_instance" not in arrays:
        return np.zeros(len(surface.vertices), np.float32), np.zeros(len(surface.vertices), np.int64)
    problem = None
    if "fold_score" not in arrays or "fold_instance" not in arrays:
        problem = "has only one of the point arrays fold_score and fold_instance"
    elif not np.array_equal(arrays["fold_score"] >= 0.5, arrays["fold_instance"] > 0):
        problem = "has point arrays fold_score and fold_instance that disagree on where folds are"
    elif arrays["fold_instance"].max(initial=0) > MOST_FOLDS:
        problem = f"has a fold number above {MOST_FOLDS}"
    if problem:
        raise UserError("bad-folds", f"The surface {problem}.", "Label its folds anew: inference-core label-folds.")
    return arrays["fold_score"].astype(np.float32), arrays["fold_instance"].astype(np.int64)


def checked_pose(camera_to_world: NDArray[Any]) -> NDArray[np.float64]:
    """Give the pose back as float64 if it is a rotation and a place.

    Raises
    ------
    UserError
        ``bad-pose``.
    """
    pose = np.asarray(camera_to_world, dtype=np.float64)
    if pose.shape != (4, 4) or not np.isfinite(pose).all() or not np.allclose(pose[3], (0, 0, 0, 1)):
        raise UserError("bad-pose", f"The pose {pose.tolist()} is no 4x4 matrix of numbers.", REMEDY)
    rotation = pose[:3, :3]
    if not np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-4) or np.linalg.det(rotation) < 0:
        raise UserError("bad-pose", f"The pose {pose.tolist()} holds no rotation.", REMEDY)
    return pose


REMEDY = "Give camera-to-world: columns x right, y down, z forward, place in mm; last row 0 0 0 1."
