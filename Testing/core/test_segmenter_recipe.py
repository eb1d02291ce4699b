"""Fold segmenters are trained for a few steps by the command that a person gives."""

import json
import math
import shutil

import numpy as np
import pytest
from made_frames import write_dataset
from PIL import Image
from test_segmenter_importers import SMALL as SIZES
from test_segmenter_importers import endo_fm_state, fine_tuned_state, saved

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")
pytest.importorskip("lightning_fabric")

from inference_core.cli import main  # noqa: E402
from inference_core.cli.train import train as command_train  # noqa: E402
from inference_core.errors import UserError  # noqa: E402
from inference_core.measurement.segmentation import mask_iou  # noqa: E402
from inference_core.models.engines import open_engine  # noqa: E402
from inference_core.models.importers import Source, card_of, read_original  # noqa: E402
from inference_core.models.networks import build_network, load_network  # noqa: E402
from inference_core.models.registry import find_model  # noqa: E402
from inference_core.segmenter.probability import fold_and_touch  # noqa: E402
from inference_core.training import fold_data  # noqa: E402
from inference_core.training.checkpoint import checkpoints, newest_checkpoint, read_state  # noqa: E402
from inference_core.training.fold_data import FoldFrames  # noqa: E402
from inference_core.training.frame_crops import CropConfig  # noqa: E402
from inference_core.training.recipes import load_recipe, recipe_of  # noqa: E402
from inference_core.training.run_record import read_log  # noqa: E402

UNET = ['arguments={"widths": [4, 6]}', "crops.size=32", "frame_size=48"]
WIDER = ['arguments={"widths": [12, 24, 32]}', "frame_size=48"]
SMALL_ARGUMENTS = str({name: value for name, value in SIZES.items() if name != "image_size"}).replace("'", '"')
TRANSFORMER = [f"arguments={SMALL_ARGUMENTS}", "crops.size=48", "frame_size=48"]
PAIR = [f'arguments={SMALL_ARGUMENTS[:-1]}, "temporal_mode": "pair"}}', "crops.size=48", "frame_size=48"]
SOON = ["batch=4", "steps=2", "log_every=1", "checkpoint_every=1", "precision=32-true"]
CROPS = CropConfig(size=32, simulated_share=(0.7, 1.0))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Simulated datasets, and the same in another look."""
    folder = tmp_path_factory.mktemp("data")
    write_dataset(folder / "sim" / "one", border=6)
    write_dataset(folder / "sim" / "two", split="validation", seed=1)
    shutil.copytree(folder / "sim", folder / "translated")
    for path in (folder / "translated").glob("*/rgb/*.png"):
        Image.fromarray(np.asarray(Image.open(path))[..., [1, 0, 2]]).save(path)
    return folder


def folders(data, paired=True):
    return ["--data", str(data / "sim"), *([str(data / "translated")] if paired else [])]


def command(data, run, *settings, name="segmenter", paired=True):
    return ["segmenter", "--config", name, *folders(data, paired), f"out={run}", *SOON, *settings]


def train(*given, **named):
    main(["train", *command(*given, **named)])


@pytest.fixture(scope="module")
def models(data, tmp_path_factory):
    """One run of the compact recipe on one folder, and one of the paper's on pairs."""
    home = tmp_path_factory.mktemp("runs")
    train(data, home / "segmenter", *UNET, paired=False)
    train(data, home / "segmenter_endofm", *PAIR, name="segmenter_endofm")
    return home


@pytest.fixture
def weights_only(monkeypatch):
    """Spares the export to ONNX, which takes longer than all else."""
    from safetensors.torch import save_file

    from inference_core.training.recipes import fold_segmenter

    def write(folder, network, text):
        own = {name: value.contiguous() for name, value in network.state_dict().items()}
        save_file(own, folder / "model.safetensors")

    monkeypatch.setattr(fold_segmenter, "publish_frames", write)


