"""Draw what an endoscope sees of a colon, and the truth of every pixel: depth, folds and their numbers.

Two passes over the same wall, without a display. The first writes numbers instead of colours: which face a pixel shows
and its interpolated fold score; the z-buffer gives the depth. The second is the picture. Both rasterise the same
triangles, so picture and truth agree to the pixel, whatever the appearance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_core.extras import need
from inference_core.simulation.colon.mesh.surface import Surface
from inference_core.simulation.colon.rendering.appearance import Appearance
from inference_core.simulation.colon.rendering.camera import Camera, checked_camera
from inference_core.simulation.colon.rendering.fisheye import FisheyeView
from inference_core.simulation.colon.rendering.lens import through_lens
from inference_core.simulation.colon.rendering.seen import BORDER, LEVELS, Seen, Wall, checked_pose
from inference_core.simulation.colon.rendering.stage import Stage

PIECE = 2000  # faces; smaller pieces are left out more exactly, but each costs some time

Rows = NDArray[Any]


@dataclass(frozen=True)
class Frame:
    """One picture and its truth; all (height, width).

    Attributes
    ----------
    rgb : (height, width, 3) uint8
    depth : float32
        Millimetres along the camera's axis (not along the ray); 0 where no wall is seen.
    mask : bool
        Where a fold is seen: ``score >= 0.5``.
    instances : uint16
        The fold's number, above 0 exactly where the mask is.
    score : float32
        Fold score in steps of 1/254; 0 where no wall is seen.
    inner_wall : float
        Share of the pixels that show the wall's inner side: 1 inside a closed colon, 0 where the camera is outside or
        sees nothing. A frame well below 1 was not taken inside the colon.
    """

    rgb: NDArray[np.uint8]
    depth: NDArray[np.float32]
    mask: NDArray[np.bool_]
    instances: NDArray[np.uint16]
    score: NDArray[np.float32]
    inner_wall: float


class FrameRenderer:
    """Draws frames of one surface; a context manager that holds an OpenGL context while it is open.

    Parameters
    ----------
    surface : Surface
        Its point arrays ``fold_score`` and ``fold_instance`` become the mask and the instances; without them both are
        empty.
    camera : Camera
    appearance : Appearance
        Changes the picture alone, never its truth.
    texture_seed : int
        Which vessels and spots this wall has: the same in all frames of a surface.
    piece : int
        Faces in a piece of the wall that is drawn or left out as a whole; changes the time it takes, nothing else.

    Raises
    ------
    UserError
        ``bad-camera``, ``bad-folds``, ``too-many-faces``; on entering ``no-opengl`` or ``missing-package``.
    """

    def __init__(
        self, surface: Surface, camera: Camera, appearance: Appearance, texture_seed: int = 0, piece: int = PIECE
    ) -> None:
        need("scipy", "colon", "Rendering a colon")
        self.camera = checked_camera(camera)
        self.appearance = appearance
        self._wall = Wall(surface, piece)
        self._texture_seed = texture_seed
        self._fisheye = FisheyeView(camera) if camera.model == "fisheye" else None
        self._flat = self._fisheye.flat if self._fisheye else camera

    def __enter__(self) -> FrameRenderer:
        self._stage = Stage(self._wall, self._flat, self.appearance, self._texture_seed)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stage.close()
        del self._stage

    def render(self, camera_to_world: Rows, seed: int | Sequence[int]) -> Frame:
        """Draw one frame.

        Parameters
        ----------
        camera_to_world : (4, 4) array
            Pose of the camera in the surface's frame, mm; x right, y down, z forward.
        seed : int or sequence of int
            Of what changes from frame to frame (noise, exposure), e.g. the data set's seed and the frame's number.

        Raises
        ------
        UserError
            ``bad-pose``: not a rotation and a place.
        """
        pose = checked_pose(camera_to_world)
        flat = self._stage.seen_faces(pose)
        seen = self._through_fisheye(flat, pose)
        folded = self._wall.face_instances[seen.faces]
        mask = (seen.score >= BORDER) & (folded > 0)
        score = np.where(mask, seen.score, np.minimum(seen.score, BORDER - 1))
        return Frame(
            rgb=self._stored(self._stage.picture(pose, flat), seed),
            depth=seen.depth,
            mask=mask,
            instances=np.where(mask, folded, 0).astype(np.uint16),
            score=score.astype(np.float32) / np.float32(LEVELS),
            inner_wall=float(seen.inner.mean()),
        )

    def faces(self, camera_to_world: Rows) -> NDArray[np.int64]:
        """Number of the surface's face that each pixel shows, -1 where it shows none; (height, width)."""
        pose = checked_pose(camera_to_world)
        return np.append(self._wall.order, -1)[self._through_fisheye(self._stage.seen_faces(pose), pose).faces]

    def picture(self, camera_to_world: Rows, seed: int | Sequence[int]) -> NDArray[np.uint8]:
        """Draw the picture alone, e.g. of a second appearance at a pose whose truth is known; (height, width, 3)."""
        return self._stored(self._stage.picture(checked_pose(camera_to_world)), seed)

    def _stored(self, light: NDArray[np.uint8], seed: int | Sequence[int]) -> NDArray[np.uint8]:
        if self._fisheye:
            light = self._fisheye.picture(light)
        return through_lens(light, self.appearance, self.camera, seed)

    def _through_fisheye(self, flat: Seen, pose: NDArray[np.float64]) -> Seen:
        return self._fisheye.seen_faces(flat, self._wall, pose) if self._fisheye else flat
