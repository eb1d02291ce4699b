import numpy as np
import pytest
from made_slice import made_slice

from inference_core.measurement.ct_number import TissueShift, check_ct_numbers, format_check, what_moved
from inference_core.measurement.noise import noise_level


@pytest.mark.parametrize("noise", [0.0, 10.0, 80.0, 250.0])
def test_noise_level_is_the_noise(noise):
    voxels = np.stack([made_slice(256, 256, noise, seed) for seed in range(3)])
    assert noise_level(voxels) == pytest.approx(noise, rel=0.1, abs=0.5)


def test_noise_level_of_slices_smaller_than_a_block():
    assert noise_level(made_slice(9, 12, 30)[None]) > 0


def test_a_shift_of_one_tissue_is_found_and_said():
    before = np.stack([made_slice(256, 256, 40, seed) for seed in range(4)])
    clean = np.stack([made_slice(256, 256, 5, seed) for seed in range(4)])
    honest = check_ct_numbers(before, clean)
    assert {row.tissue for row in honest} == {"air", "soft", "bone"}
    assert all(row.passed for row in honest)
    moved = clean + np.where(np.abs(clean - 40) < 60, 2.0, 0.0)
    rows = {row.tissue: row for row in check_ct_numbers(before, moved)}
    assert not rows["soft"].passed
    assert rows["soft"].shift == pytest.approx(2.0, abs=0.5)
    assert rows["air"].passed
    assert "MOVED" in format_check(list(rows.values()), 0.1)


def test_a_tissue_that_is_not_there_is_left_out():
    air = np.full((2, 64, 64), -1000.0)
    assert [row.tissue for row in check_ct_numbers(air, air)] == ["air"]


def test_a_weaker_blend_never_moves_a_tissue_more():
    before = np.stack([made_slice(256, 256, 200, seed) for seed in range(4)])
    full = np.stack([made_slice(256, 256, 10, seed) for seed in range(4)])
    strengths = (0.1, 0.5, 1.0)
    shifts = {part: check_ct_numbers(before, before + part * (full - before), part) for part in strengths}
    for strength, rows in shifts.items():
        for row, whole in zip(rows, shifts[1.0], strict=True):
            assert row.voxels == whole.voxels
            assert row.shift == pytest.approx(strength * whole.shift, abs=1e-6)


def test_a_low_band_that_moves_where_the_means_stay_is_told():
    """Up on one side, down on the other: no tissue's mean shows it."""
    rows = [TissueShift("soft", 10_000, 40.0, 40.0, 0.0, 0.1, True)]
    assert what_moved(rows, 0.4) == ""
    assert "12.0 HU" in what_moved(rows, 12.0)
    assert "MOVED" in format_check(rows, 12.0)
    assert "MOVED" not in format_check(rows, 0.4)
