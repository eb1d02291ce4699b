"""Contrast and signal against noise, of two regions.

CNR = (mean - background mean) / background std, SNR = mean / std, both without their sign, in Hounsfield units (so the
SNR of what is close to water is close to 0), with the population's standard deviation.
"""

from __future__ import annotations


def contrast_to_noise(mean: float, background_mean: float, background_std: float) -> float | None:
    """CNR of a region before a background; None where the background has no noise."""
    return abs(mean - background_mean) / background_std if background_std > 0 else None


def signal_to_noise(mean: float, std: float) -> float | None:
    """SNR of a region; None where it has no noise."""
    return abs(mean) / std if std > 0 else None
