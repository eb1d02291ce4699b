"""Derived DICOM series, written by the real job and read back by whoever reads DICOM."""

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from made_derived import DERIVATION, derived
from made_series import PLANTED, read_all, stored_ct, write_series
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless, generate_uid

from inference_core import client
from inference_core.errors import Cancelled, UserError
from inference_core.image import dicom_writing
from inference_core.image.reading import read_volume
from inference_core.image.volume import Volume
from inference_core.provenance import sha256_of_voxels


def denoised(source: Path, out: Path, **options) -> dict:
    job = {"job": "denoise", "input": str(source), "output": str(out), "threads": 1, **options}
    return client.run(job, lambda message: None)


@pytest.fixture
def source(tmp_path):
    write_series(tmp_path / "source", stored_ct())
    return tmp_path / "source"


def test_the_series_holds_what_the_report_says_whoever_reads_it(source, tmp_path):
    report = denoised(source, tmp_path / "out")
    files = sorted((tmp_path / "out").iterdir())
    ours = read_volume(tmp_path / "out")
    assert ours.same_grid_as(read_volume(source))
    assert sha256_of_voxels(ours.voxels) == report["output"]["sha256_voxels"] != report["input"]["sha256_voxels"]
    itk = np.concatenate([sitk.GetArrayFromImage(sitk.ReadImage(str(file))) for file in files])
    np.testing.assert_array_equal(itk, ours.voxels)
    planes = [pydicom.dcmread(file) for file in files]
    by_hand = [p.pixel_array.astype(float) * p.RescaleSlope + p.RescaleIntercept for p in planes]
    np.testing.assert_array_equal(by_hand, ours.voxels)
    assert report["output"]["format"] == "DICOM series"


def test_the_headers_say_that_it_is_derived_from_what_and_by_what(source, tmp_path):
    report = denoised(source, tmp_path / "out", strength=0.5)
    sources, results = read_all(source), read_all(tmp_path / "out")
    for one, other in zip(sources, results, strict=True):
        assert list(other.ImageType) == ["DERIVED", "SECONDARY", "AXIAL"]
        assert other.SOPInstanceUID == other.file_meta.MediaStorageSOPInstanceUID != one.SOPInstanceUID
        assert other.SeriesInstanceUID != one.SeriesInstanceUID
        for kept in ("StudyInstanceUID", "FrameOfReferenceUID", "PatientID", "PatientName", "AccessionNumber",
                     "InstanceNumber", "WindowCenter", "WindowWidth", "RescaleSlope", "RescaleIntercept", "BitsStored",
                     "AcquisitionNumber", "KVP"):  # fmt: skip
            assert other[kept].value == one[kept].value, kept
        assert other.SeriesNumber == 305
        assert other.SeriesDescription == f"{PLANTED['SeriesDescription']} DENOISED low-dose-ct 50%"
        assert "low-dose-ct at strength 0.5" in other.DerivationDescription
        assert [code.CodeValue for code in other.DerivationCodeSequence] == ["113087"]
        (reference,) = other.SourceImageSequence
        assert reference.ReferencedSOPInstanceUID == one.SOPInstanceUID
        assert reference.PurposeOfReferenceCodeSequence[0].CodeValue == "121322"
        equipment = other.ContributingEquipmentSequence[-1]
        assert equipment.PurposeOfReferenceCodeSequence[0].CodeValue == "109102"
        assert list(equipment.SoftwareVersions) == [
            report["software"]["version"], "low-dose-ct", report["model"]["sha256"]["onnx"]
        ]  # fmt: skip
        assert json.loads(equipment.ContributionDescription) == report["provenance"]
        assert other.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert len({header.SOPInstanceUID for header in results}) == len({header.file_meta.MediaStorageSOPInstanceUID
                                                                     for header in results}) == 3  # fmt: skip
    assert len({header.SeriesInstanceUID for header in results}) == 1


def test_files_are_in_slice_order(tmp_path):
    write_series(tmp_path / "s", stored_ct(), positions=[6, 3, 0])
    derived(tmp_path / "s", tmp_path / "out")
    heights = [pydicom.dcmread(file).ImagePositionPatient[2] for file in sorted((tmp_path / "out").iterdir())]
    assert heights == [0, 3, 6]


SOURCES = {
    "plain": {},
    "12 bits": {"BitsStored": 12, "HighBit": 11, "PixelPaddingValue": 0},
    "slope 2": {"RescaleSlope": 2, "RescaleIntercept": -3000},
    "slope 0.5": {"RescaleSlope": 0.5, "RescaleIntercept": -1024.5},
    "slope 0.1 a slice": {"RescaleSlope": lambda k: f"0.{k + 1}", "RescaleIntercept": -500},
    "signed": {"PixelRepresentation": 1, "RescaleIntercept": 0, "PixelPaddingValue": -2000},
    "implicit": {},
    "compressed": {},
}


