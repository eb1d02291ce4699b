"""The centreline against axes that are known."""

import numpy as np
import pytest
from made_tubes import arc_axis, straight_axis, tube, with_ring_fold

from inference_core.errors import UserError
from inference_core.simulation.colon.mesh.surface import Surface, enclosed_volume
from inference_core.simulation.colon.mesh.surface_from_labels import surface_of_mask
from inference_core.simulation.colon.path.centreline import find_centreline
from inference_core.simulation.colon.path.curve import bent_curve, evenly_spaced
from inference_core.simulation.colon.path.lumen import lumen
from inference_core.simulation.colon.procedural.haustral_colon import colon_shape, haustral_colon

pytest.importorskip("vtk")
pytest.importorskip("skimage")
pytest.importorskip("igl")


def gaps(points, axis):
    """Distance of each point to the nearest point of a finely sampled axis."""
    from scipy.spatial import cKDTree

    return cKDTree(evenly_spaced(axis, 0.1)).query(points)[0]


def wavy_axis(length=500.0, seed=5):
    return evenly_spaced(bent_curve(np.random.default_rng(seed), length), 2.0)


def covered(centreline, axis):
    """Share of the axis that the centreline runs along."""
    return centreline.arc_length[-1] / np.linalg.norm(np.diff(axis, axis=0), axis=1).sum()


@pytest.mark.parametrize(
    ("axis", "worst"),
    [(straight_axis(), 1.5), (arc_axis(), 3.5), (wavy_axis(), 3.5)],
    ids=["cylinder", "half a torus", "bent tube"],
)
def test_it_is_the_axis_of_a_tube(axis, worst):
    found = find_centreline(tube(axis, 20.0))
    assert np.median(gaps(found.points, axis)) < 0.7
    assert gaps(found.points, axis).max() < worst
    assert 0.9 < covered(found, axis) <= 1.02
    # The wall is 20 mm away but near the flat ends.
    middle = (found.arc_length > 25) & (found.arc_length < found.arc_length[-1] - 25)
    np.testing.assert_allclose(found.radius[middle], 20, atol=worst + 0.2)


def test_points_are_a_millimetre_apart_and_frames_do_not_twist():
    found = find_centreline(tube(wavy_axis(), 20.0))
    steps = np.linalg.norm(np.diff(found.points, axis=0), axis=1)
    np.testing.assert_allclose(steps, 1, atol=0.02)
    np.testing.assert_allclose(np.diff(found.arc_length), steps, atol=1e-9)
    frames = np.stack([found.tangents, found.normals, found.binormals], axis=2)
    np.testing.assert_allclose(np.swapaxes(frames, 1, 2) @ frames, np.tile(np.eye(3), (len(frames), 1, 1)), atol=1e-9)
    np.testing.assert_allclose(np.linalg.det(frames), 1, atol=1e-9)
    # The normal's change has no part along the binormal: that would be a turn about the tangent.
    twist = np.einsum("ki,ki->k", np.diff(found.normals, axis=0), found.binormals[:-1])
    assert np.abs(twist).max() < 2e-3


def test_a_ring_fold_narrows_it_and_does_not_move_it():
    axis = straight_axis(step=1.0)
    found = find_centreline(tube(axis, with_ring_fold(axis)))
    assert np.abs(found.points[25:-25, :2]).max() < 1.0
    at_fold = np.argmin(np.abs(found.points[:, 2] - 100))
    assert found.radius[at_fold] == pytest.approx(12, abs=1.5)


@pytest.mark.parametrize("seed", [1, 4])
def test_it_follows_the_axis_of_a_procedural_colon(seed):
    surface, axis = haustral_colon(seed, faces=30_000, length=240.0), colon_shape(seed, 240.0).axis
    found = find_centreline(surface)
    assert np.median(gaps(found.points, axis)) <= 1.5
    # The colon's round ends reach beyond its axis, and the centreline may run on into them.
    assert gaps(axis, found.points).max() < 6
    assert found.radius.min() > 5


def test_the_same_surface_gives_the_same_curve():
    surface = tube(arc_axis(), 20.0)
    first, second = find_centreline(surface), find_centreline(surface)
    for name in ("points", "arc_length", "tangents", "normals", "binormals", "radius"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def test_given_ends_are_the_ends():
    axis = wavy_axis()
    start, end = axis[200], axis[40]
    found = find_centreline(tube(axis, 20.0), start, end)
    assert np.linalg.norm(found.points[0] - start) < 2
    assert np.linalg.norm(found.points[-1] - end) < 2
    assert np.median(gaps(found.points, axis)) < 1


def test_one_given_end_is_kept_and_the_other_found():
    axis = wavy_axis()
    for ends in ({"start": axis[30]}, {"end": axis[30]}):
        found = find_centreline(tube(axis, 20.0), **ends)
        ordered = found.points if "start" in ends else found.points[::-1]
        assert np.linalg.norm(ordered[0] - axis[30]) < 2
        assert np.linalg.norm(ordered[-1] - axis[-1]) < 25


def test_ends_outside_are_refused():
    with pytest.raises(UserError) as caught:
        find_centreline(tube(straight_axis(), 20.0), start=np.array([0.0, 90.0, 100.0]))
    assert caught.value.code == "end-outside"
    assert "start" in caught.value.message
    assert "0, 90, 100 mm" in caught.value.message


def test_equal_ends_are_refused():
    point = np.array([0.0, 0.0, 100.0])
    with pytest.raises(UserError) as caught:
        find_centreline(tube(straight_axis(), 20.0), point, point)
    assert caught.value.code == "no-centreline"


def test_where_loops_touch_it_stays_in_the_lumen():
    """A hairpin whose legs are joined by a bridge 12 mm wide: the way round is 400 mm, the short cut 50."""
    step = 1.5
    z, y, x = np.meshgrid(*[np.arange(size) * step for size in (160, 40, 100)], indexing="ij")
    legs = np.minimum(np.hypot(x - 40, y - 30), np.hypot(x - 96, y - 30))
    bend = np.hypot(np.hypot(x - 68, z - 190) - 28, y - 30)
    bridge = (np.hypot(y - 30, z - 60) < 6) & (x > 40) & (x < 96)
    mask = ((legs < 20) & (z > 15) & (z < 190)) | ((bend < 20) & (z >= 190)) | bridge
    found = find_centreline(surface_of_mask(mask, (step, step, step), faces=20_000))
    assert found.points[:, 2].max() > 205
    assert found.arc_length[-1] > 380
    assert found.radius[20:-20].min() > 12


def test_the_voxels_of_a_sphere():
    from skimage.measure import marching_cubes

    grid = np.indices((60, 60, 60)) - 29.5
    vertices, faces, _, _ = marching_cubes(24.0 - np.linalg.norm(grid, axis=0), 0.0)
    sphere = Surface(vertices - 29.5 + (100, -50, 7), faces[:, ::-1].astype(np.int64))
    sphere = sphere if enclosed_volume(sphere) > 0 else Surface(sphere.vertices, sphere.faces[:, ::-1])
    space = lumen(sphere, 1.0)
    assert space.inside.sum() == pytest.approx(4 / 3 * np.pi * 24**3, rel=0.01)
    inside = np.argwhere(space.inside)
    depth = 24 - np.linalg.norm(space.points(inside) - (100, -50, 7), axis=1)
    assert np.abs(space.wall_distance[space.inside] - depth).max() < 0.9
    np.testing.assert_array_equal(space.indices(space.points(inside)), inside)
