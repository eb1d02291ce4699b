"""From probabilities to folds that keep their colour."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from inference_core.image.instance_colours import colours, overlaid, painted
from inference_core.segmenter.components import components
from inference_core.segmenter.instances import find_instances
from inference_core.segmenter.tracking import Tracker

masks = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=14))
label_maps = hnp.arrays(np.int32, (9, 11), elements=st.integers(0, 4))


def flooded(mask, diagonal):
    """Components by filling from each first pixel."""
    around = [(-1, 0), (1, 0), (0, -1), (0, 1)] + diagonal * [(-1, -1), (-1, 1), (1, -1), (1, 1)]
    labels, count = np.zeros(mask.shape, int), 0
    for start in zip(*np.nonzero(mask), strict=True):
        if labels[start]:
            continue
        count += 1
        waiting = [start]
        while waiting:
            y, x = waiting.pop()
            if 0 <= y < mask.shape[0] and 0 <= x < mask.shape[1] and mask[y, x] and not labels[y, x]:
                labels[y, x] = count
                waiting += [(y + dy, x + dx) for dy, dx in around]
    return labels


@settings(max_examples=300)
@given(masks, st.booleans())
def test_components_are_those_that_filling_finds(mask, diagonal):
    labels, sizes = components(mask, diagonal)
    np.testing.assert_array_equal(labels, flooded(mask, diagonal))
    np.testing.assert_array_equal(sizes, np.bincount(labels.ravel()))


def test_components_of_a_spiral_and_of_noise():
    scipy = pytest.importorskip("scipy.ndimage")
    rng = np.random.default_rng(0)
    v, u = np.mgrid[-1:1:200j, -1:1:170j]
    spiral = (np.hypot(u, v) * 8 + np.arctan2(v, u) / (2 * np.pi)) % 1 < 0.6
    for mask in (spiral, rng.random((256, 256)) < 0.5, rng.random((3, 1000)) < 0.6):
        labels, _ = components(mask)
        np.testing.assert_array_equal(labels, scipy.label(mask, np.ones((3, 3)))[0])


def discs(*places, size=128):
    """A probability of 0.9 in discs (row, column, radius), 0.05 elsewhere."""
    v, u = np.mgrid[:size, :size]
    inside = sum(((v - y) ** 2 + (u - x) ** 2 <= r**2).astype(int) for y, x, r in places) > 0
    return np.where(inside, 0.9, 0.05).astype(np.float32)


def test_folds_are_found_and_specks_are_not():
    fold = discs((30, 30, 14), (90, 80, 20))
    fold[5:7, 100:102] = 1.0
    found = find_instances(fold)
    assert sorted(np.unique(found.labels)) == [0, 1, 2]
    assert found.labels[30, 30] == 1
    assert found.labels[90, 80] == 2
    np.testing.assert_allclose(found.confidence, 0.9, atol=0.02)
    assert abs(np.count_nonzero(found.labels == 2) / (np.pi * 400) - 1) < 0.05


def test_small_holes_are_filled_and_large_ones_and_bays_are_not():
    fold = discs((64, 64, 40))
    fold[60:63, 60:63] = 0
    fold[70:85, 70:85] = 0
    fold[0:30, 64] = 0.9  # up to the frame's edge: a narrow bay on its right stays open
    labels = find_instances(fold).labels
    assert labels[61, 61] == 1
    assert labels[78, 78] == 0
    assert labels[5, 5] == 0


def test_a_hole_at_the_frames_edge_stays():
    fold = discs((0, 40, 20))
    fold[0:3, 40:43] = 0
    assert find_instances(fold).labels[0, 41] == 0


def test_folds_that_touch_are_parted_where_the_network_says_so():
    fold = discs((66, 40, 22), (62, 80, 22))
    touch = np.zeros_like(fold)
    touch[:, 58:63] = 0.8
    assert find_instances(fold).confidence.shape == (1,)
    found = find_instances(fold, touch)
    assert found.confidence.shape == (2,)
    assert found.labels[64, 80] == 1  # its first pixel comes first
    assert found.labels[64, 40] == 2
    whole = find_instances(fold).labels > 0
    np.testing.assert_array_equal(found.labels > 0, whole)  # nothing is lost between them
    assert 58 <= np.flatnonzero(np.diff(found.labels[64, 50:70]))[0] + 50 <= 62


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.float32, (24, 20), elements=st.floats(0, 1, width=32)),
       hnp.arrays(np.float32, (24, 20), elements=st.floats(0, 1, width=32)), st.booleans())  # fmt: skip
def test_instances_are_numbered_in_order_with_a_confidence_each(fold, touch, with_touch):
    found = find_instances(fold, touch if with_touch else None, least_share=0.01)
    count = len(found.confidence)
    assert sorted(set(found.labels.ravel()) - {0}) == list(range(1, count + 1))
    firsts = [int(np.flatnonzero(found.labels == k)[0]) for k in range(1, count + 1)]
    assert firsts == sorted(firsts)
    for k in range(1, count + 1):
        inside = found.labels == k
        assert np.count_nonzero(inside) >= 5
        assert len(components(inside)[1]) == 2  # one piece
        assert found.confidence[k - 1] == pytest.approx(fold[inside].mean(), abs=1e-5)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_frame_of_nothing_and_a_frame_of_fold(value):
    fold = np.full((20, 30), value, np.float32)
    for touch in (None, np.zeros_like(fold), np.ones_like(fold)):
        found = find_instances(fold, touch)
        assert len(found.confidence) == int(value)
        assert (found.labels == int(value)).all()


def test_the_same_frame_again_gives_the_same_numbers():
    tracker, labels = Tracker(), find_instances(discs((30, 30, 14), (90, 80, 20))).labels
    first = tracker.update(labels)
    for _ in range(5):
        np.testing.assert_array_equal(tracker.update(labels), first)


@given(st.lists(label_maps, min_size=1, max_size=6), st.permutations(range(1, 5)))
def test_how_a_frame_numbers_its_folds_does_not_matter(frames, order):
    one, other = Tracker(least_overlap=0.2, patience=1), Tracker(least_overlap=0.2, patience=1)
    renamed = np.array([0, *order])
    for frame in frames:
        np.testing.assert_array_equal(one.update(frame), other.update(renamed[frame]))


@given(st.lists(label_maps, min_size=1, max_size=8))
def test_numbers_part_a_frame_as_its_folds_do_and_no_number_comes_back_late(frames):
    tracker, last_seen, greatest = Tracker(patience=2), {}, 0
    for k, frame in enumerate(frames):
        out = tracker.update(frame)
        pairs = set(zip(frame.ravel().tolist(), out.ravel().tolist(), strict=True))
        assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})
        assert {b for a, b in pairs if a == 0} <= {0}
        for id in {b for _, b in pairs} - {0}:
            assert id > greatest or k - last_seen[id] <= 3
            last_seen[id] = k
        greatest = max(last_seen, default=0)


def test_folds_that_move_grow_and_cross_the_frame_keep_their_numbers():
    tracker = Tracker()
    seen = []
    for k in range(25):
        found = find_instances(discs((30 + 2 * k, 30, 12 + k / 3), (100, 40 + 2 * k, 10), (20, 110 - k, 9)))
        ids = tracker.update(found.labels)
        seen.append([ids[30 + 2 * k, 30], ids[100, min(127, 40 + 2 * k)], ids[20, 110 - k]])
    assert len(set(map(tuple, seen))) == 1
    assert sorted(seen[0]) == [1, 2, 3]


def test_a_fold_that_moves_fast_keeps_its_number_and_one_that_jumps_does_not():
    for step, kept in ((12, True), (40, False)):
        tracker = Tracker()
        numbers = [tracker.update(find_instances(discs((64, 20 + k * step, 14))).labels).max() for k in range(3)]
        assert (numbers == [1, 1, 1]) == kept
        assert (numbers == [1, 2, 3]) != kept


def test_a_fold_that_flickers_keeps_its_number_and_one_that_is_gone_does_not():
    fold = find_instances(discs((30, 30, 14))).labels
    nothing = np.zeros_like(fold)
    for gap, expected in ((3, 1), (4, 2)):
        tracker = Tracker(patience=3)
        assert tracker.update(fold).max() == 1
        for _ in range(gap):
            assert tracker.update(nothing).max() == 0
        assert tracker.update(fold).max() == expected


def test_of_a_fold_that_falls_apart_the_larger_piece_keeps_the_number():
    whole = np.zeros((20, 40), int)
    whole[5:15, 4:36] = 1
    parts = whole.copy()
    parts[:, 14:16] = 0
    parts[:, 4:14] *= 2
    tracker = Tracker()
    tracker.update(whole)
    out = tracker.update(parts)
    assert out[10, 30] == 1
    assert out[10, 8] == 2


def test_memory_does_not_grow_with_the_video():
    tracker = Tracker(patience=4)
    rng = np.random.default_rng(0)
    held = []
    for _ in range(200):
        tracker.update(rng.integers(0, 6, (16, 16)))
        held.append(sum(track.pixels.size for track in tracker._tracks))
    assert max(held[100:]) <= 5 * 16 * 16


def test_a_frame_of_another_size_starts_anew():
    tracker = Tracker()
    assert tracker.update(np.ones((4, 4), int)).max() == 1
    assert tracker.update(np.ones((6, 6), int)).max() == 2


def test_colours_last_and_neighbours_in_number_differ():
    ids = np.arange(1, 400)
    table = colours(ids).astype(int)
    np.testing.assert_array_equal(colours(ids[::-1])[::-1], table)
    for step in range(1, 8):
        assert np.abs(table[step:] - table[:-step]).sum(1).min() > 60
    assert table.min(1).max() < 200  # none is near white, which says something else
    assert table.max(1).min() > 150  # nor near black
    assert (colours(np.array(0)) == 0).all()


def test_a_picture_of_folds():
    labels = np.array([[0, 1], [2, 300]])
    picture = painted(labels, white=[2, 7])
    assert (picture[0, 0] == 0).all()
    assert (picture[1, 0] == 255).all()
    np.testing.assert_array_equal(picture[0, 1], colours(np.array(1)))
    np.testing.assert_array_equal(picture[1, 1], colours(np.array(300)))
    frame = np.full((2, 2, 3), 100, np.uint8)
    mixed = overlaid(frame, picture, 0.5)
    assert (mixed[0, 0] == 100).all()
    assert (mixed[1, 0] == 178).all()
