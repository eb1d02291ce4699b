"""``inference-core evaluate denoiser`` as a user types it."""

import csv
import json
import subprocess
import sys

import numpy as np
import pytest
from made_slice import made_slice
from scipy.ndimage import gaussian_filter

from inference_core.cli import main
from inference_core.cli.arguments import spell_for_jsonargparse
from inference_core.evaluation.phantom import phantom_pair
from inference_core.evaluation.run import evaluate
from inference_core.image.volume import Volume
from inference_core.image.writing import write_volume

pytest.importorskip("skimage")


def ct(*slices: np.ndarray) -> Volume:
    return Volume(np.rint(np.stack(slices)).astype(np.int16), spacing=(0.7, 0.7, 3.0), modality="CT")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """low/ and full/ with slices of two scans, and a volume of three slices in both doses."""
    clean = gaussian_filter(made_slice(256, 256, 0), 0.7)
    rng = np.random.default_rng(0)
    noisy = [clean + 40 * rng.standard_normal(clean.shape) for _ in range(6)]
    for dose in ("low", "full"):
        (tmp_path / dose).mkdir()
    for name, low in zip(("A_k_0001", "A_k_0002", "B_k_0001"), noisy, strict=False):
        write_volume(ct(low), tmp_path / "low" / f"{name}.nrrd")
        write_volume(ct(clean), tmp_path / "full" / f"{name}.nrrd")
    write_volume(ct(*noisy[3:]), tmp_path / "V_low.nii.gz")
    write_volume(ct(clean, clean, clean), tmp_path / "V_full.nii.gz")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> None:
    main(["evaluate", "denoiser", *arguments])


def line_of(text: str, method: str) -> list[str]:
    return next([c.strip() for c in line.split("|")] for line in text.splitlines() if line.startswith(f"| {method} "))


def test_models_and_filters_side_by_side_in_all_files(folder, capsys):
    run("--low", "low", "--full", "full", "--model", "low-dose-ct", "low-dose-ct-phantom", "--filters",
        "--tune-on", "A_k_0002", "--out", "results")  # fmt: skip
    printed = capsys.readouterr().out
    assert "tuned for PSNR on A_k_0002" in printed
    for heading in ("### A_k (1 slice of 1 subject", "### B_k (1 slice of 1 subject", "### All scans (2 slices of 2"):
        assert heading in printed
    assert float(line_of(printed, "low-dose-ct")[3]) > 3, "the bundled model gains over 3 dB on plain noise"
    assert (folder / "results.md").read_text() in printed
    rows = list(csv.DictReader((folder / "results.csv").open()))
    methods = {row["method"] for row in rows}
    assert {"low dose", "low-dose-ct", "low-dose-ct-phantom"} < methods
    assert len(methods) == 10
    assert {row["name"] for row in rows} == {"A_k_0001", "B_k_0001"}
    record = json.loads((folder / "results.json").read_text())
    score = record["scans"]["A_k"]["methods"]["low-dose-ct"]["gain"]
    assert f"{score['mean']:+.2f}" == line_of(printed, "low-dose-ct")[3]
    assert record["settings"]["methods"]["low-dose-ct"]["sha256"]["onnx"]
    spectra = list(csv.DictReader((folder / "results_noise_power.csv").open()))
    power = {(line["method"], line["cycles_per_mm"]): float(line["noise_power_hu2_mm2"]) for line in spectra}
    highest = max((f for _, f in power), key=float)
    assert power["low dose", highest] == pytest.approx(40**2 * 0.7**2, rel=0.5)
    assert power["low-dose-ct", highest] < 0.2 * power["low dose", highest]
    pictures = {path.name for path in (folder / "results_pictures").iterdir()}
    assert pictures == {"A_k.png", "B_k.png", "A_k_noise_power.png", "B_k_noise_power.png"}


def test_a_strip_shows_the_reference_first_and_every_method(folder, capsys):
    from PIL import Image

    run("--low", "V_low.nii.gz", "--full", "V_full.nii.gz", "--model", "low-dose-ct", "--out", "results")
    strip = np.asarray(Image.open(folder / "results_pictures" / "V_low.png"), float)
    height = width = 256 * 2
    assert strip.shape == (height + 28, 3 * width + 2 * 6)
    reference, low, denoised = (strip[28:, k * (width + 6) :][:, :width] for k in range(3))
    assert np.abs(low - reference).mean() > 2 * np.abs(denoised - reference).mean() > 0


def test_every_slice_of_two_volumes_is_scored(folder, capsys):
    run("--low", "V_low.nii.gz", "--full", "V_full.nii.gz", "--model", "low-dose-ct", "--out", "results")
    assert "### V_low (3 slices of 1 subject" in capsys.readouterr().out
    rows = list(csv.DictReader((folder / "results.csv").open()))
    assert [row["slice"] for row in rows if row["method"] == "low-dose-ct"] == ["0", "1", "2"]


