"""Segmenters side by side: overlaps, instances, intervals, differences, files."""

import csv
import json
import math
import shutil
from dataclasses import replace

import numpy as np
import pytest
from made_frames import write_dataset
from made_labelled_frames import by_brightness, two_bars, write_manual
from PIL import Image

from inference_core.cli.evaluate_segmenter import named_folders
from inference_core.cli.evaluate_segmenter import segmenter as command
from inference_core.errors import UserError
from inference_core.evaluation.labelled_frames import open_frames
from inference_core.evaluation.segmenter import evaluate_segmenters
from inference_core.evaluation.segmenter_pictures import segments_picture, truth_picture
from inference_core.evaluation.segmenter_scores import FrameRow, difference, estimate, score_frame, spread, value
from inference_core.evaluation.segmenter_table import calibration_error, tables, write_results
from inference_core.segmenter.instances import Instances

WHERE = ("ours", "one", "set", "colon", "frame")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    for k in range(3):
        write_dataset(folder / "sim" / f"colon-{k}", split="test", seed=k, size=64, frames=3, border=4)
    write_dataset(folder / "sim" / "other", split="train", seed=9, size=64, frames=3)
    bars = {f"patient{k}_{n}": two_bars(200 - 20 * k) for k in range(2) for n in range(2)}
    write_manual(folder / "manual", bars)
    return folder


@pytest.fixture(scope="module")
def results(data):
    sets = [(name, open_frames(data / name)) for name in ("sim", "manual")]
    segmenters = [
        by_brightness("bright", "a", 120),
        by_brightness("bright", "b", 140),
        by_brightness("brighter", "c", 190),
        by_brightness("all", "d", -1),
    ]
    return evaluate_segmenters(segmenters, sets)


def made_rows(ious, method="ours", training="one", colons=None):
    colons = colons or [f"colon-{k}" for k in range(len(ious))]
    return [
        FrameRow(method, training, "set", colon, f"{k:03d}", iou, 2, 1, 2, 1, 0.6, (0.9, 0.6), (True, False), 0.01)
        for k, (iou, colon) in enumerate(zip(ious, colons, strict=True))
    ]


def test_every_training_is_scored_on_every_frame_of_the_split(results):
    assert results.methods == ["bright", "brighter", "all"]
    assert results.sets == ["sim", "manual"]
    for training in "abcd":
        rows = [row for row in results.rows if row.training == training]
        assert [(row.data, row.colon) for row in rows] == [
            *[("sim", f"colon-{c}") for c in range(3) for _ in range(3)],
            *[("manual", f"patient{p}") for p in range(2) for _ in range(2)],
        ]


def test_what_is_marked_rightly_is_scored_so(results):
    for row in results.of("bright", "manual"):
        assert row.iou > 0.8, "the outline is smoothed, no more"
        assert (row.segments, row.matched, row.truths, row.found) == (2, 2, 2, 2)
        assert row.right == (True, True)
    seen = [row for row in results.of("brighter", "manual") if row.colon == "patient0"]
    missed = [row for row in results.of("brighter", "manual") if row.colon == "patient1"]
    assert all(row.found == 2 for row in seen)
    assert all((row.segments, row.iou) == (0, 0) for row in missed)
    (first, *_) = results.of("all", "manual")
    assert (first.segments, first.matched) == (1, 0)
    assert first.iou == pytest.approx(np.mean(two_bars()[1] > 0), abs=0.02)


def test_nothing_behind_a_black_frame_is_scored(data, results):
    frame = open_frames(data / "sim")[4]
    assert not frame.visible.all()
    assert not (frame.instances[~frame.visible] > 0).any()
    (row,) = (row for row in results.of("all", "sim") if row.frame == frame.name)
    assert row.iou == pytest.approx(np.mean(frame.instances[frame.visible] > 0), abs=0.01)


def test_small_true_folds_are_not_missed_but_may_be_found():
    truth = np.zeros((100, 100), np.int32)
    truth[10:40, 10:40] = 7
    truth[90:92, 90:93] = 8  # below a thousandth of the frame
    labels = np.where(truth == 8, 1, 0).astype(np.int32)
    row = score_frame(WHERE, Instances(labels, np.float32([0.7])), truth, 0.1)
    assert (row.truths, row.found, row.segments, row.matched) == (1, 0, 1, 1)
    whole = score_frame(WHERE, Instances(truth, np.float32([0, 0, 0, 0, 0, 0, 0.9, 0.7])), truth, 0.1)
    assert (whole.iou, whole.truths, whole.found, whole.matched) == (1, 1, 1, 2)
    assert whole.confidence == pytest.approx((0.9, 0.7))


