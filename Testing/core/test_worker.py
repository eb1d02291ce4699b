"""The real worker process, through the client and by hand."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

from inference_core import client, scratch
from inference_core.errors import Cancelled, UserError
from inference_core.image.reading import read_volume
from inference_core.image.volume import Volume
from inference_core.image.writing import write_volume

posix = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")


@pytest.fixture
def job(ct, tmp_path):
    write_volume(ct, tmp_path / "in.nrrd")
    return {"job": "denoise", "input": str(tmp_path / "in.nrrd"), "output": str(tmp_path / "out.nrrd")}


@pytest.fixture
def long_job(tmp_path):
    """A job of minutes on one core."""
    voxels = np.random.default_rng(0).normal(0, 100, (1, 512, 512)).astype(np.int16)
    write_volume(Volume(np.repeat(voxels, 400, axis=0)), tmp_path / "long.nrrd")
    return {"job": "denoise", "input": str(tmp_path / "long.nrrd"), "output": str(tmp_path / "out.nrrd"), "threads": 1}


def until_working(worker: client.Worker) -> None:
    while True:
        message = worker.next_message()
        assert message["type"] != "error", message
        if message.get("stage") == "denoise":
            return


def left_in(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()} - {"in.nrrd", "long.nrrd"}


def test_a_job_gives_progress_a_file_and_a_report(job, ct, tmp_path):
    messages = []
    report = client.run(job, messages.append)
    denoised = read_volume(tmp_path / "out.nrrd")
    assert denoised.same_grid_as(ct)
    assert denoised.voxels.dtype == np.int16
    steps = [m for m in messages if m["type"] == "progress" and m["stage"] == "denoise"]
    assert steps[-1]["done"] == steps[-1]["total"] == 4
    assert all(m["eta_s"] >= 0 for m in steps)
    assert report["model"]["id"] == "low-dose-ct"
    assert report["noise_hu"]["after"] < report["noise_hu"]["before"]
    assert left_in(tmp_path) == {"out.nrrd"}


def test_the_same_job_gives_the_same_bytes(job, tmp_path):
    hashes = {client.run({**job, "threads": n}, lambda m: None)["output"]["sha256_voxels"] for n in (1, 2, 2)}
    assert len(hashes) == 1


def test_side_files_and_rois(job, ct, tmp_path):
    labels = np.zeros(ct.voxels.shape, np.int16)
    labels[:, 30:50, 30:60] = 1
    write_volume(ct.with_voxels(labels), tmp_path / "muscle.nrrd")
    report = client.run(
        {
            **job,
            "rois": [str(tmp_path / "muscle.nrrd")],
            "picture": str(tmp_path / "p.png"),
            "report": str(tmp_path / "r.json"),
        },
        lambda m: None,
    )
    row = report["rois"][0]
    assert row["n"] == labels.sum()
    assert row["mean_before"] == pytest.approx(ct.voxels[labels == 1].mean())
    assert row["std_after"] < row["std_before"]
    assert json.loads((tmp_path / "r.json").read_text()) == report
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"input": "missing.nrrd"}, "no-such-file"),
        ({"output": "/nowhere/at/all/out.nrrd"}, "no-such-folder"),
        ({"output": "out.dcm"}, "output-format"),
        ({"output": "out_folder"}, "no-dicom-source"),
        ({"strength": 2}, "strength"),
        ({"threads": 0}, "threads"),
        ({"model": "other"}, "no-such-model"),
        ({"speed": "fast"}, "bad-job"),
        ({"job": "dance"}, "bad-job"),
        ({"picture": 5}, "bad-job"),
        ({"report": ["r.json"]}, "bad-job"),
        ({"series": 1.5}, "bad-job"),
        ({"again": True}, "bad-job"),
        ({"threads": True}, "bad-job"),
        ({"rois": [7]}, "bad-job"),
        ({"modality": "MR"}, "not-ct"),
    ],
)
def test_bad_jobs_are_refused_with_a_remedy_and_leave_nothing(job, tmp_path, change, code):
    with pytest.raises(UserError) as caught:
        client.run({**job, **change}, lambda m: None)
    assert caught.value.code == code
    assert caught.value.remedy
    assert left_in(tmp_path) == set()


def test_the_input_is_never_overwritten(job):
    with pytest.raises(UserError, match="is the input"):
        client.run({**job, "output": job["input"]}, lambda m: None)


def test_cancel_ends_within_two_seconds_and_leaves_nothing(long_job, tmp_path):
    worker = client.Worker(long_job)
    until_working(worker)
    started = time.monotonic()
    worker.cancel()
    assert time.monotonic() - started < 0.1
    assert worker.wait_ended(2)
    assert time.monotonic() - started < 2
    assert worker.messages()[-1]["code"] == "cancelled"
    assert not scratch.process_alive(worker.pid)
    assert left_in(tmp_path) == set()


@posix
def test_a_worker_that_does_not_listen_is_killed_within_two_seconds(long_job, tmp_path):
    worker = client.Worker(long_job)
    until_working(worker)
    os.kill(worker.pid, signal.SIGSTOP)
    started = time.monotonic()
    worker.cancel()
    assert worker.wait_ended(2.5)
    assert time.monotonic() - started < 2.5
    assert worker.messages()[-1]["code"] == "cancelled"
    assert left_in(tmp_path) == set()


@posix
def test_a_worker_that_dies_says_so(long_job, tmp_path):
    worker = client.Worker(long_job)
    until_working(worker)
    os.kill(worker.pid, signal.SIGKILL)
    assert worker.wait_ended(5)
    last = worker.messages()[-1]
    assert last["code"] == "worker-died"
    assert last["remedy"]
    assert left_in(tmp_path) == set()


def test_reading_messages_never_waits(long_job):
    worker = client.Worker(long_job)
    try:
        started = time.monotonic()
        for _ in range(100):
            worker.messages()
        assert time.monotonic() - started < 0.2
    finally:
        worker.kill()
        worker.wait_ended(5)


def test_the_worker_stops_when_its_starter_is_gone(long_job, tmp_path):
    starter = (
        "import sys, json, os; sys.path[:] = json.loads(sys.argv[2]); from inference_core import client;"
        "w = client.Worker(json.loads(sys.argv[1]));"
        "print(w.pid, flush=True); [None for _ in iter(lambda: w.next_message().get('stage') == 'denoise', True)];"
        "print('working', flush=True); os._exit(0)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", starter, json.dumps(long_job), json.dumps(sys.path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    pid = int(process.stdout.readline())
    assert process.stdout.readline() == "working\n"
    deadline = time.monotonic() + 7
    while scratch.process_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not scratch.process_alive(pid)
    assert left_in(tmp_path) == set()


def test_standard_output_holds_json_lines_only(job):
    process = subprocess.run(
        [sys.executable, "-m", "inference_core.worker"],
        input=json.dumps(job) + "\n" + "noise\n",
        capture_output=True,
        text=True,
        check=False,
    )
    kinds = [json.loads(line)["type"] for line in process.stdout.splitlines()]
    assert kinds[-1] in ("result", "error")
    process = subprocess.run(
        [sys.executable, "-m", "inference_core.worker"], input="no json\n", capture_output=True, text=True, check=False
    )
    assert json.loads(process.stdout)["code"] == "bad-job"
    assert process.returncode == 1


def test_stale_folders_are_swept_and_living_ones_kept(tmp_path):
    with scratch.scratch_folder(tmp_path) as mine:
        ended = subprocess.Popen([sys.executable, "-c", ""])
        ended.wait()
        stale = tmp_path / mine.name.replace(f"-{os.getpid()}-", f"-{ended.pid}-")
        stale.mkdir()
        (stale / "half.nrrd").write_bytes(b"x")
        foreign = tmp_path / f"{scratch.PREFIX}00000000-{ended.pid}-abc"  # another machine's
        foreign.mkdir()
        assert scratch.sweep_stale(tmp_path) == [stale]
        assert mine.is_dir()
        assert foreign.is_dir()
    assert not mine.exists()


def test_a_keyboard_interrupt_cancels(long_job, tmp_path, monkeypatch):
    real = client.Worker.next_message
    pressed = []

    def press_once(self):
        message = real(self)
        if message.get("stage") == "denoise" and not pressed:
            pressed.append(1)
            raise KeyboardInterrupt
        return message

    monkeypatch.setattr(client.Worker, "next_message", press_once)
    with pytest.raises(Cancelled):
        client.run(long_job, lambda m: None)
    assert left_in(tmp_path) == set()


def test_nothing_is_left_in_the_temporary_folder(job):
    before = set(Path(tempfile.gettempdir()).glob(f"{scratch.PREFIX}*"))
    client.run(job, lambda m: None)
    assert set(Path(tempfile.gettempdir()).glob(f"{scratch.PREFIX}*")) <= before


def test_no_file_that_is_read_is_ever_written(job, ct, tmp_path):
    write_volume(ct, tmp_path / "detached.nhdr")
    voxels = (tmp_path / "detached.raw").read_bytes()
    labels = tmp_path / "labels.nrrd"
    write_volume(ct.with_voxels((ct.voxels > 0).astype(np.int16)), labels)
    for change in (
        {"input": str(tmp_path / "detached.nhdr"), "output": str(tmp_path / "detached.mhd")},
        {"rois": [str(labels)], "output": str(labels)},
        {"rois": [str(labels)], "report": str(labels)},
    ):
        with pytest.raises(UserError) as caught:
            client.run({**job, **change}, lambda m: None)
        assert caught.value.code == "same-file"
    assert (tmp_path / "detached.raw").read_bytes() == voxels


def test_a_foreign_data_file_is_not_overwritten(job, tmp_path):
    (tmp_path / "other.raw").write_bytes(b"mine")
    with pytest.raises(UserError) as caught:
        client.run({**job, "output": str(tmp_path / "other.nhdr")}, lambda m: None)
    assert caught.value.code == "data-file-exists"
    assert (tmp_path / "other.raw").read_bytes() == b"mine"


def test_a_side_file_that_cannot_be_is_refused_before_the_work(job, tmp_path):
    (tmp_path / "p.png").mkdir()
    with pytest.raises(UserError) as caught:
        client.run({**job, "picture": str(tmp_path / "p.png")}, lambda m: None)
    assert caught.value.code == "output-format"
    assert left_in(tmp_path) == {"p.png"}
