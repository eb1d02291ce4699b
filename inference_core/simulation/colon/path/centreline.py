"""The centreline of a colon: a path from end to end that keeps to the middle, smooth, with frames that do not twist."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_core.errors import UserError
from inference_core.extras import need
from inference_core.simulation.colon.mesh.surface import Points, Surface, enclosed_volume, face_areas
from inference_core.simulation.colon.path.curve import arc_length, evenly_spaced, parallel_transport
from inference_core.simulation.colon.path.lumen import Lumen, lumen

STEP = 1.0  # mm between points
SMOOTHING = 8.0  # mm, standard deviation along the curve: half the distance between folds, which push the path about
VOXELS_ACROSS = 20  # of the lumen's width
VOXEL_RANGE = (0.6, 2.0)  # mm
CENTRING = 3  # power of the wall distance by which a way costs less
END_RADIUS = 0.5  # of the median radius: nearer the ends do not come to the wall
_END_LENGTH = 50  # points over which an end is straightened at most
_END_DIRECTION = 20  # points from which its direction is taken
_CENTRED = 0.97  # of the median radius near an end: from there on the path keeps to the middle
KEPT_RADIUS = 0.6  # of the unsmoothed path's distance to the wall that smoothing must leave


@dataclass(frozen=True)
class Centreline:
    """A curve along the middle of the lumen.

    Attributes
    ----------
    points : (K, 3)
        mm, LPS, evenly spaced.
    arc_length : (K,)
        mm from the first point.
    tangents, normals, binormals : (K, 3)
        Right-handed unit frames that turn with the curve but never about it.
    radius : (K,)
        mm to the nearest wall.
    """

    points: Points
    arc_length: Points
    tangents: Points
    normals: Points
    binormals: Points
    radius: Points


def find_centreline(surface: Surface, start: Points | None = None, end: Points | None = None) -> Centreline:
    """Find the centreline of a closed colon surface.

    The lumen is filled with voxels; the way through one costs the less the farther the wall is (scikit-image's minimal
    path). Without given ends the path is the longest of all cheapest ways: the voxel with the longest way from the
    widest place is one end, the voxel with the longest way from there the other. Lengths count here, not costs, and
    of ways that keep to the middle: a thin bridge between two loops that touch is a detour in cost, not a short cut.

    Parameters
    ----------
    surface : Surface
        Closed, one part, outward normals, mm.
    start, end : (3,), optional
        Ends in mm, LPS, if they are to be others; moved to the nearest place inside.

    Returns
    -------
    Centreline

    Raises
    ------
    UserError
        ``end-outside`` for an end far outside, ``no-centreline`` where the ends are not connected or too close.
    """
    need("skimage", "colon", "Finding a centreline")
    space = lumen(surface, _voxel_step(surface))
    path = _longest_path(space, _voxel_of(space, start, "start"), _voxel_of(space, end, "end"))
    if len(path) < 10:
        raise UserError(
            "no-centreline",
            "No path leads from one end of the lumen to the other.",
            "Give ends that lie farther apart, in one connected lumen.",
        )
    path = evenly_spaced(path, STEP)
    if start is None:
        path = _straight_start(space, path)
    if end is None:
        path = _straight_start(space, path[::-1])[::-1]
    return _centreline(surface, space, path)


def centreline_through(surface: Surface, path: Points) -> Centreline:
    """The centreline of a path that lies inside and whose points are ``STEP`` apart: smoothed, its radii measured."""
    return _centreline(surface, lumen(surface, _voxel_step(surface)), path)


def _centreline(surface: Surface, space: Lumen, path: Points) -> Centreline:
    points = evenly_spaced(_smoothed(space, path), STEP)
    frames = parallel_transport(points)
    return Centreline(
        points, arc_length(points), frames.tangents, frames.normals, frames.binormals, _wall_distance(surface, points)
    )


def _voxel_step(surface: Surface) -> float:
    """A twentieth of the width of a tube with the surface's volume and area."""
    width = 4 * enclosed_volume(surface) / float(face_areas(surface).sum())
    return float(np.clip(width / VOXELS_ACROSS, *VOXEL_RANGE))


def _voxel_of(space: Lumen, point: Points | None, name: str) -> NDArray[np.int64] | None:
    """The voxel inside that is nearest to a point."""
    if point is None:
        return None
    place = np.asarray(point, np.float64)
    inside = np.argwhere(space.inside)
    gaps = np.linalg.norm(space.points(inside) - place, axis=1)
    nearest = int(np.argmin(gaps))
    if not gaps[nearest] <= 20.0:
        raise UserError(
            "end-outside",
            f"The {name} of the centreline, {', '.join(f'{x:g}' for x in place)} mm, lies {gaps[nearest]:.0f} mm"
            " outside the colon.",
            "Give a point in the lumen in mm, LPS.",
        )
    return np.asarray(inside[nearest])


