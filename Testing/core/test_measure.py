"""What ``inference-core measure`` tells a user: which voxels a ROI has, their numbers, the table and the CSV."""

import csv
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonargparse import auto_cli

from inference_core.cli.arguments import spell_for_jsonargparse
from inference_core.cli.measure import measure
from inference_core.errors import UserError
from inference_core.image.reading import read_volume
from inference_core.image.volume import Volume
from inference_core.image.writing import write_volume
from inference_core.measurement.roi import Box, Circle, Sphere, voxels_inside
from inference_core.measurement.statistics import (
    RoiStatistics,
    check_csv_path,
    compare,
    format_table,
    roi_statistics,
    write_csv,
)

SPHERES = '{"rois": [{"name": "brain", "shape": "sphere", "center": [10, 10, 10], "radius": 4}]}'


def rotation(seed: int) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))[0]


def volume_of(shape=(20, 22, 24), spacing=(1.0, 1.0, 1.0), origin=(0.0, 0.0, 0.0), axes=None, seed=0) -> Volume:
    voxels = np.random.default_rng(seed).integers(-1000, 2000, shape, dtype=np.int16)
    return Volume(voxels, spacing, origin, tuple((np.eye(3) if axes is None else axes).ravel()))


def mask_of(volume: Volume, roi) -> np.ndarray:
    block, inside = voxels_inside(volume, roi)
    mask = np.zeros(volume.voxels.shape, bool)
    mask[block] = inside
    return mask


def centres(volume: Volume) -> np.ndarray:
    """LPS of every voxel centre, (slices, rows, columns, 3)."""
    k, j, i = np.indices(volume.voxels.shape)
    return (np.stack([i, j, k, np.ones_like(i)], axis=-1) @ volume.index_to_lps.T)[..., :3]


points = st.tuples(*[st.floats(-15, 15)] * 3)
sizes = st.tuples(*[st.floats(0, 25)] * 3)
spacings = st.tuples(*[st.floats(0.3, 4)] * 3)
seeds = st.integers(0, 10_000)


@given(points, sizes, spacings, points, seeds, seeds, st.booleans())
@settings(max_examples=150, deadline=None)
def test_a_box_holds_exactly_the_voxels_whose_centre_lies_in_it(center, size, spacing, origin, turn, tilt, straight):
    volume = volume_of((5, 6, 7), spacing, origin, np.eye(3) if straight else rotation(tilt))
    axes = np.eye(3) if straight else rotation(turn)
    mask = mask_of(volume, Box("box", np.array(center), np.array(size), axes))
    beyond = (np.abs((centres(volume) - center) @ axes) - np.array(size) / 2).max(axis=-1)
    clear = np.abs(beyond - 1e-6) > 1e-9  # within rounding of the tolerance either answer is right
    np.testing.assert_array_equal(mask[clear], (beyond <= 1e-6)[clear])


@given(points, st.floats(0, 15), spacings, points, seeds)
@settings(max_examples=100, deadline=None)
def test_a_sphere_holds_exactly_the_voxels_whose_centre_lies_in_it(center, radius, spacing, origin, tilt):
    volume = volume_of((5, 6, 7), spacing, origin, rotation(tilt))
    beyond = np.linalg.norm(centres(volume) - center, axis=-1) - radius
    clear = np.abs(beyond - 1e-6) > 1e-9
    mask = mask_of(volume, Sphere("sphere", np.array(center), radius))
    np.testing.assert_array_equal(mask[clear], (beyond <= 1e-6)[clear])


@given(points, st.floats(0, 15), spacings, seeds)
@settings(max_examples=100, deadline=None)
def test_a_circle_is_a_disc_in_the_slice_nearest_to_its_centre(center, radius, spacing, tilt):
    volume = volume_of((5, 6, 7), spacing, (-3.0, -4.0, -5.0), rotation(tilt))
    index = np.linalg.solve(volume.index_to_lps, [*center, 1])[:3]
    in_plane = np.hypot(*[(np.indices((6, 7))[1 - a] - index[a]) * spacing[a] for a in (0, 1)])
    expected = np.zeros((5, 6, 7), bool)
    nearest = int(np.floor(index[2] + 0.5))
    if 0 <= nearest < 5:
        expected[nearest] = in_plane <= radius + 1e-6
    unclear = (np.abs(in_plane - radius - 1e-6) < 1e-9) | (abs(index[2] % 1 - 0.5) < 1e-9)
    mask = mask_of(volume, Circle("circle", np.array(center), radius))
    np.testing.assert_array_equal(mask[:, ~unclear], expected[:, ~unclear])


