"""The CT paper's recipe through the real command, and models of its kind in the pipeline."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from made_slice import made_slice

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")
pytest.importorskip("lightning_fabric")

from inference_core.cli import main  # noqa: E402
from inference_core.cli.train import train as command_train  # noqa: E402
from inference_core.denoiser.pipeline import denoise_slice, denoise_volume  # noqa: E402
from inference_core.denoiser.wavelet import low_band  # noqa: E402
from inference_core.errors import UserError  # noqa: E402
from inference_core.image.volume import Volume  # noqa: E402
from inference_core.image.writing import write_volume  # noqa: E402
from inference_core.models.card import card_from  # noqa: E402
from inference_core.models.engines import open_engine  # noqa: E402
from inference_core.models.registry import find_model  # noqa: E402
from inference_core.training import recipes  # noqa: E402
from inference_core.training.checkpoint import newest_checkpoint, read_state  # noqa: E402
from inference_core.training.run_record import read_log  # noqa: E402

TINY = ["steps=3", "batch=2", "crop=32", "margin=4", "positions=16", "log_every=1", "precision=32-true"]
DOSES = ("low_dose", "full_dose")
SMALL_NETWORK = "arguments={features: 8, growth: 4, blocks: 2, layers: 3}"


@pytest.fixture(scope="module")
def doses(tmp_path_factory):
    """A slice each of two made patients at both doses."""
    folder = tmp_path_factory.mktemp("doses")
    for dose, noise, seed in (("low", 60, 0), ("full", 15, 10)):
        (folder / dose).mkdir()
        for k, patient in enumerate("AB"):
            image = made_slice(128, 128, noise, seed + k, k)
            write_volume(Volume(np.rint(image)[None].astype(np.int16)), folder / dose / f"{patient}_1.nrrd")
    return folder


def arguments(doses, config, run, *settings):
    given = [f"low_dose=[{doses / 'low'}]", f"full_dose=[{doses / 'full'}]", f"out={run}", *TINY, *settings]
    return ["train", "denoiser", "--config", config, *given]


def noisy(size=128):
    return Volume(np.rint(made_slice(size, size, 60, 5, 0.5))[None].astype(np.int16))


@pytest.mark.parametrize(
    ("config", "settings"),
    [
        ("dml_aapm", ["split.validation=[B]", SMALL_NETWORK]),
        ("dml_temporal", [SMALL_NETWORK]),
        ("dml_robust", ["split.validation=[B]"]),
    ],
)
def test_three_steps_become_a_model_that_denoises(doses, tmp_path, config, settings):
    run = tmp_path / "run"
    main(arguments(doses, config, run, *settings))
    log = [line for line in read_log(run) if "metric" in line]
    assert [line["step"] for line in log] == [1, 2, 3]
    losses = ("adversarial", "identity", "metric", "discriminator")
    assert all(np.isfinite(line[name]) for line in log for name in losses)
    card = find_model(str(run / "model.json"), "denoise-ct")
    before = noisy()
    after, report = denoise_volume(before, card, open_engine(card))
    by_torch, _ = denoise_volume(before, card, open_engine(card, "torch"))
    assert np.abs(after.voxels.astype(int) - by_torch.voxels).max() <= 1
    assert (after.voxels != before.voxels).any()
    if config == "dml_robust":
        moved = low_band((after.voxels[0] - before.voxels[0]).astype(np.float64), 6, card.wavelet)
        assert np.abs(moved).max() == pytest.approx(report.low_band_change, abs=1e-5)  # in single precision
        assert report.low_band_change < 0.5
        assert card.kept_levels == (3, 6)
    else:
        assert card.kept_levels == ()
        assert card.output == "image"
        assert card.arguments["spectral_norm"] is False
        assert not any("parametrizations" in name for name in weights_of(card))


def weights_of(card):
    from safetensors.torch import load_file

    return load_file(card.file("safetensors"))


def test_the_published_generator_is_the_trained_one(doses, tmp_path):
    """Spectral norms folded, averages taken (here none): the same output."""
    from inference_core.models.networks import load_network
    from inference_core.models.networks.rrdb_sn import RrdbSn

    run = tmp_path / "run"
    main(arguments(doses, "dml_aapm", run, SMALL_NETWORK))
    trained = RrdbSn(features=8, growth=4, blocks=2, layers=3)
    trained.load_state_dict(read_state(newest_checkpoint(run) / "shared.safetensors")["networks"]["denoiser"])
    published = load_network(find_model(str(run / "model.json"), "denoise-ct"))
    x = torch.randn(1, 1, 40, 40, generator=torch.Generator().manual_seed(0)) * 0.05
    with torch.no_grad():
        torch.testing.assert_close(published(x), trained.eval()(x), rtol=0, atol=1e-6)


def networks_of(run):
    return read_state(newest_checkpoint(run) / "shared.safetensors")["networks"]


def test_killed_and_resumed_equals_uninterrupted_to_the_bit(doses, tmp_path):
    """Generator, heads and discriminator, with the vectors of their spectral norms."""
    code = "import sys; from inference_core.cli import main; main(sys.argv[1:])"
    quietly = {"stderr": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}

    def command(run):
        settings = ("steps=30", "checkpoint_every=4", SMALL_NETWORK)
        return [sys.executable, "-c", code, *arguments(doses, "dml_aapm", tmp_path / run, *settings)]

    subprocess.run(command("whole"), check=True, **quietly)
    killed = subprocess.Popen(command("killed"), **quietly)
    while newest_checkpoint(tmp_path / "killed") is None:
        assert killed.poll() is None
        time.sleep(0.005)
    killed.kill()
    assert killed.wait() == -signal.SIGKILL
    assert not (tmp_path / "killed" / "model.json").exists()
    subprocess.run(command("killed"), check=True, **quietly)
    whole, resumed = networks_of(tmp_path / "whole"), networks_of(tmp_path / "killed")
    assert any(name.endswith("_u") for name in whole["denoiser"])
    assert any(name.endswith("_u") for name in whole["discriminator"])
    for part in ("denoiser", "heads", "discriminator"):
        assert whole[part].keys() == resumed[part].keys()
        assert all(torch.equal(value, resumed[part][name]) for name, value in whole[part].items())
    one, other = ((tmp_path / run / "model.safetensors").read_bytes() for run in ("whole", "killed"))
    assert one == other


def configured(name):
    return yaml.safe_load((Path(recipes.__file__).parent / f"{name}.yaml").read_text())


def test_dml_aapm_is_the_papers_run():
    config = configured("dml_aapm")
    paper = {
        "epochs": 200, "batch": 8, "crop": 128, "margin": 30, "flips": False, "learning_rate": 2e-4,
        "discriminator_rate": 2e-4, "weight_identity": 5, "weight_metric": 0.1, "temperature": 0.15,
        "positions": 128, "pool": 1, "network": "rrdb_sn", "precision": "32-true", "clip": 0, "average_decay": 0,
    }  # fmt: skip
    assert {name: config[name] for name in paper} == paper
    assert config["steps"] == 200 * 3112 // 8
    assert config["input"] == {
        "band": "high", "unit_hu": 2000, "output": "image", "wavelet": "db3", "wavelet_level": 6, "kept_level": 0,
    }  # fmt: skip
    assert "arguments" not in config  # the paper's generator as it is: blocks that share their weights
    assert "start_from" not in config
    temporal = configured("dml_temporal")
    other = {"batch": 4, "epochs": 100, "temperature": 0.12, "pool": 2}
    assert {name: temporal[name] for name in other} == other
    assert temporal["input"] == config["input"] | {"wavelet_level": 5}
    same = paper.keys() - other.keys()
    assert {name: temporal[name] for name in same} == {name: paper[name] for name in same}


def test_adam_and_its_schedule_are_the_papers(doses, tmp_path):
    from lightning_fabric import Fabric

    from inference_core.training.recipes.deep_metric_ct import DeepMetricCtConfig, prepare

    config = DeepMetricCtConfig(low_dose=[doses / "low"], full_dose=[doses / "full"], out=tmp_path / "run",
                                steps=2000, epochs=200, crop=32, margin=4, batch=2)  # fmt: skip
    task = prepare(config, Fabric(accelerator="cpu", devices=1))
    for name, optimiser in task.optimisers.items():
        assert optimiser.param_groups[0]["betas"] == (0.5, 0.999)
        rates = []
        for _ in range(2000):
            rates.append(optimiser.param_groups[0]["lr"])
            optimiser.step()
            task.schedules[name].step()
        assert rates[:1000] == [2e-4] * 1000
        stairs = [2e-4 * (1 - (epoch - 99) / 101) for epoch in range(100, 200)]
        np.testing.assert_allclose(rates[1000::10], stairs, rtol=1e-9)
        np.testing.assert_allclose(rates[1009::10], stairs, rtol=1e-9)


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        (["full_dose=[{low}]"], "folder-twice"),
        (["full_dose=[{low}/../low]"], "folder-twice"),
        (["low_dose=[{low},{low}/.]"], "folder-twice"),
        (["out={low}/run"], "out-folder"),
        (["out={low}/.."], "out-folder"),
        (["low_dose=[]"], "no-data"),
        (["full_dose=[]"], "no-data"),
        (["crop=136"], "crop"),
        (["crop=30"], "crop"),
        (["temperature=0"], "out-of-range"),
        (["temperature=0.01"], "out-of-range"),
        (["discriminator_unit_hu=-1"], "not-positive"),
        (["pool=0"], "out-of-range"),
        (["pool=3"], "out-of-range"),
        (["pool=32"], "out-of-range"),
        (["network=unshuffle_unet", "pool=32"], "out-of-range"),
        (["positions=1"], "out-of-range"),
        (["weight_metric=-0.1"], "out-of-range"),
        (["weight_adversarial=.nan"], "out-of-range"),
        (["weight_identity=.inf"], "out-of-range"),
        (["start_strength=1.5"], "out-of-range"),
        (["margin=-1"], "out-of-range"),
        (["input.kept_level=7"], "out-of-range"),
        (["split.test=[A,B]"], "no-patient"),
        (["network=no-such"], "no-such-network"),
        (["network=unshuffle_cnn"], "no-such-network"),
        (["arguments={{width: 8}}"], "bad-arguments"),
        (["arguments={{features: -8}}"], "bad-arguments"),
        (["arguments={{layers: 0}}"], "bad-arguments"),
        (["arguments={{growth: 0}}"], "bad-arguments"),
        (["network=unshuffle_unet", "arguments={{depth: 3}}"], "bad-arguments"),
        (["start_from=low-dose-ct"], "other-network"),
    ],
)
def test_mistakes_end_with_the_remedy(doses, tmp_path, settings, code):
    given = [setting.format(low=doses / "low") for setting in settings]
    with pytest.raises(UserError) as error:
        command_train(arguments(doses, "dml_aapm", tmp_path / "run", *given)[1:])
    assert error.value.code == code
    assert error.value.remedy
    assert not (tmp_path / "run" / "checkpoints").exists()
    assert sorted(path.name for path in doses.iterdir()) == ["full", "low"]
    assert all(len(list(folder.iterdir())) == 2 for folder in doses.iterdir())


@pytest.mark.parametrize(
    ("config", "settings"),
    [
        ("dml_aapm", ["pool=3"]),
        ("dml_aapm", ["network=unshuffle_cnn"]),
        ("dml_aapm", ["arguments={width: 8}"]),
        ("dml_aapm", ["start_from=low-dose-ct"]),
        ("metric_noise2noise_ct", ["positions=1"]),
        ("metric_noise2noise_ct", ["network=no-such"]),
        ("metric_noise2noise_ct", ["weight_consistency=-1"]),
        ("metric_noise2noise_ct", ["temperature=0.01"]),
        ("metric_noise2noise_ct", ["network=rrdb_sn"]),
    ],
)
def test_what_cannot_be_trained_is_refused_before_data_are_read(tmp_path, config, settings):
    data = [f"{dose}=[{tmp_path / dose}]" for dose in (("full_dose",) if "noise2noise" in config else DOSES)]
    with pytest.raises(UserError) as error:  # of the settings: the data are not there
        command_train(["denoiser", "--config", config, *data, f"out={tmp_path / 'run'}", "accelerator=cpu", *settings])
    assert error.value.code in ("out-of-range", "no-such-network", "bad-arguments", "other-network")
    if settings == ["network=unshuffle_cnn"]:
        assert "rrdb_sn or unshuffle_unet" in error.value.remedy


@pytest.mark.parametrize("place", ["inside", "around"])
@pytest.mark.parametrize(
    ("config", "given"),
    [
        *((config, DOSES) for config in ("dml_aapm", "cyclegan_ct", "gan_circle", "cycle_free")),
        *((config, ("full_dose",)) for config in ("supervised_ct", "noise2noise_ct", "metric_noise2noise_ct")),
        ("supervised_ct", ("pairs",)),
    ],
)
def test_a_run_lies_apart_from_its_data(tmp_path, config, given, place):
    folders = [tmp_path / "all" / dose for dose in given]
    for folder in folders:
        folder.mkdir(parents=True)
    out = folders[-1] / "new" / "run" if place == "inside" else tmp_path / "all"
    data = [f"{dose}=[{folder}]" for dose, folder in zip(given, folders, strict=True)]
    with pytest.raises(UserError) as error:
        command_train(["denoiser", "--config", config, *data, f"out={out}"])
    assert error.value.code == "out-folder"
    assert all(str(folder) in error.value.message for folder in (out, folders[-1 if place == "inside" else 0]))
    assert sorted(path.name for path in tmp_path.rglob("*")) == sorted(["all", *given])


def test_weights_with_folded_spectral_norms_are_trained_on_as_they_are(doses, tmp_path):
    first = tmp_path / "first"
    main(arguments(doses, "dml_aapm", first, SMALL_NETWORK))
    model = f"start_from={first / 'model.json'}"
    with pytest.raises(UserError) as error:
        command_train(arguments(doses, "dml_aapm", tmp_path / "run", SMALL_NETWORK, model)[1:])
    assert "folded" in error.value.message
    in_quotes = error.value.remedy.split("'")[1]
    as_said = f"arguments={in_quotes}"
    main(arguments(doses, "dml_aapm", tmp_path / "run", as_said, model, "steps=1", "learning_rate=1e-12"))
    one, other = (weights_of(find_model(str(run / "model.json"), "denoise-ct")) for run in (first, tmp_path / "run"))
    assert all(torch.allclose(one[name], other[name], atol=1e-6) for name in one)


def test_a_run_that_is_done_is_left_as_it_is(doses, tmp_path, capfd, recwarn):
    run = tmp_path / "run"
    main(arguments(doses, "dml_aapm", run, SMALL_NETWORK))
    assert not [warning for warning in recwarn if "LeafSpec" in str(warning.message)]
    written = (run / "model.onnx").stat().st_mtime_ns
    capfd.readouterr()
    main(arguments(doses, "dml_aapm", run, SMALL_NETWORK))
    assert f"This run is done: {run / 'model.json'}" in capfd.readouterr().err
    assert (run / "model.onnx").stat().st_mtime_ns == written
    (run / "model.onnx").write_bytes(b"half")
    main(arguments(doses, "dml_aapm", run, SMALL_NETWORK))
    assert find_model(str(run / "model.json"), "denoise-ct").file("onnx").is_file()


# Models of the papers in the pipeline: the network gives the image, and may see all of it.


def card(band, output, kept_level=0):
    text = json.loads((Path(find_model("low-dose-ct", "denoise-ct").path)).read_text())
    text["input"] |= {"band": band, "unit_hu": 2000, "kept_level": kept_level, "multiple_of": 1, "halo": 1}
    return card_from(text | {"output": output}, Path("model.json"))


@pytest.mark.parametrize("kept_level", [0, 3])
@pytest.mark.parametrize("band", ["high", "whole"])
@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_a_network_that_gives_its_input_gives_the_slice_back_to_the_bit(band, dtype, kept_level):
    image = made_slice(96, 80, 60).astype(dtype)
    after, report = denoise_slice(image, lambda x: x, card(band, "image", kept_level))
    assert after.dtype == dtype
    assert (after == image).all()
    assert report.low_band_change == 0


@pytest.mark.parametrize("band", ["high", "whole"])
def test_image_and_residual_say_the_same(band):
    image = made_slice(96, 80, 60).astype(np.float32)
    as_image, _ = denoise_slice(image, lambda x: np.float32(0.75) * x, card(band, "image"))
    as_residual, _ = denoise_slice(image, lambda x: np.float32(-0.25) * x, card(band, "residual"))
    np.testing.assert_allclose(as_image, as_residual, rtol=0, atol=2e-3)
    seen = image + 1000 if band == "whole" else image - low_band(image.astype(np.float64), 6, "sym8")
    np.testing.assert_allclose(as_image - image, -0.25 * seen, rtol=0, atol=2e-3)


@pytest.mark.parametrize("band", ["high", "whole"])
def test_half_the_strength_is_half_the_change(band):
    image = made_slice(96, 80, 60).astype(np.float32)

    def network(x):
        return np.float32(0.5) * x + np.float32(0.01)

    full, half = (denoise_slice(image, network, card(band, "image"), strength)[0] for strength in (1, 0.5))
    assert np.abs(full - image).max() > 20
    np.testing.assert_allclose(half - image, (full - image) / 2, rtol=0, atol=1e-3)


@pytest.mark.parametrize("strength", [0.0, 0.6])
def test_a_warm_start_is_the_model_at_a_strength(doses, tmp_path, strength):
    run = tmp_path / "run"
    main(arguments(doses, "dml_robust", run, "steps=1", "learning_rate=1e-12", f"start_strength={strength}"))
    before = noisy()
    large = find_model("low-dose-ct-large", "denoise-ct")
    expected, _ = denoise_volume(before, large, open_engine(large), strength)
    card = find_model(str(run / "model.json"), "denoise-ct")
    got, _ = denoise_volume(before, card, open_engine(card))
    assert np.abs(got.voxels.astype(int) - expected.voxels).max() <= 1


def test_a_card_is_written_when_its_weights_are_there(doses, tmp_path, monkeypatch):
    """What looks for a model by its card must not find half of one."""

    def power_cut(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("inference_core.training.publish.export_onnx", power_cut)
    run = tmp_path / "run"
    given = arguments(doses, "dml_aapm", run, SMALL_NETWORK)
    with pytest.raises(SystemExit):
        main(given)
    assert not (run / "model.json").exists()
    monkeypatch.undo()
    main(given)
    assert find_model(str(run / "model.json"), "denoise-ct").file("onnx").is_file()


@pytest.mark.parametrize("settings", [[], ["weight_metric=0", "weight_consistency=0.3"]])
def test_noise_alone_teaches_with_the_metric_loss(tmp_path, settings):
    run = tmp_path / "run"
    small = ["noisy_slices=4", "batch=2", "crop=32", "width=4", "low_width=4", "positions=16", "log_every=1", "steps=3"]
    image = made_slice(256, 256, 15, 3, 0)
    (tmp_path / "full").mkdir()
    write_volume(Volume(np.rint(image)[None].astype(np.int16)), tmp_path / "full" / "A_1.nrrd")
    data = [f"full_dose=[{tmp_path / 'full'}]", f"out={run}", "precision=32-true"]
    main(["train", "denoiser", "--config", "metric_noise2noise_ct", *data, *small, *settings])
    log = [line for line in read_log(run) if "metric" in line]
    assert len(log) == 3
    assert all((line["metric"] != 0) == (not settings) and line["consistency"] > 0 for line in log)
    card = find_model(str(run / "model.json"), "denoise-ct")
    after, _ = denoise_volume(noisy(), card, open_engine(card))
    assert after.voxels.shape == (1, 128, 128)
