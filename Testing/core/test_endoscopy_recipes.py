"""Depth and translation are trained for a few steps by the command that a person gives."""

import json
import math

import numpy as np
import pytest
from made_frames import write_dataset, write_real
from PIL import Image

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")
pytest.importorskip("lightning_fabric")

from inference_core.cli import main  # noqa: E402
from inference_core.cli.train import train as command_train  # noqa: E402
from inference_core.errors import UserError  # noqa: E402
from inference_core.models.engines import open_engine  # noqa: E402
from inference_core.models.networks import load_network  # noqa: E402
from inference_core.models.registry import add_model, find_model, list_models  # noqa: E402
from inference_core.training.checkpoint import checkpoints, newest_checkpoint, read_state  # noqa: E402
from inference_core.training.recipes import BUNDLED, TASKS, load_recipe, recipe_of  # noqa: E402
from inference_core.training.run_record import read_log  # noqa: E402

DEPTH = ["width=4", "widest=8", "batch=2", "crops.size=32", "log_every=1"]
SMALL = ["width=4", "blocks=1", "discriminator_width=4", "pool=3", "crops.size=32", "log_every=1"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_dataset(folder / "sim" / "one")
    write_dataset(folder / "sim" / "two", split="validation", seed=1)
    write_real(folder / "real")
    return folder


@pytest.fixture(scope="module")
def depth_model(data, tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "depth"
    train_depth(data, run, "steps=3", "checkpoint_every=1")
    return run / "model.json"


def train_depth(data, run, *settings):
    main(["train", "depth", "--config", "depth", f"simulated={data / 'sim'}", f"out={run}", *DEPTH, *settings])


def arguments(data, depth_model, run, *settings, name="depth_cyclegan"):
    folders = [f"simulated={data / 'sim'}", f"real={data / 'real'}", f"out={run}", f"depth_model={depth_model}"]
    return ["translator", "--config", name, *folders, *SMALL, *settings]


def train(*given, **named):
    main(["train", *arguments(*given, **named)])


def test_a_depth_run_becomes_a_model_that_gives_depth(depth_model):
    run = depth_model.parent
    losses = [line for line in read_log(run) if "silog" in line]
    assert [line["step"] for line in losses] == [1, 2, 3]
    assert all(math.isfinite(value) for line in losses for value in line.values())
    scores = next(line for line in read_log(run) if "abs_rel" in line)
    assert scores["score"] == -scores["abs_rel"]
    assert (run / "pictures" / "step-00000003.png").exists()
    card = find_model(str(depth_model), "depth")
    assert card.values == (0.0, 1.0)
    assert card.size == 32
    assert card.text["metrics"]["abs_rel"] > 0
    frame = np.random.default_rng(0).random((1, 3, 48, 64), np.float32)
    by_onnx = open_engine(card).run(frame)
    by_torch = open_engine(card, "torch").run(frame)
    assert by_onnx.shape == (1, 1, 48, 64)
    assert by_onnx.min() > 0
    np.testing.assert_allclose(by_onnx, by_torch, rtol=1e-4)


def test_an_added_depth_model_is_listed_and_is_no_denoiser(depth_model):
    add_model(depth_model, "my-depth")
    assert "my-depth" in [card.id for card in list_models("depth")]
    assert "my-depth" not in [card.id for card in list_models("denoise-ct")]
    with pytest.raises(UserError) as error:
        find_model("my-depth", "denoise-ct")
    assert error.value.code == "wrong-task"


@pytest.mark.parametrize("name", ["depth_cyclegan", "cyclegan_endoscopy", "depth_cyclegan_paper"])
def test_a_translator_learns_and_becomes_a_model(data, depth_model, tmp_path, name):
    run = tmp_path / "run"
    train(data, depth_model, run, "steps=2", "checkpoint_every=1", name=name)
    losses = [line for line in read_log(run) if "adversarial" in line]
    assert [line["step"] for line in losses] == [1, 2]
    assert all(math.isfinite(value) for line in losses for value in line.values())
    assert ("depth" in losses[0]) == (name != "cyclegan_endoscopy")
    one, two = (read_state(path / "shared.safetensors")["networks"] for path in checkpoints(run)[::-1])
    assert set(one) == {"simulated_to_real", "real_to_simulated", "judge_real", "judge_simulated"}
    for part in one:
        learned = [key for key, value in one[part].items() if not torch.equal(value, two[part][key])]
        assert len(learned) > 2, f"{part} stands still"
    with Image.open(run / "pictures" / "step-00000002.png") as picture:
        assert picture.mode == "RGB"
        assert np.ptp(np.asarray(picture)) > 100
    card = find_model(str(run / "model.json"), "translate-frames")
    assert card.values == (-1.0, 1.0)
    frame = np.random.default_rng(0).uniform(-1, 1, (1, 3, 40, 48)).astype(np.float32)
    by_onnx, by_torch = (open_engine(card, engine).run(frame) for engine in ("onnxruntime", "torch"))
    assert by_onnx.shape == frame.shape
    np.testing.assert_allclose(by_onnx, by_torch, atol=1e-4)


def test_the_depth_loss_changes_what_is_learned(data, depth_model, tmp_path):
    for weight in (0, 50):
        train(data, depth_model, tmp_path / str(weight), "steps=2", f"weight_depth={weight}")
    one, other = (read_state(newest_checkpoint(tmp_path / w) / "shared.safetensors")["networks"] for w in ("0", "50"))
    key = "model.1.weight"
    assert not torch.equal(one["simulated_to_real"][key], other["simulated_to_real"][key])


def stopped_after(steps, monkeypatch):
    """A power cut after so many draws of simulated frames."""
    from inference_core.training.endoscopy_data import SimulatedFrames

    own, seen = SimulatedFrames.draw, []

    def draw(*given):
        seen.append(1)
        if len(seen) > steps:
            raise KeyboardInterrupt
        return own(*given)

    monkeypatch.setattr(SimulatedFrames, "draw", draw)


@pytest.mark.parametrize("task", ["translator", "depth"])
def test_stopped_and_resumed_equals_uninterrupted_to_the_bit(data, depth_model, tmp_path, monkeypatch, task):
    settings = ("steps=6", "checkpoint_every=2", *(["epochs=6"] if task == "translator" else []))

    def run(name):
        if task == "depth":
            train_depth(data, tmp_path / name, *settings)
        else:
            train(data, depth_model, tmp_path / name, *settings)

    run("whole")
    with monkeypatch.context() as patch:
        stopped_after(5, patch)
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            run("cut")
    assert newest_checkpoint(tmp_path / "cut").name == "step-00000004"
    assert not (tmp_path / "cut" / "model.json").exists()
    run("cut")
    one, other = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "cut"))
    assert one == other
    logs = [[{**line, "cpu_s": 0} for line in read_log(tmp_path / name)] for name in ("whole", "cut")]
    assert logs[0] == logs[1]
    if task == "translator":
        pools = read_state(newest_checkpoint(tmp_path / "cut") / "process-0.safetensors")
        assert [len(pool["images"]) for pool in pools.values()] == [3, 3]