def test_the_boundary_belongs_to_the_roi():
    volume = volume_of(spacing=(0.1, 0.1, 0.1))
    box = Box("box", np.array([0.7, 0.7, 0.7]), np.array([0.6, 0.2, 0.0]), np.eye(3))
    assert roi_statistics(volume, box).n == 7 * 3 * 1
    assert roi_statistics(volume, Sphere("sphere", np.array([0.7, 0.7, 0.7]), 0.1)).n == 7


def test_a_sphere_has_the_volume_of_a_sphere():
    volume = volume_of((60, 60, 60), (0.5, 0.5, 0.5), axes=rotation(4))
    center = (volume.index_to_lps @ [30, 30, 30, 1])[:3]
    row = roi_statistics(volume, Sphere("sphere", center, 12.0))
    assert row.volume_mm3 == pytest.approx(4 / 3 * np.pi * 12**3, rel=0.01)


@given(st.floats(1, 12), seeds, st.sampled_from([np.int16, np.float32]))
@settings(max_examples=30, deadline=None)
def test_mean_and_std_are_those_of_the_voxels_inside(radius, seed, kind):
    volume = volume_of(seed=seed).with_voxels(volume_of(seed=seed).voxels.astype(kind))
    sphere = Sphere("sphere", np.array([11.0, 9.0, 8.0]), radius)
    row = roi_statistics(volume, sphere)
    values = volume.voxels[mask_of(volume, sphere)].astype(np.float64)
    assert row.n == values.size
    assert row.mean == pytest.approx(np.mean(values), abs=1e-9)
    assert row.std == pytest.approx(np.std(values), abs=1e-9)


def test_float32_sums_do_not_drift():
    values = np.full((40, 64, 64), 1000.1, np.float32)
    row = roi_statistics(Volume(values), Box("all", np.array([32.0] * 3), np.array([100.0] * 3), np.eye(3)))
    assert row.n == values.size
    assert row.mean == pytest.approx(float(np.float32(1000.1)), abs=1e-9)


def test_a_roi_without_voxels_is_a_row_that_says_why():
    volume = volume_of()
    outside = roi_statistics(volume, Sphere("far", np.array([500.0, 0, 0]), 3.0))
    between = roi_statistics(volume, Sphere("tiny", np.array([5.5, 5.5, 5.5]), 0.1))
    beyond = roi_statistics(volume, Circle("above", np.array([5.0, 5.0, 19.6]), 3.0))
    for row in (outside, between, beyond):
        assert (row.n, row.volume_mm3, row.mean, row.std) == (0, 0.0, None, None)
    assert "'far' lies wholly outside" in outside.warning
    assert "'above' lies wholly outside" in beyond.warning
    assert "'tiny' holds no voxel centre" in between.warning
    assert "far" in format_table([outside])


def test_voxels_that_are_not_a_number_are_not_averaged():
    voxels = np.zeros((5, 5, 5), np.float32)
    voxels[2, 2, 2] = np.nan
    row = roi_statistics(Volume(voxels), Sphere("r", np.array([2.0, 2.0, 2.0]), 1.0))
    assert row.n == 7
    assert row.mean is None
    assert "not a number" in row.warning


def test_ten_rois_in_a_large_volume_take_well_under_a_second():
    volume = Volume(np.zeros((300, 512, 512), np.int16), (0.7, 0.7, 1.0), direction=tuple(rotation(3).ravel()))
    middle = (volume.index_to_lps @ [256, 256, 150, 1])[:3]
    rois = [Box(str(i), middle + i, np.array([30.0, 30.0, 30.0]), rotation(i)) for i in range(10)]
    start = time.process_time()  # not of the clock on the wall: the machine may have other work
    rows = compare(volume, volume, rois)
    assert time.process_time() - start < 0.5
    assert all(row.volume_mm3 == pytest.approx(27000, rel=0.01) for row in rows)


