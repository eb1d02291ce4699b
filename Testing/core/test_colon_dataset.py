"""A dataset of labelled frames: what is in it, how it survives what befalls it, and how it is read back."""

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_colon_scene import files_of, labelled_tube, tube_scene
from PIL import Image

pytest.importorskip("vtkmodules")

from inference_core.errors import UserError
from inference_core.simulation.colon.dataset import benchmark, simulate_job
from inference_core.simulation.colon.dataset.card import Filming
from inference_core.simulation.colon.dataset.dataset import depth_steps
from inference_core.simulation.colon.dataset.film import film
from inference_core.simulation.colon.dataset.frames import ColonFrames
from inference_core.simulation.colon.dataset.scene import Scene, consistent, doubts, scene_of_file
from inference_core.simulation.colon.mesh.surface import Surface
from inference_core.simulation.colon.mesh.surface_files import write_surface
from inference_core.simulation.colon.path.centreline import find_centreline

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


def test_a_dataset_holds_what_its_card_says(made):
    card, cameras = (json.loads((made / name).read_text()) for name in ("dataset.json", "cameras.json"))
    assert card["complete"]
    assert card["split"] == "train"
    assert card["attribution"] == "the tests"
    assert len(cameras["frames"]) == 9
    for pattern in card["files"]:
        names = [pattern.replace("NNNNNN", f"{k:06d}") for k in range(9)] if "NNNNNN" in pattern else [pattern]
        assert all((made / name).is_file() for name in names), pattern
    assert {path.name for path in made.iterdir()} == {name.split("/")[0] for name in card["files"]} | {"dataset.json"}


def test_depth_is_the_distance_along_the_axis_that_a_ray_caster_finds_with_the_written_cameras(made, scene):
    embree = pytest.importorskip("embreex.rtcore_scene")
    from embreex.mesh_construction import TriangleMesh

    caster = embree.EmbreeScene(robust=True)
    TriangleMesh(caster, scene.surface.vertices[scene.surface.faces].astype(np.float32))
    frames = ColonFrames(made)
    for number in (0, 4, 8):
        frame = frames[number]
        rows, columns = np.mgrid[0:48, 0:48]
        (fx, _, cx), (_, fy, cy), _ = frame["intrinsics"]
        rays = np.stack([(columns - cx) / fx, (rows - cy) / fy, np.ones_like(rows)], axis=-1).reshape(-1, 3)
        turn, place = frame["camera_to_world"][:3, :3], frame["camera_to_world"][:3, 3]
        starts = np.tile(place, (len(rays), 1)).astype(np.float32)
        depth = caster.run(starts, (rays @ turn.T).astype(np.float32), output=True)["tfar"]  # z = 1: length is depth
        off = np.abs(depth.reshape(48, 48) - frame["depth"])
        assert np.percentile(off, 99) < 0.02
        whole = np.load(made / "depth_float" / f"{number:06d}.npy")
        assert whole.dtype == np.float32
        assert np.abs(whole - frame["depth"]).max() <= 0.0026


def test_a_frame_says_what_can_be_seen_and_through_which_lens(scene, made, tmp_path):
    plain = ColonFrames(made)[0]
    assert plain["visible"].all()
    assert plain["camera_model"] == "pinhole"
    film(scene, replace(SMALL, frames=1, appearance="mucosa", camera="fisheye"), tmp_path / "out", "train", "")
    mucosa = ColonFrames(tmp_path / "out")[0]
    assert mucosa["camera_model"] == "fisheye"
    assert not mucosa["visible"][0, 0]
    assert mucosa["visible"][24, 24]
    assert not mucosa["rgb"][~mucosa["visible"]].any(), "black behind the frame"


def test_whose_colon_it_is_and_where_its_labels_come_from_travel_with_the_file(tmp_path):
    notes = {"attribution": "the tests", "fold_labels": "exact: by hand"}
    write_surface(replace(labelled_tube(), notes=notes), tmp_path / "tube.vtp")
    told = scene_of_file(tmp_path / "tube.vtp", None, None, None, lambda stage: None, lambda done, total: None)
    assert (told.attribution, told.labels) == ("the tests", "exact: by hand")


