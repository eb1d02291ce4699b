"""Discs, trees and odd files as hospitals hand them out: the one CT series is found, or the trouble is named."""

import shutil

import numpy as np
import pydicom
import pytest
from made_series import stored_ct, write_series
from pydicom.fileset import FileSet
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from inference_core import client
from inference_core.errors import UserError
from inference_core.image.padding import padding_mask
from inference_core.image.reading import read_volume

HTJ2K = "1.2.840.10008.1.2.4.201"


def refused(path, **options) -> UserError:
    with pytest.raises(UserError) as caught:
        read_volume(path, **options)
    assert caught.value.remedy
    return caught.value


def changed(file, **tags):
    header = pydicom.dcmread(file)
    for tag, value in tags.items():
        setattr(header, tag, value)
    header.save_as(file)


@pytest.fixture
def disc(tmp_path):
    """A disc with a DICOMDIR, as a hospital burns it."""
    files = FileSet()
    for file in write_series(tmp_path / "s", stored_ct()):
        files.add(file)
    files.write(tmp_path / "disc")
    (tmp_path / "disc" / "README.TXT").write_text("double-click VIEWER.EXE")
    return tmp_path / "disc"


@pytest.mark.parametrize("name", ["", "DICOMDIR"])
def test_a_disc_is_read_by_its_folder_or_its_dicomdir(disc, name):
    volume = read_volume(disc / name)
    np.testing.assert_array_equal(volume.voxels, stored_ct() - 1024)
    assert volume.warnings == ()
    assert len(volume.files) == 3


def test_a_disc_is_denoised_to_a_series(disc, tmp_path):
    job = {"job": "denoise", "input": str(disc / "DICOMDIR"), "output": str(tmp_path / "out")}
    client.run(job, lambda message: None)
    assert read_volume(tmp_path / "out").same_grid_as(read_volume(disc))


