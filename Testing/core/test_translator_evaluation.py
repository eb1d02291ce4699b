"""Translators side by side: what each does to depth, edges, folds and looks."""

import csv
import json
import math

import numpy as np
import pytest
from made_frames import write_dataset, write_real
from PIL import Image

torch = pytest.importorskip("torch")

from inference_core.cli import main  # noqa: E402
from inference_core.cli.evaluate_translator import translator as command  # noqa: E402
from inference_core.errors import UserError  # noqa: E402
from inference_core.evaluation.translator import INPUT, evaluate_translators  # noqa: E402
from inference_core.evaluation.translator_scores import Judges, depth_errors  # noqa: E402
from inference_core.evaluation.translator_table import as_record, mean_of, tables, write_results  # noqa: E402
from inference_core.models.frame_card import frame_card_text  # noqa: E402
from inference_core.models.networks import build_network  # noqa: E402
from inference_core.simulation.colon.dataset.frames import ColonFrames  # noqa: E402
from inference_core.training.frame_publish import publish_frames  # noqa: E402

SIZE = 96


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    for k in range(3):
        write_dataset(folder / "sim" / f"colon-{k}", split="test", seed=k, size=SIZE, frames=4)
    write_dataset(folder / "sim" / "other", split="train", seed=9, size=SIZE, frames=4)
    write_real(folder / "real", frames=8, size=SIZE)
    return folder


def depth_by_light(rgb):
    """A depth network of a line: the made scenes get darker with depth."""
    light = np.clip(rgb[..., 0] / (255 * 1.2 * 0.85), 0.02, 1)
    return (20 / light ** (1 / 0.7)).astype(np.float32)


def folds_by_light(rgb):
    return rgb[..., 0] > 120


def to_look(rgb):
    """The colours of the made real frames."""
    return np.clip(rgb[..., [0, 2, 1]] * np.array([1.0, 0.7, 0.6]) + 40, 30, 255).astype(np.uint8)


def swapped(rgb):
    return np.ascontiguousarray(rgb[:, ::-1])


@pytest.fixture(scope="module")
def results(data):
    translators = {"same": np.copy, "look": to_look, "mirrored": swapped}
    judges = Judges(depth_by_light, True, folds_by_light)
    return evaluate_translators(data / "sim", data / "real", translators, judges)


def rows_of(results, method):
    return [row for row in results.rows if row.method == method]


def test_every_method_is_scored_on_every_frame_of_the_split(results):
    assert results.methods == [INPUT, "same", "look", "mirrored"]
    for method in results.methods:
        assert [(row.colon, row.frame) for row in rows_of(results, method)] == [
            (f"colon-{c}", k) for c in range(3) for k in range(4)
        ]


def test_frames_that_are_left_as_they_are_lose_nothing(results):
    for method in (INPUT, "same"):
        for row in rows_of(results, method):
            assert row.abs_rel_input == row.silog_input == 0
            assert row.displacement_px == 0
            assert row.fold_iou_input == 1
    assert mean_of(rows_of(results, INPUT), "abs_rel") == mean_of(rows_of(results, "same"), "abs_rel")


def test_folds_are_compared_with_the_true_ones(data, results):
    frame = ColonFrames(data / "sim", split="test")[5]
    (row,) = (row for row in rows_of(results, "look") if (row.colon, row.frame) == ("colon-1", 1))
    found = folds_by_light(to_look(frame["rgb"]))
    assert row.fold_iou == np.sum(found & frame["mask"]) / np.sum(found | frame["mask"])
    before = folds_by_light(frame["rgb"])
    assert row.fold_iou_input == np.sum(found & before) / np.sum(found | before)


def test_frames_in_which_everything_moved_are_worse_in_all_scores(results):
    for name in ("abs_rel_input", "silog_input", "abs_rel", "silog"):
        assert mean_of(rows_of(results, "mirrored"), name)[0] > mean_of(rows_of(results, INPUT), name)[0], name
    assert mean_of(rows_of(results, "mirrored"), "fold_iou_input")[0] < 0.95
    assert mean_of(rows_of(results, "mirrored"), "edges_found")[0] < 0.7


def test_the_right_look_is_nearer_to_the_real_frames(results):
    record = as_record(results, {})
    looks = {method: of["distance_to_real"] for method, of in record["methods"].items()}
    for name in ("colour", "saturation"):
        assert looks["look"][name]["mean"] < looks[INPUT][name]["mean"], name
        assert looks["look"][name]["low_95"] <= looks["look"][name]["high_95"]
    assert looks["same"] == looks[INPUT]
    assert record["bootstrap"]["over"] == "colons"


