"""Crops of frames and of their labels: what is drawn once is done to all of them alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_core.errors import UserError

Mask = NDArray[np.bool_]

LEAST_SIZE = 32  # pixels, for the discriminators
FACTOR = 16  # sides are multiples of it, for the depth network
PLACES = 24  # in each direction, of those that a crop may take in a frame
SHRINK = 0.9  # where a crop of one size shows too little of the patient, one so much smaller is tried


@dataclass(frozen=True, kw_only=True)
class CropConfig:
    """How the squares that networks see are cut."""

    size: int = 128
    """Pixels a side."""
    simulated_share: tuple[float, float] = (0.8, 1.0)
    """Side of a crop over the short side of a simulated frame: smallest and largest."""
    real_share: tuple[float, float] = (0.5, 0.9)
    """The same of real frames, which have black borders and text that crops must find a place beside."""
    least_visible: float = 1.0
    """Share of a crop that shows the patient, at least. Frames that have no such crop are left out; 0: all are taken
    with their borders and text."""
    flip: bool = True
    """Mirror half of the crops."""
    turn: bool = True
    """Turn crops by 0, 90, 180 or 270 degrees."""


@dataclass(frozen=True)
class Crop:
    """One draw.

    Attributes
    ----------
    top, left, side : int
        The square in the frame, pixels.
    size : int
        Side after resizing, pixels.
    flipped : bool
        Mirrored left to right, before turning.
    turns : int
        Quarter turns, counter-clockwise.
    """

    top: int
    left: int
    side: int
    size: int
    flipped: bool = False
    turns: int = 0


def check_crops(config: CropConfig) -> None:
    """Refuse what cannot be cut (UserError ``crop`` or ``out-of-range``)."""
    if config.size % FACTOR or config.size < LEAST_SIZE:
        raise UserError(
            "crop",
            f"Crops of {config.size} pixels do not fit the networks.",
            f"Give crops.size= a multiple of {FACTOR} from {LEAST_SIZE} on.",
        )
    for name in ("simulated_share", "real_share"):
        low, high = getattr(config, name)
        if not 0 < low <= high <= 1:
            raise UserError("out-of-range", f"crops.{name} is {low}, {high}.", "Give two shares above 0 and up to 1.")
    if not 0 <= config.least_visible <= 1:
        raise UserError("out-of-range", f"crops.least_visible is {config.least_visible}.", "Give a share from 0 to 1.")


def draw_simulated(shape: tuple[int, ...], config: CropConfig, rng: np.random.Generator) -> Crop:
    """A random crop of a simulated frame, (H, W); a black frame around it may be in it."""
    side, _ = _side(shape, config.simulated_share, rng)
    top, left = (int(rng.integers(n - side + 1)) for n in shape)
    return _laid(top, left, side, config, rng)


def draw_real(visible: Mask, config: CropConfig, rng: np.random.Generator) -> Crop | None:
    """A random crop of a real frame that shows enough of the patient.

    Parameters
    ----------
    visible : (H, W) bool array
        Pixels that show the patient.
    config : CropConfig
    rng : Generator

    Returns
    -------
    Crop, or None where the smallest crop finds no place.
    """
    side, least = _side(visible.shape, config.real_share, rng)
    sums = np.pad(visible.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    while True:
        tops, lefts = _places(sums, side, config.least_visible)
        if len(tops):
            k = int(rng.integers(len(tops)))
            return _laid(int(tops[k]), int(lefts[k]), side, config, rng)
        if side == least:
            return None
        side = max(least, int(SHRINK * side))


def cut(image: NDArray[Any], crop: Crop, smooth: bool) -> NDArray[Any]:
    """A crop of a frame, or of a map that belongs to it.

    Parameters
    ----------
    image : (H, W) or (H, W, 3) array
        uint8 where smooth; labels may be bool, integers up to 32 bits, or float32.
    crop : Crop
    smooth : bool
        Interpolate (frames), or take the nearest pixel (depth, whose 0 means none; masks; instances).

    Returns
    -------
    (size, size) or (size, size, 3) array of the same type
    """
    from PIL import Image

    square = image[crop.top : crop.top + crop.side, crop.left : crop.left + crop.side]
    if smooth:
        picture = Image.fromarray(np.ascontiguousarray(square))
        done = np.asarray(picture.resize((crop.size, crop.size), Image.Resampling.BILINEAR))
    else:
        nearest = ((np.arange(crop.size) + 0.5) * crop.side / crop.size).astype(int)
        done = square[nearest][:, nearest]
    done = done[:, ::-1] if crop.flipped else done
    return np.ascontiguousarray(np.rot90(done, crop.turns))


def _side(shape: tuple[int, ...], share: tuple[float, float], rng: np.random.Generator) -> tuple[int, int]:
    """Side of a crop of a frame, and the least that it may have, pixels."""
    least, most = (max(1, round(part * min(shape))) for part in share)
    return int(rng.integers(least, most + 1)), least


def _laid(top: int, left: int, side: int, config: CropConfig, rng: np.random.Generator) -> Crop:
    flipped = bool(config.flip and rng.random() < 0.5)
    turns = int(rng.integers(4)) if config.turn else 0
    return Crop(top, left, side, config.size, flipped, turns)


def _places(sums: NDArray[Any], side: int, least_visible: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """Corners of the squares of a side that show enough, on a grid that reaches all edges."""
    rows, columns = (np.unique(np.linspace(0, n - 1 - side, PLACES).round().astype(int)) for n in sums.shape)
    tops, lefts = (grid.ravel() for grid in np.meshgrid(rows, columns, indexing="ij"))
    bottoms, rights = tops + side, lefts + side
    shown = sums[bottoms, rights] - sums[tops, rights] - sums[bottoms, lefts] + sums[tops, lefts]
    enough = shown >= least_visible * side * side
    return tops[enough], lefts[enough]