def test_frames_in_which_neither_has_a_pixel_are_left_out():
    empty = np.zeros((9, 9), np.int32)
    row = score_frame(WHERE, Instances(empty, np.zeros(0, np.float32)), empty, 0)
    assert math.isnan(row.iou)
    rows = [*made_rows([0.4, 0.8]), replace(row, training="one", frame="9")]
    assert value(rows, "iou") == pytest.approx(0.6)


def test_scores_are_means_over_frames_and_trainings():
    rows = made_rows([0.2, 0.4, math.nan]) + made_rows([0.6, 0.8, 0.1], training="two")
    assert estimate(rows, "iou").value == value(rows, "iou") == pytest.approx((0.3 + 0.5) / 2)
    assert value(rows, "precision") == value(rows, "recall") == 0.5
    assert value(rows, "matched_iou") == pytest.approx(0.6)
    assert spread(rows) == pytest.approx((np.std([0.2, 0.4], ddof=1) + np.std([0.6, 0.8, 0.1], ddof=1)) / 2)


def test_an_interval_has_the_colons_in_it_and_the_trainings():
    rng = np.random.default_rng(0)
    frames = rng.normal(0.5, 0.1, 400)
    colons = [f"colon-{k // 10}" for k in range(400)]

    def width(shift_of_training, shift_of_colon):
        moved = frames + np.repeat(rng.normal(0, shift_of_colon, 40), 10)
        rows = [r for s, by in enumerate(shift_of_training) for r in made_rows(moved + by, "m", str(s), colons)]
        found = estimate(rows, "iou")
        assert found.low <= found.value <= found.high
        return found.high - found.low

    frames_alone = 2 * 1.96 * 0.1 / np.sqrt(400)
    assert width([0], 0) == pytest.approx(frames_alone, rel=0.35)
    assert width([0, 0, 0], 0) == pytest.approx(width([0], 0), rel=0.3)
    assert width([0], 0.1) == pytest.approx(2 * 1.96 * 0.1 / np.sqrt(40), rel=0.35)
    shifts = np.array([-0.1, 0.0, 0.1])
    drawn = estimate([r for s, by in enumerate(shifts) for r in made_rows(frames + by, "m", str(s), colons)], "iou")
    # 27 draws of three: the outermost, all of the best training, is one in 27 and so within the interval.
    assert drawn.high - drawn.low == pytest.approx(2 * 0.1 * np.sqrt(3 / 2), rel=0.15)


def test_a_difference_is_that_of_the_scores_and_narrower_for_the_same_frames():
    rng = np.random.default_rng(1)
    frames = rng.uniform(0.1, 0.9, 60)
    better = made_rows(frames + 0.05 + rng.normal(0, 0.01, 60))
    worse = made_rows(frames, "other")
    found = difference(better, worse, "iou")
    assert found.value == pytest.approx(value(better, "iou") - value(worse, "iou"))
    assert 0.04 < found.low < found.value < found.high < 0.06
    alone = estimate(better, "iou")
    assert alone.high - alone.low > 5 * (found.high - found.low)
    same = difference(worse, worse, "iou")
    assert same.value == 0
    assert math.isnan(same.low), "nothing varies"
    back = difference(worse, better, "iou")
    assert back.value == pytest.approx(-found.value)
    with pytest.raises(ValueError, match="same frames"):
        difference(better, worse[1:], "iou")


def test_seeds_of_different_methods_are_drawn_apart():
    """Three seeds that scatter alike in both rows: their scatter is in the difference."""
    rows = [[r for s, by in enumerate((-0.1, 0, 0.1)) for r in made_rows([0.5 + by] * 9, m, str(s))] for m in "ab"]
    found = difference(*rows, "iou")
    assert found.value == pytest.approx(0)
    assert found.low < -0.1
    assert found.high > 0.1


def test_one_frame_of_one_training_has_no_interval():
    found = estimate(made_rows([0.5]), "iou")
    assert found.value == 0.5
    assert math.isnan(found.low)
    assert math.isnan(estimate(made_rows([math.nan, math.nan]), "iou").value)


def test_confidences_that_are_right_as_often_as_they_say_have_no_error():
    row = made_rows([0.5])[0]
    sure = replace(row, confidence=(1.0, 1.0), right=(True, True))
    wrong = replace(row, confidence=(0.9, 0.9), right=(False, False))
    assert calibration_error([sure]) == 0
    assert calibration_error([wrong]) == pytest.approx(0.9)
    assert calibration_error([sure, replace(wrong, training="two")]) == pytest.approx(0.45)
    assert math.isnan(calibration_error([replace(row, confidence=(), right=())]))


