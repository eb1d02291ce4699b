"""A folder of pictures or a dataset in; masks, lasting folds and tables out: right in any size, whole, and going on."""

import csv
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_frames import write_dataset
from made_segmenter import disc, frame_with, moving, write_segmenter
from PIL import Image

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")

from inference_core.cli import main  # noqa: E402
from inference_core.errors import Cancelled, UserError  # noqa: E402
from inference_core.models.card import FrameCard  # noqa: E402
from inference_core.models.engines import Engine, open_engine  # noqa: E402
from inference_core.models.registry import find_model  # noqa: E402
from inference_core.segmenter import job  # noqa: E402
from inference_core.segmenter.frame_sources import natural  # noqa: E402
from inference_core.segmenter.segment import segment_frame, working_size  # noqa: E402


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_segmenter(tmp_path_factory.mktemp("models") / "green")


@pytest.fixture(scope="module")
def green(model):
    card = find_model(str(model), "segment-folds")
    return card, open_engine(card)


@pytest.fixture
def pictures(tmp_path):
    """Seven frames whose names sort otherwise as text."""
    folder = tmp_path / "frames"
    folder.mkdir()
    for k, (rgb, _, _) in enumerate(moving(7)):
        Image.fromarray(rgb).save(folder / f"frame{k + 6}.png")
    return folder


def run(source, out, model, emit=lambda *a, **k: None, cancelled=lambda: False, **more):
    message = {"job": "segment-folds", "input": str(source), "output": str(out), "model": str(model), **more}
    return job.run(message, emit, cancelled)


def pixels(path):
    with Image.open(path) as image:
        return np.array(image)


