import json
import shutil

import pytest

from inference_core.cli import main
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
    for name in ("low-dose-ct", None, "LOW-dose-CT"):
        assert refused(lambda name=name: add_model(copied, name)).code == "model-exists"
    for name in ("", "../x", ".x", "-x", "a b", "a/b", "a\n", "\u00e4", "x" * 65):
        assert refused(lambda name=name: add_model(copied, name)).code == "model-name"
    assert add_model(copied, "My_2.model-" + "x" * 53).file("onnx").is_file()


def test_a_folder_without_a_model_is_not_taken(copied):
    folder = own_models() / "Broken"
    folder.mkdir()
    (folder / "Broken.json").write_text("{")
    error = refused(lambda: add_model(copied, "broken"))
    assert error.code == "model-exists"
    assert str(folder) in error.message
    assert [path.name for path in folder.iterdir()] == ["Broken.json"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"sha256": {"/../../x": "0"}}, "bad-card"),
        ({"sha256": {"": "0"}}, "bad-card"),
        ({"sha256": {}}, "model-incomplete"),
        ({"task": "segment-cats"}, "bad-card"),
        ({"input": {"wavelet": "sym999"}}, "bad-card"),
    ],
)
def test_a_card_that_could_not_run_is_not_added(copied, change, code):
    text = json.loads(copied.read_text())
    for key, value in change.items():
        text[key] = text[key] | value if key == "input" else value
    copied.write_text(json.dumps(text))
    assert refused(lambda: add_model(copied, "mine")).code == code
    assert list(own_models().iterdir()) == []


def test_a_wavelet_that_is_not_there_is_refused_before_a_run(copied):
    copied.write_text(copied.read_text().replace('"sym8"', '"sym999"'))
    assert "sym999" in refused(lambda: find_model(str(copied), "denoise-ct")).message


def test_a_name_without_a_model_to_add_is_refused(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["models", "--name", "mine"])
    assert ended.value.code == 2
    assert "--add" in capsys.readouterr().err


def test_a_damaged_model_is_not_added_and_hides_no_other(copied):
    copied.with_suffix(".onnx").write_bytes(b"no")
    assert refused(lambda: add_model(copied, "mine")).code == "model-damaged"
    assert list(own_models().iterdir()) == []
    (own_models() / "broken").mkdir()
    (own_models() / "broken" / "broken.json").write_text("{")
    assert "low-dose-ct" in [card.id for card in list_models()]
