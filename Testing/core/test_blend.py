"""The strength blends by one rule, whether it is chosen before the run or after it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from inference_core.client import run as run_worker
from inference_core.denoiser.blend import blend, difference
from inference_core.image.exchange import read_exchange, write_exchange

VOXELS = arrays(np.int16, (3, 4))
STRENGTH = st.floats(0, 1)


@given(VOXELS, VOXELS)
def test_no_strength_is_the_image_and_full_strength_the_denoised_one(image, full):
    change = difference(image, full)
    assert np.array_equal(blend(image, change, 0.0), image)
    assert np.array_equal(blend(image, change, 1.0), full)


@given(VOXELS, VOXELS, STRENGTH)
def test_a_blend_lies_within_half_a_hu_of_the_line_between_them(image, full, strength):
    exact = image + strength * (full.astype(np.float64) - image)
    blended = blend(image, difference(image, full), strength)
    assert blended.dtype == image.dtype
    assert np.abs(blended - exact).max() < 0.51
    out = np.empty_like(image)
    assert blend(image, difference(image, full), strength, out) is out
    assert np.array_equal(out, blended)


def test_the_difference_of_ct_numbers_takes_two_bytes_a_voxel():
    image, full = np.array([-1024, 3071], np.int16), np.array([3071, -1024], np.int16)
    assert difference(image, full).dtype == np.int16
    assert difference(np.float32([0.5]), np.float32([0.25])).tolist() == [-0.25]


@pytest.fixture
def exchanged(tmp_path):
    """A noisy CT as a file, and what the worker makes of it at a strength: (voxels, report, file)."""
    y, x = np.mgrid[-1:1:96j, -1:1:96j]
    body = -1000 + 1040 / (1 + np.exp(-30 * (1 - np.hypot(x / 0.8, y / 0.7))))
    noise = 60 * np.random.default_rng(0).standard_normal((3, 96, 96))
    voxels = np.rint(body + noise).astype(np.int16)
    source = write_exchange(voxels, np.diag([0.6, 0.6, 1.0, 1.0]), tmp_path)

    def at(strength: float):
        output = tmp_path / f"{strength}.nhdr"
        job = {"job": "denoise", "input": str(source), "output": str(output), "strength": strength}
        report = run_worker(job, lambda message: None)
        return read_exchange(output), report, output

    return voxels, source, at


def test_a_strength_chosen_afterwards_gives_what_a_run_at_that_strength_gives(exchanged):
    voxels, source, at = exchanged
    full, report, _ = at(1.0)
    blended, blended_report, file = at(0.4)
    assert np.array_equal(blend(voxels, difference(voxels, full), 0.4), blended)
    assert not np.array_equal(blended, full)

    job = {"job": "check", "input": str(source), "output": str(file), "model": report["model"]["id"], "strength": 0.4}
    checked = run_worker(job, lambda message: None)
    assert checked["noise_hu"]["after"] == blended_report["noise_hu"]["after"]
    assert checked["ct_number_check"] == blended_report["ct_number_check"]
    assert checked["output"]["sha256_voxels"] == blended_report["output"]["sha256_voxels"]
    json.dumps(checked)


def test_a_check_of_something_else_is_refused(exchanged):
    from inference_core.errors import UserError

    _, source, _ = exchanged
    with pytest.raises(UserError, match="check job takes") as refused:
        run_worker({"job": "check", "input": str(source)}, lambda message: None)
    assert refused.value.remedy
