"""``inference-core reproduce endoscopy``: its parts, and a translator's training on tiny data."""

import json
import math
import threading
from dataclasses import replace

import numpy as np
import pytest
from made_colon_scene import tube_scene
from made_frames import write_dataset

pytest.importorskip("torch")
pytest.importorskip("onnxscript")
pytest.importorskip("lightning_fabric")
pytest.importorskip("vtk")

from inference_core.cli.reproduce import endoscopy
from inference_core.errors import Cancelled, UserError
from inference_core.evaluation.reproduction import budget, endoscopy_data, endoscopy_methods, endoscopy_table_b
from inference_core.evaluation.reproduction import endoscopy_table_a as table_a
from inference_core.evaluation.reproduction.budget import Job, Trained, settings_shown
from inference_core.evaluation.reproduction.endoscopy_data import Films, data_is_made, make_data
from inference_core.evaluation.reproduction.endoscopy_methods import METHODS, SETS, chosen_methods, sets_of
from inference_core.evaluation.reproduction.endoscopy_request import requested
from inference_core.evaluation.reproduction.endoscopy_trainings import (
    depth_trainings,
    judge_trainings,
    segmenter_trainings,
    translator_trainings,
)
from inference_core.evaluation.reproduction.endoscopy_translations import translations
from inference_core.evaluation.reproduction.together import together
from inference_core.evaluation.reproduction.trainings import trainings_table
from inference_core.evaluation.segmenter import SegmenterResults
from inference_core.evaluation.segmenter_scores import FrameRow
from inference_core.evaluation.translator import INPUT, evaluate_translators
from inference_core.evaluation.translator_scores import Judges
from inference_core.simulation.colon.dataset.benchmark import COLONS
from inference_core.simulation.colon.dataset.frames import ColonFrames

SIZE = 64
OPTIONS = {
    "minutes": 1.0, "segmenter_minutes": 1.0, "seeds": 2, "bench": None, "style": None, "depth_model": None,
    "methods": None, "processes": 2, "only": None,
}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    """A benchmark of three colons, frames of another in its style, and the test colons, as if they had been filmed."""
    for look in ("plain", "mucosa"):
        for seed, split in ((11, "train"), (14, "validation"), (15, "test")):
            write_dataset(tmp_path / "bench" / look / f"procedural-{seed}", split, 4, SIZE, seed)
        for seed in endoscopy_data.MORE_TEST_COLONS:
            write_dataset(tmp_path / "out" / "test" / look / f"procedural-{seed}", "test", 4, SIZE, seed)
    write_dataset(tmp_path / "style" / "procedural-31", "train", 6, SIZE, 31)
    return tmp_path


def request_in(folder, **options):
    given = {"bench": folder / "bench", "style": folder / "style", **options}
    return requested(folder / "out", **{**OPTIONS, **given})


def test_no_colon_serves_two_purposes():
    purposes = [COLONS, endoscopy_data.STYLE_COLONS, endoscopy_data.DEPTH_COLONS, endoscopy_data.MORE_TEST_COLONS]
    seeds = [seed for purpose in purposes for seed in purpose]
    assert len(set(seeds)) == len(seeds)
    assert "mucosa" not in endoscopy_data.DEPTH_LOOKS, "the depth network of the loss never sees the look to be given"


def test_tested_colons_are_those_of_the_bench_and_two_more_and_are_made_once(folder):
    request = request_in(folder, methods=["cyclegan"])
    assert not data_is_made(request)
    make_data(request)
    for look in ("plain", "mucosa"):
        tested = ColonFrames(request.test / look, "test")
        assert [path.name for path in tested.datasets] == ["procedural-15", "procedural-51", "procedural-52"]
        tested.check()
    assert data_is_made(request)
    card = request.test / "plain" / "procedural-15" / "dataset.json"
    stamp = card.stat().st_mtime_ns
    make_data(request)
    assert card.stat().st_mtime_ns == stamp


def test_a_style_that_shows_a_simulated_colon_is_refused(folder):
    write_dataset(folder / "style" / "again", "train", 4, SIZE, 11)
    with pytest.raises(UserError, match="style shows a colon") as caught:
        make_data(request_in(folder, methods=["cyclegan"]))
    assert caught.value.code == "same-colon"


def test_a_colon_is_filmed_in_both_looks_from_the_same_poses(tmp_path, monkeypatch):
    monkeypatch.setattr(endoscopy_data, "FILMING", replace(endoscopy_data.FILMING, frames=2, size=32))
    monkeypatch.setattr(endoscopy_data, "procedural_scene", lambda seed, stage: tube_scene())
    places = {look: tmp_path / look / "procedural-51" for look in ("plain", "mucosa")}
    endoscopy_data._film(Films(51, places, "test"))
    plain, mucosa = (ColonFrames(place, "test") for place in places.values())
    for one, other in zip(plain, mucosa, strict=True):
        assert np.array_equal(one["instances"], other["instances"])
        assert np.array_equal(one["camera_to_world"], other["camera_to_world"])
        assert not np.array_equal(one["rgb"], other["rgb"])


