"""Frames laid back onto the wall that they show."""

import json
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from made_ringed_tube import FOLDS, LENGTH, POSES, RADIUS, looking, ringed_tube
from PIL import Image

pytest.importorskip("vtkmodules")
pytest.importorskip("igl")

import igl

from inference_core import client
from inference_core.errors import Cancelled, UserError
from inference_core.simulation.colon.coverage.back_projection import SeenWall, back_project
from inference_core.simulation.colon.coverage.coverage import coverage, coverage_report, open_film
from inference_core.simulation.colon.coverage.coverage_job import run
from inference_core.simulation.colon.dataset.card import Filming
from inference_core.simulation.colon.dataset.dataset import DEPTH_STEPS, depth_steps
from inference_core.simulation.colon.dataset.film import film
from inference_core.simulation.colon.dataset.scene import EXACT, Scene
from inference_core.simulation.colon.mesh.surface import Surface, vertex_areas
from inference_core.simulation.colon.mesh.surface_files import read_surface, write_surface
from inference_core.simulation.colon.path.centreline import find_centreline
from inference_core.simulation.colon.rendering.appearance import load_appearance
from inference_core.simulation.colon.rendering.camera import endoscope_camera, project
from inference_core.simulation.colon.rendering.render import FrameRenderer

FRAMES = 6
COMMAND = "from inference_core.cli import main; main()"


@pytest.fixture(scope="module")
def tube():
    return ringed_tube()


@pytest.fixture(scope="module")
def dataset(tube, tmp_path_factory):
    out = tmp_path_factory.mktemp("film") / "frames"
    scene = Scene("tube", tube, find_centreline(tube), [], EXACT)
    film(scene, Filming(frames=FRAMES, size=96, appearance="mucosa"), out, "train", "no one")
    return out


def frame_of(surface, camera, pose):
    """Depth of a frame as a dataset stores it, and its folds."""
    with FrameRenderer(surface, camera, load_appearance("plain")) as renderer:
        frame = renderer.render(pose, 0)
    return depth_steps(frame.depth).astype(np.float32) / np.float32(DEPTH_STEPS), frame


def everywhere(camera):
    return np.ones((camera.height, camera.width), bool)


@pytest.mark.parametrize("model", ["pinhole", "fisheye"])
def test_pixels_go_back_to_the_wall_and_to_where_they_were(tube, model):
    camera = endoscope_camera(128, model)
    for pose in POSES:
        depth, _ = frame_of(tube, camera, pose)
        rows, columns = np.nonzero(depth > 0)
        pixels = np.stack([columns, rows], axis=1)
        places = back_project(pixels, depth[rows, columns], camera, pose)
        again = project(camera, (places - pose[:3, 3]) @ pose[:3, :3])
        assert np.abs(again - pixels).max() < 1e-3  # pixels
        squares, _, _ = igl.point_mesh_squared_distance(places, tube.vertices, tube.faces)
        # Half a step of the stored depth along a slanted ray, and what the z-buffer rounds.
        assert (np.sqrt(squares) < 0.01).mean() >= 0.99


@pytest.mark.parametrize("model", ["pinhole", "fisheye"])
def test_vertices_are_seen_that_a_ray_reaches(tube, model):
    embree = pytest.importorskip("embreex.rtcore_scene")
    from embreex.mesh_construction import TriangleMesh

    scene = embree.EmbreeScene()
    TriangleMesh(scene, tube.vertices[tube.faces].astype(np.float32))
    camera = endoscope_camera(256, model)
    wall = SeenWall(tube, camera, everywhere(camera))
    right = wrong = missed = 0
    for pose in POSES:
        depth, _ = frame_of(tube, camera, pose)
        found, pixels = wall.seen(depth, pose)
        assert len(np.unique(found)) == len(found)
        offset = tube.vertices - pose[:3, 3]
        far = np.linalg.norm(offset, axis=1)
        at = offset @ pose[:3, :3]
        shown = np.rint(project(camera, np.where(at[:, 2:] > 0.1, at, [0.0, 0, 1])))
        framed = (at[:, 2] > 0.1) & ((shown >= 0) & (shown < camera.width)).all(axis=1)
        np.testing.assert_array_equal(shown[found] @ (1, camera.width), pixels)
        origin = np.repeat(pose[None, :3, 3], len(far), axis=0).astype(np.float32)
        hit = scene.run(origin, (offset / far[:, None]).astype(np.float32), query="DISTANCE")
        true = framed & (hit >= far - 0.02)
        mine = np.isin(np.arange(len(far)), found)
        right, wrong, missed = right + (mine & true).sum(), wrong + (mine & ~true).sum(), missed + (true & ~mine).sum()
    assert right / (right + wrong) > 0.98  # the rest lies within a pixel of a fold's edge
    assert right / (right + missed) > 0.95


