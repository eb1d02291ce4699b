import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference_core.errors import UserError
from inference_core.measurement.homogeneous_patches import homogeneous_patches, patch_statistics, smoothed

AIR, BRAIN = (-1020.0, -950.0), (25.0, 45.0)


def head(slices: int = 3, side: int = 160) -> np.ndarray:
    """A disc of brain in a ring of bone in air."""
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    radius = np.hypot(x, y)
    image = np.where(radius < 0.3 * side, 35.0, np.where(radius < 0.35 * side, 1200.0, -1000.0))
    return np.repeat(image[None], slices, axis=0)


@settings(max_examples=40, deadline=None)
@given(
    size=st.integers(1, 54), count=st.integers(1, 50), seed=st.integers(0, 2**32 - 1),
    holes=st.lists(st.tuples(st.integers(0, 1), st.integers(0, 59), st.integers(0, 69)), max_size=8),
)  # fmt: skip
def test_every_patch_lies_wholly_in_the_tissue_and_off_what_is_excluded(size, count, seed, holes):
    reference = np.full((2, 60, 70), -1000.0)
    reference[:, 5:55, 8:66] = 35
    excluded = np.zeros(reference.shape, bool)
    for hole in holes:
        excluded[hole] = True
    windows = np.lib.stride_tricks.sliding_window_view((reference == 35) & ~excluded, (1, size, size))
    if not windows.all(axis=(3, 4, 5)).any():
        with pytest.raises(UserError, match="pixels lie wholly within"):
            homogeneous_patches(reference, BRAIN, count, size, seed, excluded)
        return
    corners = homogeneous_patches(reference, BRAIN, count, size, seed, excluded)
    assert corners.shape == (count, 3)
    for k, y, x in corners:
        patch = reference[k, y : y + size, x : x + size]
        assert patch.shape == (size, size)
        assert (patch == 35).all()
        assert not excluded[k, y : y + size, x : x + size].any()
    assert np.array_equal(corners, homogeneous_patches(reference, BRAIN, count, size, seed, excluded))


def test_places_are_spread_over_slices_and_differ_from_seed_to_seed():
    reference = np.full((4, 80, 80), 35.0)
    corners = homogeneous_patches(reference, BRAIN)
    assert corners.shape == (300, 3)
    assert set(corners[:, 0]) == {0, 1, 2, 3}
    assert corners[:, 1:].min() == 0
    assert corners[:, 1:].max() == 20
    assert not np.array_equal(corners, homogeneous_patches(reference, BRAIN, seed=1))


def test_means_and_noise_of_two_tissues_are_found():
    rng = np.random.default_rng(0)
    truth = head()
    noisy = truth + rng.normal(0, 50, truth.shape)
    for tissue, mean in ((AIR, -1000), (BRAIN, 35)):
        size = 20
        found = patch_statistics(noisy, homogeneous_patches(truth, tissue, size=size), size)
        assert found.mean == pytest.approx(mean, abs=2)
        assert found.std == pytest.approx(50, rel=0.03)


def test_padding_is_not_air():
    reference = np.full((1, 100, 200), -1000.0)
    reference[:, :, 100:] = -1024
    wide = (-1030.0, -950.0)
    corners = homogeneous_patches(reference, wide, excluded=reference == -1024)
    assert corners[:, 2].max() + 60 <= 100
    with pytest.raises(UserError, match="60 x 60 pixels"):
        homogeneous_patches(reference, wide, excluded=np.ones(reference.shape, bool))


def test_a_noisy_ct_must_be_smoothed_first():
    noisy = np.random.default_rng(0).normal(35, 40, (1, 128, 128))
    with pytest.raises(UserError) as caught:
        homogeneous_patches(noisy, BRAIN, size=10)
    assert caught.value.code == "no-homogeneous-patch"
    assert len(homogeneous_patches(smoothed(noisy, 4), (15, 55), count=7, size=10)) == 7


@pytest.mark.parametrize(("count", "size"), [(0, 60), (300, 0)])
def test_no_patch_of_no_size(count, size):
    with pytest.raises(UserError) as caught:
        homogeneous_patches(head(), AIR, count, size)
    assert caught.value.code == "out-of-range"


def test_a_volume_without_patches_has_no_statistics():
    found = patch_statistics(head(), np.empty((0, 3), np.intp))
    assert np.isnan(found.mean)
    assert np.isnan(found.std)
