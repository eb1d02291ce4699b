"""What a real endoscope does to a frame and a renderer does not: a black octagon, highlights, blur, overlays, colour.

Geometry and what covers the picture are drawn once for all versions of a frame (simulated, translated) and its labels;
the look (colour, highlights, blur, noise) is drawn for each version by itself. Where the black border or an opaque box
covers a fold, nothing is left of its label.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Frame = NDArray[np.uint8]
Image = NDArray[np.float32]
Mask = NDArray[np.bool_]

ZOOM = (0.75, 1.35)  # of the largest square in the frame
SHIFT = 0.12  # of the side, at most, to each side
BORDERED = 0.6  # share of frames that get a black border
BOXED = 0.3  # share with an opaque box, as of a machine's read-outs
LETTERED = 0.4  # share with letters over the picture
SHINING = 0.6  # share with highlights
BLURRED = 0.35
MOVED = 0.4  # of the blurred: by motion


def augment(
    frames: Sequence[Frame], labels: NDArray[Any], size: int, rng: np.random.Generator
) -> tuple[list[Frame], NDArray[Any]]:
    """A random view of a frame as an endoscope might show it.

    Parameters
    ----------
    frames : sequence of (H, W, 3) uint8 arrays
        Versions of one frame: RGB.
    labels : (H, W) array of integers or bool
        0 is background.
    size : int
        Side of what is made, pixels.
    rng : Generator

    Returns
    -------
    As many (size, size, 3) uint8 arrays, and the (size, size) labels.
    """
    if any(frame.shape[:2] != labels.shape for frame in frames):
        raise ValueError(f"Frames and labels are of one size, not {[f.shape for f in frames]} and {labels.shape}.")
    y, x = draw_view(labels.shape, size, rng)
    opaque, strokes, drawn = draw_covers(size, rng)
    out = []
    for frame in frames:
        image = change_look(sample(frame, y, x), rng)
        image = np.where((opaque | strokes)[..., None], drawn, image)
        out.append(np.rint(255 * image).astype(np.uint8))
    return out, np.where(opaque, 0, sample_nearest(labels, y, x)).astype(labels.dtype)


def draw_view(shape: tuple[int, ...], size: int, rng: np.random.Generator) -> tuple[Image, Image]:
    """A turn by any angle, perhaps mirrored, with a zoom and a shift.

    Returns
    -------
    Two (size, size) arrays: row and column in the frame for each pixel that is made.
    """
    rows, columns = shape
    short = min(rows, columns)
    angle, zoom = rng.uniform(0, 2 * np.pi), np.exp(rng.uniform(*np.log(ZOOM)))
    middle = np.array([rows - 1, columns - 1]) / 2 + rng.uniform(-SHIFT, SHIFT, 2) * short
    v, u = np.mgrid[:size, :size] - (size - 1) / 2
    u = u * rng.choice([-1.0, 1.0])
    scale = zoom * short / size
    y = middle[0] + scale * (np.cos(angle) * v - np.sin(angle) * u)
    x = middle[1] + scale * (np.sin(angle) * v + np.cos(angle) * u)
    return y.astype(np.float32), x.astype(np.float32)


def sample(frame: Frame, y: Image, x: Image) -> Image:
    """A frame (H, W, 3) at some places, bilinear, 0 to 1; black outside."""
    rows, columns = frame.shape[:2]
    inside = (y >= 0) & (y <= rows - 1) & (x >= 0) & (x <= columns - 1)
    y, x = np.clip(y, 0, rows - 1), np.clip(x, 0, columns - 1)
    top, left = y.astype(np.intp), x.astype(np.intp)
    below, right = np.minimum(top + 1, rows - 1), np.minimum(left + 1, columns - 1)
    down, over = (y - top)[..., None], (x - left)[..., None]
    upper = frame[top, left] * (1 - over) + frame[top, right] * over
    lower = frame[below, left] * (1 - over) + frame[below, right] * over
    image: Image = ((upper * (1 - down) + lower * down) * inside[..., None] / 255).astype(np.float32)
    return image


def sample_nearest(labels: NDArray[Any], y: Image, x: Image) -> NDArray[Any]:
    """Labels (H, W) at some places, of the nearest pixel; 0 outside."""
    rows, columns = labels.shape
    inside = (y >= 0) & (y <= rows - 1) & (x >= 0) & (x <= columns - 1)
    row, column = np.rint(np.clip(y, 0, rows - 1)).astype(np.intp), np.rint(np.clip(x, 0, columns - 1)).astype(np.intp)
    picked: NDArray[Any] = np.where(inside, labels[row, column], 0)
    return picked


def change_look(image: Image, rng: np.random.Generator) -> Image:
    """Colour, highlights, blur and noise of an image (H, W, 3), 0 to 1."""
    image = _coloured(image, rng)
    if rng.random() < SHINING:
        image = _with_highlights(image, rng)
    if rng.random() < BLURRED:
        image = _moved(image, rng) if rng.random() < MOVED else _blurred(image, rng.uniform(0.5, 2.0))
    noisy = image + rng.normal(0, rng.uniform(0, 0.02), image.shape)
    return np.clip(noisy, 0, 1).astype(np.float32)


def draw_covers(size: int, rng: np.random.Generator) -> tuple[Mask, Mask, Image]:
    """What lies over the picture.

    Returns
    -------
    Two (size, size) masks: of what is opaque (black border, boxes) and of strokes of letters; and a (size, size, 3)
    image with what is seen there.
    """
    opaque, strokes = np.zeros((size, size), bool), np.zeros((size, size), bool)
    drawn = np.zeros((size, size, 3), np.float32)
    if rng.random() < BORDERED:
        opaque |= _border(size, rng)
        drawn[:] = rng.uniform(0, 0.06) + rng.normal(0, 0.008, drawn.shape)
    if rng.random() < BOXED:
        place = _rectangle(size, rng)
        opaque[place] = True
        drawn[place] = rng.choice([0.0, 0.15, 0.6]) + rng.uniform(0, 0.1, 3)
    if rng.random() < LETTERED:
        strokes |= _letters(size, rng)
        drawn[strokes] = rng.choice([0.75, 1.0], 3)
    return opaque, strokes, np.clip(drawn, 0, 1).astype(np.float32)


def _coloured(image: Image, rng: np.random.Generator) -> Image:
    """Gamma, saturation, tint, and light that falls off to a side."""
    image = image ** np.float32(np.exp(rng.normal(0, 0.25)))
    grey = image.mean(axis=2, keepdims=True)
    image = grey + (image - grey) * rng.uniform(0.5, 1.5)
    image = image * np.exp(rng.normal(0, 0.12, 3)) * np.exp(rng.normal(0, 0.15))
    v, u = np.mgrid[-1 : 1 : image.shape[0] * 1j, -1 : 1 : image.shape[1] * 1j]
    fall = 1 + rng.normal(0, 0.15) * v + rng.normal(0, 0.15) * u
    return np.clip(image * fall[..., None], 0, 1).astype(np.float32)


def _with_highlights(image: Image, rng: np.random.Generator) -> Image:
    """Some soft white ellipses, small ones more often, none in the dark."""
    image = image.copy()
    rows, columns = image.shape[:2]
    for _ in range(rng.integers(1, 14)):
        long = rng.exponential(rows / 90) + 1
        wide, angle = long * rng.uniform(0.3, 1), rng.uniform(0, np.pi)
        y, x = rng.integers(rows), rng.integers(columns)
        reach = int(2 * long) + 2
        part = (slice(max(0, y - reach), y + reach + 1), slice(max(0, x - reach), x + reach + 1))
        v, u = np.mgrid[part[0].start : min(rows, part[0].stop), part[1].start : min(columns, part[1].stop)]
        along = ((v - y) * np.sin(angle) + (u - x) * np.cos(angle)) / long
        across = ((v - y) * np.cos(angle) - (u - x) * np.sin(angle)) / wide
        shine = np.clip(2 - along**2 - across**2, 0, 1)[..., None] * (image[y, x].max() > 0.1)
        image[part] += (1 - image[part]) * shine.astype(np.float32)
    return image


def _blurred(image: Image, sigma: float) -> Image:
    """Gaussian blur, ``sigma`` in pixels, edges replicated."""
    radius = int(3 * sigma) + 1
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    for axis in (0, 1):
        count = image.shape[axis]
        padded = np.pad(image, [(radius, radius) if a == axis else (0, 0) for a in range(3)], mode="edge")
        parts = (padded.take(range(k, k + count), axis) for k in range(2 * radius + 1))
        image = sum((np.float32(w) * part for w, part in zip(kernel, parts, strict=True)), np.zeros_like(image))
    return image


def _moved(image: Image, rng: np.random.Generator) -> Image:
    """Mean along a short straight way, edges replicated."""
    reach = int(rng.integers(2, 6))
    angle = rng.uniform(0, np.pi)
    rows, columns = image.shape[:2]
    padded = np.pad(image, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    total = np.zeros_like(image)
    for step in range(-reach, reach + 1):
        y, x = reach + round(step * np.sin(angle)), reach + round(step * np.cos(angle))
        total += padded[y : y + rows, x : x + columns]
    return total / np.float32(2 * reach + 1)


def _border(size: int, rng: np.random.Generator) -> Mask:
    """Outside of an octagon, a circle with cut sides, or a rounded square, a little off the middle."""
    v, u = np.abs(np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j] + rng.normal(0, 0.03, (2, 1, 1)))
    high, wide = rng.uniform(0.75, 1.05, 2)
    form = rng.integers(3)
    if form == 0:
        return (v > high) | (u > wide) | (u + v > rng.uniform(1.25, 1.6) * min(high, wide))
    if form == 1:
        return (v > high) | (u > wide) | (u**2 + v**2 > (rng.uniform(1.0, 1.2) * max(high, wide)) ** 2)
    power = rng.uniform(4, 12)
    return (u / wide) ** power + (v / high) ** power > 1


def _rectangle(size: int, rng: np.random.Generator) -> tuple[slice, slice]:
    """At or near a corner."""
    tall, wide = (int(size * part) for part in rng.uniform((0.04, 0.08), (0.25, 0.35)))
    off = rng.integers(0, max(1, size // 16), 2)
    y, x = (int(o) if rng.random() < 0.5 else size - side - int(o) for o, side in zip(off, (tall, wide), strict=True))
    return slice(y, y + tall), slice(x, x + wide)


def _letters(size: int, rng: np.random.Generator) -> Mask:
    """Lines of random signs of 5x7 dots."""
    mask = np.zeros((size, size), bool)
    dot = int(rng.integers(1, 3))
    y, x = rng.integers(0, size, 2)
    for line in range(rng.integers(1, 4)):
        signs = rng.random((7, int(rng.integers(3, 14)), 5)) < 0.45
        signs = np.pad(signs, ((0, 0), (0, 0), (0, 1))).reshape(7, -1)
        dots = signs.repeat(dot, 0).repeat(dot, 1)
        top = int(y) + line * 9 * dot
        room = mask[top : top + len(dots), int(x) : int(x) + dots.shape[1]]
        room |= dots[: room.shape[0], : room.shape[1]]
    return mask
