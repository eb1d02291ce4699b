"""How far edges moved: known shifts are found, changes of the look alone are not taken for them."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter, shift

from inference_core.measurement.edge_displacement import LIKENESS, REACH, depth_edges, edge_displacement
from inference_core.translator.structure import frame_structure, summary

SIZE = 128


def scene(seed=0):
    """Rings that hide one another in a tube: frame and exact depth."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    off = np.hypot(rows, columns)
    depth = np.full((SIZE, SIZE), 20.0)
    for radius in (44, 30, 16):
        depth = np.where(off < radius + 3 * np.cos(3 * np.arctan2(rows, columns)), 1.5 * depth, depth)
    light = gaussian_filter(20 / depth, 0.7)
    frame = 200 * light[..., None] * np.array([1.0, 0.6, 0.5]) + rng.normal(0, 1, (SIZE, SIZE, 3))
    return np.clip(frame, 0, 255).astype(np.uint8), depth.astype(np.float32)


def moved(frame, down, across):
    return np.clip(shift(frame.astype(float), (down, across, 0), order=1, mode="nearest"), 0, 255).astype(np.uint8)


def in_another_look(frame, seed=1):
    """Other colours, contrast, brightness, grain, texture and blur; nothing moves."""
    rng = np.random.default_rng(seed)
    texture = 6 * gaussian_filter(rng.standard_normal((SIZE, SIZE)), 2) / 0.14
    look = 255 * (gaussian_filter(frame, (0.7, 0.7, 0)) / 255.0)[..., [0, 2, 1]] ** 0.7 * [0.9, 0.7, 0.8]
    return np.clip(look + texture[..., None] * 0.5 + rng.normal(0, 4, frame.shape), 0, 255).astype(np.uint8)


def test_edges_lie_where_depth_jumps_and_point_away():
    _, depth = scene()
    row, column, normal = depth_edges(depth)
    assert len(row) > 300
    off = np.stack([row, column], 1) - (SIZE - 1) / 2
    inward = -off / np.linalg.norm(off, axis=1, keepdims=True)
    assert np.percentile((normal * inward).sum(axis=1), 5) > 0.8, "the far side is towards the middle"
    beyond = np.rint(np.stack([row, column], 1) + 3 * normal).astype(int)
    assert np.mean(depth[beyond[:, 0], beyond[:, 1]] > 1.2 * depth[row, column]) > 0.95


def test_a_smooth_wall_has_no_edges():
    rows, columns = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    depth = 300 / np.maximum(np.hypot(rows, columns), 5)  # far down a tube, up to 18 % from pixel to pixel
    assert len(depth_edges(depth)[0]) == 0


@settings(max_examples=15, deadline=None)
@given(st.integers(-3, 3), st.integers(-3, 3), st.integers(0, 5))
def test_each_edge_moves_by_the_part_of_a_known_shift_that_is_across_it(down, across, seed):
    frame, depth = scene(seed)
    found = edge_displacement(frame, moved(frame, down, across), depth)
    row, column, normal = depth_edges(depth)
    lookup = {(r, c): n for r, c, n in zip(row, column, normal, strict=True)}
    wanted = np.array([lookup[place] @ (down, across) for place in zip(found.row, found.column, strict=True)])
    assert found.found > 0.9
    assert np.nanmedian(np.abs(found.displacement - wanted)) < 0.3
    length = math.hypot(down, across)
    assert found.mean == pytest.approx(2 * length / np.pi, abs=0.15 + 0.12 * length)  # edges point everywhere


def test_a_frame_that_is_left_as_it_is_has_not_moved():
    frame, depth = scene()
    found = edge_displacement(frame, frame, depth)
    assert found.mean == 0
    assert found.found == 1


def test_a_new_look_is_no_movement_and_a_shift_in_it_is_seen_all_the_same():
    frame, depth = scene()
    look = in_another_look(frame)
    still, shifted = edge_displacement(frame, look, depth), edge_displacement(frame, moved(look, 0, 3), depth)
    assert still.found > 0.9
    assert still.mean < 0.6
    assert shifted.mean > still.mean + 1


def test_edges_that_are_gone_are_not_found():
    frame, depth = scene()
    noise = np.random.default_rng(0).integers(0, 255, frame.shape).astype(np.uint8)
    found = edge_displacement(frame, noise, depth)
    assert found.found < 0.1
    assert np.isnan(found.displacement[found.likeness < LIKENESS]).all()
    flat = edge_displacement(frame, np.full_like(frame, 90), depth)
    assert flat.found == 0
    assert math.isnan(flat.mean)


def test_hidden_edges_do_not_count():
    frame, depth = scene()
    visible = np.zeros(depth.shape, bool)
    visible[:, : SIZE // 2] = True
    found = edge_displacement(frame, frame, depth, visible)
    assert found.column.max() < SIZE // 2
    assert len(edge_displacement(frame, frame, depth, np.zeros_like(visible)).row) == 0


def test_the_report_counts_the_frames_that_moved():
    frame, depth = scene()
    rows = [frame_structure(frame, moved(frame, 0, d), depth, None) for d in (0, 1, 4, REACH)]
    flat = frame_structure(frame, frame, np.full_like(depth, 20), None)
    lost = frame_structure(frame, np.zeros_like(frame), depth, None)
    assert [row["moved"] for row in (*rows, flat, lost)] == [False, False, True, True, None, True]
    assert flat["displacement_px"] is None
    assert lost["edges_found"] == 0
    whole = summary([*rows, flat, lost])
    assert whole["frames"] == 6
    assert whole["judged"] == 5
    assert whole["moved"] == 3 / 5
    assert summary([flat])["moved"] is None


def test_sizes_that_do_not_fit_are_refused():
    frame, depth = scene()
    with pytest.raises(ValueError, match="one size"):
        edge_displacement(frame, frame[:-1], depth)
