"""A CT at a lower dose: the inserted noise has the strength, place, kernel and bounds of a real scan's."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference_core.cli import main
from inference_core.errors import UserError
from inference_core.evaluation import noise_model
from inference_core.image.reading import read_volume
from inference_core.image.volume import Volume
from inference_core.image.writing import write_volume
from inference_core.measurement.noise import noise_level
from inference_core.simulation import forward_projection, low_dose, projection
from inference_core.simulation.low_dose import missing_scan, simulate_dose
from inference_core.simulation.photon_calibration import photons_of_slice, soft_tissue_blocks
from inference_core.simulation.projection import add_photon_noise
from inference_core.simulation.scan_model import Grid, Scanner, absorbance, default_power, noise_gain

SIZE, PIXEL = 128, 1.2
PHOTONS = 2e3
QUANTUM = Scanner(electronic=0)
FORMS = ("projection", "image")

y, x = np.mgrid[-1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j]
BODY = (x / 0.85) ** 2 + (y / 0.6) ** 2 < 1
DEEP = (x / 0.75) ** 2 + (y / 0.5) ** 2 < 1


def phantom(bones: bool = False) -> Volume:
    """An oval of water in air, without noise; optionally with a dense bone left and right."""
    image = np.where(BODY, 0.0, -1000.0 + np.indices(BODY.shape).sum(0) % 2)  # all of one value is padding
    if bones:
        image[(np.abs(x) - 0.6) ** 2 + y**2 < 0.03] = 1200
    return Volume(image[None].astype(np.float32), (PIXEL, PIXEL, 3.0), modality="CT", file_type=np.dtype(np.float32))


def inserted(volume: Volume, dose: float, seed: int = 1, **options) -> np.ndarray:
    """(slices, rows, columns) noise, floor and all."""
    return simulate_dose(volume, dose, seed, **options)[0].voxels.astype(float) - volume.voxels


@pytest.fixture(scope="module")
def scan() -> Volume:
    """The phantom as scanned with PHOTONS, without electronic noise: at dose 1/2, a whole scan's noise is added."""
    return simulate_dose(phantom(), 0.5, 11, photons=PHOTONS, scanner=QUANTUM)[0]


