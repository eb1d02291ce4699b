import json
import shutil

import pytest

from inference_core.errors import UserError
from inference_core.models.engines import open_engine
from inference_core.models.registry import BUNDLED, add_model, find_model, list_models, own_models, suggest_denoiser


@pytest.fixture
def copied(tmp_path):
    for file in BUNDLED.glob("low-dose-ct.*"):
        shutil.copy(file, tmp_path)
    return tmp_path / "low-dose-ct.json"


def refused(call) -> UserError:
    with pytest.raises(UserError) as caught:
        call()
    assert caught.value.remedy
    return caught.value


def test_every_bundled_model_is_whole_and_says_what_it_is():
    cards = list_models()
    assert {"low-dose-ct", "low-dose-ct-phantom"} <= {card.id for card in cards}
    for card in cards:
        assert card.path.stem == card.id
        assert card.file("safetensors").stat().st_size < 10_000_000
        assert card.file("onnx").stat().st_size < 10_000_000
        for field in (
            "title",
            "training_data",
            "training_command",
            "metrics",
            "licence",
            "intended_use",
            "known_failures",
        ):
            assert card.text[field], (card.id, field)


def test_a_model_is_found_by_its_id_and_by_its_path(copied):
    assert find_model("low-dose-ct", "denoise-ct").path.parent == BUNDLED
    for name in (copied, copied.with_suffix(".safetensors")):
        assert find_model(str(name), "denoise-ct").path == copied


def test_an_unknown_model_names_those_there_are():
    assert "low-dose-ct" in refused(lambda: find_model("best", "denoise-ct")).remedy


def test_a_model_for_another_task_is_refused():
    assert refused(lambda: find_model("low-dose-ct", "segment-folds")).code == "wrong-task"


@pytest.mark.parametrize(("suffix", "engine"), [("onnx", "onnxruntime"), ("safetensors", "torch")])
def test_damaged_weights_are_never_run(copied, suffix, engine):
    pytest.importorskip(engine)
    file = copied.with_suffix(f".{suffix}")
    data = bytearray(file.read_bytes())
    data[-7] ^= 1
    file.write_bytes(data)
    card = find_model(str(copied), "denoise-ct")
    assert refused(lambda: open_engine(card, engine)).code == "model-damaged"


def test_a_card_without_its_weights_is_refused(copied):
    copied.with_suffix(".onnx").unlink()
    assert refused(lambda: open_engine(find_model(str(copied), "denoise-ct"))).code == "model-incomplete"


def test_a_broken_card_is_refused(copied):
    copied.write_text("{")
    assert refused(lambda: find_model(str(copied), "denoise-ct")).code == "bad-card"
    text = json.loads((BUNDLED / "low-dose-ct.json").read_text())
    del text["input"]
    copied.write_text(json.dumps(text))
    assert "input" in refused(lambda: find_model(str(copied), "denoise-ct")).message


def test_the_choice_gives_its_reason():
    card, reason = suggest_denoiser("CT", "D45f", 70.0)
    assert card.automatic
    assert "D45f" in reason
    assert "70 HU" in reason
    assert "nearest" in suggest_denoiser("CT", None, 4000.0)[1]


@pytest.mark.parametrize(
    ("name", "device", "code"),
    [
        ("tensorflow", "cpu", "no-such-engine"),
        ("onnxruntime", "cuda", "no-such-device"),
        ("torch", "toaster", "no-such-device"),
        ("torch", "cuda:7", "no-such-device"),
    ],
)
def test_engines_and_devices_that_are_not_there(name, device, code):
    if name == "torch":
        pytest.importorskip("torch")
    assert refused(lambda: open_engine(find_model("low-dose-ct", "denoise-ct"), name, device)).code == code


def test_an_added_model_is_listed_and_runs(copied):
    added = add_model(copied, "mine")
    assert added.id == "mine"
    assert [card.id for card in list_models()].count("mine") == 1
    assert not added.automatic
    find_model("mine", "denoise-ct").file("onnx")
    copied.unlink()
    assert find_model("mine", "denoise-ct").path.parent.parent == own_models()
    assert sorted(path.name for path in own_models().iterdir()) == ["mine"]


def test_an_added_model_needs_a_name_of_its_own(copied):
    for name, code in (("low-dose-ct", "model-exists"), (None, "model-exists"), ("../x", "model-name")):
        assert refused(lambda name=name: add_model(copied, name)).code == code


def test_a_damaged_model_is_not_added_and_hides_no_other(copied):
    copied.with_suffix(".onnx").write_bytes(b"no")
    assert refused(lambda: add_model(copied, "mine")).code == "model-damaged"
    assert list(own_models().iterdir()) == []
    (own_models() / "broken").mkdir()
    (own_models() / "broken" / "broken.json").write_text("{")
    assert "low-dose-ct" in [card.id for card in list_models()]