def trained(run, name, settings):
    """The network that a run with ``weights_only`` left."""
    from safetensors.torch import load_file

    arguments = json.loads(settings[0].removeprefix("arguments="))
    recipe = recipe_of(name, "segmenter")[1]["network"]
    network = build_network(recipe, arguments | ({} if recipe == "fold_unet" else {"image_size": 48}))
    network.load_state_dict(load_file(run / "model.safetensors"))
    return network.eval()


def test_a_run_becomes_a_model_that_marks_folds(models):
    run = models / "segmenter"
    losses = [line for line in read_log(run) if "touch" in line]
    assert [line["step"] for line in losses] == [1, 2]
    assert all(math.isfinite(value) for line in losses for value in line.values())
    scores = next(line for line in read_log(run) if "iou" in line)
    assert scores["score"] == scores["iou"]
    with Image.open(run / "pictures" / "step-00000002.png") as picture:
        assert np.ptp(np.asarray(picture)) > 100
    card = find_model(str(run / "model.json"), "segment-folds")
    assert (card.values, card.size, card.multiple_of) == ((-1.0, 1.0), 48, 4)
    assert card.text["training_data"].startswith("4 frames")
    frame = np.random.default_rng(0).uniform(-1, 1, (1, 3, 40, 56)).astype(np.float32)
    by_onnx, by_torch = (open_engine(card, engine).run(frame) for engine in ("onnxruntime", "torch"))
    np.testing.assert_allclose(by_onnx, by_torch, atol=1e-4)
    fold, touch = fold_and_touch(by_onnx[0], card.text["output"])
    assert fold.shape == touch.shape == (40, 56)


def test_a_run_of_the_papers_network_becomes_a_model_of_one_size(models):
    run = models / "segmenter_endofm"
    scores = next(line for line in read_log(run) if "iou" in line)
    assert scores["iou"] == pytest.approx((scores["iou_simulated"] + scores["iou_translated"]) / 2)
    card = find_model(str(run / "model.json"), "segment-folds")
    assert card.size == card.multiple_of == 48
    assert card.text["training_data"].startswith("4 pairs of frames")
    frame = np.random.default_rng(0).uniform(-1, 1, (1, 3, 48, 48)).astype(np.float32)
    by_onnx, by_torch = (open_engine(card, engine).run(frame) for engine in ("onnxruntime", "torch"))
    np.testing.assert_allclose(by_onnx, by_torch, atol=1e-3)
    assert fold_and_touch(by_onnx[0], card.text["output"])[1] is None


@pytest.mark.parametrize(
    ("name", "settings"),
    [("segmenter_endofm", PAIR), ("segmenter_endofm_sgd", PAIR), ("segmenter_transunet", TRANSFORMER)],
)
@pytest.mark.usefixtures("weights_only")
def test_a_step_moves_every_part_of_the_papers_networks(data, tmp_path, name, settings):
    run = tmp_path / "run"
    train(data, run, *settings, "learning_rate=0.01", name=name)
    one, two = (read_state(path / "shared.safetensors")["networks"]["segmenter"] for path in checkpoints(run)[::-1])
    for part in ("transformer.embeddings", "transformer.encoder", "decoder", "segmentation_head"):
        assert any(not torch.equal(one[key], two[key]) for key in one if key.startswith(part)), f"{part} stands still"


