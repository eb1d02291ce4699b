"""Batches of studies on processes of this machine: bad studies are named, killed workers cost nothing."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from made_cluster import booked, wait_until
from made_studies import write_bad_studies, write_headers, write_study

from inference_core import __version__
from inference_core.batch.recipe import Recipe
from inference_core.batch.summary import reasons, totals
from inference_core.errors import UserError

pytest.importorskip("distributed")


def run(studies, out, recipe=None, emit=lambda kind, **told: None, workers=2):
    from inference_core.batch.run import run_batch

    return run_batch(studies, out, recipe or Recipe(), None, workers, emit)


def workers_of_this_process():
    import psutil

    children = psutil.Process().children(recursive=True)
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())]


def test_good_ones_are_done_bad_ones_named_and_the_next_run_does_only_what_is_left(tmp_path):
    studies, out = tmp_path / "studies", tmp_path / "studies" / "out"  # results within the archive are no studies
    bad = write_bad_studies(studies / "bad")
    for number in range(4):
        write_study(studies / "a ward" / f"{number}.nrrd", number)
    write_headers(studies / "mr", ["1", "2"], "1.2.3", Modality="MR")
    listening = []

    def look_at_ports(kind, **told):
        import psutil

        if kind == "study" and not listening:
            for process in (psutil.Process(), *workers_of_this_process()):
                listening.extend(c.laddr.ip for c in process.net_connections() if c.status == psutil.CONN_LISTEN)

    entries = run(studies, out, emit=look_at_ports)
    assert set(listening) == {"127.0.0.1"}
    done = [entry for entry in entries if entry["status"] == "done"]
    refused = {entry["path"]: entry for entry in entries if entry["status"] == "refused"}
    assert len(done) == 4
    assert set(refused) == {f"bad/{name}" for name in bad}
    assert all(entry["message"] and entry["remedy"] for entry in refused.values())
    assert all(entry["noise_after_hu"] < entry["noise_before_hu"] for entry in done)
    assert totals(entries, 9) == "4 of 9 studies done, 5 refused, 1 series left out (no CT)"
    assert all(f"bad/{name}" in reasons(entries) for name in bad)
    with (out / "summary.csv").open(encoding="utf-8-sig", newline="") as file:
        assert len(list(csv.DictReader(file))) == 10
    page = (out / "summary.html").read_text(encoding="utf-8")
    assert totals(entries, 9) in page
    assert all(told in page for told in (time.strftime("%Y-"), str(studies), "strength: 1.0", f" {__version__}<"))
    before = {path.name: path.stat().st_mtime_ns for path in out.glob("*.nrrd")}

    write_study(studies / "a ward" / "1.nrrd", 77)  # another volume under the same name
    os.utime(studies / "a ward" / "2.nrrd")  # touched
    (studies / "moved").mkdir()
    (studies / "a ward" / "3.nrrd").rename(studies / "moved" / "three.nrrd")
    told = []
    again = run(studies, out, emit=lambda *said, **more: told.append((*said, more)))
    assert ("begin", {"done": 1, "total": 9}) in told
    assert [entry["path"] for entry in again if entry["status"] == "done"] == [
        "a ward/0.nrrd", "a ward/1.nrrd", "a ward/2.nrrd", "moved/three.nrrd",
    ]  # fmt: skip
    new = {path.name for path in out.glob("*.nrrd")} - set(before)
    assert [name.split("-")[0] for name in new] == ["a_ward_1.nrrd"]
    assert all((out / name).stat().st_mtime_ns == time_ns for name, time_ns in before.items())


def test_a_killed_worker_costs_nothing(tmp_path):
    import dask

    studies, out = tmp_path / "studies", tmp_path / "out"
    for number in range(6):
        write_study(studies / f"{number}.nrrd", number)
    killed, booked = [], []

    def kill(kind, **told):
        if kind == "study":
            booked.append(told["entry"]["name"])
            if not killed:
                killed.append(workers_of_this_process()[0].pid)
                os.kill(killed[0], signal.SIGKILL)

    # One that is slow to start again on a busy machine is given up by dask: here, every one.
    with dask.config.set({"distributed.deploy.lost-worker-timeout": "0s"}):
        entries = run(studies, out, emit=kill, workers=1)
    assert killed
    assert [entry["status"] for entry in entries] == ["done"] * 6
    assert len({entry["output"] for entry in entries}) == 6
    assert len(booked) == len(set(booked)) == 6
    assert not [path for path in out.iterdir() if path.name.startswith(".")]


DEADLY = """
import os, time
from inference_core.batch import task
from inference_core.denoiser import job
real = getattr(job, "real", job.run)  # dask runs this twice
def run(given, *rest):
    if "deadly" in given.input:
        os._exit(1)
    if "hangs" in given.input:
        time.sleep(600)
    return real(given, *rest)