def test_in_a_mixed_tree_the_only_ct_is_taken_and_the_rest_is_told(tmp_path):
    """A scan in a tree with its scout, an MR, a screenshot of the dose and a report."""
    tree = tmp_path / "tree"
    write_series(tree, stored_ct(1), ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    write_series(tree / "mr", stored_ct(2), Modality="MR")
    write_series(tree / "dose", stored_ct(1), SOPClassUID=SecondaryCaptureImageStorage)
    (report,) = write_series(tree / "report", stored_ct(1), Rows=None)
    write_series(tree / "ct", stored_ct(3))
    volume = read_volume(tree)
    np.testing.assert_array_equal(volume.voxels, stored_ct(3) - 1024)
    told = " ".join(volume.warnings)
    assert "4 image(s) of other series" in told
    assert report.name in told


def test_two_scans_are_listed_by_what_tells_them_apart(tmp_path):
    one, two = generate_uid(), generate_uid()
    write_series(tmp_path / "t", stored_ct(2), SeriesInstanceUID=one, SliceThickness="0.6")
    write_series(tmp_path / "t", stored_ct(3), SeriesInstanceUID=two, ConvolutionKernel="H30s", SeriesNumber=9)
    error = refused(tmp_path / "t")
    assert error.code == "several-series"
    for words in (one, two, "series 5, 2 files, H60s, 0.6 mm", "series 9, 3 files, H30s"):
        assert words in error.message


def test_a_derived_series_beside_its_source_is_told_from_it(tmp_path):
    write_series(tmp_path / "t", stored_ct(1))
    write_series(tmp_path / "t", stored_ct(1), ImageType=["DERIVED", "SECONDARY", "AXIAL"])
    assert refused(tmp_path / "t").message.count(", derived, ") == 1


def test_copies_are_left_out_and_altered_copies_are_refused(tmp_path):
    files = write_series(tmp_path / "s", stored_ct())
    copy = tmp_path / "s" / "copy.dcm"
    shutil.copy(files[1], copy)
    volume = read_volume(tmp_path / "s")
    assert len(volume.voxels) == 3
    assert "1 file(s) that are copies" in volume.warnings[0]
    changed(copy, PixelData=bytes(len(pydicom.dcmread(copy).PixelData)))
    error = refused(tmp_path / "s")
    assert error.code == "altered-copy"
    assert "copy.dcm" in error.message + files[1].name


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_odd_encodings_are_read_and_written_back_plainly(tmp_path, syntax):
    overlay = np.arange(288, dtype=np.uint16)
    for file in write_series(tmp_path / "s", stored_ct()):
        header = pydicom.dcmread(file)
        header.decode()
        header.add_new(0x60003000, "OW", overlay.tobytes())
        new = pydicom.Dataset(header)
        new.file_meta = header.file_meta
        new.file_meta.TransferSyntaxUID = syntax
        little = syntax != ExplicitVRBigEndian
        if not little:
            for tag in (0x7FE00010, 0x60003000):
                new[tag].value = np.frombuffer(new[tag].value, "<u2").astype(">u2").tobytes()
        implicit = syntax == ImplicitVRLittleEndian
        pydicom.dcmwrite(file, new, implicit_vr=implicit, little_endian=little, enforce_file_format=True)
    before = read_volume(tmp_path / "s")
    np.testing.assert_array_equal(before.voxels, stored_ct() - 1024)
    job = {"job": "denoise", "input": str(tmp_path / "s"), "output": str(tmp_path / "out"), "strength": 0}
    client.run(job, lambda message: None)
    np.testing.assert_array_equal(read_volume(tmp_path / "out").voxels, before.voxels)
    made = pydicom.dcmread(tmp_path / "out" / "IM00001.dcm")
    assert made.WindowCenter == [40, 700]
    assert made[0x60003000].value == overlay.tobytes()


def test_a_compression_that_is_not_known_is_named(tmp_path):
    (file,) = write_series(tmp_path / "s", stored_ct(1))
    header = pydicom.dcmread(file)
    header.PixelData = pydicom.encaps.encapsulate([b"\xff\x4f\xff\x51" + bytes(200)])
    header["PixelData"].VR = "OB"
    header.file_meta.TransferSyntaxUID = HTJ2K
    header.save_as(file)
    error = refused(tmp_path / "s")
    assert error.code == "unreadable-pixels"
    assert "High-Throughput JPEG 2000" in error.remedy


def test_sixteen_bits_without_sign_reach_beyond_int16(tmp_path):
    stored = stored_ct()
    stored[1, 10, 10] = 65000
    write_series(tmp_path / "s", stored)
    volume = read_volume(tmp_path / "s")
    assert volume.voxels[1, 10, 10] == 65000 - 1024
    np.testing.assert_array_equal(volume.voxels, stored - 1024)


@pytest.mark.parametrize(("slope", "intercept"), [(0.25, -1000), (3, -5000), (0.9765625, -1024.5)])
def test_any_slope_and_intercept(tmp_path, slope, intercept):
    write_series(tmp_path / "s", stored_ct(), RescaleSlope=slope, RescaleIntercept=intercept)
    np.testing.assert_allclose(read_volume(tmp_path / "s").voxels, stored_ct() * slope + intercept, rtol=1e-6)


def test_a_range_of_padding_is_padding(tmp_path):
    """Some scanners fill in two values outside their circle, and declare both."""
    stored = stored_ct(1)
    stored[:, :20, :20], stored[:, :20, 40:60] = 4, 8
    write_series(tmp_path / "s", stored, PixelPaddingValue=8, PixelPaddingRangeLimit=4)
    volume = read_volume(tmp_path / "s")
    assert (volume.padding_value, volume.padding_limit) == (-1016, -1020)
    mask = padding_mask(volume.voxels[0], volume.padding_value, volume.padding_limit)
    assert mask[:20, :20].all()
    assert mask[:20, 40:60].all()
    assert not mask[25:].any()
    job = {"job": "denoise", "input": str(tmp_path / "s"), "output": str(tmp_path / "out.nrrd")}
    client.run(job, lambda message: None)
    after = read_volume(tmp_path / "out.nrrd").voxels
    np.testing.assert_array_equal(after[:, :20, :20], -1020)
    np.testing.assert_array_equal(after[:, :20, 40:60], -1016)


def test_a_series_of_localizers_alone_is_no_scan(tmp_path):
    write_series(tmp_path / "s", stored_ct(2), ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"],
                 ImageOrientationPatient=lambda k: [1, 0, 0, 0, 0, -1] if k else [0, 1, 0, 0, 0, -1])  # fmt: skip
    assert refused(tmp_path / "s").code == "mixed-geometry"


@pytest.mark.parametrize(
    "tag", ["PixelSpacing", "RescaleSlope", "ImagePositionPatient", "ImageOrientationPatient", "RescaleIntercept"]
)
def test_a_slice_without_what_is_needed_is_named(tmp_path, tag):
    files = write_series(tmp_path / "s", stored_ct())
    header = pydicom.dcmread(files[1])
    delattr(header, tag)
    header.save_as(files[1])
    error = refused(tmp_path / "s")
    assert files[1].name in error.message
    assert tag in error.message
