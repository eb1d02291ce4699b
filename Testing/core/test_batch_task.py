"""One study of a batch: known by what is in it, tried again where the disk failed, given up where it hangs."""

from __future__ import annotations

import errno
import json
import os
import platform
import shutil
import threading
import time
from pathlib import Path

import made_series
import pytest
from made_studies import write_study

from inference_core.batch import task
from inference_core.batch.recipe import Recipe
from inference_core.batch.studies import find_studies
from inference_core.batch.task import Order, denoise_study, report_of, whole_result
from inference_core.denoiser import job
from inference_core.errors import UserError


@pytest.fixture
def archive(tmp_path):
    (tmp_path / "out").mkdir()
    write_study(tmp_path / "studies" / "ward" / "ct.nrrd", 1)
    return tmp_path


def order(archive, **settings):
    recipe = Recipe(**settings)
    return Order(str(archive / "studies"), str(archive / "out"), recipe, recipe.work())


def study_of(archive):
    (study,) = [study for study in find_studies(archive / "studies") if not study.left_out]
    return study


def denoised(archive, known=(), **settings):
    return denoise_study(order(archive, **settings), study_of(archive), list(known))


def test_a_result_is_known_by_what_was_in_its_files_wherever_they_lie_and_whenever_they_were_written(archive):
    first = denoised(archive)
    known = [(first["content"], first["output"])]
    written = (archive / "out" / first["output"]).stat().st_mtime_ns
    before = study_of(archive)

    os.utime(archive / "studies" / "ward" / "ct.nrrd")
    assert study_of(archive).stamp != before.stamp
    assert denoised(archive)["output"] == first["output"]
    (archive / "studies" / "ward").rename(archive / "studies" / "moved")
    (archive / "studies" / "moved" / "ct.nrrd").rename(archive / "studies" / "moved" / "renamed.nrrd")
    moved = study_of(archive)
    assert moved.sizes == before.sizes  # by which it is compared
    assert denoised(archive, known)["output"] == first["output"]
    assert (archive / "out" / first["output"]).stat().st_mtime_ns == written


def test_other_voxels_another_recipe_and_another_model_make_another_result(archive, monkeypatch):
    first = denoised(archive)
    known = [(first["content"], first["output"])]
    file = archive / "studies" / "ward" / "ct.nrrd"
    times = file.stat()
    stamp = study_of(archive).stamp
    changed = bytearray(file.read_bytes())
    changed[-2] ^= 1
    file.write_bytes(changed)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))  # as some copying programs leave it
    assert study_of(archive).stamp != stamp
    second = denoised(archive, known)
    assert second["output"] != first["output"]
    assert (archive / "out" / first["output"]).exists()  # nobody's result is deleted

    third = denoised(archive, strength=0.5)
    assert third["output"] not in (first["output"], second["output"])
    before = Recipe().work()
    monkeypatch.setattr("inference_core.batch.recipe.__version__", "99")
    assert Recipe().work() != before
    monkeypatch.undo()
    from inference_core.models import registry

    cards = registry.list_models("denoise-ct")
    named = [Recipe(model=card.id).work() for card in cards]
    assert len(set(named)) == len(cards)
    next(card for card in cards if card.automatic).text["sha256"]["onnx"] = "0" * 64  # the weights of an update
    monkeypatch.setattr(registry, "list_models", lambda kind=None: cards)
    assert Recipe().work() != before
    assert sum(Recipe(model=card.id).work() != one for card, one in zip(cards, named, strict=True)) == 1


def test_a_worker_with_other_models_does_nothing(archive):
    here = order(archive)
    entry = denoise_study(Order(here.root, here.out, here.recipe, "of another version"), study_of(archive), [])
    assert entry["code"] == "other-version"
    assert platform.node() in entry["message"]
    recipe = Recipe(model="mine")
    entry = denoise_study(Order(here.root, here.out, recipe, "where it is there"), study_of(archive), [])
    assert entry["code"] == "no-such-model"
    assert platform.node() in entry["message"]
    assert not any((archive / "out").iterdir())


