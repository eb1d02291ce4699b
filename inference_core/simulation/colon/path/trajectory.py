"""The endoscope's way through the colon: where it is and where it looks, frame by frame.

On withdrawal, the usual time of looking, the tip moves from the caecum to the rectum and goes on looking towards the
caecum. A hand never holds still: the tip leaves the axis, wobbles, rolls, and now and then glances at the wall. All of
it is band-limited in time, so neighbouring frames show neighbouring views.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from inference_core.errors import UserError
from inference_core.simulation.colon.path.curve import unit

if TYPE_CHECKING:
    from inference_core.simulation.colon.path.centreline import Centreline

Floats = NDArray[np.float64]
Direction = Literal["withdrawal", "insertion"]

FRAMES_PER_SECOND = 50
STEP = 1.0  # mm between two points of the path on which views are laid out
WALL_MARGIN = 3.0  # mm that stay free between the tip and the wall: half the width of an endoscope
END_MARGIN = 10.0  # mm before the ends of the centreline where the camera turns: the caecal wall is not a view
HAND = (0.05, 0.45)  # Hz: how slowly and how quickly a hand moves
SHARE_OF_FREE_RADIUS = 0.55  # how far off the axis the tip may come, of the room it has
WOBBLE = np.radians(4.0)  # of yaw and pitch, root mean square
ROLL = np.radians(15.0)
GLANCE = np.radians(40.0)  # the farthest glance
GLANCE_EVERY = 12.0  # s, on average
GLANCE_LASTS = (1.5, 4.0)  # s


@dataclass(frozen=True)
class Poses:
    """Where the camera is, for each frame.

    Attributes
    ----------
    camera_to_world : (F, 4, 4) float64
        OpenCV axes (x right, y down, z forward) to the surface's frame; mm, LPS.
    time_s : (F,) float64
        Seconds since the start, multiples of 1/50 s.
    path_mm : (F,) float64
        Arc length on the centreline beside the camera.
    speed_mm_s : float
        At which the camera moves along the centreline.
    every : int
        Which of a 50 Hz camera's frames these are: every n-th.
    """

    camera_to_world: Floats
    time_s: Floats
    path_mm: Floats
    speed_mm_s: float
    every: int


def fly_through(
    centreline: Centreline,
    frames: int,
    seed: int,
    direction: Direction = "withdrawal",
    speed_mm_s: float = 20.0,
    look_ahead_mm: float = 30.0,
    jitter: float = 1.0,
) -> Poses:
    """Poses of a camera that travels the whole centreline once.

    The frames lie evenly on the path. Every n-th of a 50 Hz camera's frames is taken, with the n that brings the speed
    nearest to the one wanted.

    Parameters
    ----------
    centreline : Centreline
        From where the endoscope enters (rectum) to where it turns (caecum).
    frames : int
    seed : int
        Of the hand's movements; the same seed gives the same poses.
    direction : {"withdrawal", "insertion"}
        The view is towards the caecum in both.
    speed_mm_s : float
    look_ahead_mm : float
        How far ahead on the path the camera aims.
    jitter : float
        0 (exactly on the axis) to 1 (a hand); 2 is an unsteady one.

    Returns
    -------
    Poses
        Every camera lies inside the ball that the wall leaves free around its point of the axis, at least
        :data:`WALL_MARGIN` from the wall where the lumen is that wide.

    Raises
    ------
    UserError
        ``frames``, ``speed``, ``look-ahead``, ``jitter`` or ``direction``.
    """
    check_flight(direction, speed_mm_s, look_ahead_mm, jitter)
    if frames < 1:
        raise UserError("frames", f"{frames} frames are none.", "Ask for 1 or more.")
    length = float(centreline.arc_length[-1])
    first, last = _travelled(length)
    every = max(1, round((last - first) / max(frames - 1, 1) * FRAMES_PER_SECOND / speed_mm_s))
    time = np.arange(frames) * every / FRAMES_PER_SECOND
    along = np.linspace(first, last, frames)
    if direction == "withdrawal":
        along = along[::-1].copy()

    base = _base_views(centreline, along, look_ahead_mm)
    random = np.random.default_rng([seed, 0xC0105])
    axis = _at(centreline, along)
    free = np.maximum(np.interp(along, centreline.arc_length, centreline.radius) - WALL_MARGIN, 0.0)
    sideways = _hand(random, time, 2) * min(jitter, 1.0)
    sideways /= np.sqrt(1 + (sideways**2).sum(axis=1, keepdims=True))  # shorter than 1: the tip stays off the wall
    sideways *= SHARE_OF_FREE_RADIUS * free[:, None]
    place = axis + np.einsum("fik,fk->fi", base[:, :, :2], sideways)
    aimed = _turned_to(base, _aim(centreline, along, look_ahead_mm) - place)

    yaw, pitch = jitter * (WOBBLE * _hand(random, time, 2) + _glances(random, time)).T
    roll = jitter * ROLL * _hand(random, time, 1)[:, 0]
    poses = np.tile(np.eye(4), (frames, 1, 1))
    poses[:, :3, :3] = aimed @ _about(2, roll) @ _about(1, yaw) @ _about(0, pitch)
    poses[:, :3, 3] = place
    speed = (last - first) / float(time[-1]) if frames > 1 else speed_mm_s
    return Poses(poses, time, along, speed, every)


def check_flight(direction: str, speed: float, look_ahead: float, jitter: float) -> None:
    """Refuse what no endoscope does, before any work is done.

    Raises
    ------
    UserError
        ``direction``, ``speed``, ``look-ahead`` or ``jitter``.
    """
    if direction not in ("withdrawal", "insertion"):
        raise UserError("direction", f"There is no direction {direction!r}.", "Choose withdrawal or insertion.")
    if not 0.1 <= speed <= 500:
        raise UserError("speed", f"A speed of {speed:g} mm/s is no endoscope's.", "Choose 0.1 to 500; 20 is usual.")
    if not 1 <= look_ahead <= 200:
        raise UserError("look-ahead", f"The look-ahead is {look_ahead:g} mm.", "Choose 1 to 200 mm; 30 is usual.")
    if not 0 <= jitter <= 3:
        raise UserError("jitter", f"The jitter is {jitter:g}.", "Choose 0 (none) to 3; 1 is a hand.")


def _travelled(length: float) -> tuple[float, float]:
    """First and last arc length of the camera: the whole path without its very ends."""
    margin = min(END_MARGIN, length / 4)
    return margin, length - margin


def _at(centreline: Centreline, along: Floats) -> Floats:
    """Points of the path at arc lengths; beyond its ends it goes straight on. (K, 3)."""
    arc, points = centreline.arc_length, centreline.points
    inside = np.stack([np.interp(along, arc, points[:, axis]) for axis in range(3)], axis=1)
    before = np.minimum(along - arc[0], 0)[:, None] * unit(points[min(3, len(points) - 1)] - points[0])
    after = np.maximum(along - arc[-1], 0)[:, None] * unit(points[-1] - points[max(-4, -len(points))])
    return inside + before + after


def _aim(centreline: Centreline, along: Floats, look_ahead: float) -> Floats:
    """What the camera looks at: the path ahead, averaged so that no corner of it jerks the view. (K, 3)."""
    ahead = np.linspace(0.5, 1.5, 9) * look_ahead
    return np.mean([_at(centreline, along + far) for far in ahead], axis=0)


def _base_views(centreline: Centreline, along: Floats, look_ahead: float) -> Floats:
    """Rotations that look along the path from its axis and never roll about it; (F, 3, 3), columns x, y, z.

    The view is carried along the path by the smallest turns from one millimetre to the next. A rule such as "the
    normal is down" would flip the picture wherever the view comes to lie along the normal.
    """
    low, high = along.min(), along.max()
    grid = np.linspace(low, high, max(2, int(np.ceil((high - low) / STEP)) + 1))
    forward = unit(_aim(centreline, grid, look_ahead) - _at(centreline, grid))
    posterior = np.array([0.0, 1.0, 0.0])
    down = posterior if abs(forward[0] @ posterior) < 0.9 else np.array([0.0, 0.0, -1.0])
    downs = np.empty_like(forward)
    for k, direction in enumerate(forward):
        down = unit(down - (down @ direction) * direction)
        downs[k] = down
    down = np.stack([np.interp(along, grid, downs[:, axis]) for axis in range(3)], axis=1)
    return _views(np.stack([np.interp(along, grid, forward[:, axis]) for axis in range(3)], axis=1), down)


def _turned_to(views: Floats, forward: Floats) -> Floats:
    """The views, each turned the shortest way until it looks along ``forward``."""
    old, new = views[:, :, 2], unit(forward)
    middle = unit(old + new)
    half = views - 2 * middle[:, :, None] * np.einsum("fi,fik->fk", middle, views)[:, None, :]
    return half - 2 * new[:, :, None] * np.einsum("fi,fik->fk", new, half)[:, None, :]  # two mirrors make a rotation


def _views(forward: Floats, down: Floats) -> Floats:
    z = unit(forward)
    y = unit(down - (down * z).sum(axis=1, keepdims=True) * z)
    return np.stack([np.cross(y, z), y, z], axis=2)


def _hand(random: np.random.Generator, time: Floats, channels: int, waves: int = 24) -> Floats:
    """Smooth noise of unit root mean square between the frequencies of :data:`HAND`; (F, channels)."""
    low, high = HAND
    frequency = low * (high / low) ** random.random((waves, channels))
    phase = 2 * np.pi * random.random((waves, channels))
    angle = 2 * np.pi * frequency * time[:, None, None] + phase
    return np.sqrt(2 / waves) * np.sin(angle).sum(axis=1)


def _glances(random: np.random.Generator, time: Floats) -> Floats:
    """Yaw and pitch of glances at the wall, in radians, 0 in between; (F, 2)."""
    turned = np.zeros((len(time), 2))
    start = random.exponential(GLANCE_EVERY)
    while start < time[-1]:
        lasts = random.uniform(*GLANCE_LASTS)
        far, towards = GLANCE * random.uniform(0.4, 1.0), random.uniform(0, 2 * np.pi)
        phase = np.clip((time - start) / lasts, 0, 1)
        turned += np.outer(far * np.sin(np.pi * phase) ** 2, [np.cos(towards), np.sin(towards)])
        start += lasts + random.exponential(GLANCE_EVERY)
    return turned


def _about(axis: int, angle: Floats) -> Floats:
    """Rotations about a camera axis; (F, 3, 3)."""
    a, b = (axis + 1) % 3, (axis + 2) % 3
    turned = np.tile(np.eye(3), (len(angle), 1, 1))
    turned[:, a, a] = turned[:, b, b] = np.cos(angle)
    turned[:, b, a] = np.sin(angle)
    turned[:, a, b] = -np.sin(angle)
    return turned
