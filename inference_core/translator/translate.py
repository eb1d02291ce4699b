"""One frame in, the same view in another look out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_core.errors import UserError
from inference_core.models.card import FrameCard
from inference_core.models.engines import Engine

Rgb = NDArray[np.uint8]


def translate(frame: Rgb, card: FrameCard, engine: Engine) -> Rgb:
    """Translate a frame, alone: what comes out depends on no other frame.

    Parameters
    ----------
    frame : (H, W, 3) uint8
        Of any size. To fit the network it is continued by reflection at its right and lower edge, and cut back.
    card : FrameCard
        Of a model for ``translate-frames``.
    engine : Engine
        Of that model (:func:`~inference_core.models.engines.open_engine`).

    Returns
    -------
    (H, W, 3) uint8

    Raises
    ------
    UserError
        ``bad-model`` where the network gives no picture of that size.
    """
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or not frame.size:
        raise ValueError(f"A frame is (H, W, 3) uint8, not {frame.shape} {frame.dtype}.")
    low, high = card.values
    padded = fitted(frame, card.multiple_of)
    values = low + (high - low) / 255 * padded.astype(np.float32)
    given = engine.run(np.ascontiguousarray(values.transpose(2, 0, 1)[None], np.float32))
    if given.shape != (1, 3, *padded.shape[:2]) or not np.isfinite(given).all():
        raise UserError(
            "bad-model",
            f"The model {card.id} gave no picture for a frame of {frame.shape[1]} x {frame.shape[0]} pixels.",
            "Its training may have failed: look at its card and pictures, and choose another.",
        )
    levels = 255 * (given[0].transpose(1, 2, 0)[: frame.shape[0], : frame.shape[1]] - low) / (high - low)
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)


def fitted(image: NDArray[Any], multiple: int) -> NDArray[Any]:
    """An image, (H, W, ...), continued by reflection until its sides are multiples, and two of them at least."""
    sides = [max(2, -(-side // multiple)) * multiple for side in image.shape[:2]]
    widths = [(0, side - there) for side, there in zip(sides, image.shape[:2], strict=True)]
    return np.pad(image, [*widths, *[(0, 0)] * (image.ndim - 2)], mode="reflect")
