"""``inference-core reproduce ct``: its parts, and all of it on tiny data."""

import json
import math
import os
import platform
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_slice import made_slice

pytest.importorskip("torch")
pytest.importorskip("onnxscript")
pytest.importorskip("lightning_fabric")
pytest.importorskip("skimage")

import inference_core
from inference_core.cli.reproduce import ct
from inference_core.errors import UserError
from inference_core.evaluation.reproduction import budget, table2, temporal_data
from inference_core.evaluation.reproduction.budget import Job, cpu_seconds, steps_for, trained
from inference_core.evaluation.reproduction.figures import write_figure_4
from inference_core.evaluation.reproduction.methods import METHODS, chosen_methods
from inference_core.evaluation.reproduction.request import Request, check, training_pair
from inference_core.evaluation.reproduction.table2 import measured
from inference_core.evaluation.reproduction.temporal_data import TestCt, shift_ct_numbers
from inference_core.image.reading import read_volume
from inference_core.image.volume import Volume
from inference_core.image.writing import write_volume
from inference_core.models.registry import BUNDLED
from inference_core.scratch import process_alive
from inference_core.simulation.head_anatomy import Roi


@pytest.fixture
def made_ct():
    """Two slices of 1 mm pixels: air above, brain below, a cavity and a bone; noise of 20 HU."""
    truth = np.full((2, 200, 200), -1000, np.int16)
    truth[:, 100:] = 35
    truth[:, 10:20, 10:20] = 1400
    truth[:, 180:190, 10:20] = -1000
    rng = np.random.default_rng(0)
    low, high = (np.rint(truth + rng.normal(0, std, truth.shape)).astype(np.int16) for std in (20, 5))
    rois = (Roi("bone", (14.5, 14.5, 0.5), (6, 6, 2)), Roi("cavity", (14.5, 184.5, 0.5), (6, 6, 2)))
    padding = np.zeros((200, 200), bool)
    padding[:, 150:] = True
    volumes = (Volume(voxels) for voxels in (low, high, truth))
    return TestCt("phantom", *volumes, rois, {"brain": (25.0, 45.0), "air": (-1020.0, -950.0)}, padding)


def test_table_2_shows_shifts_and_noise_as_they_are(made_ct):
    low = made_ct.low.voxels
    air_moved = np.where(made_ct.truth.voxels < -900, low - 100, low)
    outputs = {"plus 7": low + 7, "truth": made_ct.truth.voxels, "air moved": air_moved}
    before = low.copy()
    lines, _ = measured(made_ct, {name: lambda _, out=out: out for name, out in outputs.items()})
    low_dose, high_dose, plus_7, truth, air = lines
    assert np.array_equal(made_ct.low.voxels, before)
    assert [line.label for line in lines] == ["low dose", "high dose", *outputs]
    assert low_dose.regions["brain"].std == pytest.approx(20, rel=0.02)
    assert high_dose.regions["air"].std == pytest.approx(5, rel=0.02)
    assert low_dose.largest_shift == 0
    assert plus_7.largest_shift == pytest.approx(7)
    for region in ("brain", "air", "cavity", "bone"):
        assert plus_7.regions[region].mean - low_dose.regions[region].mean == pytest.approx(7)
        assert plus_7.regions[region].std == pytest.approx(low_dose.regions[region].std)
        assert truth.regions[region].std == 0
    assert truth.regions["bone"].mean == 1400
    assert math.isnan(plus_7.regions["soft tissue"].mean), "the CT has no such region"
    assert air.regions["air"].mean - low_dose.regions["air"].mean == pytest.approx(-100)
    assert air.regions["brain"] == low_dose.regions["brain"]
    assert air.largest_shift == pytest.approx(100)
    assert "soft tissue" not in table2.table(lines)


def test_where_no_patch_fits_nothing_is_reported(made_ct):
    everything_padded = TestCt(
        made_ct.name, made_ct.low, made_ct.high, made_ct.truth, (), made_ct.tissue_hu, np.ones((200, 200), bool)
    )
    low_dose = measured(everything_padded, {})[0][0]
    assert all(math.isnan(values.mean) and math.isnan(values.std) for values in low_dose.regions.values())


def test_the_papers_own_table_has_its_largest_shifts():
    lines = {line.split("|")[1].strip(): line.split("|") for line in table2.paper_table().splitlines()[2:]}
    assert lines["DML, faithful"][-2].strip() == "1.92", "cavity: -777.63 - -775.71"
    assert lines["GAN-Circle"][-2].strip() == "149.71", "cavity: -925.42 - -775.71"