def test_handles_and_a_narrow_lumen_are_told():
    surface = labelled_tube()
    path = find_centreline(surface)
    assert doubts(surface, path) == []
    (narrow,) = doubts(surface, replace(path, radius=path.radius / 3))
    assert "narrow" in narrow
    ring = np.arange(6)
    corners = [(6 * i + ring, 6 * i + (ring + 1) % 6, 6 * ((i + 1) % 6) + ring, 6 * ((i + 1) % 6) + (ring + 1) % 6)
               for i in ring]  # fmt: skip
    torus = np.concatenate([np.stack(three, 1) for a, b, c, d in corners for three in ((a, b, c), (b, d, c))])
    (handle,) = doubts(Surface(np.zeros((36, 3)), torus), path)
    assert "1 handle" in handle


def test_cameras_are_inside_the_colon(made, scene):
    igl = pytest.importorskip("igl")
    frames = ColonFrames(made)
    places = np.array([frames[k]["camera_to_world"][:3, 3] for k in range(9)])
    distance = igl.signed_distance(places, scene.surface.vertices, scene.surface.faces)[0]
    assert np.all(distance < -2.5)  # inside is negative


def test_folds_are_seen_and_numbered_as_on_the_surface(made):
    frames = ColonFrames(made)
    seen = set()
    for k in range(9):
        frame = frames[k]
        np.testing.assert_array_equal(frame["mask"], frame["instances"] > 0)
        assert np.all(frame["depth"] > 0)
        seen |= set(np.unique(frame["instances"]))
    assert seen == {0, 1, 2}


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(scene, tmp_path):
    filming = replace(SMALL, frames=4, seed=7, appearance="mucosa")
    for name, seed in (("one", 7), ("same", 7), ("other", 8)):
        film(scene, replace(filming, seed=seed), tmp_path / name, "train", "")
    one, same, other = (files_of(tmp_path / name) for name in ("one", "same", "other"))
    assert one == same
    assert one["rgb/000003.png"] != other["rgb/000003.png"]


def test_appearances_share_their_truth_to_the_byte(scene, made, tmp_path):
    film(scene, replace(SMALL, appearance="mucosa"), tmp_path / "mucosa", "train", "")
    plain, mucosa = files_of(made), files_of(tmp_path / "mucosa")
    for folder in ("depth", "mask", "instances"):
        for k in range(9):
            assert plain[f"{folder}/{k:06d}.png"] == mucosa[f"{folder}/{k:06d}.png"]
    assert plain["cameras.json"] == mucosa["cameras.json"]
    assert plain["rgb/000000.png"] != mucosa["rgb/000000.png"]


@pytest.mark.parametrize("camera", ["pinhole", "fisheye"])
def test_a_single_frame_can_be_made(scene, tmp_path, camera):
    film(scene, Filming(frames=1, size=32, camera=camera), tmp_path / "out", "test", "")
    frames = ColonFrames(tmp_path / "out", split="test")
    assert len(frames) == 1
    assert frames[0]["rgb"].shape == (32, 32, 3)


def test_a_camera_that_is_not_in_the_colon_is_refused(scene, tmp_path):
    line = scene.centreline
    astray = replace(line, points=line.points + np.array([0.0, 300.0, 0.0]))
    with pytest.raises(UserError, match="not inside the colon"):
        film(replace(scene, centreline=astray), SMALL, tmp_path / "out", "train", "")


@given(st.floats(0, 320, width=32))
def test_depth_in_steps_is_within_half_a_step_and_0_means_none(depth):
    steps = int(depth_steps(np.array([depth], np.float32))[0])
    assert (steps == 0) == (depth == 0)
    if depth > 0.0025:
        assert abs(steps / 200 - depth) <= 0.0026


