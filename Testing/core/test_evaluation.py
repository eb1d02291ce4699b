"""Tables of denoisers: the scores must be what the files and the arithmetic say."""

import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference_core.errors import UserError
from inference_core.evaluation.bootstrap import groups_of, interval
from inference_core.evaluation.filters import FILTERS, tune
from inference_core.evaluation.networks import network_denoiser, network_denoisers
from inference_core.evaluation.pairs import Pair, find_pairs, read_pair
from inference_core.evaluation.peers import rounded, slice_by_slice, tuned_peers
from inference_core.evaluation.run import LOW_DOSE, evaluate
from inference_core.evaluation.sources import from_files
from inference_core.evaluation.table import mean, tables
from inference_core.image.volume import Volume
from inference_core.image.writing import write_volume

NOISE = 40.0

pytest.importorskip("skimage")


def make_slices(seed: int = 0, noise: float = NOISE) -> tuple[np.ndarray, np.ndarray]:
    """Discs of tissue in air, with edges two pixels wide as in CT: with noise, and without."""
    y, x = np.mgrid[-1:1:128j, -1:1:128j]
    clean = np.full(x.shape, -1000.0)
    for centre, radius, hu in ((0, 0.85, 40), (0.3, 0.25, 90), (-0.4, 0.2, 600)):
        inside = 1 / (1 + np.exp(np.clip((np.hypot(x - centre, y) - radius) * 100, -50, 50)))
        clean += inside * (hu - clean)
    noisy = clean + np.random.default_rng(seed).normal(0, noise, clean.shape)
    return np.rint(noisy).astype(np.int16), np.rint(clean).astype(np.int16)


def volume(*slices: np.ndarray) -> Volume:
    return Volume(np.stack(slices), spacing=(0.7, 0.7, 3.0), modality="CT")


def make_pair(name: str, seed: int = 0, noise: float = NOISE) -> Pair:
    low, clean = make_slices(seed, noise)
    return Pair(name, name.rpartition("_")[0], name.partition("_")[0], volume(low), volume(clean))


def flat_pair(low: int, reference: int) -> Pair:
    one, other = (np.full((64, 64), value, np.int16) for value in (low, reference))
    return Pair("P1_sharp_0001", "P1_sharp", "P1", volume(one), volume(other))


def plus(hu: int):
    return lambda ct: ct.voxels + np.int16(hu)


def test_scores_of_denoisers_with_known_effect():
    results = evaluate([make_pair("P1_sharp_0001")], {"plus 3": plus(3)})
    before, after = results.rows
    assert before.method == LOW_DOSE
    assert before.psnr == pytest.approx(20 * math.log10(2000 / NOISE), abs=0.1)
    assert (before.gain, before.soft, before.air, before.bone, before.whole) == (0, 0, 0, 0, 0)
    assert (after.soft, after.air, after.bone, after.whole) == (3, 3, 3, 3)
    assert after.gain == after.psnr - before.psnr < 0
    assert before.std_soft == after.std_soft == before.std_soft_before == pytest.approx(NOISE, rel=0.2)
    assert before.noise == pytest.approx(NOISE, rel=0.15)
    assert before.edge_ratio > 0.99


def test_a_denoiser_that_is_the_reference_scores_as_such():
    pair = make_pair("P1_sharp_0001")
    _, row = evaluate([pair], {"truth": lambda ct: pair.reference.voxels}).rows
    assert row.psnr == row.psnr_slice_max == math.inf
    assert row.ssim == row.ssim_slice_max == row.edge_ratio == 1
    assert row.noise < 1


def test_a_tissue_that_is_not_there_has_no_shift():
    results = evaluate([flat_pair(41, 40)], {"minus 1": plus(-1)})
    row = results.rows[1]
    assert math.isnan(row.bone)
    assert row.soft == -1
    assert row.psnr == math.inf
    assert "bone" not in tables(results)


def test_tissue_is_found_on_the_reference():
    (row,) = evaluate([flat_pair(-460, 40)], {}).rows
    assert row.soft == 0  # it would be NaN by the low-dose slice, where no voxel is soft tissue


