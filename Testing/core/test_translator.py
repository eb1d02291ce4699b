"""Frames are translated one by one, datasets whole: labels to the byte, and never half."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_frames import made_scene, write_dataset
from PIL import Image

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")

from inference_core.cli import main  # noqa: E402
from inference_core.errors import Cancelled, UserError  # noqa: E402
from inference_core.models.card import FrameCard  # noqa: E402
from inference_core.models.engines import Engine, open_engine  # noqa: E402
from inference_core.models.frame_card import frame_card_text  # noqa: E402
from inference_core.models.networks import build_network  # noqa: E402
from inference_core.models.registry import find_model  # noqa: E402
from inference_core.simulation.colon.dataset.frames import ColonFrames  # noqa: E402
from inference_core.training.frame_publish import publish_frames  # noqa: E402
from inference_core.translator import job  # noqa: E402
from inference_core.translator.translate import fitted, translate  # noqa: E402

COPIES = ("depth", "mask", "instances")
ARGUMENTS = {"width": 4, "blocks": 1, "channels": 3, "tanh": True, "enlarge": "resize"}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """An untrained translator: its card."""
    folder = tmp_path_factory.mktemp("models") / "red"
    folder.mkdir()
    torch.manual_seed(0)
    network = build_network("resnet_generator", ARGUMENTS)
    with torch.no_grad():  # large enough weights for a picture that is not grey, redder than it was
        for parameter in network.parameters():
            parameter *= 3
        network.model[-2].bias[:] = torch.tensor([0.5, -0.2, -0.4])
    architecture = {"name": "resnet_generator", "arguments": ARGUMENTS}
    text = frame_card_text("red", "Red", "translate-frames", architecture, (-1, 1), 48, {})
    publish_frames(folder, network.eval(), text)
    return folder / "model.json"


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Two datasets, one behind a black frame; only read."""
    folder = tmp_path_factory.mktemp("sim")
    write_dataset(folder / "one", frames=5)
    write_dataset(folder / "two", split="test", seed=1, border=6, frames=5)
    return folder


def doubled(multiple=4, values=(-1.0, 1.0)):
    """A network that knows no weights: it gives the frame's negative."""
    card = FrameCard("negative", "translate-frames", "", "", {}, multiple, False, {}, None, {}, values, 32)
    return card, Engine("none", "cpu", lambda x: values[0] + values[1] - x)


def job_of(source, out, model, **more):
    return {"job": "translate", "input": str(source), "output": str(out), "model": str(model), **more}


def run(source, out, model, emit=lambda *a, **k: None, cancelled=lambda: False, **more):
    return job.run(job_of(source, out, model, **more), emit, cancelled)


