"""FoldIt: painted folds are read back exactly, the losses tie the four generators, a run becomes a segmenter."""

import json

import numpy as np
import pytest
from made_frames import write_dataset, write_real

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")
pytest.importorskip("lightning_fabric")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from inference_core.cli import main  # noqa: E402
from inference_core.cli.train import train as command_train  # noqa: E402
from inference_core.errors import UserError  # noqa: E402
from inference_core.models.engines import open_engine  # noqa: E402
from inference_core.models.networks.foldit_segmenter import FolditSegmenter, fold_logits, overlay  # noqa: E402
from inference_core.models.registry import find_model  # noqa: E402
from inference_core.segmenter.segment import segment_frame  # noqa: E402
from inference_core.training.endoscopy_data import SimulatedFrames  # noqa: E402
from inference_core.training.frame_crops import CropConfig  # noqa: E402
from inference_core.training.recipes import load_recipe, recipe_of  # noqa: E402
from inference_core.training.run_record import read_log  # noqa: E402

SMALL = ["width=4", "blocks=1", "discriminator_width=4", "crops.size=32", "log_every=1", "precision=32-true"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_dataset(folder / "sim" / "one")
    write_real(folder / "real")
    return folder


def train(data, run, *given):
    folders = [f"simulated={data / 'sim'}", f"real={data / 'real'}", f"out={run}"]
    main(["train", "segmenter", "--config", "foldit", *folders, *SMALL, *given])


@settings(max_examples=50, deadline=None)
@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_painted_folds_are_read_back_from_tissue_of_any_brightness(red, share, blue_share):
    """Red is the strongest, as in tissue, yellow stool and bile."""
    green = share * red
    tissue = torch.tensor([red, green, min(green, red) * (0.3 + 0.7 * blue_share)]).view(1, 3, 1, 1)
    frames = 2 * tissue.expand(1, 3, 4, 4) - 1
    mask = torch.zeros(1, 1, 4, 4, dtype=torch.bool)
    mask[..., 1:3, :2] = True
    logits = fold_logits(overlay(frames, mask))
    marked = logits[:, 1:] > logits[:, :1]
    if red - green < 0.79:  # a redder red than tissue has hides the paint
        assert torch.equal(marked, mask)
    assert not marked[~mask].any()


def test_a_batch_has_the_folds_of_its_frames(data):
    batch = SimulatedFrames(data / "sim", "train", CropConfig(size=32, simulated_share=(1, 1))).spread(3)
    assert batch.fold.shape == batch.depth.shape
    assert batch.fold.any()
    assert not batch.fold.all()
    assert not (batch.fold & (batch.rgb.amax(1, keepdim=True) == 0)).any()  # nothing is marked behind the black frame


def test_the_published_size():
    with torch.device("meta"):
        network = FolditSegmenter()
    assert sum(parameter.numel() for parameter in network.parameters()) == 17_770_883


def test_a_run_becomes_a_segmenter(data, tmp_path):
    train(data, tmp_path / "run", "steps=2")
    losses = [line for line in read_log(tmp_path / "run") if "transitive" in line]
    assert [line["step"] for line in losses] == [1, 2]
    assert all(np.isfinite(list(line.values())).all() for line in losses)
    card = find_model(str(tmp_path / "run" / "model.json"), "segment-folds")
    assert card.text["output"] == "classes"
    assert str(data) not in json.dumps(card.text)
    frame = np.random.default_rng(0).integers(90, 255, (60, 80, 3), np.uint8)
    by_onnx, by_torch = (segment_frame(frame, card, open_engine(card, name)).fold for name in ("onnxruntime", "torch"))
    np.testing.assert_allclose(by_onnx, by_torch, atol=1e-3)


def test_a_few_frames_are_learned_by_heart(data, tmp_path):
    train(data, tmp_path / "run", "steps=120", "learning_rate=0.002", "width=8", "log_every=10")
    truths = [line["truth"] for line in read_log(tmp_path / "run") if "truth" in line]
    assert truths[-1] < 0.75 * truths[0]


@pytest.mark.parametrize(
    ("setting", "code"),
    [("weight_truth=-1", "out-of-range"), ("blocks=0", "not-positive"), ("select=best", "no-score")],
)
def test_mistakes_end_with_the_remedy(data, tmp_path, setting, code):
    folders = [f"simulated={data / 'sim'}", f"real={data / 'real'}", f"out={tmp_path / 'run'}"]
    with pytest.raises(UserError) as error:
        command_train(["segmenter", "--config", "foldit", *folders, *SMALL, setting])
    assert error.value.code == code
    assert error.value.remedy


@pytest.mark.parametrize("name", ["foldit", "foldit_paper"])
def test_the_configurations_name_fields_that_there_are(name):
    recipe, fields = recipe_of(name, "segmenter")
    assert set(fields) <= set(load_recipe(recipe)[0].__dataclass_fields__)