def test_without_a_reference_noise_and_shifts_are_left():
    pair = make_pair("P1_sharp_0001")
    pair = Pair(pair.name, pair.scan, pair.subject, pair.low)
    results = evaluate([pair], {"half": lambda ct: np.rint(ct.voxels * 0.5).astype(np.int16), "plus 2": plus(2)})
    low, half, shifted = results.rows
    assert math.isnan(low.psnr)
    assert math.isnan(low.edge_ratio)
    assert half.noise == pytest.approx(low.noise / 2, rel=0.05)
    assert half.noise_before == low.noise
    assert (shifted.soft, shifted.air, shifted.bone) == (2, 2, 2)
    text = tables(results)
    assert "PSNR" not in text
    assert "noise lower by" in text


def test_every_slice_of_a_volume_is_scored_and_a_tuning_slice_left_out():
    slices = [make_slices(seed) for seed in range(3)]
    pair = Pair("P1", "P1", "P1", volume(*(low for low, _ in slices)), volume(*(clean for _, clean in slices)))
    results = evaluate([pair], {"plus 1": plus(1)}, not_scored={("P1", 1)})
    assert [(row.slice, row.method) for row in results.rows] == [
        (0, LOW_DOSE), (0, "plus 1"), (2, LOW_DOSE), (2, "plus 1"),
    ]  # fmt: skip
    assert results.rows[0].psnr == evaluate([make_pair("a_b", 0)], {}).rows[0].psnr


def test_outputs_of_filters_are_rounded_and_not_truncated():
    image = np.array([[-5, 0, 7]], np.int16)
    assert np.array_equal(rounded(lambda x: x + np.float32(0.6))(image), image + 1)


def cells_of(text: str, method: str, column: str) -> str:
    """The cell of a method in the first table that has the column."""
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    header = next(k for k, line in enumerate(lines) if any(cell.startswith(column) for cell in line))
    at = next(k for k, cell in enumerate(lines[header]) if cell.startswith(column))
    return next(line[at] for line in lines[header:] if line[0] == method)


def test_tables_have_a_part_a_scan_with_gains_and_worst_slices_and_one_of_all():
    pairs = [make_pair("P1_sharp_0001", 1), make_pair("P1_sharp_0002", 2), make_pair("P1_smooth_0001", 3, noise=10)]
    shifts = iter([1, -2, 5])  # of each slice in turn
    text = tables(evaluate(pairs, {"shifted": lambda ct: ct.voxels + np.int16(next(shifts))}))
    sharp, smooth, both = text.split("### ")[1:]
    assert sharp.startswith("P1_sharp (2 slices of 1 subject; 95 % intervals over slices)")
    assert smooth.startswith("P1_smooth (1 slice of 1 subject")
    assert both.startswith("All scans (3 slices of 1 subject")
    assert cells_of(sharp, "shifted", "gain").startswith("-0.0"), "a shift can only lose against the low dose"
    assert cells_of(sharp, "shifted", "shift soft") == "-0.50 [-2.00, +1.00]"
    assert cells_of(smooth, "shifted", "shift soft") == "+5.00"
    assert (cells_of(sharp, "shifted", "air"), cells_of(sharp, "shifted", "bone")) == ("-0.50", "-0.50")
    assert (cells_of(sharp, "shifted", "worst soft"), cells_of(both, "shifted", "worst whole")) == ("2.00", "5.000")


@settings(deadline=None, max_examples=40)
@given(st.lists(st.floats(-10, 10), min_size=2, max_size=30), st.integers(0, 5))
def test_an_interval_lies_within_the_values_whatever_they_are(values, seed):
    low, high = interval(values, range(len(values)), seed)
    assert min(values) - 1e-9 <= low <= high <= max(values) + 1e-9


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 1000), st.integers(5, 60))
def test_an_interval_holds_the_mean_it_is_of(seed, count):
    values = np.random.default_rng(seed).normal(2, 5, count)
    low, high = interval(list(values), range(count), seed)
    assert low < values.mean() < high


def test_an_interval_covers_the_true_mean_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = [low <= 3 <= high for low, high in (
        interval(list(values), range(40), 1) for values in rng.normal(3, 2, (200, 40)))]  # fmt: skip
    assert 0.88 < np.mean(covered) < 0.99


def test_an_interval_shrinks_with_the_number_of_slices_and_repeats_with_its_seed():
    values = np.random.default_rng(0).normal(5, 1, 400)
    widths = []
    for count in (25, 100, 400):
        low, high = interval(list(values[:count]), range(count))
        assert low < values[:count].mean() < high
        widths.append(high - low)
    assert widths[0] > 1.5 * widths[1] > 2.2 * widths[2]
    assert interval(list(values), range(400), 7) == interval(list(values), range(400), 7)


