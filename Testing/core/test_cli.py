"""The command line as a user types it."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from inference_core.image.reading import read_volume
from inference_core.image.writing import write_volume


def command(*arguments, cwd=None):
    return subprocess.run(
        [sys.executable, "-c", "from inference_core.cli import main; main()", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )


@pytest.fixture
def scan(ct, tmp_path):
    write_volume(ct, tmp_path / "CT.nrrd")
    return tmp_path / "CT.nrrd"


@pytest.mark.parametrize("name", ["out.nrrd", "out.nii.gz", "out.mha"])
def test_denoise_writes_a_volume_a_picture_and_a_report(scan, ct, name):
    done = command("denoise", "CT.nrrd", name, cwd=scan.parent)
    assert done.returncode == 0, done.stderr
    assert "CT-number check" in done.stdout
    assert "low-dose-ct" in done.stdout
    denoised = read_volume(scan.with_name(name))
    assert denoised.same_grid_as(ct)
    assert denoised.voxels.std() < ct.voxels.std()
    report = json.loads((scan.parent / "out_report.json").read_text())
    assert report["ct_number_check"]["low_band_change_hu"] < 0.5
    assert (scan.parent / "out_comparison.png").exists()
    assert {file.name for file in scan.parent.iterdir()} == {"CT.nrrd", name, "out_comparison.png", "out_report.json"}


def test_denoise_prints_a_roi_table(scan, ct):
    labels = np.zeros(ct.voxels.shape, np.int16)
    labels[:, 30:50, 30:60] = 1
    write_volume(ct.with_voxels(labels), scan.with_name("muscle.nrrd"))
    done = command("denoise", scan, scan.with_name("out.nrrd"), "--roi", scan.with_name("muscle.nrrd"))
    assert done.returncode == 0, done.stderr
    assert str(labels.sum()) in done.stdout
    assert "muscle" in done.stdout


def test_strength_zero_changes_nothing(scan, ct):
    assert command("denoise", scan, scan.with_name("out.nrrd"), "--strength", 0).returncode == 0
    np.testing.assert_array_equal(read_volume(scan.with_name("out.nrrd")).voxels, ct.voxels)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["denoise", "missing.nrrd", "out.nrrd"], "does not exist"),
        (["denoise", "CT.nrrd", "out_folder"], "Give the DICOM series as input"),
        (["denoise", "CT.nrrd", "out.tif"], "new or empty folder"),
        (["denoise", "CT.nrrd", "CT.nrrd"], "never changed"),
        (["denoise", "CT.nrrd", "out.nrrd", "--model", "best"], "low-dose-ct"),
        (["denoise", "CT.nrrd", "out.nrrd", "--strength", "3"], "Choose 0"),
        (["denoise", "CT.nrrd", "out.nrrd", "--device", "cuda:99", "--engine", "onnxruntime"], "torch"),
        (["denoise", "CT.nrrd", "out.nrrd", "--roi", "none.mrk.json"], "none.mrk.json"),
        (["models", "--model", "best"], "low-dose-ct"),
    ],
)
def test_mistakes_are_answered_with_a_remedy_not_a_traceback(scan, arguments, word):
    done = command(*arguments, cwd=scan.parent)
    assert done.returncode == 2
    assert word in done.stderr
    assert "Traceback" not in done.stderr
    assert not (scan.parent / "out.nrrd").exists()


def test_models_lists_what_is_there_and_shows_a_card():
    listing = command("models").stdout
    assert "low-dose-ct " in listing
    assert "low-dose-ct-phantom" in listing
    assert json.loads(command("models", "--model", "low-dose-ct").stdout)["id"] == "low-dose-ct"


def test_help_and_version():
    assert "denoise" in command("--help").stdout
    assert "0." in command("--version").stdout


def test_importing_the_package_loads_nothing_heavy():
    heavy = (
        "torch",
        "onnxruntime",
        "SimpleITK",
        "pydicom",
        "PIL",
        "pywt",
        "scipy",
        "jsonargparse",
        "vtk",
        "slicer",
        "qt",
    )
    code = (
        "import sys, inference_core, inference_core.client, inference_core.image.reading;"
        "import inference_core.denoiser.pipeline, inference_core.models.engines, inference_core.measurement.noise;"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
