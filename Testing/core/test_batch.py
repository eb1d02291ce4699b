"""Batches of studies: real dask processes, real files; bad studies are named, killed workers cost nothing."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from made_studies import write_bad_studies, write_study

from inference_core.batch.ledger import Ledger, only_one
from inference_core.batch.recipe import Recipe, read_recipe
from inference_core.batch.studies import Study, find_studies
from inference_core.batch.summary import reasons, totals
from inference_core.errors import UserError

pytest.importorskip("distributed")


def run(studies: Path, out: Path, recipe: Recipe | None = None, tell=None, workers: int = 2):
    from inference_core.batch.run import run_batch

    return run_batch(studies, out, recipe or Recipe(), None, workers, tell or (lambda *told: None))


def test_good_ones_are_done_bad_ones_named_and_the_next_run_does_only_what_is_left(tmp_path):
    studies, out = tmp_path / "studies", tmp_path / "out"
    bad = write_bad_studies(studies / "bad")
    for number in range(3):
        write_study(studies / "a ward" / f"{number}.nrrd", number)
    entries = run(studies, out)
    done = [entry for entry in entries if entry["status"] == "done"]
    refused = {entry["path"]: entry for entry in entries if entry["status"] == "refused"}
    assert len(done) == 3
    assert set(refused) == {f"bad/{name}" for name in bad}
    assert all(entry["message"] and entry["remedy"] for entry in refused.values())
    assert all(entry["noise_after_hu"] < entry["noise_before_hu"] for entry in done)
    assert totals(entries, 8) == "3 of 8 studies done, 5 refused"
    assert all(f"bad/{name}" in reasons(entries) for name in bad)
    with (out / "summary.csv").open(encoding="utf-8", newline="") as file:
        assert len(list(csv.DictReader(file))) == 8
    assert "3 of 8 studies done" in (out / "summary.html").read_text(encoding="utf-8")
    before = {entry["output"]: (out / entry["output"]).stat().st_mtime_ns for entry in done}

    write_study(studies / "a ward" / "1.nrrd", 77)  # another volume under the same name
    told = []
    again = run(studies, out, tell=lambda *said: told.append(said))
    assert told[0][:2] == (2, 8)  # two are done; one changed, five were refused
    assert sum(entry["status"] == "done" for entry in again) == 3
    changed = [name for name, time_ns in before.items() if (out / name).stat().st_mtime_ns != time_ns]
    assert [name.split("-")[0] for name in changed] == ["a_ward_1.nrrd"]


def test_a_killed_worker_costs_nothing(tmp_path):
    studies, out = tmp_path / "studies", tmp_path / "out"
    for number in range(6):
        write_study(studies / f"{number}.nrrd", number)
    killed = []

    def kill(done, total, entry):
        import psutil

        if entry and not killed:
            children = psutil.Process().children(recursive=True)
            killed.append(next(child.pid for child in children if "spawn_main" in " ".join(child.cmdline())))
            os.kill(killed[0], signal.SIGKILL)

    entries = run(studies, out, tell=kill)
    assert killed
    assert [entry["status"] for entry in entries] == ["done"] * 6
    assert len({entry["output"] for entry in entries}) == 6
    assert not [path for path in out.iterdir() if path.name.startswith(".")]


def test_another_recipe_makes_other_results_beside_the_first(tmp_path):
    studies, out = tmp_path / "studies", tmp_path / "out"
    write_study(studies / "ct.nrrd", 1)
    (first,) = run(studies, out, workers=1)
    (second,) = run(studies, out, Recipe(strength=0.5), workers=1)
    assert first["output"] != second["output"]
    assert (out / first["output"]).exists()
    assert second["noise_after_hu"] > first["noise_after_hu"]


def test_two_batches_on_one_output_are_refused(tmp_path):
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        (tmp_path / "running").write_text(str(other.pid))
        with pytest.raises(UserError) as error, only_one(tmp_path):
            pass
        assert error.value.code == "busy"
    finally:
        other.kill()
        other.wait()
    with only_one(tmp_path):  # the one that was killed does not stand in the way
        assert (tmp_path / "running").read_text() == str(os.getpid())
    assert not (tmp_path / "running").exists()


def test_a_ledger_that_was_cut_short_is_read_as_far_as_it_goes(tmp_path):
    ledger = Ledger(tmp_path)
    ledger.write({"name": "a", "status": "done"})
    with (tmp_path / "ledger.jsonl").open("a") as file:
        file.write('{"name": "b", "sta')
    again = Ledger(tmp_path)
    assert set(again.entries) == {"a"}
    again.write({"name": "c", "status": "done"})
    assert set(Ledger(tmp_path).entries) == {"a", "c"}


def test_dicom_series_of_one_folder_are_studies_of_their_own(tmp_path):
    import pydicom
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    uids = [generate_uid(), generate_uid()]
    for number in range(600):
        file = Dataset()
        file.SOPClassUID, file.SOPInstanceUID = CTImageStorage, generate_uid()
        file.SeriesInstanceUID = uids[number % 2]
        file.file_meta = FileMetaDataset()
        file.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        folder = tmp_path / f"patient {number % 3}"
        folder.mkdir(exist_ok=True)
        pydicom.dcmwrite(folder / f"IM{number:04d}", file, enforce_file_format=True)
    (tmp_path / "notes.txt").write_text("no study")
    studies = find_studies(tmp_path)
    assert [(study.path, study.files) for study in studies] == [(f"patient {k}", 100) for k in range(3) for _ in (0, 1)]
    assert {study.series for study in studies} == set(uids)
    assert len({study.name("x") for study in studies}) == 6


def test_names_of_results_are_short_and_each_its_own():
    long = Study("f/" * 200 + "\u00e4" * 250 + ".nrrd", None, 1, "0")
    other = Study("f/" * 200 + "\u00e4" * 249 + "b.nrrd", None, 1, "0")
    assert len(long.name("x")) < 100
    assert long.name("x").isascii()
    assert len({long.name("x"), other.name("x"), long.name("y")}) == 3


@pytest.mark.parametrize(
    "text",
    ["strenght: 1", "- a", "strength: 2", "strength: high", "format: png", "threads: 0", "a: [", "threads: yes"],
)
def test_a_wrong_recipe_is_refused(tmp_path, text):
    (tmp_path / "denoise.yaml").write_text(text)
    with pytest.raises(UserError) as error:
        read_recipe(tmp_path / "denoise.yaml")
    assert error.value.code == "bad-recipe"


def test_a_recipe_sets_what_it_names(tmp_path):
    (tmp_path / "denoise.yaml").write_text("strength: 0.7\nformat: .nii.gz\n")
    assert read_recipe(tmp_path / "denoise.yaml") == Recipe(strength=0.7, format=".nii.gz")


def test_no_studies_and_no_scheduler_say_so(tmp_path):
    from inference_core.batch.run import run_batch

    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError) as error:
        run(tmp_path / "empty", tmp_path / "out")
    assert error.value.code == "no-studies"
    write_study(tmp_path / "one" / "a.nrrd", 1)
    with pytest.raises(UserError) as error:
        run_batch(tmp_path / "one", tmp_path / "out", Recipe(), "tcp://127.0.0.1:1", None, lambda *told: None)
    assert error.value.code == "no-scheduler"
