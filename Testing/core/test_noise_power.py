"""The noise power spectrum in absolute units."""

import numpy as np
import pytest
from made_slice import made_slice

from inference_core.evaluation.noise_spectra import mean_frequency
from inference_core.measurement.noise_power import (
    PATCH,
    bin_centres,
    flat_corners,
    measure_noise_power,
    noise_power_spectrum,
    patches_at,
)
from inference_core.simulation import inserted_noise

PIXEL = (0.7, 0.8)  # mm


def white_patches(sigma: float, count: int = 60, seed: int = 0) -> list[np.ndarray]:
    return list(40 + sigma * np.random.default_rng(seed).standard_normal((count, PATCH, PATCH)))


@pytest.mark.parametrize("sigma", [10.0, 80.0])
def test_white_noise_has_variance_times_pixel_area_at_every_frequency(sigma):
    power = noise_power_spectrum(white_patches(sigma), PIXEL)
    expected = sigma**2 * PIXEL[0] * PIXEL[1]
    above = bin_centres() > 0.03  # below it, the plane that is taken off takes noise with it
    np.testing.assert_allclose(power[above], expected, rtol=0.12)
    assert power[above].mean() == pytest.approx(expected, rel=0.02)


def test_the_integral_over_all_frequencies_is_the_variance():
    """Parseval: correlated noise keeps its variance, wherever its power lies."""
    rng = np.random.default_rng(1)
    field = rng.standard_normal((40, PATCH + 2, PATCH + 2))
    smooth = (field[:, 1:-1, 1:-1] + field[:, :-2, 1:-1] + field[:, 1:-1, :-2]) / 3
    power = noise_power_spectrum(list(30 * smooth), (1.0, 1.0))
    radius = np.hypot(*np.meshgrid(np.fft.fftfreq(256), np.fft.fftfreq(256)))
    assert np.interp(radius, bin_centres(), power).mean() == pytest.approx(np.var(30 * smooth), rel=0.05)


def test_smoothing_lowers_the_mean_frequency():
    rng = np.random.default_rng(2)
    field = rng.standard_normal((40, PATCH + 1, PATCH))
    frequency = bin_centres()[bin_centres() <= 0.5]
    sharp, smooth = (
        noise_power_spectrum(list(patches), (1.0, 1.0))[: len(frequency)]
        for patches in (field[:, 1:], field[:, 1:] + field[:, :-1])
    )
    assert mean_frequency(frequency, smooth) < mean_frequency(frequency, sharp) - 0.02
    assert mean_frequency(frequency, 5 * smooth) == pytest.approx(mean_frequency(frequency, smooth))


def test_a_plane_is_no_noise():
    ramp = np.add.outer(0.5 * np.arange(PATCH), np.arange(PATCH))
    assert noise_power_spectrum([40 + ramp], PIXEL).max() < 1e-9


def test_patches_lie_in_flat_soft_tissue():
    image = made_slice(256, 256, 5)
    corners = flat_corners(image, 6)
    assert len(corners) == 6
    for patch in patches_at(image, corners):
        assert patch.shape == (PATCH, PATCH)
        assert abs(patch.mean() - 40) < 3
        assert patch.std() < 7
    assert flat_corners(np.full((128, 128), -1000.0), 6) == []


def test_inserted_noise_still_has_what_it_gave_away():
    assert inserted_noise.measure_noise_power is measure_noise_power
    power = inserted_noise.measure_noise_power([made_slice(256, 256, 20).astype(np.float32)])
    assert isinstance(power, inserted_noise.NoisePower)
    assert power(np.array([0.0]))[0] == 0, "the model's ramp to zero"
