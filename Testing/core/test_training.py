import json
import os
import platform
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from made_slice import made_slice

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")
pytest.importorskip("lightning_fabric")

from inference_core.cli import main  # noqa: E402
from inference_core.denoiser.pipeline import denoise_volume  # noqa: E402
from inference_core.errors import UserError  # noqa: E402
from inference_core.image.volume import Volume  # noqa: E402
from inference_core.image.writing import write_volume  # noqa: E402
from inference_core.measurement.noise import noise_level  # noqa: E402
from inference_core.models.engines import open_engine  # noqa: E402
from inference_core.models.registry import find_model  # noqa: E402
from inference_core.training.checkpoint import newest_checkpoint, read_state  # noqa: E402
from inference_core.training.run_record import read_log  # noqa: E402

LEARNING = ["steps=400", "batch=4", "crop=48", "width=16", "low_width=16", "learning_rate=0.003"]
SMALL = ["noisy_slices=6", "batch=2", "crop=32", "width=4", "low_width=4", "precision=32-true", "log_every=5"]


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """Two slices each of three made patients."""
    folder = tmp_path_factory.mktemp("scans")
    for k, patient in enumerate("ABC"):
        for number in range(2):
            image = made_slice(256, 256, 15, number, 2 * k + number)
            write_volume(Volume(np.rint(image)[None].astype(np.int16)), folder / f"{patient}_sharp_{number}.nrrd")
    return folder


def train(scans, out, *settings):
    main(["train", "denoiser", "--config", "supervised_ct", f"full_dose=[{scans}]", f"out={out}", *SMALL, *settings])


def weights(run):
    return read_state(newest_checkpoint(run) / "shared.safetensors")["networks"]["denoiser"]


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_a_run_learns_and_becomes_a_model_that_denoises(scans, tmp_path):
    run = tmp_path / "mine"
    train(scans, run, *LEARNING, "split.validation=[C]", "validate_every=200")
    log = read_log(run)
    losses = [line["l1_over_noise"] for line in log if "l1_over_noise" in line]
    assert np.mean(losses[-10:]) < 0.85 * np.mean(losses[:5])
    scores = [line for line in log if "psnr_gain" in line]
    assert [line["step"] for line in scores] == [200, 400]
    assert scores[-1]["psnr_gain"] > 1
    assert sorted(path.name for path in (run / "pictures").iterdir()) == ["step-00000200.png", "step-00000400.png"]
    card = find_model(str(run / "model.json"), "denoise-ct")
    assert card.id == "mine"
    assert "mine" not in card.text["training_data"]
    noisy = Volume(np.rint(made_slice(256, 256, 30, 0, 9))[None].astype(np.int16))
    after, _ = denoise_volume(noisy, card, open_engine(card))
    assert noise_level(after.voxels) < 0.9 * noise_level(noisy.voxels)
    assert b"site-packages" not in (run / "model.onnx").read_bytes()


def command(scans, run, *settings):
    code = "import sys; from inference_core.cli import main; main(sys.argv[1:])"
    arguments = ["train", "denoiser", "--config", "supervised_ct", f"full_dose=[{scans}]", f"out={run}"]
    return [sys.executable, "-c", code, *arguments, *SMALL, *settings]


def test_killed_and_resumed_equals_uninterrupted_to_the_bit(scans, tmp_path):
    settings = ("steps=300", "checkpoint_every=20")
    # All in processes of their own: to the bit is for one number of threads, which tests before may have changed.
    quietly = {"check": True, "stderr": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
    subprocess.run(command(scans, tmp_path / "whole", *settings), **quietly)
    killed = subprocess.Popen(command(scans, tmp_path / "killed", *settings), stderr=subprocess.DEVNULL)
    while newest_checkpoint(tmp_path / "killed") is None:
        assert killed.poll() is None
        time.sleep(0.005)
    killed.kill()
    assert killed.wait() == -signal.SIGKILL
    assert not (tmp_path / "killed" / "model.json").exists()
    subprocess.run(command(scans, tmp_path / "killed", *settings), **quietly)
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "killed"))
    whole, resumed = ([line["l1_over_noise"] for line in read_log(tmp_path / run)] for run in ("whole", "killed"))
    assert whole == resumed
    one, other = ((tmp_path / run / "model.safetensors").read_bytes() for run in ("whole", "killed"))
    assert one == other


def test_stopping_leaves_a_checkpoint_and_no_model(scans, tmp_path):
    run = tmp_path / "run"
    stopped = subprocess.Popen(command(scans, run, "steps=100000"), stderr=subprocess.PIPE, text=True)
    while not (run / "log.jsonl").exists():
        assert stopped.poll() is None
        time.sleep(0.01)
    stopped.send_signal(signal.SIGINT)
    assert "the same command goes on" in stopped.communicate(timeout=60)[1]
    assert stopped.returncode == 130
    assert newest_checkpoint(run)
    assert not (run / "model.json").exists()


