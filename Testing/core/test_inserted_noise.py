import numpy as np
import pytest
from made_slice import made_slice

from inference_core.simulation.inserted_noise import FREQUENCY_BINS, NoisePower, draw_noise, measure_noise_power

WHITE = NoisePower(np.ones(FREQUENCY_BINS))
SLICE = made_slice(256, 256, 0).astype(np.float32)


def draw(seed=0, streak=0.6, image=SLICE):
    return draw_noise(image, WHITE, 1.2, streak, np.random.default_rng(seed))


def test_unit_strength_over_the_body_and_the_same_for_a_seed():
    noise = draw()
    assert noise[SLICE > -300].std() == pytest.approx(1, abs=1e-3)
    np.testing.assert_array_equal(noise, draw())
    assert np.abs(noise - draw(1)).max() > 1


def test_the_spectrum_falls_to_zero_at_zero_frequency():
    power = np.mean([np.abs(np.fft.fft2(draw(seed, 0.0))) ** 2 for seed in range(8)], axis=0)
    radius = np.hypot(np.fft.fftfreq(256)[:, None], np.fft.fftfreq(256)[None])
    assert power[(radius > 0) & (radius < 0.02)].mean() < 0.15 * power[(radius > 0.2) & (radius < 0.4)].mean()
    assert power[0, 0] < 1e-3 * power.max()


def test_noise_runs_along_the_long_paths():
    # An ellipse that is wide in x: rays along x are long and noisy, and their noise varies from row to row.
    y, x = np.mgrid[-1:1:256j, -1:1:256j]
    wide = np.where((x / 0.95) ** 2 + (y / 0.4) ** 2 < 1, 40, -1000).astype(np.float32)
    noise = draw(0, 1.0, wide)
    inside = (slice(100, 156), slice(60, 196))
    along = (noise[inside] * np.roll(noise, 1, axis=1)[inside]).mean()
    across = (noise[inside] * np.roll(noise, 1, axis=0)[inside]).mean()
    assert along > across + 0.1
    assert noise[inside].std() > 1.5 * noise[:20].std()


def test_a_measured_spectrum_has_the_shape_of_the_noise():
    rng = np.random.default_rng(0)
    smooth = [
        SLICE + 20 * draw_noise(SLICE, NoisePower(np.linspace(1, 0.02, FREQUENCY_BINS)), 1.2, 0, rng) for _ in range(6)
    ]
    power = measure_noise_power(smooth, patches_per_slice=4)
    assert power(np.array(0.2)) > 1.5 * power(np.array(0.45))


def test_no_tissue_to_measure_on_is_an_error():
    with pytest.raises(ValueError, match="soft-tissue"):
        measure_noise_power([np.full((128, 128), -1000, np.float32)])