@pytest.mark.parametrize(
    ("name", "settings", "rate"),
    [("segmenter", WIDER, 0.02), ("segmenter_endofm", PAIR, 0.003), ("segmenter_transunet", TRANSFORMER, 0.1)],
)
@pytest.mark.usefixtures("weights_only")
def test_one_batch_is_learned_by_heart(data, tmp_path, monkeypatch, name, settings, rate):
    batch = FoldFrames([data / "sim", data / "translated"], "train", CropConfig(size=48, simulated_share=(1, 1)))
    fixed = batch.draw(4, np.random.default_rng(0))
    monkeypatch.setattr(FoldFrames, "draw", lambda *given: fixed)
    steps = ("steps=50", "log_every=50", "checkpoint_every=50", "average_decay=0.5")
    train(data, tmp_path / "run", *settings, "crops.size=48", f"learning_rate={rate}", *steps, name=name)
    (loss,) = [line["fold"] for line in read_log(tmp_path / "run") if "fold" in line]
    assert loss < 0.15
    with torch.no_grad():
        logits = trained(tmp_path / "run", name, settings)(fixed.rgb[:, 0]).numpy()
    marked = fold_and_touch(logits, "fold-and-touch" if name == "segmenter" else "classes")[0] > 0.5
    assert mask_iou(marked, fixed.fold.numpy()) > 0.7


@pytest.mark.parametrize(("name", "settings"), [("segmenter", UNET), ("segmenter_endofm", PAIR)])
@pytest.mark.usefixtures("weights_only")
def test_stopped_and_resumed_equals_uninterrupted_to_the_bit(data, tmp_path, monkeypatch, name, settings):
    def run(folder):
        train(data, tmp_path / folder, *settings, "steps=5", "checkpoint_every=2", name=name)

    run("whole")
    own, seen = FoldFrames.draw, []

    def draw(*given):
        seen.append(1)
        if len(seen) > 4:
            raise KeyboardInterrupt
        return own(*given)

    with monkeypatch.context() as patch:
        patch.setattr(FoldFrames, "draw", draw)
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            run("cut")
    assert newest_checkpoint(tmp_path / "cut").name == "step-00000004"
    run("cut")
    one, other = ((tmp_path / folder / "model.safetensors").read_bytes() for folder in ("whole", "cut"))
    assert one == other


