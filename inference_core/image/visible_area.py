"""Where an endoscopy frame shows the patient: not the black around the octagon, not boxes, not text laid over it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]

BLACK = 24  # of 255; video black with its compression noise
ISLAND = 0.02  # of the frame; smaller things within the black are text or logos, not the patient
RIM = 0.008  # of the frame's short side; what video scaling mixes of black and picture
PALE = 70  # of 255; text has less colour than this between its channels
STROKE = 0.02  # of the short side; strokes of text are thinner
CONTRAST = 40  # of 255; text is this much brighter than what lies around it
LETTER = 0.012  # of the short side; half of a letter, about
OFTEN = 0.2  # of the frames; highlights come and go, text stays where it is
LEAST_FRAMES = 20  # fewer cannot tell text from highlights


def visible_area(rgb: NDArray[np.uint8]) -> Mask:
    """Pixels that show the patient.

    Parameters
    ----------
    rgb : (H, W, 3) uint8

    Returns
    -------
    (H, W) bool array. A dark lumen at the frame's edge may be taken for border. Text over the picture is not found in
    one frame: see :func:`text_area`.
    """
    outside = _joined_to_edge(rgb.max(axis=2) <= BLACK)
    outside |= _small(~outside, ISLAND * outside.size)
    return ~_grown(outside, round(RIM * min(rgb.shape[:2])))


def text_area(frames: Iterable[NDArray[np.uint8]]) -> Mask | None:
    """Pixels over which text is often laid: pale thin strokes at one place in many frames.

    Parameters
    ----------
    frames : iterable of (H, W, 3) uint8 arrays
        Of one size, of one camera.

    Returns
    -------
    (H, W) bool array; None where there are too few frames to tell text from highlights.
    """
    total: NDArray[np.int64] | None = None
    count = 0
    for rgb in frames:
        strokes = _strokes(rgb)
        total = strokes.astype(np.int64) if total is None else total + strokes
        count += 1
    if total is None or count < LEAST_FRAMES:
        return None
    often = total > OFTEN * count
    # Highlights are frequent near the middle in some folders: where text is, it is much more frequent than elsewhere.
    often &= total > 2 * np.median(total)
    return _grown(often, max(1, round(LETTER * min(total.shape))))


def _joined_to_edge(dark: Mask) -> Mask:
    ringed = np.pad(dark, 1, constant_values=True)
    labels = _labels(ringed)
    return (labels == labels[0, 0])[1:-1, 1:-1]


def _small(mask: Mask, most: float) -> Mask:
    """Connected parts of a mask of at most so many pixels."""
    labels = _labels(mask)
    sizes = np.bincount(labels.ravel())
    sizes[0] = mask.size
    return (sizes <= most)[labels]


def _strokes(rgb: NDArray[np.uint8]) -> Mask:
    """Pale thin things, a letter's half around them included."""
    import SimpleITK as sitk

    side = min(rgb.shape[:2])
    least = rgb.min(axis=2)
    width = max(1, round(STROKE * side / 2))
    image = sitk.GetImageFromArray(least)
    around = sitk.GetArrayFromImage(sitk.GrayscaleMorphologicalOpening(image, [width + 1] * 2, sitk.sitkBox))
    pale = rgb.max(axis=2).astype(int) - least < PALE
    return _grown(pale & (least.astype(int) - around > CONTRAST), max(1, round(LETTER * side)))


def _labels(mask: Mask) -> NDArray[Any]:
    import SimpleITK as sitk

    return sitk.GetArrayFromImage(sitk.ConnectedComponent(sitk.GetImageFromArray(mask.astype(np.uint8)), True))


def _grown(mask: Mask, radius: int) -> Mask:
    """By a box of this many pixels in each direction."""
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    return sitk.GetArrayFromImage(sitk.BinaryDilate(image, [radius] * 2, sitk.sitkBox)) > 0
