"""Fit temperature and bias of a segmenter's confidences on labelled frames, and write them into its card.

``python -m inference_core.evaluation.fit_calibration CARD DATA``: DATA is a simulated dataset, of which the split
validation is taken, or a folder of manual labels; never what the model is tested on.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_core.errors import UserError
from inference_core.evaluation.labelled_frames import LabelledFrames, open_frames
from inference_core.evaluation.segmenter import Segmenter, evaluate_segmenters, open_segmenters
from inference_core.image.writing import write_aside
from inference_core.measurement.segmentation import calibration
from inference_core.segmenter.confidence import fit_temperature

FEWEST = 50
"""Instances, below which nothing is fitted."""


def fit_calibration(card: Path, data: Path) -> dict[str, Any]:
    """Fit, and write ``calibration`` into the card: temperature, bias, and the calibration error before and after.

    Parameters
    ----------
    card : Path
        Of a model for ``segment-folds``; one that it has already is replaced.
    data : Path

    Returns
    -------
    dict
        What was written.

    Raises
    ------
    UserError
        ``few-instances``, or what opening and reading raise.
    """
    (segmenter,) = open_segmenters([str(card)])
    text = {name: value for name, value in segmenter.card.text.items() if name != "calibration"}
    frames = open_frames(data, "validation")
    confidence, right = _instances(_with(segmenter, text), frames)
    if len(right) < FEWEST or right.all() or not right.any():
        raise UserError(
            "few-instances",
            f"{data.name}: {len(right)} folds were marked, {right.sum()} of them rightly.",
            f"Give frames in which {FEWEST} or more are marked, some rightly and some not.",
        )
    temperature, bias = (round(number, 3) for number in fit_temperature(confidence, right))
    # Not reckoned but run again, as segment-folds will run it.
    after = _instances(_with(segmenter, text | {"calibration": {"temperature": temperature, "bias": bias}}), frames)
    fitted = {
        "temperature": temperature,
        "bias": bias,
        "definition": "confidence of an instance = logistic(logit(its mean probability) / temperature + bias), fitted"
        " by the likelihood that it matches a true fold (IoU above 0.5)",
        "fitted_on": {"data": data.resolve().name, "split": "validation", "frames": len(frames)},
        "instances": len(right),
        "share_right": round(float(right.mean()), 4),
        "error_before": round(calibration(confidence, right).error, 4),
        "error_after": round(calibration(*after).error, 4),
    }
    content = json.dumps(text | {"calibration": fitted}, indent=2, ensure_ascii=False) + "\n"
    write_aside(segmenter.card.path, lambda path: path.write_text(content, encoding="utf-8"))
    return fitted


def _with(segmenter: Segmenter, text: dict[str, Any]) -> Segmenter:
    return replace(segmenter, card=replace(segmenter.card, text=text))


def _instances(segmenter: Segmenter, frames: LabelledFrames) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Confidences of all that is marked, and whether each matches a true fold."""
    rows = evaluate_segmenters([segmenter], [("validation", frames)]).rows
    confidence = np.array([one for row in rows for one in row.confidence], np.float64)
    return confidence, np.array([one for row in rows for one in row.right], bool)


def main(arguments: list[str]) -> int:
    """The module's command."""
    if len(arguments) != 2:
        print("usage: python -m inference_core.evaluation.fit_calibration CARD DATA", file=sys.stderr)
        return 2
    try:
        print(json.dumps(fit_calibration(Path(arguments[0]), Path(arguments[1])), indent=1))
    except UserError as error:
        print(f"error: {error.message}\n{error.remedy}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
