"""Names are planted in every header; they may come out in the derived DICOM files, and nowhere else."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pydicom
import pytest
from made_series import PLANTED, STUDY, stored_ct, write_series

from inference_core import client
from inference_core.errors import UserError
from inference_core.image.reading import read_volume

SECRETS = {word for value in PLANTED.values() for word in value.replace("^", " ").split()} | {STUDY, "Geheim"}
SECRETS -= {"von", "the", "knows", "17"}


def planted(folder: Path, slices: int = 3, **changes) -> list[Path]:
    """A series with names in its headers, its private tags, and in values that are no valid ones."""
    files = write_series(folder, stored_ct(slices), **changes)
    for file in files:
        header = pydicom.dcmread(file)
        header.private_block(0x0029, "Geheim", create=True).add_new(0x10, "PN", "Geheim^Erika")
        header.save_as(file)
        content = file.read_bytes()
        broken = content.replace(b"19610229", b"Erika/61").replace(b"101112", b"Geheim")
        assert broken != content
        file.write_bytes(broken)
    return files


def told(text: str) -> set[str]:
    """The secrets in a text, in whatever case."""
    return {secret for secret in SECRETS if secret.lower() in text.lower()}


def command(*arguments, cwd):
    return subprocess.run(
        [sys.executable, "-W", "always", "-c", "from inference_core.cli import main; main()", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONWARNINGS": "always"},
    )


@pytest.mark.parametrize("output", ["result", "result.nrrd", "result.nii.gz", "result.mha"])
def test_a_run_tells_nothing_on_the_terminal_nor_in_its_files(tmp_path, output):
    planted(tmp_path / "in")
    done = command("denoise", "in", output, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert told(done.stdout + done.stderr) == set()
    made = [file for file in tmp_path.iterdir() if file.is_file()]
    assert {"result_report.json", "result_comparison.png"} <= {file.name for file in made}
    for file in made:
        assert told(file.read_bytes().decode("latin-1")) == set(), file.name


def test_the_derived_series_keeps_the_patient(tmp_path):
    """And so the other tests look for names that were really there."""
    planted(tmp_path / "in")
    assert command("denoise", "in", "result", cwd=tmp_path).returncode == 0
    content = next((tmp_path / "result").iterdir()).read_bytes().decode("latin-1")
    kept = {secret for secret in SECRETS if secret in content}
    assert {"Mustermann", "PLANTED-4711", "Entenhausen"} <= kept


def test_a_folder_named_after_the_patient_does_not_enter_the_report(tmp_path):
    planted(tmp_path / "Mustermann_Erika")
    report = client.run(
        {"job": "denoise", "input": str(tmp_path / "Mustermann_Erika"), "output": str(tmp_path / "out.nrrd")},
        lambda message: None,
    )
    assert told(json.dumps(report)) == set()


def test_messages_and_scratch_names_tell_nothing(tmp_path):
    planted(tmp_path / "in", 6)
    worker = client.Worker({"job": "denoise", "input": str(tmp_path / "in"), "output": str(tmp_path / "out")})
    seen = []
    while True:
        message = worker.next_message()
        for folder in (tmp_path, Path(tempfile.gettempdir())):
            seen += [file.name for file in folder.iterdir() if "faithful" in file.name]
        seen.append(json.dumps(message))
        if message["type"] in ("result", "error"):
            break
    assert message["type"] == "result", message
    assert told(" ".join([*seen, *worker.log])) == set()


FAULTS = {
    "several-series": lambda folder: planted(folder, SeriesInstanceUID="1.2.3"),
    "not-ct": lambda folder: [edit(file, Modality="MR") for file in folder.iterdir()],
    "incomplete-header": lambda folder: [edit(file, RescaleSlope=None) for file in folder.iterdir()],
    "not-hounsfield": lambda folder: [edit(file, RescaleType="MGML") for file in folder.iterdir()],
    "same-position": lambda folder: [edit(file, ImagePositionPatient=[0, 0, 5]) for file in folder.iterdir()],
    "unreadable-pixels": lambda folder: [file.write_bytes(file.read_bytes()[:-50]) for file in folder.iterdir()],
    "damaged-header": lambda folder: [cut_in_header(file) for file in folder.iterdir()],
}


def edit(file: Path, **changes) -> None:
    header = pydicom.dcmread(file)
    for tag, value in changes.items():
        if value is None:
            delattr(header, tag)
        else:
            setattr(header, tag, value)
    header.save_as(file)


def cut_in_header(file: Path) -> None:
    """End the file in the middle of the patient's name, and spoil a length before it."""
    content = file.read_bytes()
    at = content.index(b"Mustermann^Erika")
    file.write_bytes(content[: at - 2] + b"\xff\xff" + content[at : at + 8])


@pytest.mark.parametrize("code", FAULTS)
def test_errors_tell_nothing(tmp_path, code):
    planted(tmp_path / "in")
    FAULTS[code](tmp_path / "in")
    done = command("denoise", "in", "result", cwd=tmp_path)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert told(done.stdout + done.stderr) == set()
    assert not (tmp_path / "result").exists()
    with pytest.raises(UserError) as caught:
        read_volume(tmp_path / "in")
    assert caught.value.code in (code, "no-dicom")


def test_a_crash_tells_nothing(tmp_path):
    """A fault of the program, in the midst of the work, with its traceback."""
    planted(tmp_path / "in")
    crash = (
        "import inference_core.denoiser.pipeline as p, inference_core.worker as w, sys\n"
        "def crash(*a, **k): raise KeyError('in the midst')\n"
        "p.denoise_slices = crash\n"
        "sys.exit(w.main())"
    )
    job = {"job": "denoise", "input": str(tmp_path / "in"), "output": str(tmp_path / "out")}
    process = subprocess.Popen(
        [sys.executable, "-c", crash],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert process.stdin
    assert process.stdout
    assert process.stderr
    process.stdin.write(json.dumps(job) + "\n")
    process.stdin.flush()  # and left open: its end would cancel the job
    lines, errors = process.stdout.read(), process.stderr.read()
    process.wait()
    process.stdin.close()
    assert json.loads(lines.splitlines()[-1])["code"] == "internal"
    assert "Traceback" in errors
    assert told(lines + errors) == set()


def test_the_volume_itself_carries_nothing(tmp_path):
    planted(tmp_path / "in")
    volume = read_volume(tmp_path / "in")
    np.testing.assert_array_equal(volume.voxels, stored_ct() - 1024)
    assert told(repr(volume).replace(str(tmp_path), "")) == set()
