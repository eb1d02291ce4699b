import numpy as np
import pytest
import SimpleITK as sitk

from inference_core.errors import UserError
from inference_core.image.reading import read_volume
from inference_core.image.volume import Volume
from inference_core.image.writing import write_volume

SUFFIXES = [".nrrd", ".nhdr", ".mha", ".mhd", ".nii", ".nii.gz"]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_what_is_written_is_read_back(ct, tmp_path, suffix, dtype):
    volume = Volume(ct.voxels.astype(dtype), ct.spacing, ct.origin, ct.direction, file_type=np.dtype(dtype))
    write_volume(volume, tmp_path / f"a{suffix}")
    back = read_volume(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(back.voxels, volume.voxels)
    assert back.voxels.dtype == dtype
    assert back.same_grid_as(volume)
    assert not list(tmp_path.glob(".faithful*"))


def test_a_header_is_moved_with_its_data(ct, tmp_path):
    write_volume(ct, tmp_path / "a.nhdr")
    assert {file.name for file in tmp_path.iterdir()} == {"a.nhdr", "a.raw"}


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "float64"])
def test_the_files_voxel_type_comes_back(tmp_path, dtype):
    array = np.arange(4 * 16 * 16).reshape(4, 16, 16).astype(dtype)
    sitk.WriteImage(sitk.GetImageFromArray(array), tmp_path / "in.nrrd")
    volume = read_volume(tmp_path / "in.nrrd")
    write_volume(volume, tmp_path / "out.nrrd")
    back = sitk.ReadImage(tmp_path / "out.nrrd")
    assert sitk.GetArrayFromImage(back).dtype == dtype
    np.testing.assert_array_equal(sitk.GetArrayFromImage(back), array)


def test_floats_are_rounded_into_an_integer_file_and_clipped_to_its_range(tmp_path):
    voxels = np.full((1, 8, 8), -3.6, np.float32)
    voxels[0, 0, 0] = 2.6
    write_volume(Volume(voxels, file_type=np.dtype(np.uint8)), tmp_path / "a.nrrd")
    array = sitk.GetArrayFromImage(sitk.ReadImage(tmp_path / "a.nrrd"))
    assert array[0, 0, 0] == 3
    assert array[0, 0, 1] == 0


def test_axes_are_slice_row_column(tmp_path):
    image = sitk.Image(5, 4, 3, sitk.sitkInt16)
    image[4, 0, 0] = 1
    image[0, 3, 0] = 2
    image[0, 0, 2] = 3
    image.SetSpacing((0.5, 0.6, 2.0))
    sitk.WriteImage(image, tmp_path / "a.nrrd")
    volume = read_volume(tmp_path / "a.nrrd")
    assert (volume.voxels[0, 0, 4], volume.voxels[0, 3, 0], volume.voxels[2, 0, 0]) == (1, 2, 3)
    np.testing.assert_allclose(volume.index_to_lps @ [4, 3, 2, 1], [*image.TransformIndexToPhysicalPoint((4, 3, 2)), 1])


def refused(path) -> UserError:
    with pytest.raises(UserError) as caught:
        read_volume(path)
    assert caught.value.remedy
    return caught.value


def test_vector_and_colour_images_are_refused(tmp_path):
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((3, 16, 16, 3), np.int16), isVector=True), tmp_path / "v.nrrd")
    assert refused(tmp_path / "v.nrrd").code == "not-scalar"


def test_time_series_are_refused_and_one_time_point_is_read(tmp_path):
    for points in (1, 2):
        sitk.WriteImage(
            sitk.GetImageFromArray(np.zeros((points, 3, 16, 16), np.int16), isVector=False),
            tmp_path / f"{points}.nii.gz",
        )
    assert read_volume(tmp_path / "1.nii.gz").voxels.shape == (3, 16, 16)
    assert refused(tmp_path / "2.nii.gz").code == "not-3d"


def test_a_flat_image_is_one_slice(tmp_path):
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((16, 20), np.int16)), tmp_path / "flat.mha")
    assert read_volume(tmp_path / "flat.mha").voxels.shape == (1, 16, 20)


def test_sheared_geometry_is_refused(ct, tmp_path):
    write_volume(Volume(ct.voxels), tmp_path / "a.nrrd")
    sheared = (tmp_path / "a.nrrd").read_bytes().replace(b"(0,0,1)", b"(0,0.3,1)")
    (tmp_path / "s.nrrd").write_bytes(sheared)
    assert refused(tmp_path / "s.nrrd").code == "sheared-geometry"


def test_missing_files_and_files_that_are_something_else_are_refused(tmp_path):
    assert refused(tmp_path / "none.nrrd").code == "no-such-file"
    (tmp_path / "text.nrrd").write_text("hello")
    assert refused(tmp_path / "text.nrrd").code == "unreadable-file"


@pytest.mark.parametrize("suffix", [".nrrd", ".mha", ".nii", ".nii.gz"])
def test_a_file_cut_short_is_refused(ct, tmp_path, suffix):
    write_volume(ct, tmp_path / f"a{suffix}")
    whole = (tmp_path / f"a{suffix}").read_bytes()
    (tmp_path / f"cut{suffix}").write_bytes(whole[: len(whole) * 2 // 3])
    assert refused(tmp_path / f"cut{suffix}").code == "unreadable-file"


@pytest.mark.parametrize(
    ("name", "code"), [("out", "output-format"), ("out.png", "output-format"), ("missing/out.nrrd", "no-such-folder")]
)
def test_outputs_that_cannot_be_are_refused(ct, tmp_path, name, code):
    with pytest.raises(UserError) as caught:
        write_volume(ct, tmp_path / name)
    assert caught.value.code == code


def test_a_nifti_file_that_did_not_fit_on_the_disk_is_not_left(ct, tmp_path, monkeypatch):
    write = sitk.WriteImage

    def on_a_full_disk(image, name, *rest):
        write(image, name, *rest)
        with open(name, "r+b") as file:
            file.truncate(3000)

    monkeypatch.setattr(sitk, "WriteImage", on_a_full_disk)
    for suffix in (".nii", ".nii.gz"):
        with pytest.raises(UserError) as caught:
            write_volume(ct, tmp_path / f"a{suffix}")
        assert caught.value.code == "write-failed"
    assert list(tmp_path.iterdir()) == []