job.run, job.real = run, real
task.LIMIT_S, task.LIMIT_S_PER_MIB, task.GRACE_S = 3, 0, 0
"""


def test_a_study_that_kills_its_workers_or_hangs_is_given_up_and_those_beside_it_are_done(tmp_path):
    import dask

    studies, out = tmp_path / "studies", tmp_path / "out"
    for name in ("0.nrrd", "1 deadly.nrrd", "2.nrrd", "3 hangs.nrrd", "4.nrrd", "5.nrrd"):
        write_study(studies / name, 1)
    (tmp_path / "worker.py").write_text(DEADLY)
    with dask.config.set({"distributed.worker.preload": [str(tmp_path / "worker.py")]}):
        entries = run(studies, out, workers=1)
    assert {entry["path"]: entry.get("code") for entry in entries} == {
        "0.nrrd": None, "1 deadly.nrrd": "worker-lost", "2.nrrd": None, "3 hangs.nrrd": "timed-out", "4.nrrd": None,
        "5.nrrd": None,
    }  # fmt: skip
    assert not [path for path in out.iterdir() if path.name.startswith(".")]


def without_looking_first(monkeypatch):
    """As on a scheduler, whose workers nobody looked at before."""
    from inference_core.batch import run as module

    monkeypatch.setattr(module, "_fault_of_setup", lambda *given: None)


@pytest.mark.parametrize("looks", [True, False])
def test_a_model_that_cannot_be_opened_ends_the_batch_and_is_no_matter_of_the_studies(tmp_path, monkeypatch, looks):
    from inference_core.models.registry import find_model

    studies, out = tmp_path / "studies", tmp_path / "out"
    for number in range(3):
        write_study(studies / f"{number}.nrrd", number)
    card = find_model("fast")
    for suffix in card.sha256:
        (tmp_path / f"fast.{suffix}").write_bytes(b"other weights")
    (tmp_path / "fast.json").write_text(json.dumps(card.text | {"id": "mine"}))
    if not looks:
        without_looking_first(monkeypatch)
    with pytest.raises(UserError) as error:
        run(studies, out, Recipe(model=str(tmp_path / "fast.json")), workers=1)
    assert error.value.code == "model-damaged"
    assert "the same command goes on" in error.value.remedy
    assert not (out / "ledger.jsonl").exists()  # none was refused for it
    assert not (out / "running").exists()


def test_a_folder_for_results_that_is_the_archive_and_a_scheduler_that_is_not_there_say_so(tmp_path, monkeypatch):
    from inference_core.batch import run as module
    from inference_core.batch.run import run_batch

    monkeypatch.setattr(module, "ANSWER_S", 0.5)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError) as error:
        run(tmp_path / "empty", tmp_path / "out")
    assert error.value.code == "no-studies"
    write_study(tmp_path / "one" / "a.nrrd", 1)
    with pytest.raises(UserError) as error:
        run(tmp_path / "one", tmp_path / "one")
    assert error.value.code == "same-folder"
    with pytest.raises(UserError) as error:
        run(tmp_path / "one", tmp_path / "out", Recipe(model="nobody's"))
    assert error.value.code == "no-such-model"
    with pytest.raises(UserError) as error:
        run_batch(tmp_path / "one", tmp_path / "out", Recipe(), "tcp://127.0.0.1:1", None, lambda *told, **more: None)
    assert error.value.code == "no-scheduler"
    for address in ("nonsense", "http://127.0.0.1:1", "tcp://127.0.0.1", "tcp://127.0.0.1:99999", "tls://127.0.0.1:1"):
        with pytest.raises(UserError) as error:  # before the archive is looked through
            run_batch(tmp_path / "nowhere", tmp_path / "out", Recipe(), address, None, lambda *told, **more: None)
        assert error.value.code == "no-scheduler"
        assert address in error.value.message


@pytest.mark.skipif(sys.platform == "win32", reason="no process groups there")
def test_an_interrupt_in_a_terminal_is_answered_by_a_sentence_alone_and_no_process_stays(tmp_path):
    studies, out = tmp_path / "studies", tmp_path / "out"
    for number in range(40):
        write_study(studies / f"{number}.nrrd", number, side=192)
    code = "import sys; from inference_core.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "batch", str(studies), str(out), "--workers", "2"]
    batch = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )  # fmt: skip
    wait_until(lambda: len(booked(out)) >= 2, batch)
    os.killpg(batch.pid, signal.SIGINT)
    _, told = batch.communicate(timeout=60)  # all that hold its standard error have ended then
    assert batch.returncode == 130
    assert "Traceback" not in told
    assert told.splitlines()[-1] == "Stopped. What is done stays, and the same command goes on."
    assert (out / "summary.html").exists()
    assert not (out / "running").exists()