def test_figure_4_is_drawn_with_a_column_a_method(made_ct, tmp_path):
    from PIL import Image

    write_figure_4(made_ct, {"same": made_ct.low.voxels}, tmp_path / "figure4.png")
    width, height = Image.open(tmp_path / "figure4.png").size
    assert 3 * 400 < width < 3 * 700
    assert height > 1.2 * width


def test_the_shift_moves_what_is_below_0_hu_only():
    hu = np.array([-1000.0, -1.0, 0.0, 35.0, 1400.0])
    assert shift_ct_numbers(hu) == pytest.approx([-870, -0.87, 0, 35, 1400])


@pytest.fixture
def small_heads(monkeypatch):
    for name, value in {
        "LOW_SEEDS": (200,), "FULL_SEEDS": (300,), "SLICES": 1, "TRAINED_EVERY": 1, "TESTED_EVERY": 1, "VIEWS": 240,
    }.items():  # fmt: skip
        monkeypatch.setattr(temporal_data, name, value)


def test_temporal_data_are_unpaired_shifted_and_padded(small_heads, tmp_path):
    temporal_data.make_temporal_data(tmp_path, None)
    names = {dose: {path.name for path in (tmp_path / "shifted" / dose).iterdir()} for dose in ("low", "full")}
    assert names == {"low": {"HEAD200_low.nrrd"}, "full": {"HEAD300_full.nrrd"}}
    shifted, plain = (read_volume(tmp_path / v / "low" / "HEAD200_low.nrrd").voxels for v in ("shifted", "unshifted"))
    full = read_volume(tmp_path / "shifted" / "full" / "HEAD300_full.nrrd").voxels
    corner = np.s_[0, :30, :30]
    assert (shifted[corner] == -1024).all(), "padding is no measurement and is not shifted"
    air = np.s_[0, 20:40, 200:280]
    assert shifted[air].mean() - plain[air].mean() == pytest.approx(130, abs=1)
    assert full[air].mean() == pytest.approx(-1000, abs=10)
    assert plain[air].min() < -1024, "noise in air is not clipped"
    brain = np.s_[0, 300:340, 210:270]
    assert abs(shifted[brain].mean() - plain[brain].mean()) < 3, "not 13, as where noise below 0 HU is moved"
    (test,) = temporal_data.read_test_cts(tmp_path, "shifted")
    assert {roi.name for roi in test.rois} == set(temporal_data.ROIS)
    assert (test.low.voxels[0][test.padding] == -1024).all()
    regions = table2.Regions(test)
    assert regions.measure(test.low)["air"].mean == pytest.approx(-870, abs=5)
    assert regions.measure(test.truth)["air"].mean == pytest.approx(-1000, abs=3)
    assert regions.measure(test.truth)["bone"].mean == pytest.approx(1800, abs=40)
    stamp = (tmp_path / "shifted" / "low" / "HEAD200_low.nrrd").stat().st_mtime_ns
    temporal_data.make_temporal_data(tmp_path, None)
    assert (tmp_path / "shifted" / "low" / "HEAD200_low.nrrd").stat().st_mtime_ns == stamp, "made once"
    with pytest.raises(UserError, match="made otherwise"):
        temporal_data.make_temporal_data(tmp_path, tmp_path / "head.nrrd")


def test_no_slice_of_the_head_ct_is_in_two_sets():
    chosen = temporal_data.head_slices(108)
    everything = [k for slices in chosen.values() for k in slices]
    assert len(set(everything)) == len(everything)
    assert all(len(slices) >= 6 for slices in chosen.values())
    assert max(everything) < 108


def test_steps_follow_from_the_budget():
    assert steps_for(5, 0.5) == 600
    assert steps_for(0.001, 100) == 1


def test_cpu_time_counts_all_steps_and_not_the_start():
    log = [{"step": step, "cpu_s": 30 + 0.5 * step} for step in (10, 20, 40)]
    assert cpu_seconds(log, 40) == pytest.approx(20)
    went_on = [*log, {"step": 50, "cpu_s": 12.0}, {"step": 60, "cpu_s": 17.0}]
    assert cpu_seconds(went_on, 60) == pytest.approx(30)


def test_methods_are_chosen_by_name():
    assert [method.name for method in chosen_methods(["dml", "cyclegan"])] == ["cyclegan", "dml"]
    assert chosen_methods(None) == METHODS
    with pytest.raises(UserError, match="DML"):
        chosen_methods(["DML"])