def test_comparing_gives_both_volumes_and_the_change():
    before = volume_of()
    after = before.with_voxels((before.voxels // 2 + 7).astype(np.int16))
    (row,) = compare(before, after, [Sphere("r", np.array([10.0, 10, 10]), 5.0)])
    old, new = (roi_statistics(v, Sphere("r", np.array([10.0, 10, 10]), 5.0)) for v in (before, after))
    assert (row.mean_before, row.std_before, row.mean_after, row.std_after) == (old.mean, old.std, new.mean, new.std)
    assert row.mean_change == new.mean - old.mean
    assert row.std_change == new.std - old.std
    assert old.n == row.n


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"shape": (20, 22, 23)}, "(24, 22, 20) and (23, 22, 20)"),
        ({"spacing": (1, 1, 1.5)}, "spacing in mm (1, 1, 1) and (1, 1, 1.5)"),
        ({"origin": (0, 2, 0)}, "origin in mm"),
        ({"axes": rotation(2)}, "direction"),
    ],
)
def test_another_grid_is_refused_and_the_difference_named(other, named):
    with pytest.raises(UserError) as caught:
        compare(volume_of(), volume_of(**other), [])
    assert caught.value.code == "different-grid"
    assert named in caught.value.message
    assert "Resample" in caught.value.remedy


def test_csv_keeps_every_digit_and_states_the_kind_of_std(tmp_path: Path):
    rows = [roi_statistics(volume_of(), Sphere('a, "b"', np.array([10.0, 10, 10]), 5.0)),
            RoiStatistics("Knochen ä", 0, 0.0, None, None, "outside")]  # fmt: skip
    write_csv(rows, tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
        first, second = csv.DictReader(file)
    assert list(first) == ["name", "n", "volume_mm3", "mean_hu", "std_population_hu", "warning"]
    assert first["name"] == 'a, "b"'
    assert float(first["mean_hu"]) == rows[0].mean
    assert float(first["std_population_hu"]) == rows[0].std
    assert (second["name"], second["n"], second["mean_hu"], second["warning"]) == ("Knochen ä", "0", "", "outside")


@pytest.mark.parametrize(
    ("name", "code"), [("missing/out.csv", "no-such-folder"), ("out.nrrd", "csv-path"), ("folder.csv", "csv-path")]
)
def test_a_csv_that_cannot_be_written_is_refused(tmp_path: Path, name: str, code: str):
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(UserError) as caught:
        check_csv_path(tmp_path / name)
    assert caught.value.code == code


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """A volume, the same with 5 HU more, and two ROI files."""
    before = volume_of()
    write_volume(before, tmp_path / "before.nrrd")
    write_volume(before.with_voxels(before.voxels + np.int16(5)), tmp_path / "after.nrrd")
    (tmp_path / "one.json").write_text(SPHERES)
    (tmp_path / "two.json").write_text(SPHERES.replace("brain", "bone").replace("10, 10, 10", "900, 0, 0"))
    names = ("before.nrrd", "after.nrrd", "one.json", "two.json", "out.csv")
    return {name.split(".")[0]: str(tmp_path / name) for name in names}


def run(arguments: list[str]) -> None:
    """The command line as a user types it, without the program's name."""
    auto_cli({"measure": measure, "other": check_csv_path}, args=spell_for_jsonargparse(arguments))


def test_the_command_prints_a_table_and_writes_csv(files, capsys):
    run(["measure", files["before"], "--roi", files["one"], files["two"], "--csv", files["out"]])
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert lines[0].split() == ["name", "n", "volume", "(mm3)", "mean", "std"]
    row = roi_statistics(volume_of(), Sphere("brain", np.array([10.0, 10, 10]), 4.0))
    assert lines[1].split() == ["brain", str(row.n), "257.00", f"{row.mean:.2f}", f"{row.std:.2f}"]
    assert lines[2].split() == ["bone", "0", "0.00", "-", "-"]
    assert "'bone' lies wholly outside" in printed.err
    assert Path(files["out"]).read_text().splitlines()[1].startswith(f"brain,257,257.0,{row.mean!r},{row.std!r},")


def test_the_command_compares_two_volumes(files, capsys):
    run(["measure", files["before"], "--compare", files["after"], "--roi", files["one"], "--roi", files["two"]])
    header, brain, bone = capsys.readouterr().out.splitlines()
    assert "mean before" in header
    assert "mean change" in header
    assert brain.split()[5] == "5.00"
    assert brain.split()[-1] == "0.00"
    assert bone.startswith("bone")


def test_the_command_applies_the_transform_to_every_roi(files, tmp_path, capsys):
    (tmp_path / "move.txt").write_text(
        "#Insight Transform File V1.0\n#Transform 0\nTransform: AffineTransform_double_3_3\n"
        "Parameters: 1 0 0 0 1 0 0 0 1 890 -10 -10\nFixedParameters: 0 0 0\n"
    )  # an ITK file holds the way from the patient to the ROI
    run(["measure", files["before"], "--roi", files["two"], "--roi-transform", str(tmp_path / "move.txt")])
    row = roi_statistics(volume_of(), Sphere("bone", np.array([10.0, 10, 10]), 4.0))
    assert capsys.readouterr().out.splitlines()[1].split() == [
        "bone", "257", "257.00", f"{row.mean:.2f}", f"{row.std:.2f}"]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"volume": "nothing.nrrd"}, "no-such-file"),
        ({"roi": [Path("nothing.json")]}, "no-such-file"),
        ({"roi": None}, "no-roi"),
        ({"compare": Path("nothing.nrrd")}, "no-such-file"),
        ({"roi_transform": Path("nothing.tfm")}, "no-such-file"),
        ({"csv": Path("nowhere/out.csv")}, "no-such-folder"),
    ],
)
def test_the_command_refuses_what_it_cannot_use_and_prints_no_table(files, capsys, change, code):
    with pytest.raises(UserError) as caught:
        measure(**{"volume": Path(files["before"]), "roi": [Path(files["one"])], **change})
    assert caught.value.code == code
    assert caught.value.remedy
    assert capsys.readouterr().out == ""


