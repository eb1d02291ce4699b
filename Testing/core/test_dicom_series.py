"""Real DICOM files, written by pydicom, read as a user would."""

import numpy as np
import pydicom
import pytest
from made_series import write_series
from pydicom.uid import RLELossless, generate_uid

from inference_core.errors import UserError
from inference_core.image.reading import read_volume


@pytest.fixture
def stored():
    return np.random.default_rng(0).integers(0, 2500, (4, 16, 20))


def refused(folder, **options) -> UserError:
    with pytest.raises(UserError) as caught:
        read_volume(folder, **options)
    assert caught.value.remedy
    return caught.value


def test_a_series_is_sorted_rescaled_and_placed(tmp_path, stored):
    write_series(tmp_path / "s", stored)
    (tmp_path / "s" / "notes.txt").write_text("not an image")
    volume = read_volume(tmp_path / "s")
    np.testing.assert_array_equal(volume.voxels, stored - 1024)
    assert volume.voxels.dtype == np.int16
    assert volume.spacing == (0.7, 0.5, 3.0)
    assert volume.origin == (-10, -20, 0)
    assert (volume.modality, volume.kernel, volume.warnings) == ("CT", "H60s", ())


def test_slices_from_feet_to_head_or_back_give_one_volume(tmp_path, stored):
    write_series(tmp_path / "s", stored, positions=[9, 6, 3, 0])
    volume = read_volume(tmp_path / "s")
    np.testing.assert_array_equal(volume.voxels, stored[::-1] - 1024)
    assert volume.origin[2] == 0


def test_the_pixels_are_pydicoms(tmp_path, stored):
    files = write_series(tmp_path / "s", stored, RescaleSlope=2, RescaleIntercept=-1000)
    one = pydicom.dcmread(files[1])
    volume = read_volume(files[1])
    np.testing.assert_array_equal(volume.voxels[0], one.pixel_array.astype(int) * 2 - 1000)
    assert volume.spacing == (0.7, 0.5, 3.0)


def test_a_fractional_slope_gives_float(tmp_path, stored):
    write_series(tmp_path / "s", stored, RescaleSlope=0.5)
    volume = read_volume(tmp_path / "s")
    assert volume.voxels.dtype == np.float32
    np.testing.assert_allclose(volume.voxels, stored * 0.5 - 1024)


def test_signed_pixels_and_padding(tmp_path):
    stored = np.random.default_rng(0).integers(-1000, 2000, (2, 16, 16))
    stored[:, :4] = -2000
    write_series(
        tmp_path / "s",
        stored.astype(np.int16).view(np.uint16),
        PixelRepresentation=1,
        RescaleIntercept=0,
        PixelPaddingValue=-2000,
    )
    volume = read_volume(tmp_path / "s")
    np.testing.assert_array_equal(volume.voxels, stored)
    assert volume.padding_value == -2000


def test_compressed_slices_are_read(tmp_path, stored):
    for file in write_series(tmp_path / "s", stored):
        header = pydicom.dcmread(file)
        header.compress(RLELossless)
        header.save_as(file)
    np.testing.assert_array_equal(read_volume(tmp_path / "s").voxels, stored - 1024)


def test_several_series_are_listed_and_one_can_be_named(tmp_path, stored):
    uid = generate_uid()
    write_series(tmp_path / "s", stored)
    write_series(tmp_path / "s", stored + 1, SeriesInstanceUID=uid)
    error = refused(tmp_path / "s")
    assert error.code == "several-series"
    assert uid in error.message
    assert "--series" in error.remedy
    np.testing.assert_array_equal(read_volume(tmp_path / "s", series_uid=uid).voxels, stored - 1023)
    assert refused(tmp_path / "s", series_uid="1.2.3").code == "no-such-series"


def test_a_missing_slice_is_warned_of_by_name(tmp_path, stored):
    files = write_series(tmp_path / "s", np.repeat(stored, 2, axis=0))
    files[3].unlink()
    volume = read_volume(tmp_path / "s")
    assert len(volume.voxels) == 7
    assert files[2].name in volume.warnings[0]
    assert files[4].name in volume.warnings[0]
    assert volume.spacing[2] == 3