def test_methods_are_trained_alike_but_for_the_depth(folder):
    request = request_in(folder)
    trainings = {one.run.name: one for one in translator_trainings(request)}
    assert set(trainings) == {f"{name}-seed{seed}" for name in ("cyclegan", "i2i", "ours") for seed in (0, 1)}
    plain, ours = trainings["cyclegan-seed1"].job, trainings["ours-seed1"].job
    assert plain.minutes == ours.minutes == 1
    assert set(ours.settings) - set(plain.settings) == {f"depth_model={request.depth}"}
    assert trainings["ours-seed0"].probe == trainings["ours-seed1"].probe, "one number of steps for all seeds"
    assert settings_shown(trainings["ours-seed0"].job) == settings_shown(ours)
    (depth,) = depth_trainings(replace(request, depth_model=None))
    assert depth.job.settings[0] == f"simulated={(folder / 'out' / 'depth_data').resolve()}"
    assert not depth_trainings(request_in(folder, methods=["cyclegan"])), "not needed"


def test_segmenters_take_the_same_steps_and_never_a_label_of_mucosa(folder):
    request = request_in(folder)
    trainings = {one.run.name: one for one in segmenter_trainings(request)}
    assert len(trainings) == 2 * len(SETS)
    assert len({one.probe for name, one in trainings.items() if "foldit" not in name}) == 1
    bench, made = ((folder / name).resolve() for name in ("bench/plain", "out/translated/ours-seed1"))
    assert trainings["simulation-seed1"].job.settings == (f"data=[{bench}]", "seed=1")
    assert trainings["ours-seed1"].job.settings == (f"data=[{made}]", "seed=1")
    assert trainings["ours-pairs-seed1"].job.settings == (f"data=[{bench},{made}]", "seed=1")
    assert not any("mucosa" in word for one in trainings.values() for word in one.job.settings)
    alone = trainings["foldit-seed1"].job
    assert alone.settings == (f"simulated={bench}", f"real={(folder / 'style').resolve()}", "seed=1")
    assert alone.minutes == request.minutes + request.segmenter_minutes, "it needs no translator"
    (_, folds) = judge_trainings(request)
    assert folds.job.settings[0] == f"data=[{(folder / 'bench').resolve()}]"
    assert not any("seed=1000" in one.job.settings for one in (*trainings.values(), *translator_trainings(request)))


def test_what_is_translated(folder):
    request = request_in(folder)
    make_data(request_in(folder, methods=["cyclegan"]))  # all but what the depth network learns from
    every = [*translations(request)]
    learned = {one.place.parent.name: one.source.name for one in every if one.place.parent.parent.name == "translated"}
    assert set(learned) == {f"{name}-seed{seed}" for name in ("cyclegan", "i2i", "ours") for seed in (0, 1)}
    tested = [one for one in every if one.place.parent.parent.name == "translated_test"]
    assert {one.place.parent.name for one in tested} == {"ours-seed0", "ours-seed1"}
    assert {one.source.name for one in tested} == {"procedural-15", "procedural-51", "procedural-52"}
    assert not {"procedural-15"} & {one.source.name for one in every if one not in tested}


