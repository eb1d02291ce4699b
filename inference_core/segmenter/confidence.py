"""What a fold's confidence is worth: brought near to how often such folds are right.

An instance's confidence is its mean probability, which says how sure the network is of its pixels: above a half for all
that is marked, even where most of it matches no fold. Its logit is divided by a temperature and a bias is added, both
fitted on frames with truth and kept in the model's card. Masks are not touched: they do not depend on a calibration.

References: Platt, Probabilistic outputs for support vector machines (1999); with the temperature alone, Guo, Pleiss,
Sun, Weinberger, On calibration of modern neural networks (ICML 2017).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_core.errors import UserError
from inference_core.models.card import ModelCard

FloatArray = NDArray[np.float64]

TEMPERATURES = (0.05, 20.0)
"""Between which it is sought."""
STEPS = 100  # of the search; temperatures are 6 % apart
BIASES = (-40.0, 40.0)
CLOSEST = 1e-6  # to 0 and 1 that a confidence comes before its logit is taken


def calibrated(confidence: NDArray[Any], card: ModelCard) -> NDArray[np.float32]:
    """Confidences by the ``calibration`` of a card (``temperature``, ``bias``); as they are where it has none.

    Parameters
    ----------
    confidence : float array
        0 to 1.
    card : ModelCard

    Raises
    ------
    UserError
        ``bad-card`` for a temperature that is no number above 0, or a bias that is none.
    """
    given = card.text.get("calibration")
    if given is None:
        return np.asarray(confidence, np.float32)
    try:
        temperature, bias = float(given["temperature"]), float(given["bias"])
    except (KeyError, TypeError, ValueError):
        temperature = bias = math.nan
    if not (0 < temperature < math.inf and math.isfinite(bias)):
        raise UserError(
            "bad-card",
            f"calibration of {card.id} is not a temperature above 0 and a bias.",
            "Take calibration out of the card, or fit it again.",
        )
    return scaled(confidence, temperature, bias).astype(np.float32)


def scaled(confidence: NDArray[Any], temperature: float, bias: float) -> FloatArray:
    """Confidences with their logits divided by a temperature and moved by a bias."""
    return _logistic(_logit(confidence) / temperature + bias)


def fit_temperature(confidence: NDArray[Any], right: NDArray[np.bool_]) -> tuple[float, float]:
    """The temperature and the bias under which what was seen is most likely.

    Parameters
    ----------
    confidence : (n,) float array
        0 to 1, of instances, not calibrated.
    right : (n,) bool array
        Whether each matches a true fold.

    Raises
    ------
    ValueError
        Where not some are right and some wrong.
    """
    if len(confidence) != len(right) or not right.any() or right.all():
        raise ValueError("Confidences are fitted to some that are right and some that are wrong.")
    logit = _logit(confidence)
    best = (math.inf, 1.0, 0.0)
    for temperature in np.geomspace(*TEMPERATURES, STEPS).tolist():
        bias = _bias(logit / temperature, float(right.mean()))
        p = np.clip(_logistic(logit / temperature + bias), CLOSEST, 1 - CLOSEST)
        best = min(best, (float(-np.mean(np.where(right, np.log(p), np.log1p(-p)))), temperature, bias))
    return best[1:]


def _bias(logit: FloatArray, share: float) -> float:
    """The most likely one: that by which the mean confidence is the share that is right."""
    low, high = BIASES
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if _logistic(logit + middle).mean() < share else (low, middle)
    return (low + high) / 2


def _logit(confidence: NDArray[Any]) -> FloatArray:
    p = np.clip(np.asarray(confidence, np.float64), CLOSEST, 1 - CLOSEST)
    return np.asarray(np.log(p) - np.log1p(-p))


def _logistic(x: FloatArray) -> FloatArray:
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * x))