def test_localizers_are_left_out_with_a_warning(tmp_path, stored):
    write_series(
        tmp_path / "s", stored, ImageType=lambda k: ["ORIGINAL", "PRIMARY", "LOCALIZER" if k == 0 else "AXIAL"]
    )
    volume = read_volume(tmp_path / "s")
    assert len(volume.voxels) == 3
    assert "localizer" in volume.warnings[0]


@pytest.mark.parametrize(
    ("change", "code", "word"),
    [
        ({"Modality": "MR"}, "not-ct", "MR"),
        ({"RescaleIntercept": None}, "incomplete-header", "RescaleIntercept"),
        ({"ImagePositionPatient": None}, "incomplete-header", "ImagePositionPatient"),
        ({"RescaleType": "MGML"}, "not-hounsfield", "MGML"),
        ({"PixelSpacing": lambda k: [0.5, 0.7 + 0.1 * (k == 2)]}, "mixed-geometry", "PixelSpacing"),
        (
            {"ImageOrientationPatient": lambda k: [1, 0, 0, 0, 1, 0] if k else [0, 1, 0, 0, 0, -1]},
            "mixed-geometry",
            "Orientation",
        ),
        ({"ImagePositionPatient": [0, 0, 5]}, "same-position", "5 mm"),
        ({"ImagePositionPatient": lambda k: [0, 0.8 * k, 3 * k]}, "gantry-tilt", "tilt"),
        ({"NumberOfFrames": 3}, "multi-frame", "multi-frame"),
        ({"ImageOrientationPatient": [1, 0, 0, 0.3, 0.95, 0]}, "sheared-geometry", "right angles"),
    ],
)
def test_what_cannot_be_read_rightly_is_refused_with_the_file_and_remedy(tmp_path, stored, change, code, word):
    write_series(tmp_path / "s", stored, **change)
    error = refused(tmp_path / "s")
    assert error.code == code
    assert word in error.message


def test_a_folder_without_dicom_and_a_truncated_file(tmp_path, stored):
    (tmp_path / "empty").mkdir()
    assert refused(tmp_path / "empty").code == "no-dicom"
    file = write_series(tmp_path / "s", stored[:1])[0]
    file.write_bytes(file.read_bytes()[:-100])
    assert refused(tmp_path / "s").code == "unreadable-pixels"


def test_inverted_pixels_are_refused(tmp_path, stored):
    write_series(tmp_path / "s", stored, PhotometricInterpretation="MONOCHROME1")
    assert refused(tmp_path / "s").code == "inverted-pixels"


def test_fewer_pixels_than_announced_are_refused(tmp_path, stored):
    short = stored[0].astype(np.uint16).tobytes()[:200]
    write_series(tmp_path / "s", stored, PixelData=lambda k: short if k == 1 else stored[k].astype(np.uint16).tobytes())
    assert refused(tmp_path / "s").code == "unreadable-pixels"


def test_a_dicom_file_without_an_image_is_named(tmp_path, stored):
    write_series(tmp_path / "s", stored)
    lone = write_series(tmp_path / "other", stored[:1], Rows=None)[0]
    lone.rename(tmp_path / "s" / "report.dcm")
    assert "report.dcm" in read_volume(tmp_path / "s").warnings[0]


def test_zero_spacing_is_refused(tmp_path, stored):
    write_series(tmp_path / "s", stored, PixelSpacing=[0, 0])
    assert refused(tmp_path / "s").code == "bad-header"


def test_the_spacing_of_a_gappy_series_is_one_that_is_there(tmp_path, stored):
    write_series(tmp_path / "s", stored[:3], positions=[0, 6, 9])
    assert read_volume(tmp_path / "s").spacing[2] == 3


def test_values_that_do_not_lie_in_the_lowest_bits_are_refused(tmp_path, stored):
    write_series(tmp_path / "s", stored << 4, BitsStored=12, HighBit=15)
    error = refused(tmp_path / "s")
    assert error.code == "unusual-bits"
    assert "HighBit" in error.remedy
