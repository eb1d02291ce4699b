import numpy as np
import pytest

from inference_core.denoiser.guard import check_ct
from inference_core.errors import UserError
from inference_core.image.volume import Volume, as_hounsfield_array


def with_float(ct, change):
    voxels = ct.voxels.astype(np.float32)
    change(voxels)
    return ct.with_voxels(voxels)


def refused(volume) -> UserError:
    with pytest.raises(UserError) as caught:
        check_ct(volume)
    assert caught.value.remedy
    return caught.value


def test_a_ct_passes_without_a_word(ct):
    assert check_ct(ct) == []


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_refused_with_their_slice(ct, value):
    def put(voxels):
        voxels[2, 5, 5] = value

    error = refused(with_float(ct, put))
    assert error.code == "not-finite"
    assert "slices 2" in error.message


def test_another_modality_is_refused(ct):
    assert refused(Volume(ct.voxels, modality="MR")).code == "not-ct"


def test_a_label_map_is_refused(ct):
    labels = (ct.voxels > 0).astype(np.int16)
    assert refused(Volume(labels)).code == "label-map"


def test_values_without_negatives_are_no_hounsfield_units(ct):
    error = refused(Volume((ct.voxels + 4000).astype(np.int16)))
    assert error.code == "not-hounsfield"
    assert "1024" in error.remedy


def test_normalised_values_are_refused(ct):
    assert refused(Volume((ct.voxels / 3000).astype(np.float32))).code == "not-hounsfield"


def test_sheared_geometry_is_refused(ct):
    sheared = Volume(ct.voxels, direction=(1, 0, 0, 0, 1, 0.3, 0, 0, 0.95))
    assert refused(sheared).code == "sheared-geometry"


def test_no_slice_and_tiny_slices_are_refused():
    assert refused(Volume(np.zeros((0, 64, 64), np.int16))).code == "empty"
    assert refused(Volume(np.zeros((3, 7, 64), np.int16))).code == "too-small"


def test_a_constant_volume_passes_with_a_warning():
    assert "nothing to denoise" in check_ct(Volume(np.full((2, 16, 16), -1000, np.int16)))[0]


def test_metal_passes_with_a_warning(ct):
    voxels = ct.voxels.copy()
    voxels[0, 0, 0] = 9000
    assert "metal" in check_ct(ct.with_voxels(voxels))[0]


@pytest.mark.parametrize("value", [1e30, -1e30, 150_000])
def test_what_no_ct_number_can_be_is_refused(ct, value):
    def put(voxels):
        voxels[2, 5, 5] = value

    error = refused(with_float(ct, put))
    assert error.code == "not-hounsfield"
    assert f"{value:g}" in error.message


def test_pixels_that_are_not_square_pass_with_a_warning(ct):
    assert "not square" in check_ct(Volume(ct.voxels, spacing=(0.7, 3.0, 0.7)))[0]


@pytest.mark.parametrize(
    ("given", "becomes"), [("uint8", "int16"), ("int32", "int16"), ("float64", "float32"), ("uint16", "int16")]
)
def test_voxel_types_keep_their_values(given, becomes):
    array = np.array([0, 1, 200], given)
    result = as_hounsfield_array(array, "x")
    assert result.dtype == becomes
    np.testing.assert_array_equal(result, array)


def test_large_integers_become_float_and_absurd_ones_are_refused():
    assert as_hounsfield_array(np.array([0, 60000], np.uint16), "x").dtype == np.float32
    with pytest.raises(UserError, match="far outside CT"):
        as_hounsfield_array(np.array([2**40]), "x")
    with pytest.raises(UserError, match="bool"):
        as_hounsfield_array(np.array([True]), "x")
