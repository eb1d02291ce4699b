import numpy as np
import pytest
import pywt
from hypothesis import given, settings
from hypothesis import strategies as st

from inference_core.denoiser.wavelet import (
    kept_basis,
    low_band,
    padding_widths,
    remove_low_band,
    remove_low_band_within,
    split,
)

sizes = st.integers(8, 130)


def papers_low_band(image: np.ndarray, level: int) -> np.ndarray:
    """The paper's procedure, step by step: pad, transform, keep the approximation, transform back, crop."""
    widths = [padding_widths(n, level) for n in image.shape]
    coefficients = pywt.wavedec2(np.pad(image, widths, mode="symmetric"), "db3", mode="symmetric", level=level)
    kept = [coefficients[0], *[tuple(np.zeros_like(band) for band in bands) for bands in coefficients[1:]]]
    whole = pywt.waverec2(kept, "db3", mode="symmetric")
    (top, _), (left, _) = widths
    return whole[top : top + image.shape[0], left : left + image.shape[1]]


@pytest.mark.filterwarnings("ignore:Level value")
@settings(deadline=None, max_examples=25)
@given(rows=sizes, columns=sizes, level=st.sampled_from([5, 6]), seed=st.integers(0, 999))
def test_low_band_is_pywavelets_to_a_millionth_of_a_hounsfield_unit(rows, columns, level, seed):
    image = np.random.default_rng(seed).uniform(-1024, 3071, (rows, columns))
    assert np.abs(low_band(image, level) - papers_low_band(image, level)).max() < 1e-6


@pytest.mark.filterwarnings("ignore:Level value")
def test_low_band_of_a_full_slice_is_pywavelets():
    image = np.random.default_rng(0).uniform(-1024, 3071, (512, 512))
    assert np.abs(low_band(image) - papers_low_band(image, 6)).max() < 1e-6


@settings(deadline=None, max_examples=25)
@given(
    rows=sizes,
    columns=sizes,
    level=st.sampled_from([5, 6]),
    wavelet=st.sampled_from(["db3", "sym8"]),
    seed=st.integers(0, 999),
)
def test_a_cleaned_residual_moves_the_low_band_by_less_than_a_hundredth(rows, columns, level, wavelet, seed):
    residual = np.random.default_rng(seed).standard_normal((rows, columns))
    cleaned = remove_low_band(residual, (level,), wavelet)
    assert np.abs(low_band(cleaned, level, wavelet)).max() < 0.01


@pytest.mark.parametrize("wavelet", ["db3", "sym8"])
def test_on_a_full_slice_hundred_hounsfield_units_of_noise_move_it_less_than_rounding(wavelet):
    residual = 100 * np.random.default_rng(0).standard_normal((512, 512))
    cleaned = remove_low_band(residual, (3, 6), wavelet)
    assert np.abs(low_band(cleaned, 6, wavelet)).max() < 0.5


@pytest.mark.parametrize("wavelet", ["db3", "sym8"])
def test_no_thin_line_is_kept(wavelet):
    # What is kept of noise is smooth: each kept direction has little power above 1/8 cycles a pixel.
    for n in (256, 384, 512):
        power = np.abs(np.fft.rfft(kept_basis(n, (3, 6), wavelet), axis=0)) ** 2
        assert (power[n // 8 :].sum(axis=0) / power.sum(axis=0)).max() < 0.25


@settings(deadline=None, max_examples=15)
@given(rows=sizes, columns=sizes, seed=st.integers(0, 999))
def test_several_levels_are_kept_at_once(rows, columns, seed):
    cleaned = remove_low_band(np.random.default_rng(seed).standard_normal((rows, columns)), (3, 6))
    assert np.abs(low_band(cleaned, 3)).max() < 0.05
    assert np.abs(low_band(cleaned, 6)).max() < 0.01


@settings(deadline=None, max_examples=15)
@given(rows=st.integers(16, 130), columns=st.integers(16, 130), seed=st.integers(0, 999))
def test_where_nothing_may_change_nothing_does_and_the_low_band_stays(rows, columns, seed):
    rng = np.random.default_rng(seed)
    free = np.ones((rows, columns), bool)
    free[: rng.integers(rows // 2), : rng.integers(columns)] = False
    cleaned = remove_low_band_within(300 * rng.standard_normal((rows, columns)), free, (3, 6))
    assert (cleaned[~free] == 0).all()
    assert np.abs(low_band(cleaned)).max() < 5
    assert cleaned[free].std() > 50


def test_one_more_high_pass_would_have_moved_it():
    # Why the projector is there: the wavelet high-pass is not a projection.
    image = np.random.default_rng(0).uniform(-1000, 1000, (512, 512))
    high = split(image)[1]
    assert np.abs(low_band(high)).max() > 0.1


def test_bands_add_up_and_a_constant_has_no_high_band():
    image = np.full((40, 56), 1234.5)
    low, high = split(image)
    np.testing.assert_allclose(low + high, image, atol=1e-9)
    assert np.abs(high).max() < 1e-6


def test_many_slices_at_once_are_the_slices_one_by_one():
    stack = np.random.default_rng(1).normal(size=(3, 2, 33, 48))
    np.testing.assert_allclose(low_band(stack)[2, 1], low_band(stack[2, 1]), atol=1e-12)


def test_cleaning_twice_is_cleaning_once():
    residual = np.random.default_rng(2).normal(size=(70, 90))
    once = remove_low_band(residual)
    np.testing.assert_allclose(remove_low_band(once), once, atol=1e-9)


def test_tensors_give_what_arrays_give():
    torch = pytest.importorskip("torch")
    image = np.random.default_rng(3).uniform(-1000, 1000, (2, 45, 64))
    for function in (low_band, remove_low_band):
        result = function(torch.from_numpy(image))
        assert result.dtype == torch.float64
        np.testing.assert_allclose(result.numpy(), function(image), atol=1e-9)


def test_a_slice_too_small_is_refused():
    with pytest.raises(ValueError, match="at least 8"):
        low_band(np.zeros((7, 40)))