def test_the_command_finds_an_erased_bone_and_writes_its_scores(tmp_path, capsys):
    rng = np.random.default_rng(0)
    truth = np.zeros((4, 80, 90), np.float32)
    truth[2, 40:45, 50:55] = 900
    noisy = Volume(np.rint(truth + rng.normal(0, 60, truth.shape)).astype(np.int16), (0.2, 0.2, 0.6), (-9.0, 4.0, 7.0))
    names = {name: tmp_path / f"{name}.nrrd" for name in ("noisy", "kept", "erased", "scores")}
    write_volume(noisy, names["noisy"])
    write_volume(noisy.with_voxels(truth.astype(np.int16)), names["kept"])
    write_volume(noisy.with_voxels(np.zeros(truth.shape, np.int16)), names["erased"])
    for name, found in (("kept", "0 regions"), ("erased", "1 regions")):
        measure(names["noisy"], compare=names[name], structure=names["scores"])
        assert found in capsys.readouterr().out
    scores = read_volume(names["scores"])
    assert scores.same_grid_as(noisy)
    assert scores.voxels.dtype == np.float32
    k, j, i = np.unravel_index(np.argmax(np.abs(scores.voxels)), truth.shape)
    assert truth[k, j, i] == 900
    for wrong, code in (
        ({"compare": None}, "nothing-to-compare"),
        ({"structure": names["erased"]}, "same-file"),
        ({"structure": names["noisy"]}, "same-file"),
        ({"structure": tmp_path / "scores.txt"}, "output-format"),
        ({"csv": tmp_path / "table.csv"}, "no-roi"),
    ):
        with pytest.raises(UserError) as caught:
            measure(**{"volume": names["noisy"], "compare": names["erased"], "structure": names["scores"], **wrong})
        assert caught.value.code == code


def test_rows_go_into_a_json_report():
    (row,) = compare(volume_of(), volume_of(), [Sphere("r", np.array([10.0, 10, 10]), 5.0)])
    assert {type(value) for value in asdict(row).values()} == {str, int, float}


@pytest.mark.parametrize(
    ("typed", "spelt"),
    [
        (["v", "--roi", "a", "b", "--csv", "c"], ["v", "--roi+=a", "--roi+=b", "--csv", "c"]),
        (["v", "--roi", "a", "--roi=b"], ["v", "--roi+=a", "--roi+=b"]),
        (["v", '--roi=["a", "b"]'], ["v", '--roi=["a", "b"]']),
        (["v", "--roi-transform=a-b.tfm"], ["v", "--roi_transform=a-b.tfm"]),
        (["v", "--roi"], ["v", "--roi"]),
        (["--roi", "a", "--", "v-1", "--x-y"], ["--roi+=a", "--", "v-1", "--x-y"]),
    ],
)
def test_arguments_may_be_spelt_as_people_do(typed, spelt):
    assert spell_for_jsonargparse(typed) == spelt
