"""The wall of a made colon as a radius over (way along the axis, angle around it), and its exact folds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

WAY_STEP = 0.25  # mm
ANGLES = 360
BORDER = 0.25  # of a fold's own height: what rises higher belongs to the fold
MARGIN = 22.0  # mm at either end without folds
ROUNDED = 12.0  # mm at either end over which the wall grows round


@dataclass(frozen=True)
class Fold:
    """One semilunar fold: a crescent between two taeniae.

    Attributes
    ----------
    way, angle : float
        Its middle: mm along the axis, radians around it.
    height, thickness : float
        mm into the lumen at the middle; standard deviation of its profile along the axis, mm.
    half_angle : float
        Radians from its middle to where it ends.
    slant, sag : float
        mm that it runs along the axis per radian, and per radian squared.
    """

    way: float
    angle: float
    height: float
    thickness: float
    half_angle: float
    slant: float
    sag: float


@dataclass(frozen=True)
class Wall:
    """The wall, sampled each ``WAY_STEP`` mm along the axis and each degree around it; arrays (way, angle).

    Attributes
    ----------
    radius : float32
        mm from the axis to the wall.
    rise : float32
        How far the wall stands into the lumen as a share of the height of the fold it belongs to, 0 to 1.
    fold : int32
        Number of that fold, from 1 on along the axis; 0 where none is near.
    folds : list of Fold
    """

    radius: NDArray[np.float32]
    rise: NDArray[np.float32]
    fold: NDArray[np.int32]
    folds: list[Fold]


def haustral_wall(rng: np.random.Generator, length: float) -> Wall:
    """A random haustral wall of that length in mm: lobes, semilunar folds between the taeniae, sacs."""
    way = np.arange(round(length / WAY_STEP) + 1)[:, None] * WAY_STEP
    angle = np.arange(ANGLES)[None] * (2 * np.pi / ANGLES)
    twist = _slowly_varying(rng, way[:, 0], 160.0, 0.35)[:, None]
    calibre = rng.uniform(20.5, 23.5) * (1 + _slowly_varying(rng, way[:, 0], 90.0, 0.07)[:, None])
    radius = calibre * (1 + rng.uniform(0.05, 0.09) * np.cos(3 * (angle - twist)))
    rise = np.zeros_like(radius)
    fold_number = np.zeros(radius.shape, np.int32)
    depth = np.zeros_like(radius)
    folds = []
    for sector in range(3):
        lobe = twist[:, 0] + sector * 2 * np.pi / 3  # lobes are where cos(3 a) is 1; taeniae lie between
        places = _fold_places(rng, length)
        radius = radius + _sacs(rng, way, angle, lobe, places)
        folds += [_random_fold(rng, place, float(np.interp(place, way[:, 0], lobe))) for place in places]
    folds.sort(key=lambda fold: fold.way)
    for number, fold in enumerate(folds, start=1):
        shape = fold_shape(fold, way, angle)
        nearer = shape > rise
        rise[nearer], fold_number[nearer] = shape[nearer], number
        depth = np.maximum(depth, fold.height * shape)
    radius = radius - depth + _roughness(rng, radius.shape, calibre.mean())
    round_end = np.clip(np.minimum(way, way[-1] - way) / ROUNDED, 0, 1)  # what varies with the angle makes a star there
    radius = calibre + (radius - calibre) * round_end
    return Wall(radius.astype(np.float32), rise.astype(np.float32), fold_number, folds)


def fold_shape(fold: Fold, way: NDArray[Any], angle: NDArray[Any]) -> NDArray[Any]:
    """How far the fold stands into the lumen at (way, angle), as a share of its height: 1 at its middle, 0 outside."""
    off = np.angle(np.exp(1j * (angle - fold.angle)))
    crest = fold.way + fold.slant * off + fold.sag * off**2
    taper = np.cos(np.clip(off / fold.half_angle, -1, 1) * np.pi / 2) ** 0.8
    return np.asarray(np.exp(-0.5 * ((way - crest) / fold.thickness) ** 2) * taper)


def _fold_places(rng: np.random.Generator, length: float) -> list[float]:
    places = [MARGIN + rng.uniform(0, 16)]
    while places[-1] < length - MARGIN:
        places.append(places[-1] + rng.uniform(16, 30))
    return places[:-1]


def _random_fold(rng: np.random.Generator, way: float, lobe: float) -> Fold:
    return Fold(
        way=way,
        angle=lobe + rng.normal(0, 0.08),
        height=rng.uniform(4, 9),
        thickness=rng.uniform(1.4, 2.6),
        half_angle=rng.uniform(0.85, 1.25),
        slant=rng.normal(0, 1.5),
        sag=rng.normal(0, 1.2),
    )


def _sacs(
    rng: np.random.Generator,
    way: NDArray[Any],
    angle: NDArray[Any],
    lobe: NDArray[Any],
    places: list[float],
) -> NDArray[Any]:
    """The wall bulges outwards between two folds of a sector, most in its middle."""
    along = np.zeros(len(way))
    for before, after in zip(places, places[1:], strict=False):
        inside = (way[:, 0] >= before) & (way[:, 0] <= after)
        share = (way[inside, 0] - before) / (after - before)
        along[inside] = rng.uniform(1.0, 3.0) * np.sin(np.pi * share) ** 2
    off = np.angle(np.exp(1j * (angle - lobe[:, None])))
    return np.asarray(along[:, None] * np.cos(np.clip(1.5 * off, -np.pi / 2, np.pi / 2)) ** 2)


def _slowly_varying(rng: np.random.Generator, way: NDArray[Any], spacing: float, size: float) -> NDArray[Any]:
    from scipy.interpolate import CubicSpline

    knots = np.arange(-spacing, way[-1] + 2 * spacing, spacing)
    return np.asarray(CubicSpline(knots, rng.normal(0, size, len(knots)))(way))


def _roughness(rng: np.random.Generator, shape: tuple[int, ...], radius: float) -> NDArray[Any]:
    """Unevenness of 0.35 mm, some 5 mm wide."""
    from scipy.ndimage import gaussian_filter

    sigma = (2.5 / WAY_STEP, 2.5 / (2 * np.pi * radius / ANGLES))
    field = gaussian_filter(rng.normal(size=shape), sigma, mode=("nearest", "wrap"))
    return np.asarray(0.35 * field / field.std())