def test_all_files_are_written_and_say_the_same(results, tmp_path):
    text = tables(results)
    files = write_results(tmp_path / "out", results, text, {"simulated": "sim"})
    assert [file.name for file in files] == ["out.md", "out.csv", "out.json", "out.png"]
    assert (tmp_path / "out.md").read_text() == text
    assert "12 frames of 3 colons (95 % intervals over colons)" in text
    with (tmp_path / "out.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 48
    record = json.loads((tmp_path / "out.json").read_text())
    for method in results.methods:
        values = [float(row["abs_rel"]) for row in rows if row["method"] == method]
        assert record["methods"][method]["scores"]["abs_rel"]["mean"] == pytest.approx(np.mean(values))
        assert f"| {np.mean(values):.3f} [" in text
    with Image.open(tmp_path / "out.png") as picture:
        assert picture.height > 5 * 192  # four methods and the nearest real frames


def test_scores_that_were_not_measured_have_no_column(data):
    results = evaluate_translators(data / "sim", data / "real", {}, Judges(depth_by_light), frames=1)
    assert len(results.rows) == 3
    assert "fold IoU" not in tables(results)
    assert as_record(results, {})["methods"][INPUT]["scores"]["fold_iou"]["mean"] is None


@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0])
def test_a_wrong_scale_is_no_error_of_shape(scale):
    rng = np.random.default_rng(0)
    truth = rng.uniform(5, 80, (9, 9))
    known = truth > 10
    abs_rel, silog = depth_errors(scale * truth, truth, known)
    assert abs_rel == pytest.approx(abs(scale - 1))
    assert silog == pytest.approx(0, abs=1e-9)
    assert depth_errors(scale * truth, truth, known, in_mm=False)[0] == pytest.approx(0, abs=1e-9)
    assert math.isnan(depth_errors(truth, truth, known & False)[0])
    bent = truth * np.exp(rng.normal(0, 0.2, truth.shape))
    assert depth_errors(bent, truth, known)[1] == pytest.approx(0.2, rel=0.3)


def test_models_are_opened_and_judged_by_the_command(data, tmp_path, capsys):
    """An untrained translator and an untrained depth network, from their cards."""
    pytest.importorskip("onnxscript")
    sizes = {"width": 4, "blocks": 1, "channels": 3, "tanh": True, "enlarge": "resize"}
    for name, task, arguments, values in (
        ("resnet_generator", "translate-frames", sizes, (-1, 1)),
        ("depth_net", "depth", {"width": 4, "widest": 8}, (0, 1)),
    ):
        architecture = {"name": name, "arguments": arguments}
        (tmp_path / name).mkdir()
        text = frame_card_text(name, name, task, architecture, values, 48, {})
        publish_frames(tmp_path / name, build_network(name, arguments).eval(), text)
    model, depth = (str(tmp_path / name / "model.json") for name in ("resnet_generator", "depth_net"))
    main(["evaluate", "translator", "--simulated", str(data / "sim"), "--real", str(data / "real"),
          "--model", model, "--depth", depth, "--frames", "1", "--out", str(tmp_path / "out")])  # fmt: skip
    printed = capsys.readouterr().out
    assert "3 frames of 3 colons" in printed
    assert "| resnet_generator |" in printed
    record = json.loads((tmp_path / "out.json").read_text())
    grey = record["methods"]["resnet_generator"]["scores"]
    assert grey["abs_rel_input"]["mean"] == pytest.approx(0, abs=1e-3), "an untrained depth network says 30 mm anywhere"
    assert grey["edges_found"]["mean"] < 0.9
    assert grey["cpu_seconds"]["mean"] > 0
    with pytest.raises(SystemExit):
        main(["evaluate", "translator", "--simulated", str(data / "sim"), "--real", str(data / "real"),
              "--model", depth, "--depth", depth])  # fmt: skip
    assert "is for depth, not for translate-frames" in capsys.readouterr().err


def test_bad_requests_are_told_plainly(data, tmp_path):
    def code(**given):
        with pytest.raises(UserError) as error:
            command(**{"simulated": data / "sim", "real": data / "real", **given})
        return error.value.code

    (tmp_path / "few").mkdir()
    Image.new("RGB", (64, 64), (150, 90, 70)).save(tmp_path / "few" / "one.png")
    (tmp_path / "there.md").write_text("mine")
    assert code(real=None) == "what-to-score"
    assert code(frames=0) == "frames"
    assert code(out=tmp_path / "there") == "exists"
    assert code(out=data / "sim" / "here") == "inside-input"
    assert code(depth="nothing") == "no-such-model"
    with pytest.raises(UserError) as error:
        evaluate_translators(data / "sim", tmp_path / "few", {}, Judges(depth_by_light))
    assert error.value.code == "few-frames"
