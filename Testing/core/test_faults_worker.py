"""The worker under faults of the machine, and damaged weights; the long checks are in Testing/reliability."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from inference_core import client, scratch, worker
from inference_core.errors import UserError
from inference_core.image.volume import Volume
from inference_core.image.writing import write_volume
from inference_core.models.registry import BUNDLED, find_model

posix = pytest.mark.skipif(os.name != "posix", reason="signals and limits of POSIX")


@posix
def test_a_cancel_is_heard_after_bytes_that_are_no_text(tmp_path):
    voxels = np.random.default_rng(0).normal(0, 100, (1, 512, 512)).astype(np.int16)
    write_volume(Volume(np.repeat(voxels, 200, axis=0)), tmp_path / "long.nrrd")
    job = {"job": "denoise", "input": str(tmp_path / "long.nrrd"), "output": str(tmp_path / "out.nrrd"), "threads": 1}
    process = subprocess.Popen(
        [sys.executable, "-m", "inference_core.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert process.stdin
    assert process.stdout
    process.stdin.write(json.dumps(job).encode() + b"\n")
    process.stdin.flush()
    for line in process.stdout:
        if json.loads(line).get("stage") == "denoise":
            break
    process.stdin.write(b"\xff\xfe{[\n" + b"[" * 100_000 + b'\n{"cancel": true}\n')
    process.stdin.flush()
    assert json.loads(process.stdout.readlines()[-1])["code"] == "cancelled"
    assert process.wait(5) == 1
    process.stdin.close()
    assert [file.name for file in tmp_path.iterdir()] == ["long.nrrd"]


@posix
def test_too_little_memory_is_told_in_words(ct, tmp_path):
    import resource

    write_volume(ct, tmp_path / "in.nrrd")
    code = "import sys; from inference_core.cli import main; sys.exit(main())"
    most = 300_000_000  # enough to start, not to load the network
    done = subprocess.run(
        [sys.executable, "-c", code, "denoise", str(tmp_path / "in.nrrd"), str(tmp_path / "out.nrrd")],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (most, most)),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OPENBLAS_NUM_THREADS": "1"},
    )
    assert done.returncode == 2, done.stderr
    assert "memory" in done.stderr
    assert "Traceback" not in done.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["in.nrrd"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/disk/x"), "system"),
        (PermissionError(errno.EACCES, "Permission denied", "/disk/x"), "system"),
        (RuntimeError("Symlink loop from '/disk/x'"), "system"),
        (RuntimeError("can't start new thread"), "out-of-memory"),
        (MemoryError(), "out-of-memory"),
        (ImportError("libx.so: failed to map segment from shared object"), "out-of-memory"),
        (RuntimeError("something"), "internal"),
        (OSError("without a number"), "internal"),
    ],
)
def test_errors_of_the_machine_are_told_from_faults_of_the_program(monkeypatch, capsys, error, code):
    def job(*_):
        raise error

    monkeypatch.setattr(worker, "_job_function", lambda said: job)
    answers = []
    assert worker.answer("{}", lambda kind, **fields: answers.append(fields), lambda: False) == 1
    assert answers[-1]["code"] == code
    assert answers[-1]["remedy"]
    assert ("/disk/x" in answers[-1]["message"]) == (code == "system")


@posix
def test_scratch_within_a_dataset_is_swept_by_the_next_run(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    out = tmp_path / "dataset"
    with scratch.scratch_folder(tmp_path) as mine:
        stale = out / mine.name.replace(f"-{os.getpid()}-", f"-{ended.pid}-")
    stale.mkdir(parents=True)
    job = {"job": "translate", "input": "nothing", "output": str(out), "model": "plain-to-mucosa"}
    with pytest.raises(UserError):
        client.run(job, lambda message: None)
    assert list(out.iterdir()) == []


@pytest.mark.parametrize("damage", ["cut", "header", "another network", "not at all"])
def test_weights_that_fit_their_card_and_no_network_are_refused(tmp_path, damage):
    """As someone would send them who forged the check sum."""
    pytest.importorskip("torch")
    from inference_core.models.networks import load_network

    whole = (BUNDLED / "low-dose-ct.safetensors").read_bytes()
    other = (BUNDLED / "low-dose-ct-phantom.safetensors").read_bytes()
    data = {"cut": whole[:-100], "header": whole[:20] + b"\xff" + whole[21:], "another network": other}.get(
        damage, whole
    )
    shutil.copy(BUNDLED / "low-dose-ct.json", tmp_path / "m.json")
    (tmp_path / "m.safetensors").write_bytes(data)
    text = json.loads((tmp_path / "m.json").read_text())
    text["sha256"] = {"safetensors": hashlib.sha256(data).hexdigest()}
    (tmp_path / "m.json").write_text(json.dumps(text))
    card = find_model(str(tmp_path / "m.json"), "denoise-ct")
    if damage == "not at all":
        load_network(card)
        return
    with pytest.raises(UserError) as caught:
        load_network(card)
    assert caught.value.code == "model-damaged"
    assert caught.value.remedy


@pytest.mark.parametrize("limit", [float("inf"), float("nan"), 0, -1.0])
def test_a_limit_that_no_frame_could_pass_or_fail_is_refused(limit):
    from inference_core.translator.job import job_from

    with pytest.raises(UserError) as caught:
        job_from({"input": "a", "output": "b", "model": "plain-to-mucosa", "limit": limit})
    assert caught.value.code == "limit"
