"""Whether a frame shows a colon's lumen sharply: where it does not, marks of folds mean little.

Thresholds were chosen on simulated frames of three appearances, on their blurred versions, and by looking at real ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

BLURRED, AT_THE_WALL, OUT_OF_DOMAIN = "blurred", "at the wall", "out of domain"

SIDE = 256
"""Short side, pixels, that larger frames are looked at in."""
COARSE = 64  # pixels of short side, about, that brightness and colour are judged in
LEAST_VISIBLE = 0.05  # of the frame; less of a picture tells nothing
LEAST_LOSS = 1.15  # of the strongest edges' steepness, by a mean over 7 pixels; blurred frames have little to lose
EDGES = 2.0  # percent of the pixels that count as strongest edges
FAR_LIGHT = 0.6  # of the near wall's; where nothing is darker, no place is far away
DARK, BRIGHT = 1.0, 80.0  # percentiles
LEAST_BRIGHTNESS = 16.0  # of 255
LEAST_COLOUR = 0.08  # mean difference of the channels over the mean of the greatest; grey below
MOST = (0.75, 0.45, 0.33)  # shares of red, green and blue in the light; a colon's are below, under blue light too

FloatArray = NDArray[np.float32]


def no_lumen_view(rgb: NDArray[np.uint8], visible: NDArray[np.bool_] | None = None) -> tuple[str, ...]:
    """Why a frame is no view of a lumen.

    Parameters
    ----------
    rgb : (H, W, 3) uint8
    visible : (H, W) bool array, optional
        Where it shows the patient.

    Returns
    -------
    Of ``blurred``, ``at the wall`` (nothing far is seen) and ``out of domain`` (grey, too dark, or of colours that are
    none of a colon's), those that hold; none where the lumen is seen.
    """
    if visible is None:
        visible = np.ones(rgb.shape[:2], bool)
    rgb, visible = _small(rgb, visible)
    if np.count_nonzero(visible) < LEAST_VISIBLE * visible.size:
        return (OUT_OF_DOMAIN,)
    step = max(1, min(visible.shape) // COARSE)
    coarse, shown = _reduced(rgb, step), _reduced(visible.astype(np.uint8), step) == 1
    if not shown.any():
        return (OUT_OF_DOMAIN,)
    reasons = []
    if _sharpness(_light(rgb), visible) < LEAST_LOSS:
        reasons.append(BLURRED)
    if _far_light(_light(coarse), shown) > FAR_LIGHT:
        reasons.append(AT_THE_WALL)
    if _is_foreign(coarse[shown]):
        reasons.append(OUT_OF_DOMAIN)
    return tuple(reasons)


def _small(rgb: NDArray[np.uint8], visible: NDArray[np.bool_]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    from PIL import Image

    height, width = visible.shape
    factor = SIDE / min(height, width)
    if factor >= 1:
        return rgb, visible
    size = (round(width * factor), round(height * factor))
    picture = Image.fromarray(rgb).resize(size, Image.Resampling.BOX, reducing_gap=2.0)
    rows, columns = (((np.arange(n) + 0.5) * m / n).astype(int) for n, m in zip(size[::-1], visible.shape, strict=True))
    return np.asarray(picture), visible[rows][:, columns]


def _reduced(image: NDArray[np.uint8], step: int) -> FloatArray:
    """Means over squares of ``step`` pixels; what is left over at the right and below is cut off."""
    rows, columns = (side // step for side in image.shape[:2])
    mean = image[: rows * step, : columns * step].astype(np.float32)
    for axis in (0, 1):  # sums of strided views are faster than a mean over axes
        total = np.zeros_like(mean[(slice(None),) * axis + (slice(None, None, step),)])
        for k in range(step):
            total += mean[(slice(None),) * axis + (slice(k, None, step),)]
        mean = total / np.float32(step)
    return mean


def _light(rgb: NDArray[Any]) -> FloatArray:
    light: FloatArray = rgb.astype(np.float32) @ np.full(3, 1 / 3, np.float32)
    return light


def _sharpness(light: FloatArray, visible: NDArray[np.bool_]) -> float:
    """Steepness of the steepest edges over that which is left of it after a mean over 7 pixels; 1 is no loss."""
    steep, left = _steepness(_mean(light, 3)), _steepness(_mean(light, 7))
    # The border of the picture is sharp in every frame.
    inside = visible if visible.all() else _mean(visible.astype(np.float32), 9) > 0.999
    if not inside.any():
        return np.inf
    edges = inside & (steep >= np.percentile(steep[inside], 100 - EDGES))
    return float(np.sqrt(steep[edges]).mean() / max(float(np.sqrt(left[edges]).mean()), 1e-3))


def _far_light(light: FloatArray, visible: NDArray[np.bool_]) -> float:
    """Light of the darkest places over that of bright ones."""
    smooth = _mean(np.where(visible, light, np.median(light[visible])).astype(np.float32), 3)[visible]
    dark, bright = np.percentile(smooth, [DARK, BRIGHT])
    return float(dark / max(bright, 1.0))


def _is_foreign(pixels: FloatArray) -> bool:
    greatest = pixels.max(axis=1)
    if np.median(greatest) < LEAST_BRIGHTNESS:
        return True
    if float((greatest - pixels.min(axis=1)).mean()) < LEAST_COLOUR * float(greatest.mean()):
        return True
    shares = pixels.mean(axis=0) / pixels.mean()
    return bool((shares > 3 * np.array(MOST)).any())


def _steepness(light: FloatArray) -> FloatArray:
    """Square of the gradient."""
    down, over = np.zeros_like(light), np.zeros_like(light)
    down[1:-1] = light[2:] - light[:-2]
    over[:, 1:-1] = light[:, 2:] - light[:, :-2]
    return down * down + over * over


def _mean(image: FloatArray, width: int) -> FloatArray:
    """Mean over a square of odd width, edges replicated."""
    for axis in (0, 1):
        pads = [(0, 0), (0, 0)]
        pads[axis] = (width // 2, width // 2)
        padded = np.pad(image, pads, mode="edge")
        parts = (padded[(slice(None),) * axis + (slice(k, k + image.shape[axis]),)] for k in range(width))
        total = np.zeros_like(image)
        for part in parts:
            total += part
        image = total / np.float32(width)
    return image