def test_every_configuration_is_there():
    from inference_core.training.recipes import BUNDLED

    wanted = {config for method in METHODS for config in (method.config, method.temporal_config) if config}
    assert wanted <= set(BUNDLED)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"table": 1}, "no-data"),
        ({"minutes": 0.0}, "minutes"),
        ({"methods": ["nothing"]}, "no-such-method"),
        ({"table": 2, "methods": ["dml_robust_warm"]}, "no-warm-start"),
        ({"low": "low", "full": "full", "train": ["A"], "test": "A_sharp"}, "patient-overlap"),
        ({"low": "low", "full": "full", "train": ["A"], "test": "C"}, "no-pairs"),
        ({"low": "low", "full": "full", "train": ["B1"], "test": "B"}, "patient-overlap"),
        ({"low": "low", "full": "full", "train": ["C"], "test": "B"}, "no-such-patient"),
        ({"low": "low", "full": "low", "train": ["A"], "test": "B_"}, "folder-twice"),
        ({"low": "low", "full": "nowhere", "train": ["A"], "test": "B_"}, "no-such-folder"),
        ({"table": 2, "minutes": math.inf}, "minutes"),
        ({"table": 2, "default": "nothing"}, "no-such-model"),
        ({"table": 2, "warm_start": "nothing"}, "no-such-model"),
        ({"table": 2, "head": Path("nowhere.nrrd")}, "no-such-file"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_done(options, code, pairs, tmp_path):
    given = {name: pairs / value if name in ("low", "full") else value for name, value in options.items()}
    with pytest.raises(UserError) as caught:
        ct(out=tmp_path / "out", **given)
    assert caught.value.code == code
    assert not (tmp_path / "out").exists()
    for option in ("full", "warm_start", "default", "head"):
        if code.startswith("no-such-") and option in options and code != "no-such-patient":
            assert f"--{option.replace('_', '-')}: " in caught.value.message


def test_a_run_folder_inside_the_data_is_refused(pairs):
    with pytest.raises(UserError, match="--low"):
        ct(low=pairs / "low", full=pairs / "full", train=["A"], test="B_", out=pairs / "low" / "out")
    assert not (pairs / "low" / "out").exists()


def test_a_warm_start_of_another_network_is_refused(tmp_path):
    text = json.loads((BUNDLED / "low-dose-ct.json").read_text())
    text["architecture"]["name"] = "rrdb_sn"
    text["architecture"]["arguments"] = {}
    (tmp_path / "low-dose-ct.json").write_text(json.dumps(text))
    with pytest.raises(UserError, match=r"--warm-start: .*rrdb_sn.* trains unshuffle_unet") as caught:
        ct(table=2, warm_start=str(tmp_path / "low-dose-ct.json"), out=tmp_path / "out")
    assert caught.value.code == "other-network"


@pytest.mark.parametrize(("shape", "code"), [((80, 40, 44), "not-square"), ((9, 40, 40), "too-few-slices")])
def test_a_head_that_will_not_do_is_refused(shape, code, tmp_path):
    image = np.rint(made_slice(*shape[1:], 20)).astype(np.int16)
    write_volume(Volume(np.broadcast_to(image, shape).copy()), tmp_path / "head.nrrd")
    with pytest.raises(UserError, match="--head: ") as caught:
        ct(table=2, head=tmp_path / "head.nrrd", out=tmp_path / "out")
    assert caught.value.code == code
    assert not (tmp_path / "out").exists()


def test_filters_are_tuned_on_a_patient_that_is_trained_on(tmp_path):
    for name in ("low/P10_1.nrrd", "full/P10_1.nrrd", "low/P1_1.nrrd", "full/P1_1.nrrd"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert training_pair(tmp_path / "low", tmp_path / "full", ["P1"]) == "P1_1"
    with pytest.raises(UserError, match="--train"):
        training_pair(tmp_path / "low", tmp_path / "full", ["P"])


def test_what_is_left_out_is_said():
    request = Request(Path("out"), None, None, [], "", None, 5.0, (2,), ["cyclegan", "dml"], None, None, False)
    said = check(request)[1]
    assert "wavCycleGAN, GAN-Circle, invertible cycleGAN, DML robust, from scratch (not in --methods)" in said
    assert not any("cycleGAN, wav" in one or "faithful" in one for one in said)
    assert not any("--methods" in one for one in check(replace(request, methods=None))[1])


@pytest.fixture
def pairs(tmp_path):
    """One slice at both doses of each of the made patients A, B and B1."""
    for dose, noise in (("low", 60), ("full", 25)):
        (tmp_path / dose).mkdir()
        for k, patient in enumerate("AB"):
            image = made_slice(128, 128, noise, seed=10 * k + noise)
            write_volume(Volume(np.rint(image)[None].astype(np.int16)), tmp_path / dose / f"{patient}_sharp_1.nrrd")
        write_volume(Volume(np.rint(image)[None].astype(np.int16)), tmp_path / dose / "B1_sharp_1.nrrd")
    return tmp_path


def test_two_methods_from_files_to_table_and_figure_and_again_without_training(pairs, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(budget, "PROBE_SECONDS", 0.1)
    out = tmp_path / "reproduced"
    options = {
        "low": pairs / "low", "full": pairs / "full", "train": ["A"], "test": "B_", "table": 1, "minutes": 0.01,
        "methods": ["cyclegan", "dml"], "default": "low-dose-ct", "out": out,
    }  # fmt: skip
    ct(**options)
    printed = capsys.readouterr().out
    cells = {line.split("|")[1].strip(): [c.strip() for c in line.split("|")] for line in printed.splitlines()
             if line.startswith("| ")}  # fmt: skip
    assert {"low dose", "cycleGAN", "DML, faithful", "model low-dose-ct", "method"} <= set(cells)
    assert cells["cycleGAN"][-3:-1] == ["37.67", "0.865"]
    assert float(cells["model low-dose-ct"][6]) > 1, "dB gained"
    assert "Not run: BM3D" in printed
    assert "DML robust from a warm start" in printed
    assert (tmp_path / "reproduced.md").read_text() in printed
    record = json.loads((tmp_path / "reproduced.json").read_text())
    run = record["settings"]["runs"]["table 1, DML, faithful"]
    assert run["steps"] == steps_for(0.01, run["seconds_a_step"])
    assert record["settings"]["minutes"] == 0.01
    assert "table 1,cycleGAN,psnr," in (tmp_path / "reproduced.csv").read_text()
    assert (out / "figure3.png").stat().st_size > 10_000

    def no_process(*_):
        raise AssertionError("a training was started again")

    monkeypatch.setattr(budget, "_start", no_process)
    ct(**options)
    again = json.loads((tmp_path / "reproduced.json").read_text())
    assert again["settings"]["runs"] == record["settings"]["runs"]
    with pytest.raises(UserError, match="trained otherwise: minutes"):
        ct(**{**options, "minutes": 0.02})


def test_a_training_that_fails_says_why(tmp_path):
    job = Job("dml_aapm", (f"low_dose=[{tmp_path / 'nowhere'}]", f"full_dose=[{tmp_path / 'neither'}]"), 1.0)
    with pytest.raises(UserError) as caught:
        trained(job, tmp_path / "runs" / "dml", tmp_path / "runs" / "dml_probe.json")
    assert caught.value.code == "training-failed"
    assert "nowhere is not a folder" in caught.value.message


@pytest.mark.skipif(sys.platform == "win32", reason="there, ending a process cannot be passed on")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ending_it_ends_its_training(number, pairs, tmp_path):
    out = tmp_path / "out"
    words = ["reproduce", "ct", "--low", pairs / "low", "--full", pairs / "full", "--train", "A", "--test", "B_"]
    words += ["--methods", "dml", "--out", out]
    code = "import sys; from inference_core.cli import main; main(sys.argv[1:])"
    parent = str(Path(inference_core.__file__).parents[1])
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)],
        env={**os.environ, "PYTHONPATH": parent}, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    running = out / "runs" / "table1" / "dml_probe" / "running"
    while process.poll() is None and not (running.is_file() and running.read_text()):
        time.sleep(0.1)
    training = json.loads(running.read_text())["process"]
    process.send_signal(number)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 128 + number
    assert "The same command goes on" in said
    assert "Traceback" not in said
    assert not process_alive(training)


def test_a_folder_where_a_training_goes_on_is_left_alone(tmp_path):
    probe = tmp_path / "runs" / "dml_probe.json"
    folder = probe.with_suffix("")
    folder.mkdir(parents=True)
    (folder / "running").write_text(json.dumps({"machine": platform.node(), "process": os.getpid()}))
    with pytest.raises(UserError, match=f"or end process {os.getpid()}; then give the same command") as caught:
        trained(Job("dml_aapm", (), 1.0), tmp_path / "runs" / "dml", probe)
    assert caught.value.code == "folder-in-use"
    assert (folder / "running").is_file()
