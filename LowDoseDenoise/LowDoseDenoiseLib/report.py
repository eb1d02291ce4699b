"""The report of a run in words, for the panel."""

import json

from slicer.i18n import tr as _

from .run import REPORT_ATTRIBUTE


def reportOf(volume) -> dict | None:
    """The report of the run that made a volume, or None."""
    text = volume.GetAttribute(REPORT_ATTRIBUTE) if volume else None
    return json.loads(text) if text else None


def noiseText(report: dict) -> str:
    """How much noise went."""
    before, after = report["noise_hu"]["before"], report["noise_hu"]["after"]
    part = f" ({signed(100 * (after / before - 1), 0)} %)" if before > 0 else ""
    return _("{before:.1f} HU before, {after:.1f} HU after").format(before=before, after=after) + part


def ctNumberText(report: dict) -> str:
    """Whether the mean of any tissue moved."""
    check = report["ct_number_check"]
    names = {"air": _("air"), "soft": _("soft tissue"), "bone": _("bone")}
    shifts = ", ".join(f"{names.get(row['tissue'], row['tissue'])} {signed(row['shift'])}" for row in check["tissues"])
    if not shifts:
        return _("Not checked: too few voxels of a known tissue.")
    text = _("Kept ({shifts} HU)") if check["passed"] else _("Moved ({shifts} HU)")
    return text.format(shifts=shifts)


def lowBandText(report: dict) -> str:
    """By how much the coarse structure moved."""
    return _("Moved by {change:.2f} HU at most, anywhere").format(
        change=report["ct_number_check"]["low_band_change_hu"]
    )


def modelText(report: dict) -> str:
    """What did it, with which setting."""
    engine = report["engine"]
    return _("{model}, strength {strength:.2f}, {engine} on {device}").format(
        model=report["model"]["id"], strength=report["strength"], engine=engine["name"], device=engine["device"]
    )


def signed(value: float, decimals: int = 2) -> str:
    """A number with its sign, a true minus, and no negative zero."""
    value = round(value, decimals) + 0.0
    return f"{value:+.{decimals}f}".replace("-", "\N{MINUS SIGN}") if value else f"{value:.{decimals}f}"