def test_subjects_are_drawn_whole_where_there_are_enough():
    subjects = ["a"] * 20 + ["b"] * 20 + ["c"] * 20
    values = [1.0] * 20 + [2.0] * 20 + [6.0] * 20
    groups, drawn = groups_of(subjects)
    assert drawn == "subjects"
    assert groups_of(subjects[:40])[1] == "slices"
    assert interval(values, groups) == (1.0, 6.0), "with three subjects, any of them may be drawn three times"
    low, high = interval(values, range(60))
    assert high - low < 1.5
    assert math.isnan(interval([1.0, math.nan], ["a", "b"])[0])


def write_pairs(folder, names):
    for dose in ("low", "full"):
        (folder / dose).mkdir()
    for seed, name in enumerate(names):
        low, clean = make_slices(seed)
        write_volume(volume(low), folder / "low" / f"{name}.nrrd")
        write_volume(volume(clean), folder / "full" / f"{name}.nrrd")


def test_pairs_are_files_of_one_name(tmp_path):
    write_pairs(tmp_path, ["A_k_0001", "A_k_0002", "B_k_0001"])
    (tmp_path / "full" / "A_k_0002.nrrd").unlink()
    files = find_pairs(tmp_path / "low", tmp_path / "full")
    assert [one.name for one in files] == ["A_k_0001", "B_k_0001"]
    pair = read_pair(files[1])
    assert (pair.scan, pair.subject) == ("B_k", "B")
    low, clean = make_slices(2)
    assert np.array_equal(pair.low.voxels[0], low)
    assert np.array_equal(pair.reference.voxels[0], clean)
    with pytest.raises(UserError, match="'C'"):
        find_pairs(tmp_path / "low", tmp_path / "full", "C")
    with pytest.raises(UserError, match="is a file, the other a folder"):
        find_pairs(tmp_path / "low", tmp_path / "full" / "A_k_0001.nrrd")


def test_two_volumes_are_a_pair_and_must_fit(tmp_path):
    low, clean = make_slices()
    write_volume(volume(low, low, low), tmp_path / "P1_low.nii.gz")
    write_volume(volume(clean, clean, clean), tmp_path / "P1_full.nrrd")
    write_volume(volume(clean, clean), tmp_path / "short.nrrd")
    (files,) = find_pairs(tmp_path / "P1_low.nii.gz", tmp_path / "P1_full.nrrd")
    assert (files.name, read_pair(files).scan) == ("P1_low", "P1_low")
    assert len(read_pair(files).low.voxels) == 3
    (files,) = find_pairs(tmp_path / "P1_low.nii.gz", tmp_path / "short.nrrd")
    with pytest.raises(UserError, match=r"3 x 128 x 128 .* 2 x 128 x 128"):
        read_pair(files)


def test_what_is_no_ct_in_whole_hu_is_refused(tmp_path):
    low, _ = make_slices()
    write_volume(volume(low + np.int16(2000)), tmp_path / "offset.nrrd")
    fractions = Volume(low[None].astype(np.float32) + np.float32(0.5), file_type=np.dtype(np.float32))
    write_volume(fractions, tmp_path / "fractions.nrrd")
    for name, code in (("offset", "not-hounsfield"), ("fractions", "not-whole-hu")):
        with pytest.raises(UserError, match=name) as refused:
            read_pair(find_pairs(tmp_path / f"{name}.nrrd", None)[0])
        assert refused.value.code == code


def test_the_middle_slice_of_the_named_pair_is_tuned_on(tmp_path):
    write_pairs(tmp_path, ["A_k_0001", "A_k_0002", "A_k_0003"])
    source = from_files(tmp_path / "low", tmp_path / "full", "A_k_0001")
    assert source.count == 1
    tuning = source.tuning("A_k_0003")  # not among those that are scored
    assert (tuning.pair, tuning.slice) == ("A_k_0003", 0)
    assert np.array_equal(tuning.low, make_slices(2)[0])
    assert source.tuning("").pair == "A_k_0001"
    with pytest.raises(UserError, match="A_k"):
        source.tuning("A_k")
    assert from_files(tmp_path / "low", tmp_path / "full", "").preferred == {"A_k_0002"}


