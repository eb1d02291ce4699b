"""simulate-colon as a user types it."""

import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest
from made_colon_scene import files_of, labelled_tube

pytest.importorskip("vtkmodules")

from inference_core.cli.simulate_colon import spell_paths
from inference_core.client import Worker
from inference_core.errors import UserError
from inference_core.image.volume import Volume
from inference_core.image.writing import write_volume
from inference_core.simulation.colon.dataset.frames import ColonFrames
from inference_core.simulation.colon.mesh.surface import Surface
from inference_core.simulation.colon.mesh.surface_files import read_surface, write_surface

SHORT = ("--frames", 3, "--size", 32)


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
def colon(tmp_path):
    write_surface(labelled_tube(), tmp_path / "colon.vtp")
    return tmp_path / "colon.vtp"


def test_frames_are_made_and_the_same_command_finds_them_there(colon):
    arguments = ("simulate-colon", "colon.vtp", "out", *SHORT, "--seed", 5, "--depth-float", "--split", "test")
    done = command(*arguments, cwd=colon.parent)
    assert done.returncode == 0, done.stderr
    assert "3 frames of a" in done.stdout
    assert "2 folds" in done.stdout
    assert "fold labels carried by the surface" in done.stdout
    frames = ColonFrames(colon.parent / "out", split="test")
    assert len(frames) == 3
    assert (colon.parent / "out/depth_float/000002.npy").exists()
    before = files_of(colon.parent / "out")
    again = command(*arguments, cwd=colon.parent)
    assert "3 were there already" in again.stdout
    assert files_of(colon.parent / "out") == before
    assert {path.name for path in colon.parent.iterdir()} == {"colon.vtp", "out"}
    other = command(*arguments, "--appearance", "nbi", cwd=colon.parent)
    assert other.returncode == 2
    assert 'appearance is "plain", not "nbi"' in other.stderr
    assert "Name another folder" in other.stderr


def test_ends_may_be_given_with_negative_numbers_and_say_where_the_caecum_is(colon):
    surface = labelled_tube()
    shifted = Surface(surface.vertices - [100.0, 0, 0], surface.faces, surface.point_arrays)
    write_surface(shifted, colon)
    top, bottom = "-10,0,5", "-93.64,0,89.78"
    for out, start, end in (("one", top, bottom), ("other", bottom, top)):
        done = command("simulate-colon", colon, colon.with_name(out), *SHORT, "--start", start, "--end", end)
        assert done.returncode == 0, done.stderr
    cards = [json.loads(colon.with_name(out).joinpath("dataset.json").read_text()) for out in ("one", "other")]
    np.testing.assert_allclose(cards[0]["centreline"]["start_mm"], cards[1]["centreline"]["end_mm"], atol=8)
    assert abs(cards[0]["centreline"]["start_mm"][2] - cards[1]["centreline"]["start_mm"][2]) > 50


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["colon.vtp", "out", "--frames", 0], "Choose 1 to"),
        (["colon.vtp", "out", "--size", 7], "Choose 16 to"),
        (["colon.vtp", "out", "--seed", -1], "Choose 0 to"),
        (["colon.vtp", "out", "--appearance", "golden"], "mucosa"),
        (["colon.vtp", "out", "--camera", "periscope"], "fisheye"),
        (["colon.vtp", "out", "--split", "holdout"], "validation"),
        (["colon.vtp", "colon.vtp"], "is a file"),
        (["missing.ply", "out"], "does not exist"),
        (["colon.vtp", "no/such/out"], "does not exist"),
        (["colon.vtp", "."], "inside the output"),
        (["out"], "No colon is given"),
        (["a", "b", "c"], "3 paths"),
        (["colon.vtp", "out", "--start", "1,2"], "x,y,z"),
        (["colon.vtp", "out", "--start", "5000,0,0"], "outside the colon"),
        (["colon.vtp", "out", "--speed", 0], "mm/s"),
        (["colon.vtp", "out", "--frames"], "frames"),
    ],
)
def test_mistakes_are_answered_with_a_remedy_and_leave_nothing(colon, arguments, word):
    done = command("simulate-colon", *arguments, cwd=colon.parent)
    assert done.returncode == 2, done.stdout
    assert word in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in colon.parent.iterdir()] == ["colon.vtp"]