def test_a_translation_and_a_depth_do_not_know_their_batch_mates(data, depth_model, tmp_path):
    train(data, depth_model, tmp_path / "run", "steps=1")
    cards = find_model(str(tmp_path / "run" / "model.json"), "translate-frames"), find_model(str(depth_model), "depth")
    frames = torch.rand(3, 3, 48, 48, generator=torch.Generator().manual_seed(0))
    for card in cards:
        for network in (load_network(card), load_network(card).train()):
            with torch.no_grad():
                together = network(frames)
                for k in range(3):
                    torch.testing.assert_close(together[k], network(frames[k : k + 1])[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("setting", "code"),
    [
        ("crops.size=40", "crop"),
        ("crops.size=64", "small-frame"),
        ("blocks=0", "not-positive"),
        ("weight_depth=-1", "out-of-range"),
        ("scale_share=2", "out-of-range"),
        ("depth_model=no-such", "no-such-model"),
        ("depth_model=low-dose-ct", "wrong-task"),
        ("depth_size=33", "depth-size"),
        ("real=nowhere", "no-such-folder"),
        ("simulated=nowhere", "no-dataset"),
        ("select=best", "no-score"),
    ],
)
def test_mistakes_end_with_the_remedy(data, depth_model, tmp_path, setting, code):
    with pytest.raises(UserError) as error:
        command_train(arguments(data, depth_model, tmp_path / "run", "steps=2", setting))
    assert error.value.code == code
    assert error.value.remedy


def test_three_style_images_are_said(data, depth_model, tmp_path):
    write_real(tmp_path / "style", frames=3)
    with pytest.raises(UserError) as error:
        command_train(arguments(data, depth_model, tmp_path / "run", "steps=2", f"real={tmp_path / 'style'}"))
    assert error.value.code == "few-frames"


def test_a_run_in_the_data_is_refused(data, depth_model):
    with pytest.raises(UserError) as error:
        command_train(arguments(data, depth_model, data / "real" / "run", "steps=2"))
    assert error.value.code == "out-folder"


@pytest.mark.parametrize("name", ["depth", "depth_cyclegan", "depth_cyclegan_paper", "cyclegan_endoscopy"])
def test_the_configurations_name_fields_that_there_are(name):
    task = next(task for task, recipes in TASKS.items() if recipe_of_file(name) in recipes)
    recipe, fields = recipe_of(name, task)
    made, _ = load_recipe(recipe)
    assert set(fields) <= set(made.__dataclass_fields__)


def test_the_papers_configuration_has_the_papers_networks():
    from inference_core.models.networks import build_network

    _, fields = recipe_of("depth_cyclegan_paper", "translator")
    sizes = {"channels": 3, "tanh": True} | {name: fields[name] for name in ("width", "blocks", "enlarge")}
    with torch.device("meta"):
        network = build_network("resnet_generator", sizes)
    assert sum(parameter.numel() for parameter in network.parameters()) == 11_378_179
    assert (fields["weight_cycle"], fields["weight_identity"], fields["pool"], fields["batch"]) == (10, 5, 50, 1)


def recipe_of_file(name):
    import yaml

    return yaml.safe_load(BUNDLED[name].read_text())["recipe"]


def test_a_denoiser_is_not_trained_by_a_translators_recipe():
    with pytest.raises(UserError) as error:
        recipe_of("depth_cyclegan", "denoiser")
    assert error.value.code == "no-such-recipe"
    assert "supervised_ct" in error.value.remedy


def test_a_run_says_what_it_learned_from_without_a_path(data, depth_model, tmp_path):
    train(data, depth_model, tmp_path / "run", "steps=1")
    text = json.loads((tmp_path / "run" / "model.json").read_text())
    assert text["training_data"].startswith("4 simulated frames with exact depth and 6 frames")
    assert str(data) not in json.dumps(text)