def test_two_processes_train_one_network(scans, tmp_path):
    run = tmp_path / "two"
    settings = ("steps=8", "checkpoint_every=4", "devices=2", "accelerator=cpu")
    script = tmp_path / "train.py"
    script.write_text("import sys\nfrom inference_core.cli import main\nmain(sys.argv[1:])\n")
    arguments = command(scans, run, *settings)[3:]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    subprocess.run([sys.executable, script, *arguments], check=True, timeout=240, env=environment)
    assert {path.name for path in newest_checkpoint(run).iterdir()} == {
        "shared.safetensors", "process-0.safetensors", "process-1.safetensors",
    }  # fmt: skip
    assert (run / "model.json").exists()
    assert not same(weights(run), _one_process(scans, tmp_path))


def _one_process(scans, tmp_path):
    """The second process's crops must have counted: one process alone ends elsewhere."""
    train(scans, tmp_path / "one", "steps=8", "accelerator=cpu")
    return weights(tmp_path / "one")


def test_noise2noise_learns_without_a_clean_target(scans, tmp_path):
    run = tmp_path / "n2n"
    main(["train", "denoiser", "--config", "noise2noise_ct", f"full_dose=[{scans}]", f"out={run}", *SMALL,
          *LEARNING, "split.validation=[C]", "score_by=reference-free", "select=best",
          "validate_every=200"])  # fmt: skip
    scores = [line for line in read_log(run) if "reference_free" in line]
    assert all(line["score"] == line["reference_free"] for line in scores)
    assert scores[-1]["noise_reduction_db"] > 0.3


def test_best_publishes_the_weights_of_the_best_score(scans, tmp_path):
    run = tmp_path / "best"
    train(scans, run, "steps=40", "select=best", "split.validation=[C]", "validate_every=10")
    scores = [line["score"] for line in read_log(run) if "score" in line]
    best = read_state(newest_checkpoint(run) / "shared.safetensors")["best"]
    assert best["score"] == max(scores)
    from safetensors.torch import load_file

    assert same(load_file(run / "model.safetensors"), best["weights"]["denoiser"])


def test_pairs_are_trained_on(tmp_path):
    for k in range(3):
        clean = made_slice(64, 64, 0, k, k)
        noise = np.random.default_rng(k).normal(0, 40, clean.shape)
        for name, image in (("full", clean), ("low", clean + noise)):
            (tmp_path / "pairs" / name).mkdir(parents=True, exist_ok=True)
            write_volume(Volume(np.rint(image)[None].astype(np.int16)), tmp_path / "pairs" / name / f"P{k}_1.nrrd")
    run = tmp_path / "run"
    main(["train", "denoiser", "--config", "supervised_ct", f"pairs=[{tmp_path / 'pairs'}]", f"out={run}", *SMALL,
          "steps=20", "split.test=[P2]"])  # fmt: skip
    assert json.loads((run / "model.json").read_text())["training_data"] == "2 pairs of low and full dose"


def write_pair(folder, name, low, full):
    for dose, image in (("low", low), ("full", full)):
        (folder / dose).mkdir(parents=True, exist_ok=True)
        np.save(folder / dose / f"{name}.npy", image)


def test_pairs_of_validation_patients_are_scored_and_may_be_npy(tmp_path):
    for patient in "ABC":
        clean = made_slice(96, 96, 0, 0, 0)
        noise = np.random.default_rng(ord(patient)).normal(0, 40, clean.shape)
        write_pair(tmp_path / "pairs", f"{patient}_1", clean + noise, clean)
    run = tmp_path / "run"
    main(["train", "denoiser", "--config", "supervised_ct", f"pairs=[{tmp_path / 'pairs'}]", f"out={run}", *SMALL,
          "steps=20", "split.validation=[C]", "select=best", "npy_unit=HU", "npy_pixel_size=0.7"])  # fmt: skip
    assert read_log(run)[-1]["psnr"] > 20


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda low, full: (full, full), "pairs-alike"),
        (lambda low, full: (low + 2000, full), "not-hounsfield"),
        (lambda low, full: (np.where(low > 100, np.nan, low), full), "not-hounsfield"),
        (lambda low, full: (np.where(low > 100, 1e30, low), full), "not-hounsfield"),
        (lambda low, full: (low[:48], full), "pairs-differ"),
        (lambda low, full: (low[:0], full), "empty"),
    ],
)
def test_pairs_that_are_none_are_refused(tmp_path, spoil, code):
    from inference_core.cli.train import train as command_train

    clean = made_slice(96, 96, 0, 0, 0)
    write_pair(tmp_path / "pairs", "A_1", *spoil(clean + np.random.default_rng(0).normal(0, 40, clean.shape), clean))
    with pytest.raises(UserError) as error:
        command_train(["denoiser", "--config", "supervised_ct", f"pairs=[{tmp_path / 'pairs'}]", "npy_unit=HU",
                       "npy_pixel_size=0.7", f"out={tmp_path / 'run'}", *SMALL, "steps=2"])  # fmt: skip
    assert error.value.code == code


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        (["split={validation: [A], test: [A]}"], "patient-overlap"),
        (["split.test=[Z]"], "no-such-patient"),
        (["split={test: [A, B, C]}"], "no-patient"),
        (["steps=0"], "not-positive"),
        (["batch=-1"], "not-positive"),
        (["checkpoint_every=0"], "not-positive"),
        (["seed=-1"], "out-of-range"),
        (["average_decay=2"], "out-of-range"),
        (["pairs_share=2"], "out-of-range"),
        (["noise.strength=[3,1]"], "out-of-range"),
        (["input.wavelet=foo"], "out-of-range"),
        (["input.wavelet_level=12"], "out-of-range"),
        (["precision=16-mixed", "accelerator=cpu"], "precision"),
        (["crop=30"], "crop"),
        (["crop=200", "noise.half_size_share=1"], "crop"),
        (["crop=4096"], "crop"),
        (["select=best", "validate_every=1"], "no-score"),
        (["start_from=no-such"], "no-such-model"),
        (["start_from=low-dose-ct-phantom"], "other-network"),
    ],
)
def test_mistakes_end_with_the_remedy(scans, tmp_path, settings, code):
    from inference_core.cli.train import train as command_train

    with pytest.raises(UserError) as error:
        command_train(["denoiser", "--config", "supervised_ct", f"full_dose=[{scans}]", f"out={tmp_path / 'run'}",
                       *SMALL, "steps=2", *settings])  # fmt: skip
    assert error.value.code == code


