"""The report of a run in words, for the panel."""

import json

from slicer.i18n import tr as _

from inference_core.measurement.ct_number import LIMIT_HU

from .contrast import tissueText
from .run import REPORT_ATTRIBUTE


def reportOf(volume) -> dict | None:
    """The report of the run that made a volume; None where there is none, or one that cannot be shown."""
    text = volume.GetAttribute(REPORT_ATTRIBUTE) if volume else None
    try:
        report = json.loads(text or "null")
        for words in (noiseText, ctNumberText, lowBandText, modelText, warningText, inputText):
            words(report)
        moved(report)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        return None
    return report


def noiseText(report: dict) -> str:
    """How much noise went."""
    before, after = report["noise_hu"]["before"], report["noise_hu"]["after"]
    part = f" ({signed(100 * (after / before - 1), 0)} %)" if before > 0 else ""
    return _("{before:.1f} HU before, {after:.1f} HU after").format(before=before, after=after) + part


def ctNumberText(report: dict) -> str:
    """Whether the mean of any tissue moved."""
    check = report["ct_number_check"]
    shifts = ", ".join(f"{tissueText(row['tissue'])} {signed(row['shift'])}" for row in check["tissues"])
    if not shifts:
        return _("Not checked: too few voxels of a known tissue.")
    text = _("Kept ({shifts} HU)") if check["passed"] else _("Moved ({shifts} HU)")
    return text.format(shifts=shifts)


def explainedText(report: dict, limit: float) -> str:
    """Which tissues moved by more than an alarm's limit and yet passed the check, and why; empty where none did.

    Parameters
    ----------
    report : dict
    limit : float
        HU.
    """
    texts = []
    for row in report["ct_number_check"]["tissues"]:
        if not row["passed"] or abs(row["shift"]) <= limit:
            continue
        own = LIMIT_HU.get(row["tissue"], 0.0)
        text = (
            _("{tissue} moved by {shift} HU, within its own limit of {own:g} HU")
            if abs(row["shift"]) <= own
            else _("{tissue} moved by {shift} HU, no more than chance explains")
        )
        texts.append(text.format(tissue=tissueText(row["tissue"]), shift=signed(row["shift"]), own=own))
    return "; ".join(texts)


def lowBandText(report: dict) -> str:
    """By how much the coarse structure moved."""
    return _("Moved by at most {change:.2f} HU (structures coarser than 64 pixels)").format(
        change=report["ct_number_check"]["low_band_change_hu"]
    )


def modelText(report: dict) -> str:
    """What did it, with which setting."""
    engine = report["engine"]
    return _("{model}, strength {strength:.2f}, {engine} on {device}").format(
        model=report["model"]["id"], strength=report["strength"], engine=engine["name"], device=engine["device"]
    )


def inputText(report: dict) -> str:
    """The volume that it was made from."""
    return str(report["input"]["name"])


def warningText(report: dict) -> str:
    """What was unusual about the volume; a line each."""
    return "\n".join(report["warnings"])


def moved(report: dict) -> bool:
    """Whether the mean of a tissue moved by more than it may."""
    return not report["ct_number_check"]["passed"]


def signed(value: float, decimals: int = 2) -> str:
    """A number with its sign, a true minus, and no negative zero."""
    value = round(value, decimals) + 0.0
    return f"{value:+.{decimals}f}".replace("-", "\N{MINUS SIGN}") if value else f"{value:.{decimals}f}"
