"""The endoscope's way: where it may be, where it looks, how it moves."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference_core.errors import UserError
from inference_core.simulation.colon.path.curve import arc_length, bent_curve, evenly_spaced
from inference_core.simulation.colon.path.trajectory import WALL_MARGIN, fly_through


def way(points, radius=15.0):
    """What fly_through reads of a centreline."""
    return SimpleNamespace(points=points, arc_length=arc_length(points), radius=np.full(len(points), float(radius)))


def straight(length=300.0, radius=15.0):
    return way(np.linspace([0, 0, 0], [0, 0, length], int(length) + 1), radius)


def bent(seed=3, length=480.0, radius=15.0):
    return way(evenly_spaced(bent_curve(np.random.default_rng(seed), length), 1.0), radius)


def rotations(poses):
    return poses.camera_to_world[:, :3, :3]


def places(poses):
    return poses.camera_to_world[:, :3, 3]


def test_without_jitter_the_camera_flies_on_the_axis_and_looks_along_it():
    poses = fly_through(straight(), 50, seed=0, jitter=0)
    np.testing.assert_allclose(places(poses)[:, :2], 0, atol=1e-9)
    np.testing.assert_allclose(rotations(poses)[:, :, 2], np.tile([0, 0, 1], (50, 1)), atol=1e-9)


def test_on_withdrawal_the_tip_goes_back_and_still_looks_to_the_caecum():
    path = bent()
    poses = fly_through(path, 200, seed=1, jitter=0)
    moved = np.diff(places(poses), axis=0)
    forward = rotations(poses)[:-1, :, 2]
    assert np.all(np.einsum("fi,fi->f", moved, forward) < 0)
    assert np.linalg.norm(places(poses)[0] - path.points[-1]) < 15
    assert np.linalg.norm(places(poses)[-1] - path.points[0]) < 15


def test_on_insertion_it_goes_where_it_looks():
    poses = fly_through(bent(), 200, seed=1, direction="insertion", jitter=0)
    moved = np.diff(places(poses), axis=0)
    assert np.all(np.einsum("fi,fi->f", moved, rotations(poses)[:-1, :, 2]) > 0)


@pytest.mark.parametrize("frames", [20, 300, 1400])
@pytest.mark.parametrize("speed", [5.0, 20.0])
def test_time_stamps_are_those_of_a_50_hz_camera_at_the_wanted_speed(frames, speed):
    poses = fly_through(bent(), frames, seed=1, speed_mm_s=speed)
    ticks = poses.time_s * 50
    np.testing.assert_allclose(ticks, np.rint(ticks), atol=1e-6)
    assert poses.time_s[0] == 0
    assert len(set(np.diff(np.rint(ticks)))) == 1
    travelled = abs(poses.path_mm[-1] - poses.path_mm[0])
    assert poses.speed_mm_s == pytest.approx(travelled / poses.time_s[-1])
    if travelled / (frames - 1) > speed / 50:  # else even every single frame of the camera is too few
        assert poses.speed_mm_s == pytest.approx(speed, rel=0.34)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), jitter=st.floats(0, 3), radius=st.floats(1, 25), frames=st.integers(1, 80))
def test_the_camera_keeps_off_the_wall(seed, jitter, radius, frames):
    path = straight(radius=radius)
    poses = fly_through(path, frames, seed, jitter=jitter)
    off_axis = np.linalg.norm(places(poses)[:, :2], axis=1)
    assert np.all(off_axis <= max(radius - WALL_MARGIN, 0) + 1e-9)
    assert np.all((places(poses)[:, 2] >= 0) & (places(poses)[:, 2] <= 300))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), jitter=st.floats(0, 2))
def test_each_pose_is_a_rotation_and_a_place(seed, jitter):
    poses = fly_through(bent(seed % 5), 60, seed, jitter=jitter)
    turn = rotations(poses)
    np.testing.assert_allclose(turn @ turn.transpose(0, 2, 1), np.tile(np.eye(3), (60, 1, 1)), atol=1e-9)
    np.testing.assert_allclose(np.linalg.det(turn), 1, atol=1e-9)
    np.testing.assert_array_equal(poses.camera_to_world[:, 3], np.tile([0, 0, 0, 1], (60, 1)))


def test_the_view_moves_smoothly_at_50_frames_a_second():
    """No flip at a bend, no jump: at most 2 degrees and 1 mm from one frame to the next, glances included."""
    path = bent()
    poses = fly_through(path, 1150, seed=5, speed_mm_s=20.0)
    assert poses.time_s[1] == pytest.approx(0.02)
    turn = rotations(poses)
    cosine = (np.einsum("fij,fij->f", turn[1:], turn[:-1]) - 1) / 2
    assert np.degrees(np.arccos(np.clip(cosine, -1, 1))).max() < 2.0
    assert np.linalg.norm(np.diff(places(poses), axis=0), axis=1).max() < 1.0


def test_a_hand_wobbles_and_glances_at_the_wall():
    still = fly_through(straight(1500.0), 400, seed=2, jitter=0)
    moved = fly_through(straight(1500.0), 400, seed=2)
    away = np.degrees(np.arccos(np.clip((rotations(still)[:, :, 2] * rotations(moved)[:, :, 2]).sum(axis=1), -1, 1)))
    assert 2 < np.median(away) < 15
    assert 20 < away.max() < 70
    assert 1 < np.linalg.norm(places(moved)[:, :2], axis=1).max() < 12


def test_the_same_seed_flies_the_same_way_and_another_does_not():
    one, same, other = (fly_through(bent(), 40, seed) for seed in (4, 4, 5))
    np.testing.assert_array_equal(one.camera_to_world, same.camera_to_world)
    assert np.abs(one.camera_to_world - other.camera_to_world).max() > 0.1


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"frames": 0}, "Ask for 1"),
        ({"frames": 5, "direction": "sideways"}, "withdrawal"),
        ({"frames": 5, "speed_mm_s": 0.0}, "mm/s"),
        ({"frames": 5, "speed_mm_s": float("nan")}, "mm/s"),
        ({"frames": 5, "look_ahead_mm": -3.0}, "mm"),
        ({"frames": 5, "jitter": float("inf")}, "Choose 0"),
    ],
)
def test_settings_that_no_endoscope_has_are_refused(options, word):
    with pytest.raises(UserError, match=word):
        fly_through(straight(), **{"seed": 0, **options})