@pytest.mark.parametrize("name", FILTERS)
def test_each_tuned_filter_denoises_another_slice(name):
    """At the strength tuned on one slice, every peer must gain on the next one, or the comparison is unfair to it."""
    strength = tune(FILTERS[name], *make_slices(1))
    _, filtered = evaluate([make_pair("b_k_1", 2)], {name: slice_by_slice(FILTERS[name], strength)}).rows
    assert filtered.gain > 0.5
    assert abs(filtered.soft) < 5


def test_tuning_takes_the_best_strength_for_psnr():
    peer = FILTERS["Gaussian"]
    methods = {f"{strength:g}": slice_by_slice(peer, strength) for strength in peer.strengths}
    _, *rows = evaluate([make_pair("a_k_1")], methods).rows
    best = max(rows, key=lambda row: row.psnr)
    denoisers, records = tuned_peers(*make_slices(), filters=True, bm3d=False)
    assert f"Gaussian {best.method}" in denoisers
    assert records[f"Gaussian {best.method}"]["tried"] == list(peer.strengths)
    assert len(denoisers) == len(FILTERS)


def test_bm3d_denoises_as_it_is_known_to():
    pytest.importorskip("bm3d")
    from inference_core.evaluation.filters import block_matching

    low, clean = make_slices()
    part = (slice(32, 96), slice(20, 84))
    result = rounded(partial(block_matching, strength=1.0))(low[part])
    assert np.std(result - clean[part].astype(float)) < 0.5 * NOISE
    assert abs(np.mean(result - low[part].astype(float))) < 2


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    import importlib.util

    from inference_core.evaluation import peers

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"BM3D needs .* pip install 'faithful-imaging\[bench\]'"):
        peers.check_peers(filters=False, bm3d=True)
    with pytest.raises(UserError, match=r"skimage.*pip install 'faithful-imaging\[train\]'"):
        peers.check_peers(filters=True, bm3d=False)


def test_a_network_is_scored_through_the_pipeline(tmp_path):
    """Bare weights whose last layer is zero are the identity, to the bit; others are not."""
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    from inference_core.models.networks.unshuffle_unet import UnshuffleUnet
    from inference_core.models.registry import find_model

    network = UnshuffleUnet(**find_model("low-dose-ct", "denoise-ct").arguments)
    save_file(network.state_dict(), tmp_path / "nothing.safetensors")
    torch.nn.init.normal_(network.last.weight, 0, 0.01)
    save_file(network.state_dict(), tmp_path / "random.safetensors")
    save_file(UnshuffleUnet(8, 4).state_dict(), tmp_path / "small.safetensors")
    pair = make_pair("a_k_1")
    (one, nothing, _), (two, random, _) = (
        network_denoiser(str(tmp_path / f"{name}.safetensors")) for name in ("nothing", "random")
    )
    assert (one, two) == ("nothing", "random")
    assert np.array_equal(nothing(pair.low), pair.low.voxels)
    assert not np.array_equal(random(pair.low), pair.low.voxels)
    _, row = evaluate([pair], {"random": random}).rows
    assert abs(row.whole) < 0.05, "the pipeline keeps the low band, whatever the network says"
    with pytest.raises(UserError, match="does not hold weights"):
        network_denoiser(str(tmp_path / "small.safetensors"))
    with pytest.raises(UserError, match="does not exist"):
        network_denoiser("none.safetensors")


def test_models_of_one_name_are_told_apart(tmp_path):
    import shutil

    from inference_core.models.registry import find_model

    card = find_model("low-dose-ct", "denoise-ct").path
    for suffix in (".json", ".onnx", ".safetensors"):
        shutil.copy(card.with_suffix(suffix), tmp_path / f"copy{suffix}")
    copy = str(tmp_path / "copy.json")
    denoisers, records = network_denoisers(["low-dose-ct", copy, "low-dose-ct-phantom", "low-dose-ct"])
    assert list(denoisers) == ["low-dose-ct", copy, "low-dose-ct-phantom"]
    assert records[copy]["sha256"] == records["low-dose-ct"]["sha256"]


def test_mean_leaves_out_what_was_not_measured():
    rows = evaluate([make_pair("P1_k_1"), flat_pair(41, 40)], {}).rows
    assert math.isnan(rows[1].bone)
    assert mean(rows, "bone") == 0