@pytest.mark.parametrize("name", ["segmenter", "segmenter_endofm"])
def test_a_prediction_does_not_know_its_batch_mates(models, name):
    network = load_network(find_model(str(models / name / "model.json"), "segment-folds"))
    frames = torch.rand(3, 3, 48, 48, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        together = network(frames)
        for k in range(3):
            torch.testing.assert_close(together[k], network(frames[k : k + 1])[0], atol=1e-5, rtol=1e-4)


def test_a_step_sees_as_many_images_in_pairs_as_alone(data):
    alone = FoldFrames([data / "sim"], "train", CROPS).draw(8, np.random.default_rng(0))
    pairs = FoldFrames([data / "sim", data / "translated"], "train", CROPS).draw(8, np.random.default_rng(0))
    assert alone.rgb.shape == (8, 1, 3, 32, 32)
    assert pairs.rgb.shape == (4, 2, 3, 32, 32)
    assert pairs.fold.shape == (4, 32, 32)
    assert -1 <= pairs.rgb.min() < pairs.rgb.max() <= 1


def test_twins_share_crop_cover_and_labels_but_not_the_look(data, monkeypatch):
    frames = FoldFrames([data / "sim", data / "translated"], "train", CROPS)
    varied = frames.draw(16, np.random.default_rng(0)).rgb
    assert not torch.equal(varied[:, 0], varied[:, 1][:, [1, 0, 2]])
    monkeypatch.setattr(fold_data, "change_look", lambda image, rng: image)
    monkeypatch.setattr(fold_data, "draw_covers", uncovered)
    plain = frames.draw(16, np.random.default_rng(0))
    assert torch.equal(plain.rgb[:, 0], plain.rgb[:, 1][:, [1, 0, 2]])
    assert plain.fold.any()


def uncovered(size, rng):
    return np.zeros((size, size), bool), np.zeros((size, size), bool), np.zeros(3)


def test_what_a_black_frame_or_a_cover_hides_is_no_fold(data):
    frames = FoldFrames([data / "sim"], "train", CROPS)
    hidden = np.ones((48, 48), bool)
    hidden[6:-6, 6:-6] = False
    assert any((frames.versions[0][k]["mask"] & hidden).any() for k in range(4)), "no fold reaches the black frame"
    for k in range(4):
        _, fold = frames.whole(k, 48)
        np.testing.assert_array_equal(fold, frames.versions[0][k]["mask"] & ~hidden)


@pytest.mark.usefixtures("weights_only")
def test_training_starts_from_endo_fm(data, tmp_path):
    teacher = endo_fm_state()
    path = saved(tmp_path, {"teacher": teacher})
    run = tmp_path / "run"
    still = ("learning_rate=1e-12", "weight_decay=0", f"endo_fm={path}")
    train(data, run, *PAIR, *still, name="segmenter_endofm")
    state = trained(run, "segmenter_endofm", PAIR).state_dict()
    name = "blocks.1.temporal_attn.qkv.weight"
    torch.testing.assert_close(
        state["transformer.encoder.layer." + name.removeprefix("blocks.")], teacher[f"backbone.{name}"]
    )


def original(folder, importer):
    state = {name: 0.05 * value if value.ndim else value for name, value in fine_tuned_state(importer).items()}
    state |= {name: torch.ones_like(value) for name, value in state.items() if name.endswith("running_var")}
    return saved(folder, state, "epoch_149.pth")


def test_an_original_checkpoint_becomes_a_model(tmp_path, monkeypatch):
    monkeypatch.setenv("FAITHFUL_IMAGING_MODELS", str(tmp_path / "models"))
    path = original(tmp_path, "transunet")
    main(["models", "import", str(path), "--from", "transunet", "--name", "theirs"])
    card = find_model("theirs", "segment-folds")
    assert (card.size, card.text["output"]) == (48, "classes")
    frame = np.random.default_rng(0).uniform(-1, 1, (1, 3, 48, 48)).astype(np.float32)
    by_onnx, by_torch = (open_engine(card, engine).run(frame) for engine in ("onnxruntime", "torch"))
    np.testing.assert_allclose(by_onnx, by_torch, atol=1e-2)


def test_a_checkpoint_of_endofm_transunet_has_the_card_of_a_segmenter(tmp_path):
    source = Source(original(tmp_path, "endofm_transunet"), "endofm_transunet")
    text = card_of(read_original(source), source)
    assert (text["task"], text["output"], text["input"]["size"]) == ("segment-folds", "classes", 48)
    assert "saw each other" in " ".join(text["known_failures"])


def test_a_checkpoint_of_other_classes_is_refused(tmp_path):
    state = fine_tuned_state("transunet")
    state |= {f"segmentation_head.0.{part}": state[f"segmentation_head.0.{part}"].repeat_interleave(2, 0)
              for part in ("weight", "bias")}  # fmt: skip
    with pytest.raises(UserError, match="4 classes") as error:
        read_original(Source(saved(tmp_path, state), "transunet"))
    assert error.value.code == "bad-checkpoint"


@pytest.mark.parametrize(
    ("setting", "code"),
    [
        ("crops.size=40", "crop"),
        ("frame_size=50", "crop"),
        ("crops.size=64", "small-frame"),
        ("batch=3", "odd-batch"),
        ("batch=0", "not-positive"),
        ("touch_weight=-1", "out-of-range"),
        ("endo_fm=endo_fm.pth", "other-network"),
        ('arguments={"widths": [4]}', "bad-arguments"),
    ],
)
def test_mistakes_end_with_the_remedy(data, tmp_path, setting, code):
    assert refused(command(data, tmp_path / "run", *UNET, setting)).code == code


def refused(arguments):
    with pytest.raises(UserError) as error:
        command_train(arguments)
    assert error.value.remedy
    return error.value


def test_a_network_for_pairs_needs_two_folders_and_frames_of_its_size(data, tmp_path):
    run = tmp_path / "run"
    assert refused(command(data, run, *PAIR, name="segmenter_endofm", paired=False)).code == "temporal-mode"
    alone = (*PAIR, "arguments.temporal_mode=per_image", "crops.size=32")  # what is wrong is the size alone
    assert refused(command(data, run, *alone, name="segmenter_endofm", paired=False)).code == "crop"
    assert refused(command(data, run, *PAIR, "crops.size=32", name="segmenter_endofm")).code == "crop"


@pytest.mark.parametrize(
    ("spoil", "code", "told"),
    [
        (lambda other: shutil.rmtree(other), "no-dataset", "translated"),
        (lambda other: (other / "one").rename(other / "uno"), "twins", "uno"),
        (lambda other: shutil.copy(other / "one/instances/000001.png", other / "one/instances/000000.png"), "twins",
         "frame 0"),
        (lambda other: write_dataset(other / "one", frames=3), "twins", "frames"),
        (lambda other: write_dataset(other / "one", size=64), "twins", "size"),
        (lambda other: (other / "one/instances/000002.png").unlink(), "bad-dataset", "000002.png"),
    ],
)  # fmt: skip
def test_folders_that_are_no_twins_are_told(data, tmp_path, spoil, code, told):
    for name in ("sim", "translated"):
        shutil.copytree(data / name, tmp_path / name)
    spoil(tmp_path / "translated")
    error = refused(command(tmp_path, tmp_path / "run", *UNET))
    assert error.code == code
    assert told in error.message


def test_data_without_or_with_too_many_folders_is_told(data, tmp_path):
    run = f"out={tmp_path / 'run'}"
    assert refused(["segmenter", "--config", "segmenter", "--data", run]).code == "bad-argument"
    assert refused(["segmenter", "--config", "segmenter", *folders(data), str(data / "sim"), run]).code == "folders"


def test_labels_that_are_missing_end_the_run_plainly(data, tmp_path):
    shutil.copytree(data / "sim", tmp_path / "sim")
    shutil.rmtree(tmp_path / "sim" / "one" / "instances")
    assert refused(command(tmp_path, tmp_path / "run", *UNET, paired=False)).code == "bad-dataset"


@pytest.mark.parametrize("name", ["segmenter", "segmenter_endofm", "segmenter_endofm_sgd", "segmenter_transunet"])
def test_the_configurations_name_fields_that_there_are(name):
    recipe, fields = recipe_of(name, "segmenter")
    made, _ = load_recipe(recipe)
    assert set(fields) <= set(made.__dataclass_fields__)


@pytest.mark.parametrize(
    ("name", "parameters", "settings"),
    [
        ("segmenter_endofm", 140_776_866, ("adamw", 1e-4, 0.05)),
        ("segmenter_endofm_sgd", 140_776_866, ("sgd", 1e-2, 1e-4)),
        ("segmenter_transunet", 105_322_146, ("sgd", 1e-2, 1e-4)),
    ],
)
def test_the_papers_configurations_have_the_papers_networks(name, parameters, settings):
    _, fields = recipe_of(name, "segmenter")
    with torch.device("meta"):
        network = build_network(fields["network"], {**fields.get("arguments", {}), "image_size": fields["frame_size"]})
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters
    assert (fields["optimiser"], fields["learning_rate"], fields["weight_decay"]) == settings
    frames = torch.empty(1, 3, 256, 256, device="meta")
    assert network.eval()(frames).shape == (1, 2, 256, 256)


@pytest.mark.usefixtures("weights_only")
def test_the_papers_learning_rate_falls_as_a_power(data, tmp_path):
    train(data, tmp_path / "run", *TRANSFORMER, "steps=4", "learning_rate=0.02", name="segmenter_transunet")
    before_last = read_state(checkpoints(tmp_path / "run")[1] / "shared.safetensors")
    assert before_last["optimisers"]["segmenter"]["param_groups"][0]["lr"] == pytest.approx(0.02 * 0.25**0.9)