def test_segments_have_the_colour_of_the_fold_they_match_and_others_are_white():
    truth = np.zeros((40, 40), np.int32)
    truth[5:15], truth[25:35] = 31, 17
    labels = np.zeros_like(truth)
    labels[6:15], labels[25:29], labels[38:] = 1, 2, 3  # matches 31; too small for 17; nothing there
    true, found = truth_picture(truth), segments_picture(labels, truth)
    assert (found[10, 0] == true[10, 0]).all()
    assert not (true[10, 0] == true[30, 0]).all()
    assert (found[26, 0] == 255).all()
    assert (found[39, 0] == 255).all()
    assert (found[0, 0] == 0).all()
    assert (segments_picture(np.zeros_like(truth), truth) == 0).all()
    assert (segments_picture(labels, np.zeros_like(truth))[labels > 0] == 255).all()


def test_all_files_are_written_and_say_the_same(results, tmp_path):
    text = tables(results)
    files = write_results(tmp_path / "out", results, text, {"split": "test"})
    assert [file.name for file in files] == ["out.md", "out.csv", "out.json", "out.png"]
    assert "sim (9 frames, 3 colons; over colons)" in text
    assert "manual (4 frames, 2 colons; over frames)" in text
    with (tmp_path / "out.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 4 * 13
    record = json.loads((tmp_path / "out.json").read_text())
    for method, trainings in (("bright", 2), ("brighter", 1)):
        ious = [float(row["iou"]) for row in rows if (row["method"], row["data"]) == (method, "manual")]
        assert record["methods"][method]["manual"]["iou"]["value"] == pytest.approx(np.mean(ious))
        assert f"| {method} | {trainings} |" in text
        assert f"| {100 * np.mean(ious):.1f} ± " in text
    less = record["first_less_others"]["brighter"]["manual"]["iou"]
    scores = [record["methods"][m]["manual"]["iou"]["value"] for m in ("bright", "brighter")]
    assert less["value"] == pytest.approx(scores[0] - scores[1])
    assert less["low_95"] <= less["value"] <= less["high_95"]
    found = record["first_less_others"]["brighter"]["sim"]["iou"]["value"]
    assert f"| bright - brighter | {100 * found:+.1f} [" in text
    with Image.open(tmp_path / "out.png") as picture:
        assert picture.height > 5 * 160  # frame, truth, three methods


def test_models_are_opened_and_scored_by_the_command(data, tmp_path, capsys):
    """Two untrained networks as two trainings of one row, a copy alone."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    from inference_core.cli import main
    from inference_core.models.frame_card import frame_card_text
    from inference_core.models.networks import build_network
    from inference_core.training.frame_publish import publish_frames

    architecture = {"name": "fold_unet", "arguments": {"widths": [4, 8]}}
    for name in ("run1", "run2"):
        (tmp_path / name).mkdir()
        text = frame_card_text(name, name, "segment-folds", architecture, (-1, 1), 64, {"output": "fold-and-touch"})
        torch.manual_seed(int(name[-1]))
        publish_frames(tmp_path / name, build_network("fold_unet", architecture["arguments"]).eval(), text)
    shutil.copytree(tmp_path / "run2", tmp_path / "run3")
    card = tmp_path / "run3" / "model.json"
    card.write_text(card.read_text().replace('"run2"', '"run3"'))
    runs = [str(tmp_path / name) for name in ("run1", "run2", "run3")]
    words = ["evaluate", "segmenter", "--model", f"ours={runs[0]},{runs[1]}", f"{runs[2]}/model.json",
             "--data", f"sim={data / 'sim'}", str(data / "manual"), "--out", str(tmp_path / "out")]  # fmt: skip
    main(words)
    printed = capsys.readouterr().out
    assert "| ours | 2 |" in printed
    assert "| run3 | 1 |" in printed
    record = json.loads((tmp_path / "out.json").read_text())
    assert list(record["sets"]) == ["sim", "manual"]
    assert [one["row"] for one in record["settings"]["models"]] == ["ours", "ours", "run3"]
    with pytest.raises(SystemExit):
        main(words)
    assert "Already there" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*words[:-1], str(tmp_path / "more"), "--model", f"ours={runs[2]}"])
    assert "given twice" in capsys.readouterr().err


def test_bad_requests_are_told_plainly(data, tmp_path):
    def code(**given):
        with pytest.raises(UserError) as error:
            command(**{"model": ["nothing"], "data": [str(data / "sim")], **given})
        return error.value.code

    assert code(model=None) == "what-to-score"
    assert code(data=[]) == "what-to-score"
    assert code() == "no-such-model"
    assert code(model=["ours="]) == "what-to-score"
    assert code(data=["a=x", "a=y"]) == "same-set"
    assert code(out=data / "sim" / "here") == "inside-input"
    assert named_folders(["a=b", str(tmp_path)]) == {"a": tmp_path.__class__("b"), tmp_path.name: tmp_path}