@dataclass(frozen=True)
class _Ways:
    """The cheapest ways from one voxel to all others inside: a tree. ``(n,)`` arrays over the voxels inside."""

    voxels: NDArray[np.int64]  # flat index
    parents: NDArray[np.int64]  # place in these arrays; the root is its own
    lengths: Points  # mm, not cost

    def farthest(self) -> int:
        """Flat index of the voxel with the longest way."""
        return int(self.voxels[int(np.argmax(self.lengths))])

    def way_to(self, voxel: int) -> NDArray[np.int64]:
        """Flat indices from the root to a voxel."""
        at = int(np.searchsorted(self.voxels, voxel))
        way = [at]
        while self.parents[at] != at:
            at = int(self.parents[at])
            way.append(at)
        return self.voxels[way[::-1]]


def _ways_from(space: Lumen, start: int) -> _Ways:
    from skimage.graph import MCP_Geometric

    cost = np.where(space.inside, 1 / (0.5 + space.wall_distance) ** CENTRING, -1.0)
    search: Any = MCP_Geometric(cost, fully_connected=True)
    _, steps = search.find_costs([np.unravel_index(start, space.inside.shape)])
    offsets = np.array(search.offsets)
    reached = np.flatnonzero(space.inside & (steps >= -1))
    taken = steps.ravel()[reached]
    root = taken < 0
    moves = np.where(root[:, None], 0, offsets[np.maximum(taken, 0)])
    _, rows, columns = space.inside.shape
    parents = np.searchsorted(reached, reached - moves @ [rows * columns, columns, 1])
    lengths = np.linalg.norm(moves, axis=1) * space.step
    # Each pass doubles the part of the way that is summed.
    ancestors = parents
    while (ancestors[ancestors] != ancestors).any():
        lengths = lengths + lengths[ancestors]
        ancestors = ancestors[ancestors]
    return _Ways(reached, parents, lengths)


def _longest_path(space: Lumen, start: NDArray[np.int64] | None, end: NDArray[np.int64] | None) -> Points:
    shape = space.inside.shape
    first = None if start is None else int(np.ravel_multi_index(tuple(start), shape))
    last = None if end is None else int(np.ravel_multi_index(tuple(end), shape))
    if first is None:
        origin = int(np.argmax(space.wall_distance)) if last is None else last
        first = _ways_from(space, origin).farthest()
    ways = _ways_from(space, first)
    way = ways.way_to(ways.farthest() if last is None else last)
    return space.points(np.stack(np.unravel_index(way, shape), axis=1))


def _smoothed(space: Lumen, path: Points) -> Points:
    """A smooth curve near a path with points ``STEP`` apart, nowhere much nearer to the wall."""
    from scipy import ndimage

    smooth = _blurred(path, SMOOTHING)
    wanted = KEPT_RADIUS * _sampled(space, path)
    weight = np.ones(len(path))
    for _ in range(12):  # where it cuts a corner too far, back towards the path
        short = _sampled(space, path + weight[:, None] * (smooth - path)) < wanted
        if not short.any():
            break
        near = ndimage.gaussian_filter1d(short.astype(float), 4.0, mode="nearest")
        weight *= 1 - 0.3 * np.maximum(short, near / max(near.max(), 1e-9))
    return _blurred(path + weight[:, None] * (smooth - path), 2.0)


def _blurred(points: Points, sigma: float) -> Points:
    """Blurred along the curve; its ends stay."""
    from scipy import ndimage

    reach = min(int(4 * sigma / STEP), len(points) - 1)
    before = 2 * points[0] - points[reach:0:-1]
    after = 2 * points[-1] - points[-2 : -reach - 2 : -1]
    whole = ndimage.gaussian_filter1d(np.concatenate([before, points, after]), sigma / STEP, axis=0, mode="nearest")
    return np.asarray(whole[len(before) : len(before) + len(points)])


def _sampled(space: Lumen, points: Points) -> Points:
    from scipy import ndimage

    places = ((points - space.origin) / space.step)[:, ::-1].T
    return np.asarray(ndimage.map_coordinates(space.wall_distance, places, order=1), np.float64)


def _straight_start(space: Lumen, path: Points) -> Points:
    """Replace the start of a path that was found by itself, which runs into a corner, by a straight one.

    It is cut back to where the wall is as far as it is a little further on, and goes on from there as it came until the
    wall of the lumen's end is near.
    """
    radius = _sampled(space, path)
    wide = int(np.argmax(radius >= END_RADIUS * np.median(radius)))
    begin = radius[wide : wide + _END_LENGTH]
    first = wide + int(np.argmax(begin >= _CENTRED * np.median(begin)))
    ahead = path[min(first + _END_DIRECTION, len(path) - 1)]
    direction = (path[first] - ahead) / max(float(np.linalg.norm(path[first] - ahead)), 1e-9)
    straight = path[first] + np.arange(_END_LENGTH, 0, -1)[:, None] * STEP * direction
    near = np.flatnonzero(_sampled(space, straight) < END_RADIUS * np.median(radius))
    return np.concatenate([straight[int(near[-1]) + 1 if len(near) else 0 :], path[first:]])


def _wall_distance(surface: Surface, points: Points) -> Points:
    need("igl", "colon", "Finding a centreline")
    import igl

    squares, _, _ = igl.point_mesh_squared_distance(points, surface.vertices, surface.faces)
    return np.sqrt(np.asarray(squares, np.float64))