def table(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def files_of(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def marks_all(multiple=16, size=64):
    card = FrameCard("all", "segment-folds", "", "", {}, multiple, False, {}, None, {"input": {}}, (-1.0, 1.0), size)
    return card, Engine("none", "cpu", lambda x: np.full((1, 2, *x.shape[2:]), [[[[9.0]], [[-9.0]]]], np.float32))


@settings(max_examples=25, deadline=None)
@given(st.integers(40, 300), st.integers(40, 300))
def test_a_fold_is_marked_where_it_is_in_the_frames_own_size(green, height, width):
    truth = disc((height, width), (0.5, 0.5), 0.25)
    found = segment_frame(frame_with([truth], (height, width)), *green)
    mask = found.instances.labels > 0
    assert mask.shape == (height, width) == found.fold.shape
    assert np.count_nonzero(mask & truth) > 0.85 * np.count_nonzero(mask | truth)
    assert found.instances.confidence.shape == (1,)
    assert found.fold[truth].mean() > 0.9 > 0.1 > found.fold[~truth].mean()


@settings(max_examples=25, deadline=None)
@given(st.integers(30, 700), st.integers(30, 700), st.floats(0.05, 0.3), st.integers(0, 20), st.integers(0, 99))
def test_the_black_border_is_never_marked_even_if_the_network_marks_everything(height, width, part, level, seed):
    rng = np.random.default_rng(seed)
    rows, columns = np.abs(np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j])
    border = (rows > 1 - part) | (columns > 1 - part) | (rows + columns > 1.7 - part)
    rgb = rng.integers(40, 256, (height, width, 3)).astype(np.uint8)
    rgb[border] = rng.integers(0, level + 1, (np.count_nonzero(border), 3))
    found = segment_frame(rgb, *marks_all())
    assert not (found.instances.labels[border] > 0).any()
    assert not found.fold[border].any()
    assert np.count_nonzero(found.instances.labels) > 0.5 * np.count_nonzero(~border)


def test_a_line_of_black_in_a_large_frame_is_not_marked_either():
    rgb = np.full((1080, 1920, 3), 150, np.uint8)
    rgb[:, -2:] = 3
    rgb[:1] = 0
    labels = segment_frame(rgb, *marks_all()).instances.labels
    assert not labels[:, -2:].any()
    assert not labels[:1].any()
    assert np.count_nonzero(labels) > 0.95 * labels.size


def test_a_frame_that_is_all_black_has_no_fold_and_no_fault():
    found = segment_frame(np.zeros((50, 70, 3), np.uint8), *marks_all())
    assert not found.instances.labels.any()
    assert len(found.instances.confidence) == 0
    assert found.fold.shape == (50, 70)


def test_frames_are_shown_to_the_network_in_the_size_of_its_training():
    card, _ = marks_all(32, 256)
    assert working_size((1080, 1920), card) == (256, 448)
    assert working_size((256, 256), card) == (256, 256)
    assert working_size((100, 90), card) == (288, 256)
    fixed = FrameCard("f", "", "", "", {"image_size": 224}, 16, False, {}, None, {"input": {}}, (-1.0, 1.0), 224)
    assert working_size((480, 640), fixed) == (224, 224)


def test_a_network_that_gives_no_marks_is_told():
    card, _ = marks_all()
    for wrong in (lambda x: x[:, :2] * np.nan, lambda x: x):
        with pytest.raises(UserError) as error:
            segment_frame(np.full((64, 64, 3), 99, np.uint8), card, Engine("none", "cpu", wrong))
        assert error.value.code == "bad-model"


def test_pictures_become_masks_lasting_folds_and_tables_that_agree(pictures, model, tmp_path):
    out = tmp_path / "out"
    report = run(pictures, out, model)
    assert (report["frames"], report["made"], report["folds"], report["warnings"]) == (7, 7, 2, [])
    rows, frames = table(out / "folds.csv"), table(out / "frames.csv")
    assert [row["file"] for row in frames] == [f"frame{k + 6}.png" for k in range(7)]
    assert [(row["view"], row["folds"]) for row in frames] == [("lumen", "2")] * 7
    for k, (rgb, goes, stays) in enumerate(moving(7)):
        instances, mask = pixels(out / "instances" / f"{k:06d}.png"), pixels(out / "masks" / f"{k:06d}.png")
        assert instances.dtype == np.uint16
        np.testing.assert_array_equal(mask, 255 * (instances > 0))
        assert np.median(instances[goes]) == 1
        assert np.median(instances[stays]) == 2
        mine = [row for row in rows if row["frame"] == str(k)]
        assert [int(row["pixels"]) for row in mine] == [np.count_nonzero(instances == n) for n in (1, 2)]
        for row, n in zip(mine, (1, 2), strict=True):
            y, x = (where.mean() for where in np.nonzero(instances == n))
            np.testing.assert_allclose([float(row["centre_x"]), float(row["centre_y"])], [x, y], atol=0.01)
            assert float(row["share"]) == pytest.approx(int(row["pixels"]) / instances.size, abs=1e-6)
            assert 0.9 < float(row["confidence"]) <= 1
        drawn = pixels(out / "overlays" / f"{k:06d}.png")
        np.testing.assert_array_equal(drawn[instances == 0], rgb[instances == 0])
        assert (drawn[instances > 0] != rgb[instances > 0]).any(axis=1).mean() > 0.95
    said = json.loads((out / "segmentation.json").read_text())
    assert said["complete"]
    assert said["model"]["id"] == "green"
    assert len(said["model"]["sha256"]) == 64
    assert str(tmp_path) not in (out / "segmentation.json").read_text()


def test_each_frame_is_segmented_alone(pictures, model, tmp_path):
    run(pictures, tmp_path / "all", model)
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / "only.png").write_bytes((pictures / "frame9.png").read_bytes())
    run(alone, tmp_path / "one", model)
    assert (tmp_path / "one/masks/000000.png").read_bytes() == (tmp_path / "all/masks/000003.png").read_bytes()


def test_a_run_that_is_stopped_goes_on_and_gives_the_same_bytes(pictures, model, tmp_path):
    whole, out = tmp_path / "whole", tmp_path / "out"
    run(pictures, whole, model)
    with pytest.raises(Cancelled):
        run(pictures, out, model, cancelled=lambda: (out / "instances" / "000001.png").exists())
    assert not json.loads((out / "segmentation.json").read_text())["complete"]
    assert not (out / "folds.csv").exists()
    assert not list(out.glob(".*"))
    done = [path for path in (out / "instances").iterdir()]
    (out / "instances" / "000001.png").write_bytes(b"cut off")
    report = run(pictures, out, model)
    assert report["made"] == 7 - len(done) + 1
    assert files_of(out) == files_of(whole)
    assert run(pictures, out, model)["made"] == 0
    assert files_of(out) == files_of(whole)


def test_a_picture_that_has_changed_is_segmented_again_and_one_that_went_away_is_forgotten(pictures, model, tmp_path):
    out = tmp_path / "out"
    run(pictures, out, model)
    Image.fromarray(frame_with([disc((64, 64), (0.5, 0.5), 0.3)])).save(pictures / "frame6.png")
    (pictures / "frame12.png").unlink()
    report = run(pictures, out, model)
    assert (report["frames"], report["made"]) == (6, 1)
    assert len(list((out / "masks").iterdir())) == len(list((out / "overlays").iterdir())) == 6