def test_a_folder_of_datasets_is_read_by_colon_never_by_frame(scene, tmp_path):
    other = tube_scene(bend=120.0)
    for folder in ("plain", "mucosa"):
        (tmp_path / folder).mkdir()
    film(scene, replace(SMALL, frames=3), tmp_path / "plain/a", "train", "")
    film(scene, replace(SMALL, frames=3, appearance="mucosa"), tmp_path / "mucosa/a", "train", "")
    film(other, replace(SMALL, frames=2), tmp_path / "plain/b", "test", "")
    frames = ColonFrames(tmp_path)
    assert len(frames) == 8
    assert len(ColonFrames(tmp_path, split="train")) == 6
    assert ColonFrames(tmp_path, split="test").datasets == [tmp_path / "plain/b"]
    assert {(frame["split"], frame["appearance"]) for frame in map(frames.__getitem__, range(8))} == {
        ("train", "plain"),
        ("train", "mucosa"),
        ("test", "plain"),
    }
    np.testing.assert_array_equal(frames[-1]["rgb"], frames[7]["rgb"])
    with pytest.raises(IndexError):
        frames[8]
    with pytest.raises(UserError, match="no colon of the split validation"):
        ColonFrames(tmp_path, split="validation")
    film(scene, replace(SMALL, frames=2), tmp_path / "leak", "test", "")
    with pytest.raises(UserError, match="show the same colon"):
        ColonFrames(tmp_path)


def test_frames_feed_a_torch_data_loader(made):
    data = pytest.importorskip("torch.utils.data")
    batch = next(iter(data.DataLoader(ColonFrames(made), batch_size=9)))
    assert tuple(batch["rgb"].shape) == (9, 48, 48, 3)
    assert tuple(batch["camera_to_world"].shape) == (9, 4, 4)
    assert batch["instances"].max() == 2


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (lambda out: (out / "cameras.json").unlink(), "cameras.json cannot be read"),
        (lambda out: (out / "cameras.json").write_text("{"), "damaged"),
        (lambda out: (out / "dataset.json").write_text("[]"), "damaged"),
        (lambda out: (out / "dataset.json").write_text('{"complete": true}'), "settings"),
        (lambda out: (out / "dataset.json").unlink(), "holds no dataset"),
        (lambda out: (out / "rgb/000001.png").write_bytes(b"no picture"), "000001.png is damaged"),
        (lambda out: (out / "mask/000001.png").write_bytes((out / "mask/000004.png").read_bytes()), "do not agree"),
    ],
)
def test_a_damaged_dataset_is_told_by_file(scene, tmp_path, damage, word):
    film(scene, replace(SMALL, frames=5), tmp_path / "out", "train", "")
    damage(tmp_path / "out")
    with pytest.raises(UserError, match=word):
        ColonFrames(tmp_path / "out").check()


def test_labels_that_contradict_each_other_are_refused():
    surface = labelled_tube()
    wrong = surface.point_arrays["fold_instance"].copy()
    wrong[np.flatnonzero(wrong)[:3]] = 0
    with pytest.raises(UserError, match="do not agree at 3 vertices"):
        consistent(Surface(surface.vertices, surface.faces, {**surface.point_arrays, "fold_instance": wrong}))


def test_a_surface_that_is_one_fold_has_one():
    one = replace(labelled_tube(), point_arrays={})
    everywhere = {"fold_score": np.ones(len(one.vertices)), "fold_instance": np.ones(len(one.vertices), int)}
    surface = consistent(replace(one, point_arrays=everywhere))
    assert Scene("", surface, find_centreline(surface), [], "").folds == 1


@pytest.mark.parametrize(("score", "number"), [(np.nan, 1), (10.0, 1), (0.7, 70_000), (0.7, -1)])
def test_labels_out_of_range_are_refused(score, number):
    tube = labelled_tube()
    count = len(tube.vertices)
    wrong = {"fold_score": np.full(count, score), "fold_instance": np.full(count, number)}
    with pytest.raises(UserError, match="0 to 1"):
        consistent(replace(tube, point_arrays=wrong))


def test_a_depth_of_8_bits_is_no_depth(scene, tmp_path):
    film(scene, replace(SMALL, frames=1), tmp_path / "out", "train", "")
    Image.fromarray(np.full((48, 48), 7, np.uint8)).save(tmp_path / "out/depth/000000.png")
    with pytest.raises(UserError, match="16 bits"):
        ColonFrames(tmp_path / "out").check()


