import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from inference_core.image.padding import padding_mask


def circle(size: int) -> np.ndarray:
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    return x**2 + y**2 <= 1


@settings(deadline=None, max_examples=20)
@given(size=st.integers(40, 200), value=st.sampled_from([-3024, -2000]), declared=st.booleans())
def test_outside_the_scanners_circle_is_padding_to_the_voxel(size, value, declared):
    image = np.where(circle(size), np.random.default_rng(size).normal(0, 100, (size, size)), value)
    np.testing.assert_array_equal(padding_mask(image, value if declared else None), ~circle(size))


def test_padding_at_air_is_found_but_for_slivers():
    image = np.where(circle(200), np.random.default_rng(0).normal(0, 100, (200, 200)), -1024)
    found = padding_mask(image)
    assert not (found & circle(200)).any()
    assert found.sum() > 0.95 * (~circle(200)).sum()


def test_clipped_noise_is_not_padding():
    rng = np.random.default_rng(0)
    for mean in (-1000, -1024, -1040):
        air = np.maximum(np.rint(rng.normal(mean, 60, (256, 256))), -1024)
        assert padding_mask(air).sum() == 0, mean
        assert padding_mask(air, -1024).sum() < 0.001 * air.size, mean


def test_a_constant_region_that_touches_no_corner_is_measured():
    image = np.random.default_rng(0).normal(0, 30, (100, 100))
    image[40:60, 40:60] = -1000
    assert padding_mask(image).sum() == 0


def test_a_declared_value_is_padding_anywhere():
    image = np.random.default_rng(0).normal(0, 30, (100, 100))
    image[40:60, 40:60] = -2000
    assert padding_mask(image, -2000).sum() == 400