@pytest.mark.parametrize("kind", SOURCES)
def test_any_ct_comes_back_to_the_voxel_and_the_standards_checker_finds_nothing_new(kind, tmp_path):
    stored = stored_ct()
    if kind == "signed":
        stored = (stored - 1024).astype(np.int16).view(np.uint16)
    files = write_series(tmp_path / "s", stored, **SOURCES[kind])
    for file in files:
        header = pydicom.dcmread(file)
        if kind == "compressed":
            header.compress(RLELossless)
            header.save_as(file)
        elif kind == "implicit":
            header.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
            header.save_as(file, implicit_vr=True, little_endian=True)

    def change(voxels):
        return (voxels + np.random.default_rng(1).normal(0, 30, voxels.shape)).astype(voxels.dtype)

    before, after, _ = derived(tmp_path / "s", tmp_path / "out", change)
    back = read_volume(tmp_path / "out")
    assert back.voxels.dtype == before.voxels.dtype
    np.testing.assert_array_equal(back.voxels, after.voxels)
    slope = max(float(pydicom.dcmread(file).RescaleSlope) for file in files)
    asked = change(before.voxels)
    inside = asked > after.voxels.min() + 2 * slope  # below lies what the files cannot hold
    assert inside.mean() > 0.5
    assert np.abs(after.voxels - asked)[inside].max() <= slope / 2 + 1e-3
    assert errors_of(tmp_path / "out") <= errors_of(tmp_path / "s")


def test_an_unchanged_volume_gives_the_sources_pixels(tmp_path):
    write_series(tmp_path / "s", stored_ct(), BitsStored=12, HighBit=11, PixelPaddingValue=63, RescaleSlope=0.7)
    _, _, moved = derived(tmp_path / "s", tmp_path / "out")
    assert moved == 0
    for one, other in zip(read_all(tmp_path / "s"), read_all(tmp_path / "out"), strict=True):
        assert one.PixelData == other.PixelData


def errors_of(folder: Path) -> set[str]:
    """What dciodvfy (Debian: dicom3tools) calls an error."""
    if not shutil.which("dciodvfy"):
        return set()
    lines = []
    for file in folder.iterdir():
        done = subprocess.run(["dciodvfy", str(file)], capture_output=True, text=True, check=False)
        lines += (done.stdout + done.stderr).splitlines()
    assert "CTImage" in lines
    return {line for line in lines if line.startswith("Error")}


@pytest.mark.skipif(not shutil.which("dciodvfy"), reason="dciodvfy is not installed (apt-get install dicom3tools)")
def test_a_denoised_series_is_clean_by_the_standard(source, tmp_path):
    denoised(source, tmp_path / "out")
    assert errors_of(source) == set()
    assert errors_of(tmp_path / "out") == set()


def test_values_beyond_the_bits_are_clipped_not_wrapped(tmp_path):
    write_series(tmp_path / "s", stored_ct(), BitsStored=12, HighBit=11)
    _, after, moved = derived(tmp_path / "s", tmp_path / "out", lambda voxels: (voxels * 8).astype(np.int16))
    assert (after.voxels.min(), after.voxels.max()) == (-1024, 3071)
    assert moved > 0


@pytest.mark.parametrize(
    ("padding", "limit", "value", "becomes"),
    [(24, None, -1000, -999), (20, 30, -1002, -1005), (20, 30, -996, -993), (0, None, -1024, -1023)],
)
def test_no_measured_value_becomes_padding_and_padding_stays(tmp_path, padding, limit, value, becomes):
    stored = np.full((1, 32, 32), 1064)
    stored[:, :10] = padding
    changes = {"PixelPaddingValue": padding} | ({"PixelPaddingRangeLimit": limit} if limit else {})
    write_series(tmp_path / "s", stored, **changes)

    def change(voxels):
        return np.where(voxels == 40, value, voxels).astype(np.int16)

    _, after, _ = derived(tmp_path / "s", tmp_path / "out", change)
    assert set(np.unique(after.voxels[:, 10:])) == {becomes}
    assert set(np.unique(after.voxels[:, :10])) == {padding - 1024}
    assert read_all(tmp_path / "out")[0].PixelPaddingValue == padding


@pytest.mark.parametrize(
    ("prepare", "code"),
    [
        (lambda out: (out.mkdir(), (out / "old.dcm").write_bytes(b"x")), "folder-not-empty"),
        (lambda out: out.write_bytes(b"x"), "output-format"),
    ],
)
def test_nothing_is_ever_overwritten(source, tmp_path, prepare, code):
    prepare(tmp_path / "out")
    with pytest.raises(UserError) as caught:
        denoised(source, tmp_path / "out")
    assert caught.value.code == code
    assert caught.value.remedy


def test_an_empty_folder_is_taken_and_the_source_is_not(source, tmp_path):
    (tmp_path / "out").mkdir()
    denoised(source, tmp_path / "out")
    assert len(list((tmp_path / "out").iterdir())) == 3
    with pytest.raises(UserError) as caught:
        denoised(source, source)
    assert caught.value.code == "same-file"