def test_a_benchmark_leaves_a_folder_of_others_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match=r"thesis\.txt"):
        simulate_job.run({"output": str(tmp_path), "benchmark": True}, lambda *_, **__: None, lambda: False)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_surface_without_a_fold_is_filmed_with_a_warning(tmp_path):
    surface = labelled_tube()
    bare = {name: np.zeros_like(values) for name, values in surface.point_arrays.items()}
    write_surface(Surface(surface.vertices, surface.faces, bare), tmp_path / "bare.vtp")
    told = []
    job = {"input": str(tmp_path / "bare.vtp"), "output": str(tmp_path / "out"), "frames": 2, "size": 32}
    report = simulate_job.run(job, lambda kind, **fields: told.append((kind, fields)), lambda: False)
    assert any(kind == "warning" and "No fold" in fields["message"] for kind, fields in told)
    assert report["folds"] == 0
    assert not ColonFrames(tmp_path / "out")[0]["mask"].any()


def test_a_surface_without_labels_is_labelled(tmp_path):
    surface = labelled_tube()
    write_surface(Surface(surface.vertices, surface.faces), tmp_path / "tube.ply")
    stages = []
    job = {"input": str(tmp_path / "tube.ply"), "output": str(tmp_path / "out"), "frames": 6, "size": 32}
    report = simulate_job.run(job, lambda kind, **fields: stages.append(fields.get("stage")), lambda: False)
    assert report["labels"].startswith("computed")
    assert report["folds"] == 2
    assert {"read", "check", "centreline", "label", "render"} <= set(stages)


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"output": "o", "colour": 1},
        {"output": "o", "input": 3},
        {"output": "o", "frames": "9"},
        {"output": "o", "start": [1, 2, "3"]},
        {"output": "o", "benchmark": 1},
        {"output": "o", "frames": True},
    ],
)
def test_a_job_of_another_version_is_refused(message):
    with pytest.raises(UserError) as refused:
        simulate_job.run(message, lambda *_, **__: None, lambda: False)
    assert refused.value.code == "bad-job"


def test_the_benchmark_trains_on_three_colons_and_tests_on_another():
    assert sorted(benchmark.COLONS.values()) == ["test", "train", "train", "train", "validation"]


def test_a_benchmark_has_two_looks_with_one_truth_and_the_users_colon_for_a_test(tmp_path, monkeypatch):
    """With short tubes in place of the procedural colons, which take minutes."""
    monkeypatch.setattr(benchmark, "COLONS", {1: "train", 2: "validation"})
    monkeypatch.setattr(benchmark, "procedural_scene", lambda seed, stage: tube_scene(bend=90.0 + 5 * seed))
    write_surface(labelled_tube(), tmp_path / "mine.vtp")
    job = {"input": str(tmp_path / "mine.vtp"), "output": str(tmp_path / "out"), "frames": 3, "size": 32}
    quiet = partial(simulate_job.run, emit=lambda *_, **__: None, cancelled=lambda: False)
    quiet({**job, "benchmark": True, "attribution": "me"})
    index = json.loads((tmp_path / "out/benchmark.json").read_text())["datasets"]
    assert len(index) == 6
    splits = {entry["colon"]: entry["split"] for entry in index}
    assert splits == {"procedural-1": "train", "procedural-2": "validation", "given": "test"}
    for entry in index:
        plain = tmp_path / "out/plain" / entry["colon"]
        mucosa = tmp_path / "out/mucosa" / entry["colon"]
        for name in ("mask/000001.png", "depth/000002.png", "instances/000000.png", "cameras.json"):
            assert (plain / name).read_bytes() == (mucosa / name).read_bytes()
    assert json.loads((tmp_path / "out/plain/given/dataset.json").read_text())["attribution"] == "me"
    assert len(ColonFrames(tmp_path / "out", split="train")) == 6
    again = quiet({**job, "benchmark": True, "attribution": "me"})
    assert all(made["made"] == 0 for made in again["datasets"])
