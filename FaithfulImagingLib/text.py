"""Numbers in words."""

import math

from slicer.i18n import tr as _


def durationText(seconds: float | None) -> str:
    """Seconds in words, coarse enough not to flicker."""
    if seconds is None:
        return _("some time")
    if seconds < 90:
        return _("{seconds} s").format(seconds=math.ceil(seconds))
    return _("{minutes} min {seconds} s").format(minutes=int(seconds // 60), seconds=int(seconds % 60) // 10 * 10)