def test_the_data_folder_is_no_place_for_a_run(scans):
    with pytest.raises(SystemExit):
        train(scans, scans, "steps=2")
    assert sorted(path.suffix for path in scans.iterdir()) == [".nrrd"] * 6


def test_a_damaged_checkpoint_gives_way_to_the_one_before(scans, tmp_path, capfd):
    run = tmp_path / "run"
    settings = ("steps=40", "checkpoint_every=10", "noise.half_size_share=0")
    train(scans, run, *settings)
    whole = weights(run)
    shared = newest_checkpoint(run) / "shared.safetensors"
    shared.write_bytes(shared.read_bytes()[:1000])
    train(scans, run, *settings)
    assert "is damaged" in capfd.readouterr().err
    assert same(weights(run), whole)


def test_the_same_slice_in_training_and_validation_fails_the_run(scans, tmp_path):
    folder = tmp_path / "copied"
    folder.mkdir()
    for name, source in (("A_sharp_0", "A_sharp_0"), ("D_sharp_0", "A_sharp_0")):
        (folder / f"{name}.nrrd").write_bytes((scans / f"{source}.nrrd").read_bytes())
    with pytest.raises(SystemExit):
        train(folder, tmp_path / "run", "steps=2", "split.validation=[D]")
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_a_left_out_patient_is_not_opened(scans, tmp_path):
    folder = tmp_path / "scans"
    folder.mkdir()
    for path in scans.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "B_sharp_0.nrrd").write_bytes(b"not a volume")
    train(folder, tmp_path / "run", "steps=2", "split.test=[B]")
    assert (tmp_path / "run" / "model.json").exists()


def test_another_configuration_in_the_same_folder_is_refused(scans, tmp_path, capsys):
    train(scans, tmp_path / "run", "steps=2")
    with pytest.raises(SystemExit):
        train(scans, tmp_path / "run", "steps=3")
    assert "steps 2 (now 3)" in capsys.readouterr().err


def test_a_folder_in_which_another_process_trains_is_left_alone(scans, tmp_path, capsys):
    (tmp_path / "run").mkdir()
    lock = tmp_path / "run" / "running"
    lock.write_text(json.dumps({"machine": platform.node(), "process": os.getpid()}))
    with pytest.raises(SystemExit):
        train(scans, tmp_path / "run", "steps=2")
    assert "Another process trains" in capsys.readouterr().err
    lock.write_text(json.dumps({"machine": platform.node(), "process": 2**22 + 1}))  # gone: Linux has fewer
    train(scans, tmp_path / "run", "steps=2")
    assert not lock.exists()


def test_a_run_that_failed_before_its_first_step_may_be_given_other_settings(scans, tmp_path):
    with pytest.raises(SystemExit):
        train(scans, tmp_path / "run", "steps=2", "split.test=[Z]")
    train(scans, tmp_path / "run", "steps=2", "split.test=[A]")
    assert (tmp_path / "run" / "model.json").exists()


def test_a_saved_configuration_repeats_its_run(scans, tmp_path):
    train(scans, tmp_path / "one", "steps=4", "split.test=[A]")
    main(["train", "denoiser", "--config", str(tmp_path / "one" / "config.yaml"), f"out={tmp_path / 'two'}"])
    assert same(weights(tmp_path / "one"), weights(tmp_path / "two"))
