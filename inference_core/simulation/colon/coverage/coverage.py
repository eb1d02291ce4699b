"""Coverage of a dataset: how often each place of the wall was seen, and in how many frames each fold was marked."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_core.errors import UserError
from inference_core.extras import need
from inference_core.simulation.colon.coverage.back_projection import SeenWall, back_project
from inference_core.simulation.colon.dataset.dataset import CAMERAS, CARD, VISIBLE
from inference_core.simulation.colon.dataset.frames import ColonFrames, read_depth, read_shown
from inference_core.simulation.colon.mesh.surface import Surface, vertex_areas
from inference_core.simulation.colon.rendering.camera import Camera, camera_from_dict

SHOWN = 0.1  # of a fold's area: with less of it in a frame the fold is not said to be visible there
MARKED = 0.5  # of a fold's visible area: where a mask covers it, the fold is marked in that frame
OTHER = 1.0  # mm from the surface to the median pixel: above, the surface is another than the one filmed
LOOKED_AT = 8  # frames, to tell that
PIXELS = 250  # of each of them


@dataclass(frozen=True)
class Coverage:
    """What the frames of a dataset show of a surface.

    Attributes
    ----------
    seen : (N,) int32
        In how many frames each vertex is seen.
    marked : (N,) int32 or None
        In how many of them a mask lies on it; none without masks.
    visible_in, marked_in : dict
        By fold: in how many frames it is visible, and in how many of these marked; the second is empty without masks.
    wall_distance : (K,) float64
        mm from pixels of some frames, laid back, to the surface.
    """

    seen: NDArray[np.int32]
    marked: NDArray[np.int32] | None
    visible_in: dict[int, int]
    marked_in: dict[int, int]
    wall_distance: NDArray[np.float64]


@dataclass(frozen=True)
class Film:
    """Camera, poses and place of a dataset's frames."""

    folder: Path
    camera: Camera
    poses: NDArray[np.float64]
    visible: NDArray[np.bool_]

    def depth(self, number: int) -> NDArray[np.float32]:
        """Depth of a frame, mm; (height, width)."""
        return read_depth(self.folder, number, self.camera.width)


def open_film(folder: Path) -> Film:
    """Read what a dataset says of its camera.

    Raises
    ------
    UserError
        ``no-dataset``, ``several-datasets``, ``bad-dataset``.
    """
    frames = ColonFrames(folder)
    if not (folder / CARD).exists():
        raise UserError(
            "several-datasets", f"{folder} holds {len(frames.datasets)} datasets.", f"Give {frames.datasets[0]}."
        )
    said = json.loads((folder / CAMERAS).read_text(encoding="utf-8"))
    camera = camera_from_dict(said["camera"])
    poses = np.array([frame["camera_to_world"] for frame in said["frames"]], np.float64)
    return Film(folder, camera, poses, read_shown(folder / VISIBLE, camera.width))


def masks_folder(folder: Path, film: Film) -> Path:
    """Where a frame's masks lie: in the folder, or in its ``masks`` (segment-folds) or ``mask`` (a dataset).

    Raises
    ------
    UserError
        ``masks`` where one is missing.
    """
    inner = next((folder / name for name in ("masks", "mask") if (folder / name).is_dir()), folder)
    missing = [k for k in range(len(film.poses)) if not (inner / f"{k:06d}.png").is_file()]
    if missing:
        raise UserError(
            "masks",
            f"{inner} lacks {missing[0]:06d}.png; {len(missing)} of the dataset's {len(film.poses)} frames have no mask"
            " there.",
            "Give the folder that segment-folds wrote for this dataset.",
        )
    return inner


