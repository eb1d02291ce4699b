"""True and found folds side by side: IoU of each frame, and found folds in the colours of the true ones they match."""

import csv
from pathlib import Path

import numpy as np
import slicer
from slicer.i18n import tr as _

from FaithfulImagingLib.chart import PlotData
from inference_core.errors import UserError
from inference_core.measurement.segmentation import match_instances

from .fold_colors import UNMATCHED
from .frames import COMPARED, FOLDS, FOUND, Loader, sequenceOf, timesOf


class ComparedLoader(Loader):
    """Makes the pictures of ``COMPARED`` from a browser's true and found folds."""

    def __init__(self, browser) -> None:
        self._pair = [sequenceOf(browser, kind) for kind in (FOLDS, FOUND)]
        if None in self._pair:
            raise UserError(
                "no-truth",
                _("True and found folds are not both there."),
                _("Open simulated frames, and press Segment the frames."),
            )
        super().__init__(browser.GetName(), COMPARED, [float(text) for text in timesOf(browser)], browser)

    def _picture(self, index: int) -> np.ndarray:
        true, found = (slicer.util.arrayFromVolume(node.GetNthDataNode(index))[0] for node in self._pair)
        if true.shape != found.shape:
            raise UserError(
                "other-frames",
                _("True and found folds are of frames of different sizes."),
                _("Segment these frames again, and load what comes of it."),
            )
        return inTruesColors(found, true)


def inTruesColors(found: np.ndarray, true: np.ndarray) -> np.ndarray:
    """(H, W) int16 found folds under the numbers of the true ones they match (IoU above 0.5), else ``UNMATCHED``."""
    matches = match_instances(found, true).matches
    numbers = np.full(int(found.max(initial=0)) + 1, UNMATCHED, np.int16)
    numbers[0] = 0
    for own, theirs in matches.items():
        numbers[own] = (theirs - 1) % (UNMATCHED - 1) + 1
    return numbers[found]


def overlapText(overlaps) -> str:
    """Mean and spread, for the user."""
    known = np.array([value for value in overlaps if not np.isnan(value)])
    if not len(known):
        return _("No frame has folds.")
    return _("IoU with the true folds: {mean:.1f} ± {spread:.1f} % over {count} frames.").format(
        mean=100 * known.mean(), spread=100 * known.std(), count=len(known)
    )


def overlapPlot(times: list[str], overlaps) -> PlotData:
    """IoU of each frame over time."""
    name = _("IoU of folds")
    return PlotData(
        "iou", name, _("Found against true folds"), _("Time (s)"), _("IoU (%)"),
        np.array(times, float), {name: 100 * np.array(overlaps)},
    )  # fmt: skip


def writeOverlaps(path: Path, times: list[str], overlaps) -> None:
    """Write a row for each frame: number, time, IoU from 0 to 1, empty where neither has a fold.

    Raises
    ------
    UserError
        ``not-written``.
    """
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow(("frame", "time_s", "iou"))
            for index, (time, value) in enumerate(zip(times, overlaps, strict=True)):
                rows.writerow((index, time, "" if np.isnan(value) else f"{value:.4f}"))
    except OSError as error:
        raise UserError(
            "not-written", _("{path} could not be written: {error}.").format(path=path, error=error), _("Name another.")
        ) from error
