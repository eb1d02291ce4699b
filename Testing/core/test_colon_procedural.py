"""The procedural colon: a closed surface in mm whose folds are known exactly."""

import numpy as np
import pytest

from inference_core.simulation.colon.mesh.surface import Surface, edges, enclosed_volume, vertex_areas
from inference_core.simulation.colon.path.curve import arc_length, bent_curve, evenly_spaced, parallel_transport
from inference_core.simulation.colon.procedural.haustra import WAY_STEP, Fold, fold_shape, haustral_wall
from inference_core.simulation.colon.procedural.haustral_colon import (
    axis_coordinates,
    colon_shape,
    haustral_colon,
    with_truth,
)

LENGTH = 160.0


@pytest.fixture(scope="module")
def colon() -> Surface:
    return haustral_colon(7, faces=20_000, length=LENGTH)


def test_it_is_one_closed_surface_of_a_colons_size(colon):
    pairs = np.sort(colon.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    _, uses = np.unique(pairs, axis=0, return_counts=True)
    assert (uses == 2).all(), "each edge belongs to two faces"
    assert len(colon.vertices) - len(edges(colon)) + len(colon.faces) == 2, "no handle, one piece"
    volume = enclosed_volume(colon)
    assert volume > 0, "normals point outwards"
    assert 14 < np.sqrt(volume / LENGTH / np.pi) < 27, "mean radius in mm"
    assert abs(len(colon.faces) - 20_000) <= 200


def test_the_same_seed_gives_the_same_colon_and_another_seed_another(colon):
    again = haustral_colon(7, faces=20_000, length=LENGTH)
    assert np.array_equal(again.vertices, colon.vertices)
    assert np.array_equal(again.faces, colon.faces)
    assert all(np.array_equal(again.point_arrays[name], colon.point_arrays[name]) for name in colon.point_arrays)
    assert not np.allclose(colon_shape(8, LENGTH).axis, colon_shape(7, LENGTH).axis)


def test_folds_are_as_high_and_as_far_apart_as_in_a_colon():
    wall = haustral_wall(np.random.default_rng(3), 480.0)
    assert all(4 <= fold.height <= 9 and 1.4 <= fold.thickness <= 2.6 for fold in wall.folds)
    ways = np.array([fold.way for fold in wall.folds])
    assert (np.diff(ways) >= 0).all(), "numbered along the axis"
    sectors = np.unwrap([fold.angle for fold in wall.folds], period=2 * np.pi)
    assert len(sectors) > 40
    middle = wall.radius[int(100 / WAY_STEP) : int(380 / WAY_STEP)]
    assert 18 < np.median(middle) < 27
    assert middle.min() > 8, "the lumen stays open"


def test_a_fold_belongs_where_it_rises_above_a_quarter_of_its_height():
    fold = Fold(way=50.0, angle=0.3, height=6.0, thickness=2.0, half_angle=1.0, slant=0.0, sag=0.0)
    way = np.linspace(40, 60, 2001)
    inside = way[fold_shape(fold, way, np.float64(0.3)) >= 0.25]
    half_width = 2.0 * np.sqrt(2 * np.log(4))  # where exp(-x^2 / 2 s^2) is a quarter
    assert inside.min() == pytest.approx(50 - half_width, abs=0.02)
    assert inside.max() == pytest.approx(50 + half_width, abs=0.02)
    assert fold_shape(fold, np.float64(50.0), np.float64(0.3 + 1.01)) < 1e-9, "it ends between two taeniae"


def test_the_truth_at_vertices_is_the_truth_of_the_shape(colon):
    shape = colon_shape(7, LENGTH)
    score, instance = colon.point_arrays["fold_score"], colon.point_arrays["fold_instance"]
    assert np.array_equal(score >= 0.5, instance > 0)
    assert set(np.unique(instance)) <= set(range(len(shape.wall.folds) + 1))
    areas = vertex_areas(colon)
    assert 0.1 < areas[instance > 0].sum() / areas.sum() < 0.35
    way, angle, distance = axis_coordinates(colon.vertices, shape)
    strong = np.flatnonzero(score > 0.9)[::25]
    for vertex in strong:
        fold = shape.wall.folds[instance[vertex] - 1]
        rise = fold_shape(fold, way[vertex], angle[vertex])
        assert rise > 0.4
    table = shape.wall.radius[np.round(way / WAY_STEP).astype(int), np.round(np.degrees(angle) % 360).astype(int) % 360]
    inner = (way > 5) & (way < LENGTH - 5)
    error = np.abs(distance - table)[inner]
    assert np.median(error) < 0.5, "extraction keeps the wall in place (mm)"


def test_truth_can_be_read_for_any_mesh_of_the_shape():
    shape = colon_shape(9, LENGTH)
    fold = shape.wall.folds[2]
    index = round(fold.way / 0.5)
    frame = shape.frames
    radial = np.cos(fold.angle) * frame.normals[index] + np.sin(fold.angle) * frame.binormals[index]
    crest = shape.axis[index] + 15 * radial
    triangle = Surface(np.stack([crest, crest + 0.1 * frame.tangents[index], crest]), np.array([[0, 1, 2]]))
    labelled = with_truth(triangle, shape)
    assert (labelled.point_arrays["fold_instance"] == 3).all()
    assert (labelled.point_arrays["fold_score"] == 1).all()


def test_curves_keep_clear_of_themselves_and_bend_gently():
    for seed in range(5):
        points = bent_curve(np.random.default_rng(seed), 480.0)
        assert arc_length(points)[-1] == pytest.approx(480, rel=1e-3)
        tangents = np.gradient(points, 0.5, axis=0)
        bend = np.linalg.norm(np.gradient(tangents, 0.5, axis=0), axis=1)[3:-3]
        assert 1 / bend.max() > 40, "radius of curvature, mm"
        far = np.linalg.norm(points[None, ::20] - points[::20, None], axis=2)
        apart = np.abs(np.subtract.outer(np.arange(len(far)), np.arange(len(far)))) * 10
        assert far[apart > 130].min() > 60


def test_parallel_transport_turns_with_a_helix_but_not_about_it():
    turn = np.linspace(0, 4 * np.pi, 2000)
    helix = np.stack([30 * np.cos(turn), 30 * np.sin(turn), 8 * turn], axis=1)
    frames = parallel_transport(helix)
    assert np.allclose((frames.tangents * frames.normals).sum(axis=1), 0, atol=1e-9)
    assert np.allclose(np.cross(frames.tangents, frames.normals), frames.binormals)
    step = np.gradient(frames.normals, axis=0)
    assert np.abs((step * frames.binormals).sum(axis=1))[2:-2].max() < 1e-5, "no turn about the tangent"


def test_even_spacing_keeps_both_ends():
    points = np.array([[0.0, 0, 0], [10, 0, 0], [10, 5, 0]])
    even = evenly_spaced(points, 1.0)
    assert len(even) == 16
    assert np.array_equal(even[0], points[0])
    assert np.array_equal(even[-1], points[-1])