@pytest.mark.parametrize("form", FORMS)
def test_the_seed_decides_every_byte(scan: Volume, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first = simulate_dose(scan, 0.25, 3, form)[0].voxels
    for module in (projection, forward_projection):
        monkeypatch.setattr(module, "THREADS", 1)  # the number of threads does not
    assert first.tobytes() == simulate_dose(scan, 0.25, 3, form)[0].voxels.tobytes()
    assert np.abs(first - simulate_dose(scan, 0.25, 4, form)[0].voxels)[0][DEEP].max() > 1


@settings(max_examples=30, deadline=None)
@given(st.floats(0.05, 0.9), st.floats(200, 1e6), st.floats(0, 6))
def test_what_is_missing_and_what_is_there_make_the_low_dose(dose: float, counts: float, electronic: float) -> None:
    photons, noise = missing_scan(dose, counts, Scanner(electronic=electronic))

    def variance(n: float, e: float) -> float:
        return 1 / n + (e / n) ** 2

    total = variance(counts, electronic) + variance(photons, noise)
    assert total == pytest.approx(variance(dose * counts, electronic), rel=1e-9)


def test_a_ray_at_low_dose_has_the_variance_of_one_that_was_scanned_so() -> None:
    rng, path = np.random.default_rng(0), np.full((40, 2000), 3.0, np.float32)
    photons, electronic, dose = 2e4, 9.0, 0.25
    full = add_photon_noise(path, photons, electronic, rng)
    simulated = full + add_photon_noise(path, *missing_scan(dose, photons, Scanner(electronic=electronic)), rng) - path
    real = add_photon_noise(path, dose * photons, electronic, rng)
    assert simulated.std() == pytest.approx(real.std(), rel=0.02)


@pytest.mark.parametrize("form", FORMS)
def test_variance_goes_with_the_inverse_of_the_dose(form: str) -> None:
    half, fifth = (inserted(phantom(), d, form=form, photons=PHOTONS, scanner=QUANTUM)[0][DEEP] for d in (0.5, 0.2))
    assert fifth.std() / half.std() == pytest.approx(2, rel=0.06)  # sqrt(1/0.2 - 1) over sqrt(1/0.5 - 1)
    for noise in (half, fifth):
        assert abs(noise.mean()) < 0.1 * noise.std()


def test_the_noise_is_as_strong_as_the_model_says() -> None:
    grid = Grid(SIZE, SIZE, PIXEL)
    image = phantom().voxels[0]
    absorbed = absorbance(image, np.zeros(image.shape, bool), grid, QUANTUM.gamma)
    middle = np.exp(absorbed[:, grid.detectors // 2].astype(float)).mean() / PHOTONS
    expected = np.sqrt(noise_gain(default_power(), grid) * middle)
    centre = (slice(56, 72), slice(56, 72))
    draws = [inserted(phantom(), 0.5, seed, photons=PHOTONS, scanner=QUANTUM)[0][centre] for seed in range(4)]
    assert np.std(draws) == pytest.approx(expected, rel=0.08)


def test_the_photons_are_read_off_the_noise(scan: Volume) -> None:
    fewer = simulate_dose(phantom(), 0.5, 11, photons=PHOTONS / 3, scanner=QUANTUM)[0]
    many, few = (simulate_dose(volume, 0.25, 0, "image", scanner=QUANTUM)[1] for volume in (scan, fewer))
    assert many.photons_measured
    assert (many.kernel, many.warnings) == ("measured", ())
    assert many.photons[0] / few.photons[0] == pytest.approx(3, rel=0.2)


def test_the_photons_are_those_the_scan_was_made_with() -> None:
    four = phantom().with_voxels(np.repeat(phantom().voxels, 4, axis=0))
    grid, nothing, found = Grid(SIZE, SIZE, PIXEL), np.zeros((SIZE, SIZE), bool), []
    for image in simulate_dose(four, 0.5, 0, photons=PHOTONS, scanner=QUANTUM)[0].voxels:
        absorbed = absorbance(image, nothing, grid, QUANTUM.gamma, 48)
        found.append(photons_of_slice(soft_tissue_blocks(image, nothing), absorbed, grid, default_power(), QUANTUM))
    assert np.mean(found) == pytest.approx(PHOTONS, rel=0.12)


@pytest.mark.parametrize("form", FORMS)
def test_a_quarter_of_the_dose_doubles_the_noise(scan: Volume, form: str) -> None:
    before = noise_level(scan.voxels)
    low = simulate_dose(scan, 0.25, 0, form, scanner=QUANTUM)[0]
    assert noise_level(low.voxels) == pytest.approx(2 * before, rel=0.15)


def test_electronic_noise_makes_low_dose_noisier_still() -> None:
    quantum, electronic = (
        inserted(phantom(), 0.1, photons=PHOTONS, scanner=Scanner(electronic=e))[0][DEEP].std() for e in (0, 3)
    )
    assert electronic > 1.1 * quantum


def test_noise_is_stronger_behind_long_paths_and_bone() -> None:
    water = inserted(phantom(), 0.25, photons=PHOTONS)[0]
    middle, rim = (np.abs(x) < 0.3) & (np.abs(y) < 0.3), BODY & (np.abs(x) > 0.7)
    assert water[middle].std() > 1.2 * water[rim].std()
    bone = inserted(phantom(bones=True), 0.25, photons=PHOTONS)[0]
    between = (np.abs(x) < 0.3) & (np.abs(y) < 0.1)
    assert bone[between].std() > 1.2 * water[between].std()
    # Streaks run along x, the long way: neighbours along x are more alike than along y.
    figures = noise_model.noise_figures(bone, between)
    assert figures.lag_x > figures.lag_y + 0.1


def test_a_lower_gamma_evens_out_the_views() -> None:
    constant, even = (
        noise_model.noise_figures(inserted(phantom(), 0.5, photons=PHOTONS, scanner=Scanner(gamma, 0))[0], DEEP)
        for gamma in (1, 0)
    )
    assert constant.horizontal < 0.7 * even.horizontal


@pytest.mark.parametrize("form", FORMS)
def test_the_noise_follows_the_kernel(scan: Volume, form: str) -> None:
    blurred = scan.voxels.astype(float)
    for axis in (1, 2):
        blurred = (np.roll(blurred, 1, axis) + 2 * blurred + np.roll(blurred, -1, axis)) / 4
    smooth = scan.with_voxels(blurred.astype(np.float32))
    lags = []
    for volume in (scan, smooth):
        own = noise_model.noise_figures(volume.voxels[0].astype(float), DEEP)
        new = noise_model.noise_figures(inserted(volume, 0.25, form=form)[0], DEEP)
        assert new.lag_x == pytest.approx(own.lag_x, abs=0.15)
        assert new.lag_y == pytest.approx(own.lag_y, abs=0.15)
        lags.append(new.lag_x + new.lag_y)
    assert lags[1] > lags[0] + 0.2


def test_the_spectrum_is_zero_at_frequency_zero() -> None:
    noise = np.stack([inserted(phantom(), 0.5, seed, photons=100 * PHOTONS)[0][32:96, 32:96] for seed in range(4)])
    power = np.mean(np.abs(np.fft.fft2(noise * np.outer(np.hanning(64), np.hanning(64)))) ** 2, axis=0)
    assert power[0, 0] < 0.3 * power[8:16, 8:16].mean()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("padding", [-1024, -3024])
def test_padding_stays_and_nothing_measured_is_below_the_floor(scan: Volume, form: str, padding: int) -> None:
    voxels = np.rint(scan.voxels).astype(np.int16)
    outside = np.maximum(np.abs(x), np.abs(y)) > 0.9
    voxels[:, outside] = padding
    low, _ = simulate_dose(replace(scan, voxels=voxels, padding_value=padding), 0.1, 0, form)
    assert low.voxels.dtype == np.int16
    assert (low.voxels[:, outside] == padding).all()
    assert low.voxels[:, ~outside].min() == -1024
    assert (low.voxels[:, ~outside] != voxels[:, ~outside]).mean() > 0.9


def test_the_grid_and_the_voxel_type_stay(ct: Volume) -> None:
    low, record = simulate_dose(ct, 0.3, 0)
    assert low.same_grid_as(ct)
    assert (low.voxels.dtype, low.file_type, low.modality) == (ct.voxels.dtype, ct.file_type, ct.modality)
    assert len(record.photons) == len(ct.voxels)
    assert np.unique([image.std() for image in low.voxels - ct.voxels.astype(float)]).size == 4  # own noise each


def test_the_ct_number_shift_brightens_what_is_below_zero(scan: Volume) -> None:
    plain, shifted = (simulate_dose(scan, 0.25, 0, ct_number_shift=factor)[0].voxels for factor in (1.0, 0.87))
    np.testing.assert_allclose(shifted, np.where(plain < 0, 0.87 * plain, plain), rtol=1e-5)
    assert shifted[:, ~BODY].mean() == pytest.approx(0.87 * plain[:, ~BODY].mean(), abs=0.5)


def test_a_slice_without_tissue_takes_its_neighbours_photons(scan: Volume) -> None:
    air = np.full_like(scan.voxels, -1000)
    volume = scan.with_voxels(np.concatenate([scan.voxels, air, scan.voxels]))
    _, record = simulate_dose(volume, 0.25, 0, "image")
    assert record.photons[0] == record.photons[1] == record.photons[2]


def test_an_image_without_noise_needs_its_photons() -> None:
    with pytest.raises(UserError) as caught:
        simulate_dose(phantom(), 0.25, 0)
    assert caught.value.code == "no-noise"
    assert "--photons" in caught.value.remedy
    _, record = simulate_dose(phantom(), 0.25, 0, photons=PHOTONS)
    assert (record.photons, record.photons_measured, record.kernel) == ((PHOTONS,), False, "default")
    assert "kernel" in record.warnings[0]


def test_anatomy_is_not_taken_for_noise(scan: Volume) -> None:
    image = scan.voxels[0].copy()
    image[np.hypot(x - 0.3, y) < 0.12] += 100  # an organ
    image[(np.abs(x + 0.3) < 0.06) & BODY] -= 90  # fat
    grid = Grid(SIZE, SIZE, PIXEL)
    nothing = np.zeros(image.shape, bool)
    found = []
    for slice_hu in (scan.voxels[0], image):
        absorbed = absorbance(slice_hu, nothing, grid, 0.5, 48)
        found.append(photons_of_slice(soft_tissue_blocks(slice_hu, nothing), absorbed, grid, default_power(), QUANTUM))
    assert found[1] == pytest.approx(found[0], rel=0.25)


def test_a_whole_dose_or_endless_photons_leave_no_noise() -> None:
    for dose, photons in ((1 - 1e-12, 1e10), (0.5, 1e300)):
        assert np.abs(inserted(phantom(), dose, photons=photons)[0]).max() < 0.1


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"dose": 0.0}, "dose"),
        ({"dose": 1.0}, "dose"),
        ({"dose": float("nan")}, "dose"),
        ({"seed": -1}, "seed"),
        ({"form": "fan"}, "form"),
        ({"photons": 0.0}, "photons"),
        ({"photons": float("inf")}, "photons"),
        ({"ct_number_shift": 0.0}, "ct-number-shift"),
        ({"ct_number_shift": 1.5}, "ct-number-shift"),
    ],
)
def test_what_cannot_be_simulated_is_refused(scan: Volume, change: dict, code: str) -> None:
    with pytest.raises(UserError) as caught:
        simulate_dose(scan, **{"dose": 0.25, "seed": 0, **change})
    assert caught.value.code == code