def test_the_wall_behind_a_fold_is_not_seen(tube):
    camera = endoscope_camera(256)
    pose = looking((0, 0, 5), (0, 0, 1))
    wall = SeenWall(tube, camera, everywhere(camera))
    depth, _ = frame_of(tube, camera, pose)
    found, _ = wall.seen(depth, pose)
    seen = np.isin(np.arange(len(tube.vertices)), found)
    radius, z = np.hypot(tube.vertices[:, 0], tube.vertices[:, 1]), tube.vertices[:, 2]
    # The crest of the first ring (14 mm from the axis, 30 mm ahead) hides the wall (20 mm) up to 42.9 mm ahead.
    hidden = (radius > 19.5) & (z > FOLDS[0] + 6) & (z < 5 + (FOLDS[0] - 5) * RADIUS / 14 - 1)
    before = (radius > 19.5) & (z > 26) & (z < FOLDS[0] - 8)
    beyond = (radius > 19.5) & (z > 5 + (FOLDS[0] - 5) * RADIUS / 14 + 1) & (z < FOLDS[1] - 8)
    assert hidden.sum() > 200
    assert not seen[hidden].any()
    assert seen[before].all()
    assert beyond.sum() > 50
    assert seen[beyond].mean() > 0.99
    assert not seen[z < 5].any()  # behind the lens
    assert not seen[(z > FOLDS[0] + 1) & (z < FOLDS[0] + 4) & (radius > 15)].any()  # the fold's far side
    shown = np.zeros((256, 256), bool)
    shown[:, :128] = True
    half, pixels = SeenWall(tube, camera, shown).seen(depth, pose)
    assert set(half) < set(found)  # nothing is seen through the black frame
    assert (pixels % 256 < 128).all()


def test_all_frames_are_counted_and_areas_add_up(tube, dataset):
    film_ = open_film(dataset)
    told = []
    found = coverage(film_, tube, None, lambda *done: told.append(done))
    assert told == [(k, FRAMES) for k in range(1, FRAMES + 1)]
    wall = SeenWall(tube, film_.camera, film_.visible)
    alone = [wall.seen(film_.depth(k), film_.poses[k])[0] for k in range(FRAMES)]
    np.testing.assert_array_equal(found.seen, np.bincount(np.concatenate(alone), minlength=len(tube.vertices)))
    assert found.seen.max() > 2
    report = coverage_report(tube, found)
    assert report["seen_cm2"] + report["never_seen_cm2"] == pytest.approx(report["total_cm2"], abs=0.11)
    assert report["total_cm2"] == pytest.approx(vertex_areas(tube).sum() / 100, abs=0.1)
    assert report["total_cm2"] > 2 * np.pi * RADIUS * LENGTH / 100  # the bare tube's side
    assert report["share"] == pytest.approx(report["seen_cm2"] / report["total_cm2"], abs=1e-3)
    assert report["wall_distance_mm"]["p99"] < 0.01
    assert [fold["id"] for fold in report["folds"]] == [1, 2, 3]
    assert all(0 < fold["visible_in"] <= FRAMES for fold in report["folds"])
    assert all(fold["marked_in"] is None for fold in report["folds"])


def masks_of(dataset, folder, keep):
    """As segment-folds writes them: the truth of the folds that ``keep`` picks by frame."""
    (folder / "masks").mkdir(parents=True)
    for k in range(FRAMES):
        instances = np.array(Image.open(dataset / f"instances/{k:06d}.png"))
        mask = np.isin(instances, keep(k)) & (instances > 0)
        Image.fromarray(mask.astype(np.uint8) * np.uint8(255)).save(folder / f"masks/{k:06d}.png")
    return folder


