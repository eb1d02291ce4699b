"""Fold labels on shapes whose folds are known, and on a procedural colon that nothing was tuned on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_folded_tubes import BORDER, HEIGHT, LENGTH, RADIUS, ring_fold, semilunar_fold, taenia, tube

from inference_core.evaluation.fold_labels import score_folds
from inference_core.simulation.colon.folds.fold_labels import label_folds
from inference_core.simulation.colon.folds.fold_report import fold_report, format_report
from inference_core.simulation.colon.mesh.surface import Surface, vertex_areas


def instances(surface: Surface):
    return label_folds(surface).point_arrays["fold_instance"]


def middle(surface: Surface):
    """Away from the flat ends of the tube."""
    return np.abs(surface.vertices[:, 2] - LENGTH / 2) < LENGTH / 2 - 15


def test_a_plain_tube_has_no_fold():
    assert not instances(tube()).any()


@pytest.mark.parametrize("bend", [45.0, 70.0])
def test_a_flexure_has_no_fold(bend):
    assert not instances(tube(bend=bend)).any()


def test_a_rough_tube_has_no_fold():
    assert not instances(tube(seed=3)).any()


@pytest.mark.parametrize(("step", "least"), [(1.5, 0.8), (2.5, 0.7), (3.2, 0.6)])
def test_a_ring_fold_is_one_band_of_the_right_width(step, least):
    surface = tube(ring_fold, step=step)
    found = instances(surface)
    assert found.max() == 1
    truth = (np.abs(surface.vertices[:, 2] - LENGTH / 2) < BORDER).astype(np.int64)
    assert score_folds(surface, truth, found).iou > least
    width = vertex_areas(tube(step=step))[found > 0].sum() / (2 * np.pi * RADIUS)
    assert width == pytest.approx(2 * BORDER, rel=0.35)


def test_the_height_of_a_ring_fold_is_measured():
    report = fold_report(label_folds(tube(ring_fold, step=1.5)))
    assert report["each"][0]["height_mm"] == pytest.approx(HEIGHT, abs=1.2)
    assert report["each"][0]["length_mm"] == pytest.approx(np.pi * (RADIUS - HEIGHT), rel=0.4)
    assert report["each"][0]["confidence"] > 0.7


def test_a_semilunar_fold_ends_where_it_ends():
    surface = tube(semilunar_fold)
    found = instances(surface)
    assert found.max() == 1
    angle = np.arctan2(surface.vertices[:, 1], surface.vertices[:, 0])
    off = np.abs(np.angle(np.exp(1j * (angle - np.pi))))
    assert off[found > 0].max() < 1.0
    assert (found > 0)[(off < 0.4) & (np.abs(surface.vertices[:, 2] - LENGTH / 2) < 2)].all()


def test_folds_in_a_bend_are_found_and_the_bend_is_not():
    surface = tube(ring_fold, bend=60)
    found = instances(surface)
    turn = np.arctan2(surface.vertices[:, 2], 60 - surface.vertices[:, 0])
    way = turn * 60
    assert found.max() == 1
    assert (np.abs(way[found > 0] - LENGTH / 2) < 12).all()


def test_a_ridge_along_the_path_is_no_fold():
    assert not instances(tube(taenia)).any()


def test_a_fold_that_crosses_a_taenia_is_found_without_it():
    surface = tube(lambda way, angle: np.maximum(ring_fold(way, angle), taenia(way, angle)))
    found = instances(surface)
    assert found.any()
    assert (np.abs(surface.vertices[found > 0][:, 2] - LENGTH / 2) < 12).all()


def test_two_semilunar_folds_side_by_side_are_two():
    def pair(way, angle):
        first = np.cos(np.clip(angle - np.pi / 2 - 0.2, -1.1, 1.1) / 1.1 * np.pi / 2)
        second = np.cos(np.clip(angle - 3 * np.pi / 2 + 0.2, -1.1, 1.1) / 1.1 * np.pi / 2)
        return ring_fold(way, angle) * np.maximum(first, second)

    assert instances(tube(pair)).max() == 2


def test_the_mask_is_where_there_is_an_instance_and_other_arrays_are_kept():
    surface = tube(semilunar_fold)
    surface = replace(surface, point_arrays={"patient": np.arange(len(surface.vertices))})
    arrays = label_folds(surface).point_arrays
    assert arrays["fold_score"].dtype == np.float32
    assert arrays["fold_instance"].dtype == np.int32
    np.testing.assert_array_equal(arrays["fold_score"] >= 0.5, arrays["fold_instance"] > 0)
    assert 0 <= arrays["fold_score"].min() <= arrays["fold_score"].max() <= 1
    np.testing.assert_array_equal(arrays["patient"], surface.point_arrays["patient"])


def test_the_score_falls_off_beyond_the_border_so_that_it_can_be_drawn_smoothly():
    labelled = label_folds(tube(ring_fold, step=1.5))
    score, away = labelled.point_arrays["fold_score"], np.abs(labelled.vertices[:, 2] - LENGTH / 2)
    rings = [score[(away >= near) & (away < near + 1)].mean() for near in range(7)]
    assert all(before >= after for before, after in zip(rings, rings[1:], strict=False))
    assert any(0.05 < value < 0.5 for value in rings)


def test_the_same_surface_gives_the_same_labels():
    surface = tube(semilunar_fold, seed=1)
    first, second = label_folds(surface), label_folds(surface)
    for name in ("fold_score", "fold_instance", "fold_height"):
        np.testing.assert_array_equal(first.point_arrays[name], second.point_arrays[name])


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 10_000))
def test_labels_do_not_depend_on_where_the_colon_lies_or_how_its_vertices_are_numbered(seed):
    surface = tube(semilunar_fold, step=2.5)
    rng = np.random.default_rng(seed)
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    rotation *= np.linalg.det(rotation)
    order = rng.permutation(len(surface.vertices))
    place = np.argsort(order)
    faces = rng.permutation(place[surface.faces])
    moved = Surface(surface.vertices[order] @ rotation.T + rng.uniform(-300, 300, 3), faces)
    before, after = label_folds(surface).point_arrays, label_folds(moved).point_arrays
    height_difference = np.abs(before["fold_height"][order] - after["fold_height"])
    assert np.percentile(height_difference, 99) < 0.1
    assert ((before["fold_instance"][order] > 0) == (after["fold_instance"] > 0)).mean() > 0.99


def test_progress_goes_from_nothing_to_all():
    told: list[tuple[int, int]] = []
    label_folds(tube(step=4), lambda done, total: told.append((done, total)))
    assert [done for done, _ in told] == list(range(told[0][1] + 1))


def test_slivers_and_flat_triangles_do_no_harm():
    surface = tube(ring_fold)
    squeezed = surface.vertices.copy()
    squeezed[5000:5040] = squeezed[5000]  # coinciding vertices: triangles without area
    labelled = label_folds(Surface(squeezed, surface.faces))
    assert np.isfinite(labelled.point_arrays["fold_score"]).all()
    assert (labelled.point_arrays["fold_instance"] > 0)[np.abs(surface.vertices[:, 2] - LENGTH / 2) < 2].mean() > 0.9


@pytest.mark.parametrize("faces", [20_000, 60_000])
def test_a_procedural_colon_that_nothing_was_tuned_on(faces):
    from inference_core.simulation.colon.procedural.haustral_colon import haustral_colon

    colon = haustral_colon(104, faces)
    found = instances(Surface(colon.vertices, colon.faces))
    score = score_folds(colon, colon.point_arrays["fold_instance"].astype(np.int64), found.astype(np.int64))
    assert score.iou >= 0.75
    assert score.matched >= 0.9 * score.folds
    assert score.split <= 0.05 * score.folds


def test_a_report_without_folds_says_so():
    report = fold_report(label_folds(tube()))
    assert report["folds"] == 0
    assert report["each"] == []
    assert format_report(report) == "no fold found"


def test_scores_of_folds_count_area_and_instances():
    surface = tube(step=4)
    way = surface.vertices[:, 2]
    truth = np.where((way > 40) & (way < 60), 7, np.where((way > 90) & (way < 110), 9, 0))
    same = score_folds(surface, truth, truth)
    assert (same.iou, same.precision, same.recall) == pytest.approx((1, 1, 1))
    assert (same.matched, same.split, same.merged) == (2, 0, 0)
    halves = np.where(truth == 7, 1 + (surface.vertices[:, 0] > 0), 0)
    score = score_folds(surface, truth, halves)
    assert score.precision == pytest.approx(1)
    assert score.recall == pytest.approx(0.5, abs=0.1)
    assert (score.split, score.found, score.merged) == (1, 2, 0)
    one = score_folds(surface, truth, (truth > 0).astype(np.int64))
    assert one.iou == pytest.approx(1)
    assert (one.merged, one.split) == (1, 0)
    assert score_folds(surface, truth, np.zeros_like(truth)).iou == 0
