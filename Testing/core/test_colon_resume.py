"""What befalls a dataset while it is made: kills, cancels, full disks. It goes on and comes out the same."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from made_colon_scene import files_of, tube_scene

pytest.importorskip("vtkmodules")

from inference_core.errors import Cancelled, UserError
from inference_core.simulation.colon.dataset.card import Filming
from inference_core.simulation.colon.dataset.dataset import PICTURES
from inference_core.simulation.colon.dataset.film import film
from inference_core.simulation.colon.dataset.frames import ColonFrames

SMALL = Filming(frames=9, size=48)


@pytest.fixture(scope="module")
def scene():
    return tube_scene()


@pytest.fixture(scope="module")
def made(scene, tmp_path_factory):
    """A dataset that is only read."""
    out = tmp_path_factory.mktemp("dataset") / "out"
    film(scene, replace(SMALL, depth_float=True), out, "train", "the tests")
    return out


KILLED_RUN = """
import sys
sys.path.insert(0, sys.argv[2])
from made_colon_scene import tube_scene
from inference_core.simulation.colon.dataset.card import Filming
from inference_core.simulation.colon.dataset.film import film
film(tube_scene(), Filming(frames=60, size=48), __import__("pathlib").Path(sys.argv[1]), "train", "")
"""


def test_a_run_that_is_killed_anywhere_goes_on_and_comes_out_the_same(scene, tmp_path):
    filming = Filming(frames=60, size=48)
    film(scene, filming, tmp_path / "unbroken", "train", "")
    out = tmp_path / "out"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    kills = 0
    for moment in ("dataset.json", "surface.vtp", "rgb/000003.png", "depth/000020.png", "instances/000050.png"):
        run = subprocess.Popen([sys.executable, "-c", KILLED_RUN, str(out), os.path.dirname(__file__)], env=environment)
        while not (out / moment).exists() and run.poll() is None:
            time.sleep(0.001)
        kills += run.poll() is None
        run.send_signal(signal.SIGKILL)
        run.wait()
        assert not json.loads((out / "dataset.json").read_text())["complete"] or moment == "instances/000050.png"
    assert kills >= 4
    report = film(scene, filming, out, "train", "")
    assert report["made"] < 60
    assert files_of(out) == files_of(tmp_path / "unbroken")
    assert not [path for path in out.iterdir() if path.name.startswith(".")]


def test_a_cancelled_run_goes_on(scene, tmp_path, made):
    asked = iter(range(100))
    with pytest.raises(Cancelled):
        film(scene, SMALL, tmp_path / "out", "train", "", cancelled=lambda: next(asked) >= 4)
    left = files_of(tmp_path / "out")
    assert 0 < sum(name.startswith("rgb") for name in left) < 9
    with pytest.raises(UserError, match="unfinished"):
        ColonFrames(tmp_path / "out")
    film(scene, SMALL, tmp_path / "out", "train", "")
    assert len(ColonFrames(tmp_path / "out")) == 9


def test_a_file_cut_short_or_deleted_is_made_again(scene, tmp_path):
    film(scene, SMALL, tmp_path / "out", "train", "")
    before = files_of(tmp_path / "out")
    os.truncate(tmp_path / "out/depth/000002.png", 100)
    (tmp_path / "out/mask/000005.png").unlink()
    with pytest.raises(UserError, match=r"000002\.png is damaged"):
        ColonFrames(tmp_path / "out")[2]
    with pytest.raises(UserError, match=r"000005\.png is missing"):
        ColonFrames(tmp_path / "out")[5]
    assert film(scene, SMALL, tmp_path / "out", "train", "")["made"] == 2
    assert files_of(tmp_path / "out") == before
    assert film(scene, SMALL, tmp_path / "out", "train", "")["made"] == 0


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"seed": 2}, "seed is 1, not 2"),
        ({"frames": 5}, "frames is 9, not 5"),
        ({"camera": "fisheye"}, 'camera is "pinhole"'),
    ],
)
def test_a_folder_of_another_run_is_refused_and_left_alone(scene, tmp_path, made, change, word):
    film(scene, SMALL, tmp_path / "out", "train", "")
    before = files_of(tmp_path / "out")
    with pytest.raises(UserError, match=word) as refused:
        film(scene, replace(SMALL, **change), tmp_path / "out", "train", "")
    assert refused.value.code == "other-run"
    assert "another folder" in refused.value.remedy
    assert files_of(tmp_path / "out") == before


def test_another_colon_or_split_is_another_run(scene, tmp_path):
    film(scene, SMALL, tmp_path / "out", "train", "")
    with pytest.raises(UserError, match='split is "train", not "test"'):
        film(scene, SMALL, tmp_path / "out", "test", "")
    with pytest.raises(UserError, match="holds a dataset made otherwise"):
        film(tube_scene(bend=120.0), SMALL, tmp_path / "out", "train", "")


def test_what_others_put_there_stays(scene, tmp_path):
    out = tmp_path / "out"
    film(scene, SMALL, out, "train", "")
    (out / "notes.txt").write_text("mine")
    (out / "rgb/000004.png").unlink()
    film(scene, SMALL, out, "train", "")
    assert (out / "notes.txt").read_text() == "mine"
    (tmp_path / "full").mkdir()
    (tmp_path / "full/letter.txt").write_text("mine")
    with pytest.raises(UserError, match=r"letter\.txt"):
        film(scene, SMALL, tmp_path / "full", "train", "")
    assert files_of(tmp_path / "full") == {"letter.txt": b"mine"}


def test_places_where_no_dataset_can_be_are_refused(scene, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match="is a file"):
        film(scene, SMALL, tmp_path / "file", "train", "")
    with pytest.raises(UserError, match="does not exist"):
        film(scene, SMALL, tmp_path / "no/folder", "train", "")


FULL_DISK = """
import resource, sys
sys.path.insert(0, sys.argv[2])
from made_colon_scene import tube_scene
from inference_core.errors import UserError
from inference_core.simulation.colon.dataset.card import Filming
from inference_core.simulation.colon.dataset.film import film
scene = tube_scene()
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
try:
    film(scene, Filming(frames=9, size=48), __import__("pathlib").Path(sys.argv[1]), "train", "the tests")
except UserError as error:
    print(error.code, error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits the size of files by POSIX means")
@pytest.mark.parametrize("limit", [500, 3000, 20_000, 100_000])
def test_a_full_disk_is_told_and_costs_nothing_that_was_done(scene, tmp_path, made, limit):
    """The limit strikes at the card, at a picture, at the surface and at the contact sheet, or not at all."""
    out = tmp_path / "out"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", FULL_DISK, str(out), os.path.dirname(__file__), str(limit)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.startswith("write-failed")
    assert "could not be written" in run.stdout
    assert not [name for name in files_of(out) if name.startswith(".")]
    film(scene, SMALL, out, "train", "the tests")
    mine, whole = files_of(out), files_of(made)
    assert all(mine[f"{folder}/{k:06d}.png"] == whole[f"{folder}/{k:06d}.png"] for folder in PICTURES for k in range(9))
