"""Distances between looks: nothing between a set and itself, more the more a look is changed."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_frames import made_real, made_scene
from scipy.ndimage import gaussian_filter

from inference_core.measurement.frame_statistics import frame_statistics
from inference_core.measurement.realism import (
    DISTANCES,
    average,
    distance_intervals,
    distances,
    look_of,
    nearest,
)

SIZE = 96


def tissue(seed, texture=25.0):
    """A textured, reddish frame with a few highlights."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:SIZE, :SIZE] / SIZE - 0.5
    light = np.exp(-4 * (rows**2 + columns**2)) + 0.3
    grain = gaussian_filter(rng.standard_normal((SIZE, SIZE)), 1.5) * 5 * texture
    rgb = (150 * light + grain)[..., None] * [1.2, 0.7, 0.55]
    shine = gaussian_filter(rng.standard_normal((SIZE, SIZE)), 2) > 0.35
    rgb[shine] = 250
    return np.clip(rgb, 30, 255).astype(np.uint8)


def looks(change=lambda rgb: rgb, seeds=range(6)):
    return [look_of(change(tissue(seed)), side=SIZE) for seed in seeds]


def to(real, change, seeds=range(6)):
    return distances(average(looks(change, seeds)), real)


def cast(amount):
    return lambda rgb: np.clip(rgb * np.array([1.0, 1 + amount, 1 + amount]), 30, 255).astype(np.uint8)


def blurred(sigma):
    return lambda rgb: gaussian_filter(rgb, (sigma, sigma, 0))


def noisy(sigma):
    rng = np.random.default_rng(7)
    return lambda rgb: np.clip(rgb + rng.normal(0, sigma, rgb.shape), 30, 255).astype(np.uint8)


def test_a_set_has_no_distance_to_itself():
    real = average(looks())
    assert all(value == 0 for value in distances(real, real).values())


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 100), st.integers(0, 100))
def test_distances_are_the_same_both_ways_and_never_below_zero(a, b):
    one, other = average(looks(seeds=[a])), average(looks(blurred(1), seeds=[b]))
    there, back = distances(one, other), distances(other, one)
    assert set(there) == set(DISTANCES)
    for name, value in there.items():
        assert value >= 0
        assert value == pytest.approx(back[name])


@pytest.mark.parametrize(
    ("kind", "amounts", "seen_by"),
    [
        (cast, (0.1, 0.2, 0.4), ("colour", "saturation")),
        (blurred, (0.6, 1.2, 2.5), ("detail", "pattern")),
        (noisy, (4, 10, 25), ("detail", "pattern")),
    ],
)
def test_distances_grow_with_a_cast_with_blur_and_with_noise(kind, amounts, seen_by):
    real = average(looks(seeds=range(6)))
    same_look = to(real, lambda rgb: rgb, seeds=range(20, 26))
    found = [to(real, kind(amount), seeds=range(20, 26)) for amount in amounts]
    for name in seen_by:
        values = [same_look[name], *(one[name] for one in found)]
        assert values == sorted(values), name
        assert values[-1] > 2 * values[0], name


def test_highlights_that_are_gone_are_noticed():
    real = average(looks())
    without = to(real, lambda rgb: np.minimum(rgb, 180))
    assert without["highlights"] > 0.5
    assert to(real, lambda rgb: rgb, range(20, 26))["highlights"] < without["highlights"] / 3


def test_black_borders_and_text_do_not_count():
    frames = [tissue(seed) for seed in range(6)]
    framed = [np.pad(frame, ((20, 20), (30, 30), (0, 0))) for frame in frames]
    real = average(look_of(frame, side=SIZE) for frame in frames)
    bordered = distances(average(look_of(frame, side=SIZE - 2) for frame in framed), real)  # the rim is left out
    careless = distances(average(frame_statistics(f, np.ones(f.shape[:2], bool)) for f in framed), real)
    for name, value in bordered.items():
        assert value < careless[name] / 2, name
    frame, alone = frames[0], look_of(frames[0], side=SIZE)
    text = np.zeros(frame.shape[:2], bool)
    text[10:20, 10:60] = True
    written = frame.copy()
    written[text] = 255
    hidden, seen = look_of(written, side=SIZE, without=text), look_of(written, side=SIZE)
    assert distances(alone, hidden)["colour"] < distances(alone, seen)["colour"] / 3


def test_a_frame_of_which_nothing_can_be_seen_has_no_look():
    assert look_of(np.zeros((64, 64, 3), np.uint8)) is None
    with pytest.raises(ValueError, match="visible"):
        frame_statistics(np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64), bool))
    with pytest.raises(ValueError, match="no frame"):
        average([])


def test_frames_of_the_other_look_are_nearer_to_it_than_simulated_ones():
    """Made frames: the other look of another scene, against the simulator's look of the same scene."""
    real = average([look_of(made_real(96, k), side=96) for k in range(8)])
    other = distances(average([look_of(made_real(96, k), side=96) for k in range(20, 28)]), real)
    plain = distances(average([look_of(made_scene(96, 1000 + k)[0], side=96) for k in range(8)]), real)
    for name in ("detail", "colour", "saturation"):
        assert other[name] < plain[name], name


def test_each_histogram_sums_to_one_and_every_run_gives_the_same():
    one, two = look_of(tissue(3), side=SIZE), look_of(tissue(3), side=SIZE)
    for name, rows in one.items():
        np.testing.assert_allclose(rows.sum(axis=-1), 1)
        np.testing.assert_array_equal(rows, two[name])


def test_intervals_hold_the_distance_and_need_two_groups():
    some = looks(cast(0.3), range(12))
    real = average(looks())
    found = distances(average(some), real)
    intervals = distance_intervals(some, real, range(12))
    for name in ("colour", "saturation", "detail"):
        low, high = intervals[name]
        assert low <= found[name] <= high, name
        assert high > low
    assert distance_intervals(some, real, range(12)) == intervals
    assert all(math.isnan(low) for low, _ in distance_intervals(some, real, ["one"] * 12).values())


def test_the_nearest_frame_is_the_one_of_the_same_look():
    others = [*looks(blurred(3)), *looks(cast(0.5)), *looks()]
    assert nearest(look_of(tissue(50), side=SIZE), others) >= 12
    assert nearest(others[3], others) == 3
