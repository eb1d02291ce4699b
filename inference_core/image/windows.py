"""Window presets: (lower, upper) in HU."""

from __future__ import annotations

WINDOWS: dict[str, tuple[float, float]] = {
    "temporal bone": (-780.0, 820.0),
    "abdomen": (-150.0, 210.0),
    "brain": (-5.0, 75.0),
    "difference": (-200.0, 200.0),
    "fine difference": (-50.0, 50.0),
}


def window_level(lower: float, upper: float) -> tuple[float, float]:
    """(window width, level) of a range."""
    return upper - lower, (upper + lower) / 2
