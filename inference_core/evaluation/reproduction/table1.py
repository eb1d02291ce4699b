"""Table 1: PSNR and SSIM against full dose, of every method on the same slices, beside the paper's figures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from inference_core.evaluation.reproduction.budget import Trained
from inference_core.evaluation.reproduction.methods import NOT_IN_PAPER, PaperFigures
from inference_core.evaluation.run import Results
from inference_core.evaluation.scores import Row
from inference_core.evaluation.table import NOTHING, markdown, mean

SCORES = ("psnr_slice_max", "ssim_slice_max", "psnr", "ssim", "gain", "soft", "air", "bone", "noise")

NOTE = """\
Slice-max is the paper's metric: on HU + 1000, peak and range are the reference slice's maximum + 1000. The other PSNR
and SSIM have a fixed range of 2000 HU. Shifts are output - low dose in tissue found on the full dose; noise is that of
the flattest blocks of soft tissue. CPU s of training: of the steps, one thread. The paper's figures are of other slices
(421 of the AAPM data) and of networks trained in full on GPUs: compare differences, not values."""


@dataclass(frozen=True)
class Line:
    """One method: means over the slices.

    Attributes
    ----------
    label : str
    scores : dict of float
        By :data:`SCORES`; ``cpu_seconds``, the median of a slice, besides.
    training : Trained or None
        Where it was trained here.
    paper : PaperFigures
    """

    label: str
    scores: dict[str, float]
    training: Trained | None
    paper: PaperFigures


def lines_of(results: Results, training: Mapping[str, Trained], paper: Mapping[str, PaperFigures]) -> list[Line]:
    """Average the slices, in the order in which methods were scored; the mappings are by method."""
    by_method: dict[str, list[Row]] = {}
    for row in results.rows:
        by_method.setdefault(row.method, []).append(row)
    return [
        Line(label, _scores(rows), training.get(label), paper.get(label, NOT_IN_PAPER))
        for label, rows in by_method.items()
    ]


def table(lines: list[Line]) -> str:
    """The table as Markdown."""
    columns = {
        "method": [line.label for line in lines],
        "PSNR slice-max dB": [_number(line.scores["psnr_slice_max"], ".2f") for line in lines],
        "SSIM slice-max": [_number(line.scores["ssim_slice_max"], ".4f") for line in lines],
        "PSNR dB": [_number(line.scores["psnr"], ".2f") for line in lines],
        "SSIM": [_number(line.scores["ssim"], ".4f") for line in lines],
        "gain dB": [_number(line.scores["gain"], "+.2f") for line in lines],
        "shift soft HU": [_number(line.scores["soft"], "+.2f") for line in lines],
        "air": [_number(line.scores["air"], "+.2f") for line in lines],
        "bone": [_number(line.scores["bone"], "+.2f") for line in lines],
        "noise soft HU": [_number(line.scores["noise"], ".1f") for line in lines],
        "CPU s a slice": [_number(line.scores["cpu_seconds"], ".2f") for line in lines],
        "CPU s of training": [_number(line.training.cpu_seconds if line.training else None, ".0f") for line in lines],
        "steps": [_number(line.training.steps if line.training else None, "d") for line in lines],
        "paper PSNR": [_number(line.paper.psnr, ".2f") for line in lines],
        "paper SSIM": [_number(line.paper.ssim, ".3f") for line in lines],
    }
    return markdown(columns)


def records(lines: list[Line]) -> list[dict[str, Any]]:
    """The same for JSON and CSV."""
    return [
        {
            "method": line.label,
            **line.scores,
            "training_cpu_seconds": line.training.cpu_seconds if line.training else None,
            "steps": line.training.steps if line.training else None,
            "paper_psnr": line.paper.psnr,
            "paper_ssim": line.paper.ssim,
        }
        for line in lines
    ]


def _scores(rows: list[Row]) -> dict[str, float]:
    return {name: mean(rows, name) for name in SCORES} | {"cpu_seconds": median(row.cpu_seconds for row in rows)}


def _number(value: float | None, form: str) -> str:
    return NOTHING if value is None or math.isnan(value) else format(value, form)
