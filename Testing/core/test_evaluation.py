"""Tables of denoisers on paired CT: the scores must be what the files and the arithmetic say."""

import math
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
import SimpleITK

from inference_core.evaluation.filters import FILTERS, tune
from inference_core.evaluation.paired_ct import (
    Pair,
    evaluate,
    network_denoiser,
    read_pairs,
    rounded,
    table,
    tuned_filters,
)

NOISE = 40.0


def make_pair(name: str, seed: int = 0, noise: float = NOISE) -> Pair:
    """Discs of tissue in air, with edges two pixels wide as in CT, and the same with noise."""
    y, x = np.mgrid[-1:1:128j, -1:1:128j]
    clean = np.full(x.shape, -1000.0)
    for centre, radius, hu in ((0, 0.85, 40), (0.3, 0.25, 90), (-0.4, 0.2, 600)):
        inside = 1 / (1 + np.exp(np.clip((np.hypot(x - centre, y) - radius) * 100, -50, 50)))
        clean += inside * (hu - clean)
    noisy = clean + np.random.default_rng(seed).normal(0, noise, clean.shape)
    return Pair(name, *(np.rint(image).astype(np.int16) for image in (noisy, clean)))


def write_pairs(folder, pairs):
    for dose in ("low", "full"):
        (folder / dose).mkdir()
        for pair in pairs:
            image = SimpleITK.GetImageFromArray(getattr(pair, f"{dose}_dose")[None])
            SimpleITK.WriteImage(image, str(folder / dose / f"{pair.name}.nrrd"))


def test_scores_of_denoisers_with_known_effect():
    pair = make_pair("P1_sharp_0001")
    rows = {row.method: row for row in evaluate([pair], {"plus 3": lambda image: image + np.int16(3)})}
    before, after = rows["identity"], rows["plus 3"]
    assert before.psnr == pytest.approx(20 * math.log10(2000 / NOISE), abs=0.1)
    assert (before.soft, before.air, before.bone, before.whole) == (0, 0, 0, 0)
    assert (after.soft, after.air, after.bone, after.whole) == (3, 3, 3, 3)
    assert after.psnr < before.psnr
    assert before.scan == "P1_sharp"


def test_a_tissue_that_is_not_there_has_no_shift():
    flat = np.full((64, 64), 40, np.int16)
    rows = evaluate([Pair("P1_sharp_0001", flat + np.int16(1), flat)], {"minus 1": lambda image: image - np.int16(1)})
    assert math.isnan(rows[1].bone)
    assert rows[1].soft == -1
    assert rows[1].psnr == math.inf
    assert "nan" in table(rows)


def test_tissue_is_found_on_the_full_dose_slice():
    full = np.full((64, 64), 40, np.int16)
    (row,) = evaluate([Pair("P1_sharp_0001", full - np.int16(500), full)], {})
    assert row.soft == 0  # it would be NaN by the low-dose slice, where no voxel is soft tissue


def test_outputs_of_filters_are_rounded_and_not_truncated():
    image = np.array([[-5, 0, 7]], np.int16)
    assert np.array_equal(rounded(lambda x: x + np.float32(0.6))(image), image + 1)


def test_table_has_a_part_a_scan_with_gains_over_identity_and_worst_slices():
    pairs = [make_pair("P1_sharp_0001", 1), make_pair("P1_sharp_0002", 2), make_pair("P1_smooth_0001", 3, noise=10)]
    shifts = iter([1, -2, 5])  # of each slice in turn
    text = table(evaluate(pairs, {"shifted": lambda image: image + np.int16(next(shifts))}))
    sharp, smooth = text.split("### ")[1:]
    assert sharp.startswith("P1_sharp (2 slices)")
    assert smooth.startswith("P1_smooth (1 slices)")
    cells = [cell.strip() for cell in next(line for line in sharp.splitlines() if "shifted" in line).split("|")]
    assert cells[3].startswith("-0.0"), "a shift can only lose against identity"
    assert cells[5] == "-0.50 / -0.50 / -0.50"
    assert cells[6:8] == ["2.00", "2.000"]