def test_folds_are_marked_where_masks_show_them(tube, dataset, tmp_path):
    film_ = open_film(dataset)
    whole = coverage(film_, tube, masks_of(dataset, tmp_path / "all", lambda k: [1, 2, 3]) / "masks")
    assert whole.marked_in == whole.visible_in
    on_folds = whole.seen[tube.point_arrays["fold_instance"] > 0]
    assert whole.marked.sum() / on_folds.sum() == pytest.approx(1, abs=0.15)  # masks are sharp to the pixel
    some = coverage(film_, tube, masks_of(dataset, tmp_path / "some", lambda k: [2] if k % 2 else [3]) / "masks")
    assert some.marked_in[1] == 0
    assert some.visible_in == whole.visible_in
    assert some.marked_in[2] + some.marked_in[3] > 0
    assert all(some.marked_in[k] <= (FRAMES + 1) // 2 for k in (2, 3))


def test_the_command_prints_and_writes_what_was_seen(tube, dataset, tmp_path):
    masks = masks_of(dataset, tmp_path / "found", lambda k: [1, 2])
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, "measure-coverage", str(dataset), "--masks", str(masks), "--out", "mine.vtp"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "mine.json").read_text())
    assert f"{report['never_seen_cm2']:.0f}" in done.stdout
    assert "1 marked in no frame" in done.stdout
    written = read_surface(tmp_path / "mine.vtp")
    found = coverage(open_film(dataset), tube, masks / "masks")
    np.testing.assert_array_equal(written.point_arrays["seen"], found.seen)
    np.testing.assert_array_equal(written.point_arrays["marked"], found.marked)
    np.testing.assert_array_equal(written.point_arrays["fold_instance"], tube.point_arrays["fold_instance"])
    assert report["folds"] == coverage_report(tube, found)["folds"]
    assert report["frames"] == FRAMES


def test_other_labels_of_the_same_surface_may_be_given_but_no_other_surface(tube, dataset, tmp_path):
    bare = Surface(tube.vertices, tube.faces, {})
    write_surface(bare, tmp_path / "bare.vtp")
    job = {"job": "colon-coverage", "dataset": str(dataset), "output": str(tmp_path / "out.vtp")}
    said = []
    report = client.run({**job, "surface": str(tmp_path / "bare.vtp"), "masks": None}, said.append)
    assert report["folds"] == []
    assert any("no folds" in warning for warning in report["warnings"])
    stages = [message for message in said if message.get("stage") == "coverage"]
    assert stages[-1]["done"] == stages[-1]["total"] == FRAMES
    write_surface(Surface(tube.vertices + np.array([3.0, 0, 0]), tube.faces), tmp_path / "moved.vtp")
    with pytest.raises(UserError) as error:
        client.run({**job, "surface": str(tmp_path / "moved.vtp")}, said.append)
    assert error.value.code == "other-surface"


def test_a_cancel_between_frames_writes_nothing(dataset, tmp_path):
    stop = threading.Event()

    def emit(kind, **fields):
        if fields.get("stage") == "coverage":
            stop.set()

    job = {"job": "colon-coverage", "dataset": str(dataset), "output": str(tmp_path / "out.vtp")}
    with pytest.raises(Cancelled):
        run(job, emit, stop.is_set)
    assert not list(tmp_path.iterdir())


def test_bad_jobs_are_refused_before_any_work(dataset, tmp_path):
    def code(**changed):
        job = {"job": "colon-coverage", "dataset": str(dataset), "output": str(tmp_path / "out.vtp"), **changed}
        with pytest.raises(UserError) as error:
            run(job, lambda *said, **fields: None, lambda: False)
        assert error.value.remedy
        return error.value.code

    assert code(output=str(tmp_path / "out.stl")) == "surface-format"
    assert code(output=str(dataset / "surface.vtp")) == "same-file"
    assert code(output=str(dataset / "dataset.vtp")) == "same-file"
    assert code(dataset=str(tmp_path)) == "no-dataset"
    assert code(dataset=str(dataset.parent)) == "several-datasets"
    assert code(masks=str(tmp_path)) == "masks"
    assert code(frames=3) == "bad-job"
