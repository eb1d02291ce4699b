"""The interval of a mean shift holds the true shift as often as it says, on noise as a CT has it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference_core.image.volume import Volume
from inference_core.measurement.intervals import FEWEST, mean_shift, student_t
from inference_core.measurement.roi import Box
from inference_core.measurement.statistics import compare

DRAWS = 150
SHIFT = 1.5


def noise(rng: np.random.Generator, kind: str, shape: tuple[int, int, int]) -> np.ndarray:
    """Noise of 30 HU, cut out of a larger field, so that it does not wrap around."""
    wide = rng.standard_normal((shape[0] + 1, shape[1] + 40, shape[2] + 40))
    radius = np.hypot(np.fft.fftfreq(wide.shape[1])[:, None], np.fft.fftfreq(wide.shape[2])[None])
    transfer = {
        "white": np.ones_like(radius),
        "backprojected": np.sqrt(radius) * np.exp(-((radius / 0.3) ** 2)),
        "high-pass": (radius > 0.05) * np.sqrt(radius) * np.exp(-((radius / 0.3) ** 2)),
        "blurred": np.exp(-2 * (np.pi * radius) ** 2),
        "blurred, also across slices": np.exp(-2 * (np.pi * radius) ** 2),
    }[kind]
    field = np.fft.ifft2(np.fft.fft2(wide) * transfer).real
    field = field[1:] + (0.7 * field[:-1] if "slices" in kind else 0)
    return 30 * field[:, 20 : 20 + shape[1], 20 : 20 + shape[2]] / field.std()


def ball(shape: tuple[int, int, int]) -> np.ndarray:
    offsets = [(2 * index + 1) / size - 1 for index, size in zip(np.indices(shape), shape, strict=True)]
    return sum(offset**2 for offset in offsets) <= 1


@pytest.mark.parametrize(
    ("kind", "least"),
    [("white", 0.92), ("backprojected", 0.95), ("high-pass", 0.95), ("blurred", 0.85),
     ("blurred, also across slices", 0.83)],
)  # fmt: skip
@pytest.mark.parametrize("inside", [np.ones((1, 14, 14), bool), ball((7, 16, 16)), ball((9, 30, 30))])
def test_interval_holds_the_true_shift(kind, least, inside):
    rng = np.random.default_rng(7)
    found = [mean_shift(SHIFT + noise(rng, kind, inside.shape), inside) for _ in range(DRAWS)]
    assert np.mean([one.low <= SHIFT <= one.high for one in found]) >= least


def test_white_noise_gets_about_the_textbooks_width():
    rng = np.random.default_rng(0)
    inside = np.ones((4, 40, 40), bool)
    widths = [(one := mean_shift(rng.normal(0, 20, inside.shape), inside)).high - one.low for _ in range(20)]
    assert np.mean(widths) == pytest.approx(2 * 1.96 * 20 / np.sqrt(inside.sum()), rel=0.25)


def test_correlated_noise_gets_a_wider_interval_than_the_white_formula_gives():
    rng = np.random.default_rng(0)
    inside = np.ones((1, 60, 60), bool)
    one = mean_shift(noise(rng, "blurred", inside.shape), inside)
    assert one.high - one.low > 2 * 2 * 1.96 * 30 / np.sqrt(inside.sum())


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), add=st.floats(-100, 100), times=st.floats(0.01, 100))
def test_interval_follows_shift_and_scale_and_heeds_nothing_outside(seed, add, times):
    rng = np.random.default_rng(seed)
    difference = rng.normal(0, 30, (3, 12, 13))
    inside = ball((3, 12, 13))
    one = mean_shift(difference, inside)
    assert one.low < one.shift < one.high
    assert one.shift == pytest.approx(difference[inside].mean())
    moved = mean_shift(np.where(inside, times * difference + add, 1e4), inside)
    expected = [times * value + add for value in (one.shift, one.low, one.high)]
    assert [moved.shift, moved.low, moved.high] == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_small_roi_has_no_interval_and_student_t_is_that_of_tables():
    inside = np.zeros((1, 20, 20), bool)
    inside.flat[: FEWEST - 1] = True
    one = mean_shift(np.full(inside.shape, 3.0), inside)
    assert (one.shift, one.low, one.high) == (3.0, None, None)
    assert [student_t(n) for n in (1, 9, 12, 40, 1e12)] == pytest.approx([12.706, 2.262, 2.179, 2.021, 1.960], abs=0.01)


def test_compare_gives_the_interval_of_each_roi():
    rng = np.random.default_rng(0)
    before = np.rint(rng.normal(40, 60, (6, 40, 40))).astype(np.int16)
    after = np.rint(before - rng.normal(0, 50, before.shape) + 7).astype(np.int16)
    box = Box("box", np.array([20.0, 20.0, 3.0]), np.array([20.0, 20.0, 4.0]), np.eye(3))
    tiny = Box("tiny", np.array([20.0, 20.0, 3.0]), np.array([3.0, 3.0, 3.0]), np.eye(3))
    first, second = compare(Volume(before, (1.0, 1.0, 1.0)), Volume(after, (1.0, 1.0, 1.0)), [box, tiny])
    assert first.mean_change_low < 7 < first.mean_change_high
    assert first.mean_change_low < first.mean_change < first.mean_change_high < first.mean_change_low + 12
    assert (second.mean_change_low, second.mean_change_high) == (None, None)
    assert second.mean_change is not None