def files_of(folder):
    """Of each dataset in it, all files but the cards, which hold the time."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "dataset.json"
    }


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 50), st.integers(1, 50), st.sampled_from([1, 4, 16]), st.sampled_from([(-1.0, 1.0), (0.0, 1.0)]))
def test_a_frame_of_any_size_comes_back_in_its_size_and_place(height, width, multiple, values):
    frame = np.random.default_rng(height * 64 + width).integers(0, 256, (height, width, 3)).astype(np.uint8)
    np.testing.assert_array_equal(translate(frame, *doubled(multiple, values)), 255 - frame)
    padded = fitted(frame, multiple)
    assert padded.shape[0] % multiple == padded.shape[1] % multiple == 0
    np.testing.assert_array_equal(padded[:height, :width], frame)


def test_both_engines_give_the_same_picture(model):
    card = find_model(str(model), "translate-frames")
    for size in ((48, 48), (37, 50)):
        frame = np.ascontiguousarray(made_scene(50, 3)[0][: size[0], : size[1]])
        one, other = (translate(frame, card, open_engine(card, name)) for name in ("onnxruntime", "torch"))
        assert one.shape == frame.shape
        assert np.abs(one.astype(int) - other).max() <= 1
        assert np.abs(one.astype(int) - frame).mean() > 5


def test_the_command_prints_the_card_of_any_kind_of_model(model, capsys):
    main(["models", "--model", str(model)])
    assert json.loads(capsys.readouterr().out)["task"] == "translate-frames"


def test_what_is_no_picture_is_refused(model):
    card, _ = doubled()
    with pytest.raises(ValueError, match="uint8"):
        translate(np.zeros((8, 8, 3)), *doubled())
    with pytest.raises(ValueError, match="uint8"):
        translate(np.zeros((8, 8), np.uint8), *doubled())
    for wrong in (lambda x: x * np.nan, lambda x: x[:, :1]):
        with pytest.raises(UserError) as error:
            translate(np.zeros((8, 8, 3), np.uint8), card, Engine("none", "cpu", wrong))
        assert error.value.code == "bad-model"


def test_a_folder_of_datasets_is_translated_and_its_labels_are_the_same_bytes(source, model, tmp_path):
    report = run(source, tmp_path / "out", model)
    assert [made["made"] for made in report["datasets"]] == [5, 5]
    assert {(f["split"], f["dataset"]) for f in ColonFrames(tmp_path / "out")} == {
        ("train", str(tmp_path / "out" / "one")),
        ("test", str(tmp_path / "out" / "two")),
    }
    ColonFrames(tmp_path / "out").check()
    card = find_model(str(model), "translate-frames")
    engine = open_engine(card)
    for name in ("one", "two"):
        here, there = source / name, tmp_path / "out" / name
        for file in ("cameras.json", "visible.png", *(f"{kind}/{k:06d}.png" for kind in COPIES for k in range(5))):
            assert (there / file).read_bytes() == (here / file).read_bytes()
            assert not (there / file).samefile(here / file)
        said = json.loads((there / "dataset.json").read_text())
        assert said["complete"]
        assert "translated" in said["what"]
        assert said["settings"]["appearance"] == "plain, translated by red"
        assert said["translated"]["model"] == {"id": "red", "sha256": card.sha256["onnx"], "file": "onnx"}
        assert said["translated"]["at"]
        rows = json.loads((there / "structure.json").read_text())["rows"]
        assert [row["frame"] for row in rows] == [0, 1, 2, 3, 4]
        for picture in ("contact_sheet.png", "before_after.png"):
            with Image.open(there / picture) as image:
                assert np.ptp(np.asarray(image)) > 100
    for folder, frame in zip(ColonFrames(source), ColonFrames(tmp_path / "out"), strict=True):
        alone = translate(folder["rgb"], card, engine)
        shown = np.asarray(Image.open(f"{folder['dataset']}/visible.png")) > 0
        np.testing.assert_array_equal(frame["rgb"][shown], alone[shown])
        np.testing.assert_array_equal(frame["rgb"][~shown], 0)
    whole = json.loads((tmp_path / "out" / "structure.json").read_text())
    assert whole["all"]["frames"] == 10
    assert set(whole["datasets"]) == {"one", "two"}


def test_a_single_dataset_is_translated_into_the_folder_itself(source, model, tmp_path):
    report = run(source / "one", tmp_path / "out", model)
    assert report["structure"]["frames"] == 5
    assert len(ColonFrames(tmp_path / "out")) == 5


def test_a_run_that_is_stopped_goes_on_and_gives_the_same_bytes(source, model, tmp_path):
    run(source, tmp_path / "whole", model)
    told = []

    def emit(kind, **fields):
        told.append(fields.get("stage"))

    def cancelled():
        return any(str(stage).startswith("translate two") for stage in told)

    with pytest.raises(Cancelled):
        run(source, tmp_path / "out", model, emit, cancelled)
    with pytest.raises(UserError) as error:
        ColonFrames(tmp_path / "out")
    assert error.value.code == "bad-dataset"
    (tmp_path / "out" / "one" / "rgb" / "000002.png").write_bytes(b"cut off")
    again = run(source, tmp_path / "out", model)
    assert again["datasets"][0]["made"] == 1
    assert again["datasets"][1]["made"] > 0
    assert files_of(tmp_path / "out") == files_of(tmp_path / "whole")
    at = [json.loads((tmp_path / "out" / name / "dataset.json").read_text())["translated"]["at"] for name in ("two",)]
    third = run(source, tmp_path / "out", model)
    assert [made["made"] for made in third["datasets"]] == [0, 0]
    assert at == [json.loads((tmp_path / "out" / "two" / "dataset.json").read_text())["translated"]["at"]]


def test_another_model_or_a_changed_source_does_not_go_on_in_that_folder(source, model, tmp_path):
    write_dataset(tmp_path / "sim")
    run(tmp_path / "sim", tmp_path / "out", model)
    Image.new("RGB", (48, 48), (90, 30, 20)).save(tmp_path / "sim" / "rgb" / "000000.png")
    with pytest.raises(UserError) as error:
        run(tmp_path / "sim", tmp_path / "out", model)
    assert error.value.code == "other-run"
    with pytest.raises(UserError) as error:
        run(source / "one", tmp_path / "out", model)
    assert error.value.code == "other-run"


def test_bad_input_is_told_plainly(source, model, tmp_path):
    def code(folder, out=tmp_path / "out", name=model, **more):
        with pytest.raises(UserError) as error:
            run(folder, out, name, **more)
        return error.value.code

    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").write_text("mine")
    assert code(tmp_path / "empty") == "no-dataset"
    assert code(source, name="nothing") == "no-such-model"
    assert code(source, name="low-dose-ct") == "wrong-task"
    assert code(source, source / "out") == "inside-input"
    assert code(source, source) == "same-file"
    assert code(source / "one", tmp_path / "other") == "folder"
    assert code(source, tmp_path / "no" / "out") == "no-such-folder"
    assert code(source, limit=0) == "limit"
    assert code(source, limit="far") == "bad-job"
    assert code(source, colour="red") == "bad-job"
    broken = write_dataset(tmp_path / "broken")
    (broken / "rgb" / "000001.png").write_bytes((broken / "rgb" / "000001.png").read_bytes()[:200])
    assert code(broken) == "bad-dataset"
    grey = write_dataset(tmp_path / "grey")
    Image.new("L", (48, 48), 90).save(grey / "rgb" / "000001.png")
    assert code(grey, tmp_path / "out2") == "bad-dataset"
    (grey / "visible.png").unlink()
    assert code(grey, tmp_path / "out3") == "bad-dataset"
    run(source / "one", tmp_path / "done", model)
    assert code(tmp_path / "done", tmp_path / "twice") == "translated-before"


def test_the_command_says_what_moved(source, model, tmp_path, capsys):
    main(["translate", str(source / "one"), str(tmp_path / "out"), "--model", str(model)])
    printed = capsys.readouterr().out
    assert "5 frames" in printed
    assert "edges" in printed
    assert f"wrote {tmp_path / 'out'}" in printed
    with pytest.raises(SystemExit):
        main(["translate", str(source / "one"), str(tmp_path / "out")])
    assert "--model" in capsys.readouterr().err
