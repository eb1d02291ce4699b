"""PSNR, SSIM, CT-number shifts and the tissue masks they are taken in."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference_core.measurement.metrics import mean_shift, psnr, psnr_slice_max, ssim, ssim_slice_max
from inference_core.measurement.tissue import RANGES_HU, tissue_masks


def body_slice(seed: int = 0, shape: tuple[int, int] = (160, 192), noise: float = 40.0) -> np.ndarray:
    """Air around an ellipse of soft tissue with a lung and a bone in it; int16 HU."""
    y, x = np.mgrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]
    image = np.full(shape, -1000.0)
    image[np.hypot(y / 0.8, x / 0.9) < 1] = 50
    image[np.hypot(y / 0.4, (x - 0.4) / 0.3) < 1] = -860
    image[np.hypot((y - 0.3) / 0.2, (x + 0.4) / 0.2) < 1] = 700
    noisy = image + np.random.default_rng(seed).normal(0, noise, shape)
    return np.maximum(np.rint(noisy), -1024).astype(np.int16)


def test_psnr_of_a_known_error():
    reference = np.zeros((32, 32), np.int16)
    assert psnr(reference + 20, reference) == pytest.approx(40.0)  # 20 log10(2000 / 20)
    assert psnr(reference, reference) == math.inf


def test_psnr_of_int16_extremes_does_not_overflow():
    low, high = np.full((8, 8), -32768, np.int16), np.full((8, 8), 32767, np.int16)
    assert psnr(low, high) == pytest.approx(20 * math.log10(2000 / 65535))


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 1000), noise=st.floats(1, 300))
def test_psnr_equals_scikit_image(seed, noise):
    from skimage.metrics import peak_signal_noise_ratio

    reference = body_slice(seed, (48, 40))
    output = np.rint(reference + np.random.default_rng(seed).normal(0, noise, reference.shape)).astype(np.int16)
    expected = peak_signal_noise_ratio(reference.astype(float), output.astype(float), data_range=2000)
    assert psnr(output, reference) == pytest.approx(expected)


def test_ssim_falls_with_noise_and_knows_no_clipping():
    reference = body_slice()
    scores = [ssim(np.rint(reference + noise * np.random.default_rng(1).normal(size=reference.shape)), reference)
              for noise in (0, 20, 100)]  # fmt: skip
    assert scores[0] == pytest.approx(1.0)
    assert scores[0] > scores[1] > scores[2]
    metal = np.full_like(reference, 3000)
    assert ssim(metal + np.int16(500), metal) < 1  # both lie beyond 2000 HU


def test_ssim_by_its_definition():
    """Wang et al. 2004, equation 13, in a single 7x7 window, with sample variances."""
    rng = np.random.default_rng(2)
    one, two = rng.normal(0, 200, (2, 7, 7))
    c1, c2 = (0.01 * 2000) ** 2, (0.03 * 2000) ** 2
    covariance = np.cov(one.ravel(), two.ravel())
    expected = ((2 * one.mean() * two.mean() + c1) * (2 * covariance[0, 1] + c2)) / (
        (one.mean() ** 2 + two.mean() ** 2 + c1) * (covariance[0, 0] + covariance[1, 1] + c2)
    )
    assert ssim(one, two) == pytest.approx(expected)


def test_mean_shift_is_output_minus_input_in_the_mask():
    before = body_slice()
    mask = np.zeros(before.shape, bool)
    mask[:10] = True
    after = before.copy()
    after[mask] += 3
    assert mean_shift(after, before, mask) == 3.0
    assert mean_shift(after, before, ~mask) == 0.0
    assert mean_shift(after, before) == pytest.approx(3 * mask.mean())
    assert math.isnan(mean_shift(after, before, np.zeros_like(mask)))


@pytest.mark.parametrize("measure", [psnr, ssim, psnr_slice_max, ssim_slice_max, mean_shift])
def test_slices_that_do_not_match_are_refused(measure):
    with pytest.raises(ValueError, match=r"\(32, 32\) and \(32, 33\)"):
        measure(np.zeros((32, 32)), np.zeros((32, 33)))


@pytest.mark.parametrize("shape", [(160, 192), (65, 40), (8, 9)])
@pytest.mark.parametrize("seed", range(3))
def test_tissue_masks_equal_scipy(shape, seed):
    from scipy.ndimage import binary_erosion, gaussian_filter

    image = body_slice(seed, shape)
    smooth = gaussian_filter(image.astype(np.float64), 2)
    for tissue, mask in tissue_masks(image).items():
        low, high = RANGES_HU[tissue]
        expected = binary_erosion((smooth > low) & (smooth < high), iterations=2)
        assert (mask != expected).mean() < 0.005, tissue


def test_each_tissue_is_found_where_it_is():
    masks = tissue_masks(body_slice(noise=20))
    places = {"soft": (30, 96), "air": (3, 3), "bone": (104, 58)}
    for tissue, place in places.items():
        assert [name for name, mask in masks.items() if mask[place]] == [tissue]
    assert masks["air"][80, 134], "lung at -860 HU counts as air"
    assert not any((masks[a] & masks[b]).any() for a, b in (("soft", "air"), ("soft", "bone"), ("air", "bone")))


def test_masks_stay_clear_of_edges():
    """Two pixels of erosion after the blur: no pixel of a mask lies at a tissue border or at the slice's edge."""
    image = body_slice(noise=0)
    for mask in tissue_masks(image).values():
        assert not mask[:2].any()
        assert not mask[:, -2:].any()
    soft = tissue_masks(image)["soft"]
    assert soft.any()
    assert set(image[soft]) == {50}


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 1000), noise=st.floats(1, 300), brightest=st.integers(800, 3071))
def test_slice_max_scores_are_those_of_the_papers_code(seed, noise, brightest):
    """Restated with scikit-image on (HU + 1000) / 2000, the data range being the reference's maximum."""
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity

    reference = body_slice(seed, (48, 40))
    reference[20, 20] = brightest
    output = np.rint(reference + np.random.default_rng(seed).normal(0, noise, reference.shape)).astype(np.int16)
    one, other = ((image + 1000.0) / 2000 for image in (reference, output))
    expected = peak_signal_noise_ratio(one, other, data_range=one.max())
    assert psnr_slice_max(output, reference) == pytest.approx(expected)
    expected = structural_similarity(one, other, data_range=one.max())
    assert ssim_slice_max(output, reference) == pytest.approx(expected)


def test_slice_max_psnr_moves_with_the_brightest_pixel_and_psnr_does_not():
    reference = body_slice()
    output = reference + np.int16(10)
    metal = (np.arange(reference.size).reshape(reference.shape) == 500) * np.int16(3071 - reference.ravel()[500])
    assert psnr(output + metal, reference + metal) == psnr(output, reference)
    moved = psnr_slice_max(output + metal, reference + metal) - psnr_slice_max(output, reference)
    assert moved == pytest.approx(20 * math.log10(4071 / (int(reference.max()) + 1000)))