def test_without_a_reference_models_can_still_be_ranked(folder, capsys):
    run("--low", "low", "--model", "low-dose-ct", "--only", "A", "--out", "results")
    printed = capsys.readouterr().out
    assert "PSNR dB" not in printed
    assert "B_k" not in printed
    low, denoised = line_of(printed, "low dose"), line_of(printed, "low-dose-ct")
    assert float(low[-4]) > 30
    assert float(denoised[-4]) < 0.5 * float(low[-4])
    record = json.loads((folder / "results.json").read_text())
    assert record["all"]["methods"]["low-dose-ct"]["psnr"] == {"mean": None, "interval_95": [None, None]}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Neither files nor a phantom"),
        (["--low", "low", "--phantom", "0"], "Both files and a phantom"),
        (["--full", "full", "--phantom", "0"], "--full is given without --low"),
        (["--low", "nothing"], "nothing does not exist"),
        (["--low", "low", "--full", "full", "--only", "Z"], "'Z'"),
        (["--low", "low", "--full", "full", "--model", "best"], "low-dose-ct"),
        (["--low", "low", "--filters"], "there is none"),
        (["--low", "low", "--full", "full", "--filters", "--tune-on", "Z"], "'Z'"),
        (["--low", "low/A_k_0001.nrrd", "--full", "full/A_k_0001.nrrd", "--filters"], "only slice"),
        (["--low", "low", "--full", "full", "--out", "V_low.nii.gz"], "is a file"),
        (["--low", "low", "--full", "full", "--out", "full"], "is a folder"),
        (["--low", "low", "--full", "full", "--out", "results.md"], "is a file's name"),
        (["--low", "low", "--full", "full", "--out", "no/results"], "does not exist"),
        (["--phantom", "0", "--tune-on", "A", "--filters"], "Phantoms have no pair"),
    ],
)
def test_mistakes_are_answered_with_a_remedy(folder, capsys, arguments, words):
    before = sorted(folder.rglob("*"))
    with pytest.raises(SystemExit) as ended:
        run(*arguments)
    assert ended.value.code == 2
    assert words in capsys.readouterr().err
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("there", ["results.md", "results.csv", "results_noise_power.csv", "results_pictures"])
def test_earlier_results_stay(folder, capsys, there):
    (folder / there).mkdir() if there.endswith("pictures") else (folder / there).write_text("earlier")
    before = sorted(folder.rglob("*"))
    with pytest.raises(SystemExit) as ended:
        run("--low", "low", "--full", "full", "--model", "low-dose-ct", "--out", "results")
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert f"Already there: {there}" in said
    assert "another --out" in said
    assert sorted(folder.rglob("*")) == before


def test_results_never_take_the_place_of_a_model_that_is_read(folder, capsys):
    import shutil

    from inference_core.models.registry import find_model

    card = find_model("low-dose-ct", "denoise-ct").path
    for suffix in (".json", ".onnx"):
        shutil.copy(card.with_suffix(suffix), folder / f"mine{suffix}")
    with pytest.raises(SystemExit):
        run("--low", "low", "--full", "full", "--model", "mine.json", "--out", "mine")
    assert "mine.json is read here" in capsys.readouterr().err
    assert (folder / "mine.json").read_bytes() == card.read_bytes()


@pytest.mark.parametrize(
    ("typed", "spelt"),
    [
        ("evaluate denoiser --model a b --model c", "evaluate denoiser --model+=a --model+=b --model+=c"),
        ("evaluate denoiser --phantom 0 1 --filters", "evaluate denoiser --phantom+=0 --phantom+=1 --filters=true"),
        ("evaluate denoiser --bm3d --tune-on x", "evaluate denoiser --bm3d=true --tune_on x"),
        ("evaluate denoiser --filters false --model=a", "evaluate denoiser --filters false --model+=a"),
        ("denoise a b --model m", "denoise a b --model m"),
    ],
)
def test_lists_and_flags_as_people_spell_them(typed, spelt):
    assert spell_for_jsonargparse(typed.split()) == spelt.split()


def test_the_phantoms_truth_has_no_noise_and_its_quarter_dose_has_about_60_hu():
    pair = phantom_pair(3, "quarter", slices=1)
    low, denoised = evaluate([pair], {"truth": lambda ct: pair.reference.voxels}).rows
    assert 45 < low.noise < 75
    assert denoised.noise < 0.3 * low.noise  # streaks between the bones stay
    assert denoised.edge_ratio == 1
    assert low.edge_ratio == pytest.approx(1, abs=0.05)
    assert (low.scan, low.subject) == ("phantom, quarter dose", "phantom3")


def test_nothing_of_evaluation_is_loaded_by_other_commands():
    code = "import sys; from inference_core.cli import main; main(['models']);"
    code += "print([name for name in sys.modules if '.evaluation' in name])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