def test_pairs_are_files_of_one_name(tmp_path):
    pairs = [make_pair("A_k_0001", 1), make_pair("A_k_0002", 2), make_pair("B_k_0001", 3)]
    write_pairs(tmp_path, pairs)
    (tmp_path / "full" / "A_k_0002.nrrd").unlink()
    found = read_pairs(tmp_path / "low", tmp_path / "full")
    assert [pair.name for pair in found] == ["A_k_0001", "B_k_0001"]
    assert np.array_equal(found[1].low_dose, pairs[2].low_dose)
    assert np.array_equal(found[1].full_dose, pairs[2].full_dose)
    with pytest.raises(ValueError, match="'C'"):
        read_pairs(tmp_path / "low", tmp_path / "full", "C")


@pytest.mark.parametrize("name", FILTERS)
def test_each_tuned_filter_denoises_another_slice(name):
    """At the strength tuned on one slice, every peer must gain on the next one, or the comparison is unfair to it."""
    pytest.importorskip("skimage")
    tuning, other = make_pair("a", 1), make_pair("b", 2)
    strength = tune(FILTERS[name], tuning.low_dose, tuning.full_dose)
    run = rounded(partial(FILTERS[name].run, strength=strength))
    identity, filtered = evaluate([other], {name: run})
    assert filtered.psnr > identity.psnr + 0.5
    assert abs(filtered.soft) < 5


def test_tuning_takes_the_best_strength_for_psnr():
    pair = make_pair("a")
    peer = FILTERS["Gaussian"]
    _, *rows = evaluate([pair], {f"{s:g}": rounded(partial(peer.run, strength=s)) for s in peer.strengths})
    best = max(rows, key=lambda row: row.psnr)
    assert f"Gaussian {best.method}" in tuned_filters(pair)


def test_a_network_is_scored_through_the_pipeline(tmp_path):
    """Bare weights whose last layer is zero are the identity, to the bit; others are not."""
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    from inference_core.models.networks.unshuffle_cnn import UnshuffleCnn

    network = UnshuffleCnn()
    save_file(network.state_dict(), tmp_path / "nothing.safetensors")
    torch.nn.init.normal_(network.last.weight, 0, 0.01)
    save_file(network.state_dict(), tmp_path / "random.safetensors")
    pair = make_pair("a")
    nothing, random = (network_denoiser(str(tmp_path / f"{name}.safetensors")) for name in ("nothing", "random"))
    assert np.array_equal(nothing(pair.low_dose), pair.low_dose)
    assert not np.array_equal(random(pair.low_dose), pair.low_dose)
    _, row = evaluate([pair], {"random": random})
    assert abs(row.whole) < 0.05, "the pipeline keeps the low band, whatever the network says"


def test_the_command_prints_the_table_without_the_tuning_pair(tmp_path):
    pytest.importorskip("skimage")
    write_pairs(tmp_path, [make_pair("A_k_0001", 1), make_pair("A_k_0002", 2), make_pair("B_k_0001", 3)])
    command = [sys.executable, "-m", "inference_core.evaluation.paired_ct", "--low", str(tmp_path / "low"),
               "--full", str(tmp_path / "full"), "--filters", "true", "--tune_on", "A_k_0002",
               "--model", "[ct-sharp]"]  # fmt: skip
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "tuned for PSNR on A_k_0002" in printed
    assert "### A_k (1 slices)" in printed
    assert "### B_k (1 slices)" in printed
    ours = [line.split("|") for line in printed.splitlines() if line.startswith("| ct-sharp ")]
    assert len(ours) == 2
    assert all(float(cells[3]) > 3 for cells in ours), "the bundled model gains over 3 dB on plain noise"