def test_what_is_no_axial_ct_is_refused(scan: Volume) -> None:
    for volume, code in (
        (replace(scan, modality="MR"), "not-ct"),
        (replace(scan, spacing=(1.0, 2.0, 1.0)), "not-square"),
        (scan.with_voxels(scan.voxels + 2000), "not-hounsfield"),
        (scan.with_voxels(scan.voxels * 1000), "not-hounsfield"),
        (replace(scan, spacing=(600.0, 600.0, 3.0)), "pixel-size"),
        (replace(scan, spacing=(0.001, 0.001, 3.0)), "pixel-size"),
    ):
        with pytest.raises(UserError) as caught:
            simulate_dose(volume, 0.25, 0)
        assert caught.value.code == code


@pytest.mark.parametrize("photons", [None, 1e6])
@pytest.mark.parametrize("form", FORMS)
def test_values_that_let_no_photon_through_are_refused(form: str, photons: float | None) -> None:
    bright = phantom(bones=True).with_voxels(phantom(bones=True).voxels * 50)
    for pixel in (PIXEL, 5.0):  # the larger one's counts are too small to be computed at all
        with pytest.raises(UserError) as caught:
            simulate_dose(replace(bright, spacing=(pixel, pixel, 3.0)), 0.25, 0, form, photons)
        assert caught.value.code == "too-opaque"
        assert "spacing" in caught.value.remedy


