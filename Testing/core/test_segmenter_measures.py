"""Overlap, matching and calibration of fold segmentations."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from inference_core.measurement.segmentation import (
    MATCH,
    calibration,
    instance_precision,
    instance_recall,
    mask_iou,
    match_instances,
)

labels_of_a_frame = hnp.arrays(np.uint16, (6, 7), elements=st.integers(0, 5))
two_frames = st.tuples(labels_of_a_frame, labels_of_a_frame)


def similar(frame, rng):
    """The same segments with some pixels given to others, and other numbers."""
    changed = np.where(rng.random(frame.shape) < 0.15, rng.integers(0, 6, frame.shape), frame)
    return np.where(changed > 0, 40 + 3 * changed, 0)


@given(two_frames, st.booleans())
def test_iou_is_a_share_and_is_symmetric(frames, same):
    one, other = (frame > 2 for frame in frames)
    other = one if same else other
    iou = mask_iou(one, other)
    assert iou == mask_iou(other, one) or math.isnan(iou)
    assert math.isnan(iou) == (not one.any() and not other.any())
    if not math.isnan(iou):
        assert 0 <= iou <= 1
        assert (iou == 1) == np.array_equal(one, other)
        pixels = [set(np.flatnonzero(mask)) for mask in (one, other)]
        assert iou == pytest.approx(len(pixels[0] & pixels[1]) / len(pixels[0] | pixels[1]))


def test_two_empty_masks_are_what_the_caller_says():
    empty, full = np.zeros((4, 4), bool), np.ones((4, 4), bool)
    assert math.isnan(mask_iou(empty, empty))
    assert mask_iou(empty, empty, "one") == 1
    assert mask_iou(empty, full, "one") == mask_iou(full, empty) == 0


@settings(max_examples=200)
@given(labels_of_a_frame, st.randoms(use_true_random=False))
def test_matches_are_unique_and_are_all_pairs_above_the_limit(frame, random):
    other = similar(frame, np.random.default_rng(random.getrandbits(32)))
    found = match_instances(other, frame)
    assert len(set(found.matches.values())) == len(found.matches)  # no truth twice; no segment can be, in a dictionary
    every = {
        (s, t): mask_iou(other == s, frame == t)
        for s in np.unique(other[other > 0])
        for t in np.unique(frame[frame > 0])
    }
    above = {pair: iou for pair, iou in every.items() if iou > MATCH}
    assert set(found.matches.items()) == set(above)
    for (segment, _), iou in above.items():
        assert found.ious[segment] == pytest.approx(iou)
    assert set(found.unmatched) | set(found.matches) == set(np.unique(other)) - {0}


@given(labels_of_a_frame)
def test_a_frame_matches_itself(frame):
    found = match_instances(frame, frame)
    assert found.matches == {one: one for one in found.segments}
    assert found.unmatched == ()


@given(two_frames)
def test_precision_is_recall_with_the_sides_changed(frames):
    one, other = match_instances(*frames), match_instances(*frames[::-1])
    assert instance_precision([one]) == pytest.approx(instance_recall([other]), nan_ok=True)


def test_the_limit_itself_does_not_match():
    """At 0.5 a segment of two halves would have two truths; that is why the limit is above it."""
    segment, truth = np.array([[1, 1]]), np.array([[1, 2]])
    assert mask_iou(segment == 1, truth == 1) == mask_iou(segment == 1, truth == 2) == 0.5
    assert match_instances(segment, truth).matches == {}
    with pytest.raises(ValueError, match="unique"):
        match_instances(segment, truth, 0.4)


def test_a_frame_that_one_can_count():
    truth = np.array([[1, 1, 1, 0, 2, 2], [0, 0, 0, 0, 0, 0], [3, 3, 0, 4, 4, 4]])
    found = np.array([[7, 7, 7, 0, 0, 0], [0, 0, 0, 0, 9, 0], [5, 5, 0, 8, 0, 0]])
    match = match_instances(found, truth)
    assert match.matches == {7: 1, 5: 3}
    assert match.unmatched == (8, 9)
    assert instance_precision([match]) == 2 / 4
    assert instance_recall([match]) == 2 / 4
    more = match_instances(truth, truth)
    assert instance_precision([match, more]) == 6 / 8
    nothing = match_instances(np.zeros((2, 2), int), np.zeros((2, 2), int))
    assert math.isnan(instance_precision([nothing]))
    assert math.isnan(instance_recall([nothing]))


def test_of_other_sizes_nothing_is_measured():
    for measure in (mask_iou, match_instances, calibration):
        with pytest.raises(ValueError, match="one shape"):
            measure(np.zeros((2, 3), bool), np.zeros((3, 2), bool))


def test_a_calibration_that_one_can_count():
    confidence = np.array([0.0, 0.1, 0.75, 0.8, 0.8, 1.0])
    right = np.array([False, True, True, True, False, True])
    found = calibration(confidence, right, bins=4)  # 0 and 0.1 | nothing | 0.75 | 0.8, 0.8 and 1
    np.testing.assert_array_equal(found.count, [2, 0, 1, 3])
    np.testing.assert_allclose(found.confidence, [0.05, np.nan, 0.75, 2.6 / 3])
    np.testing.assert_allclose(found.right, [0.5, np.nan, 1, 2 / 3])
    assert found.error == pytest.approx((2 * 0.45 + 0.25 + 3 * (2.6 / 3 - 2 / 3)) / 6)
    assert math.isnan(calibration(np.array([]), np.array([], bool)).error)
    with pytest.raises(ValueError, match="0 to 1"):
        calibration(np.array([1.2]), np.array([True]))


def test_honest_confidences_are_calibrated_and_boastful_ones_are_not():
    rng = np.random.default_rng(0)
    confidence = rng.random(20_000)
    honest = calibration(confidence, rng.random(20_000) < confidence)
    boastful = calibration(np.sqrt(confidence), rng.random(20_000) < confidence)
    assert honest.error < 0.02
    assert boastful.error == pytest.approx(1 / 6, abs=0.02)  # the integral of sqrt(p) - p
