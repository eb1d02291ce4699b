"""A model's card, a recipe and a configuration are data: whatever stands in them, nothing of it is run or followed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from inference_core.batch.recipe import read_recipe
from inference_core.errors import UserError
from inference_core.models.card import sha256_of
from inference_core.models.engines import open_engine
from inference_core.models.registry import BUNDLED, add_model, find_model, own_models
from inference_core.training.recipes import recipe_of

CALL = "__import__('pathlib').Path('ran').touch()"
NAMES = [
    "evil",
    "../../evil",
    "os",
    "os.system",
    "inference_core.cli",
    "__init__",
    f"lambda: {CALL}",
    CALL,
    "",
    None,
    ["x"],
]


@pytest.fixture
def card(tmp_path, monkeypatch):
    """A copy of a bundled model, to spoil; commands run in its folder, where a code that ran would leave a file."""
    monkeypatch.chdir(tmp_path)
    for file in BUNDLED.glob("low-dose-ct.*"):
        shutil.copy(file, tmp_path)
    (tmp_path / "evil.py").write_text(f"{CALL}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path / "low-dose-ct.json"


def change(card: Path, **fields) -> None:
    card.write_text(json.dumps(json.loads(card.read_text()) | fields))


def nothing_ran(folder: Path) -> bool:
    return not list(folder.rglob("ran"))


@pytest.mark.parametrize("name", NAMES)
def test_a_network_that_is_not_ours_is_refused(card, name):
    pytest.importorskip("torch")
    change(card, architecture={"name": name, "arguments": {}})
    with pytest.raises(UserError) as caught:
        open_engine(find_model(str(card)), "torch")
    assert caught.value.code in ("no-such-network", "bad-card")
    assert nothing_ran(card.parent)


@pytest.mark.parametrize(
    "arguments",
    [
        {"width": CALL},
        {"width": {"class_path": "evil", "init_args": {}}},
        {"width": 32, "low_width": 48, "activation": f"lambda x: {CALL}"},
        {"__class__": "evil"},
        {"width": 10**12},
        {"width": -1},
    ],
)
def test_arguments_that_a_network_does_not_take_are_refused(card, arguments):
    pytest.importorskip("torch")
    change(card, architecture={"name": "unshuffle_unet", "arguments": arguments})
    with pytest.raises((UserError, MemoryError)) as caught:
        open_engine(find_model(str(card)), "torch")
    assert getattr(caught.value, "code", "bad-arguments") == "bad-arguments"
    assert nothing_ran(card.parent)


@pytest.mark.parametrize(
    "fields",
    [
        {"task": CALL},
        {"output": CALL},
        {"input": {"unit_hu": CALL}},
        {"input": {"wavelet": CALL}},
        {"input": {"band": "../high"}},
        {"input": {"multiple_of": "4; import os"}},
        {"trained_for": {"noise_hu": [CALL, 3]}},
        {"sha256": {"onnx/../../x": "0"}},
        {"sha256": {"onnx": "0", "py": "0"}},
        {"sha256": [CALL]},
    ],
)
def test_a_field_that_says_something_else_is_refused(card, fields):
    text = json.loads(card.read_text())
    change(card, **{name: {**text[name], **value} if name in ("input", "trained_for") else value
                    for name, value in fields.items()})  # fmt: skip
    with pytest.raises(UserError) as caught:
        find_model(str(card))
    assert caught.value.code == "bad-card"
    assert nothing_ran(card.parent)


def test_fields_that_nobody_knows_are_text_and_nothing_else(card):
    extra = {"__reduce__": CALL, "run": CALL, "hooks": {"load": CALL}, "summary": f"{{{CALL}}} %s {{0.__class__}}"}
    change(card, **extra)
    model = find_model(str(card))
    assert model.text["run"] == CALL
    open_engine(model, "onnxruntime")
    assert add_model(card, "mine").summary == extra["summary"]
    assert nothing_ran(card.parent)
    assert nothing_ran(own_models())


@pytest.mark.parametrize("identifier", ["../evil", "/evil", "..", CALL, "a/b"])
def test_a_name_on_a_card_leads_to_no_other_folder(card, identifier):
    change(card, id=identifier)
    assert find_model(str(card)).file("onnx").parent == card.parent
    with pytest.raises(UserError) as caught:
        add_model(card)
    assert caught.value.code == "model-name"
    assert list(own_models().iterdir()) == []


@pytest.mark.parametrize(
    "place",
    [
        "../secret.bin",
        "/etc/passwd",
        "secret.bin",
    ],
)
def test_weights_that_point_to_other_files_are_not_followed(card, place):
    """An ONNX file may name further files; none is shipped like that, and none is opened."""
    onnx = pytest.importorskip("onnx")
    folder = card.parent / "model"
    folder.mkdir()
    for file in card.parent.glob("low-dose-ct.*"):
        shutil.move(file, folder)
    card = folder / card.name
    weights = card.with_suffix(".onnx")
    model = onnx.load(weights)
    first = next(one for one in model.graph.initializer if len(one.raw_data) > 64)
    for secret in (folder / "secret.bin", folder.parent / "secret.bin"):
        secret.write_bytes(first.raw_data)
    first.ClearField("raw_data")
    first.data_location = onnx.TensorProto.EXTERNAL
    first.external_data.add(key="location", value=place)
    weights.write_bytes(model.SerializeToString())
    text = json.loads(card.read_text())
    change(card, sha256=text["sha256"] | {"onnx": sha256_of(weights)})
    with pytest.raises(Exception, match=r"(?i)external|secret|passwd|model"):
        open_engine(find_model(str(card)), "onnxruntime")


YAML = [
    "strength: !!python/object/apply:pathlib.Path.touch [ran]",
    "strength: !!python/object/new:evil {}",
    "model: !!python/name:os.system",
    "!!python/module:evil",
    "strength: 1.0\nclass_path: evil",
]


@pytest.mark.parametrize("text", YAML)
def test_a_batch_recipe_is_data(card, text):
    path = card.parent / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        read_recipe(path)
    assert caught.value.code == "bad-recipe"
    assert nothing_ran(card.parent)


@pytest.mark.parametrize(
    "text", [*(f"recipe: supervised_ct\n{line}" for line in YAML[:3]), "recipe: evil", f"recipe: {CALL}"]
)
def test_a_training_configuration_is_data(card, text):
    path = card.parent / "config.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        recipe_of(str(path), "denoiser")
    assert caught.value.code in ("bad-config", "no-such-recipe")
    assert nothing_ran(card.parent)