def test_noise_beyond_any_ct_number_is_refused() -> None:
    wide = replace(phantom(), spacing=(5.0, 5.0, 3.0))
    with pytest.raises(UserError) as caught:
        simulate_dose(wide, 0.01, 0, "image", photons=1.0)
    assert caught.value.code == "too-noisy"
    assert np.isfinite(simulate_dose(wide, 0.01, 0, "projection", photons=1.0)[0].voxels).all()


def command(*arguments: object) -> int:
    """Exit status of the command, run in this process."""
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as ended:
        return ended.code
    return 0


@pytest.fixture
def file(scan: Volume, tmp_path: Path) -> Path:
    voxels = np.rint(scan.voxels).astype(np.int16)
    write_volume(replace(scan, voxels=voxels, file_type=np.dtype(np.int16)), tmp_path / "CT.nrrd")
    return tmp_path / "CT.nrrd"


def test_the_command_writes_the_volume_and_how_it_was_made(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outs = [file.with_name(name) for name in ("a.nrrd", "b.nrrd", "c.nii.gz")]
    for out in outs:
        assert command("simulate-dose", file, out, "--dose", 0.25, "--seed", 7, "--ct-number-shift", 0.87) == 0
        assert out.name in capsys.readouterr().out
    assert outs[0].read_bytes() == outs[1].read_bytes()
    low = read_volume(outs[2])
    assert low.same_grid_as(read_volume(file))
    assert low.file_type == np.int16
    np.testing.assert_array_equal(low.voxels, read_volume(outs[0]).voxels)
    record = json.loads((file.parent / "a_dose.json").read_text())
    assert (record["dose"], record["seed"], record["form"], record["ct_number_shift"]) == (0.25, 7, "projection", 0.87)
    assert record["input"] == "CT.nrrd"
    assert {"version", "photons", "gamma", "electronic", "kernel"} <= set(record)
    assert round(low_dose.LOWEST * 0.87) <= low.voxels.min() < -880


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["CT.nrrd", "out.nrrd"], "--dose 0.25"),
        (["CT.nrrd", "out.nrrd", "--dose", "1.5"], "dose is 1.5"),
        (["CT.nrrd", "out.nrrd", "--dose", "0.5", "--seed", "-1"], "0 or more"),
        (["CT.nrrd", "out.nrrd", "--dose", "0.5", "--photons", "-3"], "photons per ray are -3"),
        (["CT.nrrd", "CT.nrrd", "--dose", "0.5"], "never changed"),
        (["missing.nrrd", "out.nrrd", "--dose", "0.5"], "does not exist"),
        (["CT.nrrd", "out.png", "--dose", "0.5"], "not a volume file"),
        (["CT.nrrd", "none/out.nrrd", "--dose", "0.5"], "does not exist"),
        (["CT.nrrd", "out.nrrd", "--dose", "0.5", "--form", "fan"], "fan"),
    ],
)
def test_mistakes_are_answered_with_a_remedy(
    file: Path, arguments: list[str], word: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(file.parent)
    before = file.read_bytes()
    assert command("simulate-dose", *arguments) == 2
    assert word in capsys.readouterr().err
    assert [path.name for path in file.parent.iterdir()] == ["CT.nrrd"]
    assert file.read_bytes() == before


def test_cancelling_leaves_nothing(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cancel(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(low_dose, "filtered_back_projection", cancel)
    assert command("simulate-dose", file, file.with_name("out.nrrd"), "--dose", 0.5) == 130
    assert [path.name for path in file.parent.iterdir()] == ["CT.nrrd"]


def test_the_table_compares_with_a_real_low_dose_scan(
    scan: Volume, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The low dose is a second draw of the model itself: the two kinds of noise agree.
    for folder in ("low", "full"):
        (tmp_path / folder).mkdir()
    full = replace(scan, voxels=np.rint(scan.voxels).astype(np.int16), file_type=np.dtype(np.int16))
    write_volume(full, tmp_path / "full/P_sharp_1.nrrd")
    write_volume(simulate_dose(full, 0.25, 99)[0], tmp_path / "low/P_sharp_1.nrrd")
    monkeypatch.setattr(sys, "argv", ["noise_model"])
    noise_model.main(tmp_path / "low", tmp_path / "full")
    lines = [line.split("|")[1:-1] for line in capsys.readouterr().out.splitlines()]
    soft = next(line for line in lines if line[1].strip() == "soft")
    assert soft[0].strip() == "P_sharp"
    assert float(soft[4]) == pytest.approx(1, abs=0.1)
    misfit = next(line for line in lines if "misfit" in line[1])
    assert float(misfit[4]) < 0.1


@settings(max_examples=40, deadline=None)
@given(st.integers(8, 700), st.integers(8, 700))
def test_every_pixel_is_seen_by_all_views(rows: int, columns: int) -> None:
    grid = Grid(rows, columns, 0.7)
    circle = projection.reconstruction_circle(grid.size, grid.pixel, grid.detectors, grid.pitch)
    assert grid.middle_of(circle).shape == (rows, columns)
    assert grid.middle_of(circle).all()