def test_one_series_of_a_folder_is_denoised_as_dicom_and_the_others_are_not_even_read(archive, monkeypatch):
    shutil.rmtree(archive / "studies")
    (archive / "studies").mkdir()
    for series in (1, 2):
        made_series.write_series(archive / "studies", made_series.stored_ct(3))
        assert len(find_studies(archive / "studies")) == series
    (archive / "studies" / "below").mkdir()
    (archive / "studies" / "below" / "3.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 90)  # would refuse them
    *_, study = [study for study in find_studies(archive / "studies") if study.series]
    entry = denoise_study(order(archive, format="dicom"), study, [])
    assert entry["status"] == "done", entry
    assert len(list((archive / "out" / entry["output"]).iterdir())) == 3

    report_of(archive / "out" / entry["output"]).unlink()  # killed between the series and its report
    again = denoise_study(order(archive, format="dicom"), study, [])
    assert (again["status"], again["output"]) == ("done", entry["output"])
    assert whole_result(archive / "out" / entry["output"])


def test_an_error_of_the_share_is_tried_again_and_a_refusal_is_not(archive, monkeypatch):
    monkeypatch.setattr(task, "PAUSES_S", (0, 0))
    tries = []
    real = job.run

    def fails(times, error):
        tries.clear()

        def run(*given):
            tries.append(1)
            if len(tries) <= times:
                raise error
            return real(*given)

        monkeypatch.setattr(job, "run", run)

    share = OSError(errno.EIO, "Input/output error", "ct.nrrd")
    fails(9, UserError("not-ct", "no", "none"))
    assert denoised(archive)["code"] == "not-ct"
    assert len(tries) == 1
    fails(9, share)
    entry = denoised(archive)
    assert (entry["status"], entry["code"], entry["output"]) == ("failed", "disk", None)
    assert "Input/output error" in entry["message"]
    assert len(tries) == 3
    fails(2, share)
    assert denoised(archive)["status"] == "done"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_is_told_from_a_study_that_cannot_be_written(archive, monkeypatch):
    def run(*given):
        raise UserError("write-failed", "no space", "none")

    monkeypatch.setattr(job, "run", run)
    assert denoised(archive)["stop"] is None
    real = Path.open

    def full(path, *given, **named):
        return real(Path("/dev/full") if path.name == "probe" else path, *given, **named)

    monkeypatch.setattr(Path, "open", full)
    assert "No space left" in denoised(archive)["stop"]


def test_a_study_that_hangs_is_given_up_and_one_that_is_slow_ends_by_itself(archive, monkeypatch):
    monkeypatch.setattr(task, "LIMIT_S", 0.2)
    monkeypatch.setattr(task, "LIMIT_S_PER_MIB", 0)
    monkeypatch.setattr(task, "GRACE_S", 0.2)
    hung = threading.Event()
    monkeypatch.setattr(job, "run", lambda *given: hung.wait(60))
    begun = time.monotonic()
    entry = denoised(archive)
    hung.set()
    assert (entry["status"], entry["code"], entry["hung"]) == ("failed", "timed-out", True)
    assert time.monotonic() - begun < 10
    monkeypatch.undo()

    monkeypatch.setattr(task, "LIMIT_S", 0)
    monkeypatch.setattr(task, "LIMIT_S_PER_MIB", 0)
    entry = denoised(archive)
    assert entry["code"] == "timed-out"
    assert "hung" not in entry
    assert not any((archive / "out").iterdir())


def test_what_vanished_or_may_not_be_read_is_refused_by_name(archive):
    study = study_of(archive)
    (archive / "studies" / "ward" / "ct.nrrd").unlink()
    entry = denoise_study(order(archive), study, [])
    assert (entry["status"], entry["code"]) == ("refused", "gone")
    assert "ct.nrrd" in entry["message"]
    (archive / "studies" / "ward" / "ct.nrrd").mkdir()
    assert denoise_study(order(archive), study, [])["code"] == "not-readable"


def test_a_report_without_its_result_is_none(archive):
    entry = denoised(archive)
    output = archive / "out" / entry["output"]
    report = json.loads(report_of(output).read_text(encoding="utf-8"))
    assert report["output"]["name"] == output.name
    output.unlink()
    assert whole_result(output) is None
    assert denoised(archive)["status"] == "done"
    assert output.exists()