def coverage(
    film: Film, surface: Surface, masks: Path | None, progress: Callable[[int, int], None] = lambda done, total: None
) -> Coverage:
    """Lay all frames of a dataset back onto a surface.

    Parameters
    ----------
    film : Film
    surface : Surface
        The one that was filmed, in mm, LPS; its array ``fold_instance``, where there is one, says where folds are.
    masks : Path, optional
        Folder with a mask for each frame, of the frames' size.
    progress : callable
        Told (frames done, in all).

    Raises
    ------
    UserError
        ``other-surface``, ``bad-dataset``.
    """
    distance = _wall_distance(film, surface)
    if np.median(distance) > OTHER:
        raise UserError(
            "other-surface",
            f"The frames show another surface: their pixels lie {np.median(distance):.1f} mm off it (median).",
            f"Give the surface that was filmed: {film.folder / 'surface.vtp'}, or the same with other labels.",
        )
    wall = SeenWall(surface, film.camera, film.visible)
    areas = vertex_areas(surface)
    folds = surface.point_arrays.get("fold_instance", np.zeros(len(areas))).astype(np.int64)
    whole = np.bincount(folds, areas)
    seen, marked = np.zeros((2, len(areas)), np.int32)
    visible_in, marked_in = np.zeros((2, len(whole)), np.int64)
    total = len(film.poses)
    for number, pose in enumerate(film.poses):
        vertices, pixels = wall.seen(film.depth(number), pose)
        seen[vertices] += 1
        shown = np.bincount(folds[vertices], areas[vertices], len(whole))
        visible = (shown > 0) & (shown >= SHOWN * whole)
        visible_in += visible
        if masks is not None:
            mask = read_shown(masks / f"{number:06d}.png", film.camera.width)
            under = vertices[mask.ravel()[pixels]]
            marked[under] += 1
            marked_in += visible & (np.bincount(folds[under], areas[under], len(whole)) >= MARKED * shown)
        progress(number + 1, total)
    there = [int(k) for k in np.flatnonzero(whole) if k]
    return Coverage(
        seen,
        marked if masks is not None else None,
        {k: int(visible_in[k]) for k in there},
        {k: int(marked_in[k]) for k in there} if masks is not None else {},
        distance,
    )


def coverage_report(surface: Surface, found: Coverage) -> dict[str, Any]:
    """The figures of a coverage, as JSON holds them."""
    areas = vertex_areas(surface)
    seen, total = float(areas[found.seen > 0].sum()) / 100, float(areas.sum()) / 100
    return {
        "seen_cm2": round(seen, 1),
        "never_seen_cm2": round(total - seen, 1),
        "total_cm2": round(total, 1),
        "share": round(seen / total, 4),
        "folds": [
            {"id": id, "visible_in": count, "marked_in": found.marked_in.get(id)}
            for id, count in found.visible_in.items()
        ],
        "wall_distance_mm": {
            "median": round(float(np.median(found.wall_distance)), 4),
            "p99": round(float(np.percentile(found.wall_distance, 99)), 4),
        },
        "rule": f"a fold is visible in a frame that shows at least {SHOWN:.0%} of its area, and marked where the mask"
        f" covers at least {MARKED:.0%} of what is shown",
    }


def _wall_distance(film: Film, surface: Surface) -> NDArray[np.float64]:
    """Distance in mm from pixels, laid back, to the surface: some of some frames."""
    need("igl", "colon", "Measuring coverage")
    import igl

    random = np.random.default_rng(0)
    places = []
    for number in np.unique(np.linspace(0, len(film.poses) - 1, LOOKED_AT).astype(int)):
        depth = film.depth(number)
        rows, columns = np.nonzero(film.visible & (depth > 0))
        some = random.permutation(len(rows))[:PIXELS]
        pixels = np.stack([columns, rows], axis=1)[some]
        places.append(back_project(pixels, depth[rows, columns][some], film.camera, film.poses[number]))
    if not sum(map(len, places)):
        raise UserError("no-wall", f"The frames of {film.folder} show no wall.", "Make the dataset again.")
    squares, _, _ = igl.point_mesh_squared_distance(np.concatenate(places), surface.vertices, surface.faces)
    return np.sqrt(np.asarray(squares, np.float64))