@pytest.mark.parametrize("name", ["out", "out.nrrd"])
def test_nothing_is_written_into_the_input(source, tmp_path, name):
    (tmp_path / "link").symlink_to(source)
    for folder in (source, tmp_path / "link"):
        with pytest.raises(UserError) as caught:
            denoised(source, folder / name)
        assert caught.value.code == "inside-input"
        assert str(source) in caught.value.message
    assert len(list(source.iterdir())) == 3


@pytest.mark.parametrize("there", [True, False])
def test_a_link_is_no_folder_for_a_series(source, tmp_path, there):
    if there:
        (tmp_path / "real").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "real")
    with pytest.raises(UserError) as caught:
        denoised(source, tmp_path / "out")
    assert caught.value.code == "linked-folder"
    assert (tmp_path / "out").is_symlink()


def test_the_current_folder_is_not_replaced(source, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for out in (Path("."), tmp_path / "here"):
        with pytest.raises(UserError) as caught:
            dicom_writing.check_series_folder(out)
        assert caught.value.code == "current-folder"


def test_a_source_that_cannot_be_referred_to_is_refused_before_the_work(tmp_path):
    write_series(tmp_path / "s", stored_ct(2), StudyInstanceUID=lambda k: "" if k else generate_uid())
    with pytest.raises(UserError) as caught:
        dicom_writing.check_has_files(read_volume(tmp_path / "s"))
    assert "StudyInstanceUID" in caught.value.message


@pytest.mark.parametrize("tag", ["StudyInstanceUID", "SOPInstanceUID"])
def test_a_source_that_cannot_be_referred_to_is_refused(tmp_path, tag):
    files = write_series(tmp_path / "s", stored_ct(1))
    header = pydicom.dcmread(files[0])
    delattr(header, tag)
    header.save_as(files[0])
    with pytest.raises(UserError) as caught:
        denoised(tmp_path / "s", tmp_path / "out")
    assert tag in caught.value.message
    assert not (tmp_path / "out").exists()


def test_a_cancelled_export_leaves_nothing(source, tmp_path):
    asked = []

    def wanted():
        asked.append(1)
        return len(asked) < 3

    before = read_volume(source)
    with pytest.raises(Cancelled):
        dicom_writing.write_series(before, before.voxels, tmp_path / "out", DERIVATION, wanted)
    assert [file.name for file in tmp_path.iterdir()] == ["source"]


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_a_killed_export_leaves_no_half_series(tmp_path):
    write_series(tmp_path / "source", np.repeat(stored_ct(1), 60, axis=0))
    job = {"job": "denoise", "input": str(tmp_path / "source"), "output": str(tmp_path / "out"), "strength": 0}
    worker = client.Worker(job)
    while (message := worker.next_message()).get("stage") != "write":
        assert message["type"] != "error", message
    os.kill(worker.pid, signal.SIGKILL)
    assert worker.wait_ended(5)
    assert {file.name for file in tmp_path.iterdir()} <= {"source", "out"}
    assert not (tmp_path / "out").exists() or len(list((tmp_path / "out").iterdir())) == 60


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_leaves_nothing_and_says_so(source, tmp_path, monkeypatch):
    real = pydicom.Dataset.save_as

    def onto_full_disk(self, file, **options):
        real(self, "/dev/full" if Path(file).name == "IM00002.dcm" else file, **options)

    monkeypatch.setattr(pydicom.Dataset, "save_as", onto_full_disk)
    before = read_volume(source)
    with pytest.raises(UserError) as caught:
        dicom_writing.write_series(before, before.voxels, tmp_path / "out", DERIVATION)
    assert caught.value.code == "write-failed"
    assert [file.name for file in tmp_path.iterdir()] == ["source"]


def test_files_find_their_slices_in_a_volume_that_came_another_way(source):
    volume = read_volume(source)
    shuffled = [volume.files[k] for k in (2, 0, 1)]
    found = dicom_writing.with_files(Volume(volume.voxels, volume.spacing, volume.origin, volume.direction), shuffled)
    assert found.files == volume.files
    cropped = Volume(volume.voxels[:, 1:], volume.spacing, volume.origin, volume.direction)
    shifted = Volume(volume.voxels, volume.spacing, (0, 0, 0), volume.direction)
    for other in (cropped, shifted):
        with pytest.raises(UserError) as caught:
            dicom_writing.with_files(other, shuffled)
        assert caught.value.code == "other-grid"
    with pytest.raises(UserError):
        dicom_writing.with_files(volume, shuffled[:2])


def test_two_exports_of_one_series_are_two_series(source, tmp_path):
    derived(source, tmp_path / "a")
    derived(source, tmp_path / "b")
    one, other = read_all(tmp_path / "a"), read_all(tmp_path / "b")
    assert one[0].SeriesInstanceUID != other[0].SeriesInstanceUID
    assert not {h.SOPInstanceUID for h in one} & {h.SOPInstanceUID for h in other}


def test_an_unrelated_uid_is_made_for_every_image(source, tmp_path):
    derived(source, tmp_path / "out")
    uids = {header.SOPInstanceUID for header in read_all(tmp_path / "out")} | {generate_uid()}
    assert all(pydicom.uid.UID(uid).is_valid for uid in uids)
    assert len(uids) == 4