def test_help_says_how_to_name_the_colon():
    done = command("simulate-colon", "--help")
    assert done.returncode == 0
    assert "simulate-colon COLON OUT" in done.stdout


@pytest.mark.parametrize(
    ("typed", "spelt"),
    [
        (["C", "O"], ["O", "--colon=C"]),
        (["--benchmark", "O"], ["O", "--benchmark=true"]),
        (["C", "O", "--benchmark"], ["O", "--benchmark=true", "--colon=C"]),
        (["C", "--benchmark", "O"], ["O", "--benchmark=true", "--colon=C"]),
        (["C", "--frames", "9", "O"], ["O", "--frames=9", "--colon=C"]),
        (["--depth-float", "C", "O", "--start", "-1,2,3"], ["O", "--depth_float=true", "--start=-1,2,3", "--colon=C"]),
        (["--depth-float", "false", "C", "O"], ["O", "--depth_float=false", "--colon=C"]),
        (["--help"], ["--help"]),
    ],
)
def test_colon_and_output_stand_where_people_put_them(typed, spelt):
    assert spell_paths(["simulate-colon", *typed]) == ["simulate-colon", *spelt]


def test_three_paths_are_one_too_many():
    with pytest.raises(UserError, match="3 paths"):
        spell_paths(["simulate-colon", "a", "b", "c"])


def test_a_cancelled_job_stops_within_a_second_and_the_next_goes_on(colon):
    job = {"job": "simulate-colon", "input": str(colon), "output": str(colon.with_name("out")), "size": 64}
    worker = Worker({**job, "frames": 5000})
    while not (colon.with_name("out") / "rgb/000010.png").exists():
        time.sleep(0.01)
    asked = time.monotonic()
    worker.cancel()
    assert worker.wait_ended(timeout=20)
    assert time.monotonic() - asked < 1.4  # and was not killed, which happens after 1.5 s
    messages = worker.messages()
    assert messages[-1]["code"] == "cancelled"
    told = [message for message in messages if message["type"] == "progress" and message["stage"] == "render"]
    assert all(message["total"] == 5000 for message in told)
    assert not [path for path in colon.with_name("out").iterdir() if path.name.startswith(".")]


def test_a_procedural_colon_is_a_sample_with_its_truth(tmp_path):
    done = command("sample", "colon", tmp_path / "c.vtp", "--seed", 3)
    assert done.returncode == 0, done.stderr
    surface = read_surface(tmp_path / "c.vtp")
    folds = set(surface.point_arrays["fold_instance"].tolist()) - {0}
    assert f"{len(folds)} folds" in done.stdout
    assert len(folds) > 20
    np.testing.assert_array_equal(surface.point_arrays["fold_score"] >= 0.5, surface.point_arrays["fold_instance"] > 0)
    refused = command("sample", "colon", tmp_path / "c.stl")
    assert refused.returncode == 2
    assert ".vtp" in refused.stderr


def test_a_label_map_is_filmed_by_the_number_of_its_lumen(tmp_path):
    z, y, x = np.mgrid[0:75, 0:40, 0:40]
    inside = (np.hypot(x - 20, y - 20) < 9) & (z > 2) & (z < 72)
    voxels = np.where(inside, 3, 0).astype(np.int16)
    voxels[:, :3] = 1  # something else
    labels = Volume(voxels, spacing=(2.0, 2.0, 2.0), origin=(-40.0, -40.0, 0.0), direction=(1, 0, 0, 0, 1, 0, 0, 0, 1))
    write_volume(labels, tmp_path / "labels.nrrd")
    done = command("simulate-colon", "labels.nrrd", "out", *SHORT, "--label", 3, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    frame = ColonFrames(tmp_path / "out")[1]
    assert abs(frame["camera_to_world"][0, 3]) < 10
    assert abs(frame["camera_to_world"][1, 3]) < 10
    assert 40 < frame["camera_to_world"][2, 3] < 110
    refused = command("simulate-colon", "labels.nrrd", "other", *SHORT, "--label", 9, cwd=tmp_path)
    assert refused.returncode == 2
    assert "9" in refused.stderr