def test_rows_are_chosen_by_method():
    assert [one.name for one in chosen_methods(["ours"])] == ["ours"]
    assert [one.name for one in sets_of(chosen_methods(["cyclegan"]))] == ["simulation", "cyclegan"]
    assert sets_of(METHODS) == SETS


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"minutes": 0.0}, "minutes"),
        ({"segmenter_minutes": math.inf}, "minutes"),
        ({"seeds": 0}, "out-of-range"),
        ({"processes": 0}, "out-of-range"),
        ({"methods": ["nothing"]}, "no-such-method"),
        ({"depth_model": "nothing"}, "no-such-model"),
        ({"bench": "style"}, "no-benchmark"),
        ({"style": "nowhere"}, "no-such-folder"),
        ({"style": "bench/plain/procedural-11/depth", "bench": None}, "out-folder"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_done(options, code, folder):
    given = {name: folder / value if name in ("bench", "style") and value else value for name, value in options.items()}
    out = folder / ("bench" if code == "out-folder" else "new")
    with pytest.raises(UserError) as caught:
        endoscopy(**given, out=out)
    assert caught.value.code == code
    assert not (folder / "new").exists()


def test_works_are_done_at_once_and_come_back_in_order():
    both = threading.Barrier(2, timeout=20)

    def work(stop, name):
        both.wait()
        return name

    assert together([lambda stop: work(stop, "a"), lambda stop: work(stop, "b")], 2) == ["a", "b"]


def test_a_failure_stops_the_others():
    seen = []

    def fails(stop):
        raise UserError("training-failed", "It failed.", "Look.")

    def waits(stop):
        if stop.wait(20):
            seen.append("stopped")
            raise Cancelled

    with pytest.raises(UserError, match="It failed"):
        together([waits, fails, waits, waits], 2)
    assert seen[:1] == ["stopped"]


def test_a_training_table_names_no_machine(tmp_path):
    job = Job("depth_cyclegan", (f"depth_model={tmp_path / 'depth' / 'model.json'}", "simulated=x", "width=8"), 1.0)
    text = trainings_table({"one": (job, Trained(tmp_path, 10, 0.5, 5.0))})
    assert "depth_model=depth/model.json width=8" in text
    assert str(tmp_path) not in text


@pytest.fixture
def judged(folder, monkeypatch):
    """Table A of a method that changes nothing, and of one that moves every frame by 3 pixels."""
    monkeypatch.setattr(table_a, "LOOK_DRAWS", 40)
    make_data(request_in(folder, methods=["cyclegan"]))
    judges = Judges(lambda rgb: 4000 / (20 + rgb.mean(axis=2)), folds=lambda rgb: rgb[..., 0] > 120)
    translators = {
        "same-0": lambda rgb: rgb, "same-1": lambda rgb: rgb,
        "moved-0": lambda rgb: np.roll(rgb, 3, 1), "moved-1": lambda rgb: np.roll(rgb, 3, 0),
    }  # fmt: skip
    simulated, styled = folder / "out" / "test" / "plain", folder / "out" / "test" / "mucosa"
    results = evaluate_translators(simulated, folder / "style", translators, judges, "test", 2)
    floor = table_a.add_floor(results, simulated, styled, judges)
    runs = {"same": ["same-0", "same-1"], "moved": ["moved-0", "moved-1"]}
    return results, table_a.scores_of(results, floor, runs)


def test_table_a_tells_moved_frames_from_unmoved_ones(judged):
    results, scores = judged
    text = table_a.tables(results, scores, [("same", "moved")])
    lines = {row["method"]: row for row in table_a.records(scores, [("same", "moved")])}
    assert list(lines) == [INPUT, "same", "moved", table_a.FLOOR, "same - moved"]
    for still in ("same", table_a.FLOOR):  # the stand-in of mucosa shows the same pixels
        assert lines[still]["depth abs rel to input"] == pytest.approx(0, abs=1e-6)
        assert lines[still]["fold IoU to input"] == 1
    assert lines["moved"]["depth abs rel to input"] > 0.02
    less = lines["same - moved"]
    assert less["depth abs rel to input"] == pytest.approx(-lines["moved"]["depth abs rel to input"])
    assert less["depth abs rel to input high 95"] < 0 < less["fold IoU to input low 95"]
    assert "6 frames of 3 colons" in text
    assert "new colons" in text


def fold_rows(method, training, ious):
    return [
        FrameRow(method, training, "mucosa", f"colon-{k % 3}", f"{k}", iou, 1, 1, 1, 1, iou, (0.9,), (True,), 0.01)
        for k, iou in enumerate(ious)
    ]


def test_table_b_has_means_and_paired_differences():
    ious = np.linspace(0.2, 0.6, 9)
    parts = []
    for seed in range(3):
        rows = fold_rows("simulation only", f"s{seed}", ious)
        rows += fold_rows("ours + simulation in pairs", f"p{seed}", ious + 0.1)
        parts.append(SegmenterResults(rows))
    results = endoscopy_table_b.joined(parts)
    pairs = [("ours + simulation in pairs", "simulation only")]
    text = endoscopy_table_b.table(results, pairs, sets_of(METHODS))
    cells = {line.split("|")[1].strip(): line.split("|")[2:-1] for line in text.splitlines() if line.startswith("| ")}
    assert cells["simulation only"][0].strip() == "38.1 ± 8.56", "the paper's comes last"
    assert " 40.0 ± 13.7 [" in text
    assert "| +10.0 [+10.0, +10.0] |" in text, "the same frames: they go up together"
    lines = endoscopy_table_b.records(results, pairs)
    assert [line["mucosa"] for line in lines] == pytest.approx([0.4, 0.5, 0.1])


def test_a_translator_is_trained_once_and_taken_again(folder, monkeypatch, capsys):
    monkeypatch.setattr(budget, "PROBE_SECONDS", 0.1)
    small = ("crops.size=32", "width=4", "blocks=1", "discriminator_width=4")
    monkeypatch.setattr(endoscopy_methods, "METHODS", tuple(replace(one, settings=small) for one in METHODS))
    options = {
        "minutes": 0.005, "seeds": 1, "bench": folder / "bench", "style": folder / "style", "methods": ["cyclegan"],
        "only": "translators", "out": folder / "out",
    }  # fmt: skip
    endoscopy(**options)
    said = capsys.readouterr()
    assert "translator cyclegan-seed0: 0.005 CPU minutes" in said.err
    assert "| translator cyclegan-seed0 | cyclegan_endoscopy |" in said.out
    assert (folder / "out" / "translators" / "cyclegan-seed0" / "model.onnx").is_file()
    record = json.loads((folder / "out.json").read_text())
    assert record["settings"]["runs"]["translator cyclegan-seed0"]["steps"] >= 1

    def no_process(*_):
        raise AssertionError("a training was started again")

    monkeypatch.setattr(budget, "_start", no_process)
    endoscopy(**options)
    assert "translator cyclegan-seed0: done" in capsys.readouterr().err
    with pytest.raises(UserError, match="trained otherwise: minutes"):
        endoscopy(**{**options, "minutes": 0.01})
