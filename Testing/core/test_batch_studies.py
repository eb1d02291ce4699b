"""What a batch takes for a study: series by their UIDs wherever they lie, no more and no less."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import pytest
from made_studies import write_headers, write_study
from pydicom.uid import SecondaryCaptureImageStorage, generate_uid

from inference_core.batch.ledger import Ledger
from inference_core.batch.studies import Study, find_studies
from inference_core.errors import UserError


def found(root, besides=None):
    return {(study.path, len(study.files)): study.left_out for study in find_studies(root, besides)}


def test_series_of_one_folder_are_studies_of_their_own_whatever_their_files_are_called(tmp_path):
    uids = [generate_uid(), generate_uid()]
    for patient in range(3):
        write_headers(tmp_path / f"patient {patient}", [f"IM{k:04d}" for k in range(100)], uids[0])
        write_headers(tmp_path / f"patient {patient}", [f"1.2.840.{k}" for k in range(50)], uids[1])
    (tmp_path / "notes.txt").write_text("no study")
    (tmp_path / "patient 0" / "report.pdf").write_bytes(b"%PDF" * 100)
    assert found(tmp_path) == {(f"patient {k}", count): None for k in range(3) for count in (50, 100)}
    assert {study.series for study in find_studies(tmp_path)} == set(uids)
    assert len({study.name("x") for study in find_studies(tmp_path)}) == 6


def test_a_disc_is_sorted_by_series_across_its_folders(tmp_path):
    uid = generate_uid()
    write_headers(tmp_path / "disc" / "DICOM" / "0000A", ["1", "2"], uid)
    write_headers(tmp_path / "disc" / "DICOM" / "0000B", ["1"], uid)
    assert found(tmp_path) == {("disc/DICOM/0000A", 2): None, ("disc/DICOM/0000B", 1): None}
    (tmp_path / "disc" / "DICOMDIR").write_bytes(b"\0" * 200)
    (study,) = find_studies(tmp_path)
    assert (study.path, study.files) == ("disc", ("DICOM/0000A/1", "DICOM/0000A/2", "DICOM/0000B/1"))


def test_what_is_no_ct_is_left_out_and_says_why(tmp_path):
    write_headers(tmp_path / "ct", ["1"], generate_uid())
    write_headers(tmp_path / "mr", ["1"], generate_uid(), Modality="MR")
    write_headers(tmp_path / "scout", ["1"], generate_uid(), ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    write_headers(tmp_path / "dose", ["1"], generate_uid(), SOPClassUID=SecondaryCaptureImageStorage)
    assert found(tmp_path) == {
        ("ct", 1): None, ("mr", 1): "of modality MR, not CT", ("scout", 1): "a localizer",
        ("dose", 1): "a secondary capture",
    }  # fmt: skip


def test_a_damaged_slice_is_a_matter_of_the_series_beside_it_and_of_itself_where_there_is_none(tmp_path):
    for folder in ("series", "alone"):
        write_headers(tmp_path / folder, ["1", "2", "3"], generate_uid())
    damaged = b"\0" * 128 + b"DICM" + b"\x02\x00\x10\x00UI\xff\xff" + b"\xff" * 40
    (tmp_path / "series" / "2").write_bytes(damaged)
    (tmp_path / "series" / "text.dcm").write_text("no DICOM at all")
    for name in ("1", "2", "3"):
        (tmp_path / "alone" / name).write_bytes(damaged)
    assert set(found(tmp_path)) == {("series", 3), ("series/text.dcm", 1), *((f"alone/{k}", 1) for k in (1, 2, 3))}


def test_links_pipes_hidden_files_and_results_are_passed_over(tmp_path):
    write_study(tmp_path / "ward" / "ct.nrrd", 1)
    write_study(tmp_path / "out" / "result.nrrd", 2)
    write_study(tmp_path / ".git" / "annexed.nrrd", 3)
    (tmp_path / "ward" / "._ct.nrrd").write_bytes(b"Finder's")
    (tmp_path / "ward" / "again").symlink_to(tmp_path)
    (tmp_path / "ward" / "gone").symlink_to(tmp_path / "nowhere")
    if sys.platform != "win32":
        os.mkfifo(tmp_path / "ward" / "pipe")  # whoever opens it waits for ever
        os.mkfifo(tmp_path / "ward" / "pipe.nrrd")
    write_study(tmp_path / "earlier" / "result.nrrd", 2)
    Ledger(tmp_path / "earlier").write({"name": "a", "status": "done", "stamp": "", "work": ""})
    assert set(found(tmp_path, tmp_path / "out")) == {("ward/ct.nrrd", 1)}
    (tmp_path / "ward" / "ledger.jsonl").write_text('{"name": "of another program"}\n[1]\n')
    assert set(found(tmp_path, tmp_path / "out")) == {("ward/ct.nrrd", 1)}
    with pytest.raises(UserError) as error:
        find_studies(tmp_path, tmp_path)
    assert error.value.code == "same-folder"


@pytest.mark.skipif(sys.platform == "win32", reason="no modes there")
def test_a_folder_that_may_not_be_read_is_named():
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        root.chmod(0o755)
        for name in ("open", "closed"):
            write_study(root / name / "ct.nrrd", 1)
        (root / "closed").chmod(0)
        if superuser := os.geteuid() == 0:  # nothing is closed to root
            os.seteuid(65534)
        try:
            assert set(found(root)) == {("closed", 0), ("open/ct.nrrd", 1)}
        finally:
            if superuser:
                os.seteuid(0)
            (root / "closed").chmod(0o700)


def test_the_voxels_beside_a_header_belong_to_it(tmp_path):
    write_study(tmp_path / "ct.mhd", 1)
    (study,) = find_studies(tmp_path)
    assert study.files == ("ct.mhd", "ct.raw")
    (tmp_path / "ct.raw").write_bytes((tmp_path / "ct.raw").read_bytes()[::-1])
    (changed,) = find_studies(tmp_path)
    assert changed.stamp != study.stamp


def test_names_of_results_are_short_and_each_its_own():
    long = Study("f/" * 200 + "\u00e4" * 250 + ".nrrd", None, ("a",), 1, "0", "0")
    other = Study("f/" * 200 + "\u00e4" * 249 + "b.nrrd", None, ("a",), 1, "0", "0")
    assert len(long.name("x")) < 100
    assert long.name("x").isascii()
    assert len({long.name("x"), other.name("x"), long.name("y")}) == 3