def test_broken_pictures_and_other_sizes_do_not_stop_a_run(pictures, model, tmp_path):
    (pictures / "frame8.png").write_bytes(b"no picture")
    Image.fromarray(frame_with([disc((50, 91), (0.5, 0.5), 0.3)], (50, 91))).save(pictures / "frame9.png")
    Image.fromarray(np.full((64, 64), 90, np.uint8)).save(pictures / "frame10.png")
    Image.fromarray(np.full((64, 64), 9000, np.uint16)).save(pictures / "frame11.png")
    report = run(pictures, tmp_path / "out", model)
    assert report["frames"] == 5
    assert [("frame8.png" in w, "frame11.png" in w) for w in report["warnings"]] == [(True, False), (False, True)]
    frames = table(tmp_path / "out" / "frames.csv")
    assert [row["frame"] for row in frames] == ["0", "1", "3", "4", "6"]
    assert pixels(tmp_path / "out/masks/000003.png").shape == (50, 91)
    assert "out of domain" in frames[3]["reasons"]
    assert frames[3]["view"] == "no lumen view"


def test_a_dataset_gives_its_frames_and_their_times(model, tmp_path):
    write_dataset(tmp_path / "sim" / "one", frames=3, border=6)
    report = run(tmp_path / "sim" / "one", tmp_path / "out", model)
    assert report["frames"] == 3
    assert [row["time_s"] for row in table(tmp_path / "out" / "frames.csv")] == ["0.000000", "0.020000", "0.040000"]
    with pytest.raises(UserError) as error:
        run(tmp_path / "sim", tmp_path / "other", model)
    assert error.value.code == "several-datasets"


def test_what_cannot_be_done_is_told_before_anything_is_written(pictures, model, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("no frames")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("keep")
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "a.png").write_bytes(b"no")
    out = tmp_path / "out"
    for source, place, code in (
        (tmp_path / "nothing", out, "no-such-file"),
        (tmp_path / "empty", out, "no-frames"),
        (pictures, pictures, "same-file"),
        (pictures, pictures / "out", "inside-input"),
        (pictures, tmp_path, "inside-input"),
        (pictures, tmp_path / "full", "folder"),
        (pictures, tmp_path / "notes.txt", "output-format"),
        (pictures, tmp_path / "no" / "out", "no-such-folder"),
    ):
        with pytest.raises(UserError) as error:
            run(source, place, model)
        assert error.value.code == code
    assert not out.exists()
    with pytest.raises(UserError) as error:
        run(broken, out, model)
    assert error.value.code == "no-frames"
    run(pictures, tmp_path / "done", model)
    with pytest.raises(UserError) as error:
        run(pictures, tmp_path / "done", model, overlay=False)
    assert error.value.code == "other-run"
    for wrong in ({"overlay": 1}, {"speed": 2}):
        with pytest.raises(UserError) as error:
            run(pictures, tmp_path / "more", model, **wrong)
        assert error.value.code == "bad-job"


def test_a_disk_that_is_full_is_told(pictures, model, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device", "masks/000000.png")

    monkeypatch.setattr("inference_core.segmenter.results.os.replace", full)
    with pytest.raises(UserError) as error:
        run(pictures, tmp_path / "out", model)
    assert error.value.code == "write-failed"
    assert "No space left" in error.value.message


def test_the_command_says_what_it_found(pictures, model, tmp_path, capsys):
    out = tmp_path / "out"
    main(["segment-folds", str(pictures), str(out), "--model", str(model), "--no-overlay"])
    said = capsys.readouterr().out
    assert "7 frames; 2 folds; no lumen view in 0" in said
    assert not (out / "overlays").exists()
    with pytest.raises(SystemExit):
        main(["segment-folds", str(pictures), str(out)])
    assert "--model" in capsys.readouterr().err


def test_names_are_sorted_as_people_count():
    assert sorted(["f10.png", "f9.png", "F1.png", "a.png"], key=natural) == ["a.png", "F1.png", "f9.png", "f10.png"]


def test_a_strip_is_left_out(pictures, model, tmp_path):
    """Enlarged so that its short side is the model's, it would fill the memory."""
    Image.fromarray(np.full((3, 2000, 3), 120, np.uint8)).save(pictures / "strip.png")
    report = run(pictures, tmp_path / "out", model)
    assert any("strip.png is no frame: 2000 x 3 pixels" in warning for warning in report["warnings"])
