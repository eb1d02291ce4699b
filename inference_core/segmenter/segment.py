"""One frame in, its folds out, in the frame's own size; alone, whatever frames come before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_core.errors import UserError
from inference_core.image.visible_area import Mask, visible_area
from inference_core.models.card import FrameCard
from inference_core.models.engines import Engine
from inference_core.segmenter.components import Labels
from inference_core.segmenter.confidence import calibrated
from inference_core.segmenter.instances import Instances, find_instances
from inference_core.segmenter.probability import fold_and_touch

Rgb = NDArray[np.uint8]

POOLED = 128  # pixels of short side, at least, in which borders are searched


@dataclass(frozen=True)
class Segmented:
    """What a network finds in a frame.

    Attributes
    ----------
    instances : Instances
        Labels (H, W), the frame's own size, and calibrated confidences. A fold may have no pixel left in a frame that
        is much smaller than the model's size.
    visible : (H, W) bool array
        Where the frame shows the patient.
    shown : (h, w) float32 array
        Probability that a pixel is of a fold, in the size that the network saw of the part in ``box``.
    box : two slices
    """

    instances: Instances
    visible: Mask
    shown: NDArray[np.float32]
    box: tuple[slice, slice]

    @property
    def fold(self) -> NDArray[np.float32]:
        """Probability that a pixel is of a fold, (H, W) float32."""
        whole = np.zeros(self.visible.shape, np.float32)
        whole[self.box] = _resized(self.shown, whole[self.box].shape)
        return np.where(self.visible, whole, np.float32(0))


def segment_frame(rgb: Rgb, card: FrameCard, engine: Engine, visible: Mask | None = None) -> Segmented:
    """Find a frame's folds.

    The part of it that shows the patient is resized to the model's size, and the marks back.

    Parameters
    ----------
    rgb : (H, W, 3) uint8
        Of any size.
    card : FrameCard
        Of a model for ``segment-folds``.
    engine : Engine
        Of that model.
    visible : (H, W) bool array, optional
        Where it shows the patient: nothing else is ever marked. By default what :func:`where_visible` finds.

    Raises
    ------
    UserError
        ``bad-model`` where the network gives no two logits a pixel.
    """
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or not rgb.size:
        raise ValueError(f"A frame is (H, W, 3) uint8, not {rgb.shape} {rgb.dtype}.")
    visible = where_visible(rgb) if visible is None else visible
    labels = np.zeros(visible.shape, np.int32)
    if not visible.any():
        empty = np.zeros(0, np.float32)
        return Segmented(Instances(labels, empty), visible, empty.reshape(0, 0), (slice(0, 0), slice(0, 0)))
    box = _box(visible)
    size = working_size((box[0].stop - box[0].start, box[1].stop - box[1].start), card)
    low, high = card.values
    values = low + (high - low) / 255 * _resized(rgb[box], size).astype(np.float32)
    logits = engine.run(np.ascontiguousarray(values.transpose(2, 0, 1)[None], np.float32))
    if logits.shape != (1, 2, *size) or not np.isfinite(logits).all():
        raise UserError(
            "bad-model",
            f"The model {card.id} gave no marks for a frame of {rgb.shape[1]} x {rgb.shape[0]} pixels.",
            "Its training may have failed: look at its card and pictures, and choose another.",
        )
    fold, touch = fold_and_touch(logits[0], str(card.text.get("output", "fold-and-touch")))
    fold[_resized(_as_grey(visible[box]), size) < 128] = 0
    found = find_instances(fold, touch)
    labels[box] = enlarged(found.labels, labels[box].shape)
    labels[~visible] = 0
    return Segmented(Instances(labels, calibrated(found.confidence, card)), visible, fold, box)


def where_visible(rgb: Rgb) -> Mask:
    """Where a frame shows the patient, not its black border; of large frames in steps of some pixels.

    Every black pixel that is joined to the edge is out, whatever the size: a step is out where one of its pixels is.
    """
    height, width = rgb.shape[:2]
    step = max(1, min(height, width) // POOLED)
    if step == 1:
        return visible_area(rgb)
    rows, columns = np.arange(0, height, step), np.arange(0, width, step)
    darkest = np.minimum.reduceat(np.minimum.reduceat(rgb.max(axis=2), rows, axis=0), columns, axis=1)
    seen = visible_area(np.broadcast_to(darkest[..., None], (*darkest.shape, 3)))
    return seen.repeat(step, 0)[:height].repeat(step, 1)[:, :width]


def working_size(shape: tuple[int, int], card: FrameCard) -> tuple[int, int]:
    """Height and width that a picture is shown to the network in: its short side that of the model's training.

    Each is rounded to what the network takes, which changes the shape by some percent at most; no frame needs a pad.
    """
    if "image_size" in card.arguments:  # a network of one size (a transformer)
        return card.size, card.size
    factor = card.size / min(shape)
    height, width = (max(2, round(side * factor / card.multiple_of)) * card.multiple_of for side in shape)
    return height, width


def enlarged(labels: Labels, shape: tuple[int, ...]) -> Labels:
    """Labels in another size, with outlines that are smooth and not stairs."""
    if labels.shape == shape:
        return labels
    inside = _resized(_as_grey(labels > 0), shape) >= 128
    rows, columns = (((np.arange(n) + 0.5) * m / n).astype(int) for n, m in zip(shape, labels.shape, strict=True))
    out: Labels = np.where(inside, _spread(labels)[rows][:, columns], 0)
    return out


def _spread(labels: Labels) -> Labels:
    """Each fold a pixel larger where nothing is, since a smooth outline runs a little outside too."""
    padded = np.pad(labels, 1)
    around = np.maximum.reduce([padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]])
    return np.where(labels > 0, labels, around)


def _box(visible: Mask) -> tuple[slice, slice]:
    rows, columns = np.flatnonzero(visible.any(axis=1)), np.flatnonzero(visible.any(axis=0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _as_grey(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    return mask.astype(np.uint8) * np.uint8(255)


def _resized(image: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    from PIL import Image

    if image.shape[:2] == tuple(shape) or not min(shape):
        return image
    picture = Image.fromarray(np.ascontiguousarray(image))
    return np.asarray(picture.resize((shape[1], shape[0]), Image.Resampling.BILINEAR, reducing_gap=2.0))
