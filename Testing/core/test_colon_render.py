"""Rendered truth against a ray caster of other make (Embree) and against shapes of known answer. VTK really draws."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_ringed_tube import LENGTH, POSES, looking, ringed_tube

from inference_core.errors import UserError

pytest.importorskip("vtkmodules")
pytest.importorskip("scipy")

from inference_core.simulation.colon.mesh.surface import Surface
from inference_core.simulation.colon.rendering.appearance import load_appearance
from inference_core.simulation.colon.rendering.camera import Camera, endoscope_camera, pixel_rays
from inference_core.simulation.colon.rendering.render import Frame, FrameRenderer

PLAIN = load_appearance("plain")
ODD_PINHOLE = Camera(200, 120, 90.0, 105.0, 93.5, 71.25)
CAMERAS = {
    "square": endoscope_camera(128),
    "odd": ODD_PINHOLE,
    "fisheye": endoscope_camera(128, "fisheye"),
    "distorted": Camera(140, 120, 80, 84, 66, 61, "fisheye", (0.02, -0.01, 0.002, 0)),
}


def cast(surface: Surface, camera: Camera, pose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Depth along the axis and the number of the face that each pixel's ray meets first, by Embree."""
    embree = pytest.importorskip("embreex.rtcore_scene")
    from embreex.mesh_construction import TriangleMesh

    scene = embree.EmbreeScene(robust=True)
    TriangleMesh(scene, surface.vertices[surface.faces].astype(np.float32))
    rays = (pixel_rays(camera).reshape(-1, 3) @ pose[:3, :3].T).astype(np.float32)
    start = np.repeat(pose[:3, 3][np.newaxis].astype(np.float32), len(rays), axis=0)
    met = scene.run(start, rays, output=True)  # rays have z = 1, so their length is the depth
    return met["tfar"].reshape(camera.height, camera.width), met["primID"].reshape(camera.height, camera.width)


@pytest.mark.parametrize("name", CAMERAS)
def test_depth_and_faces_are_those_of_a_ray_caster(name):
    surface, camera = ringed_tube(around=40, along=70), CAMERAS[name]
    depth_errors, same = [], []
    with FrameRenderer(surface, camera, PLAIN) as renderer:
        for pose in POSES:
            frame = renderer.render(pose, 0)
            depth, face = cast(surface, camera, pose)
            depth_errors.append(np.abs(frame.depth - depth).ravel())
            same.append((renderer.faces(pose) == face).ravel())
    assert np.percentile(np.concatenate(depth_errors), 99) < 0.01
    assert np.concatenate(same).mean() > 0.999


def test_end_of_the_tube_is_at_its_distance_in_every_pixel_that_shows_it():
    with FrameRenderer(ringed_tube(folds=()), endoscope_camera(128), PLAIN) as renderer:
        frame = renderer.render(looking((3, -2, 30), (0, 0, 1)), 0)
        middle = frame.depth[60:68, 60:68]
    np.testing.assert_allclose(middle, LENGTH - 30, atol=0.01)  # along the axis: not longer towards the sides
    assert frame.depth.dtype == np.float32
    assert frame.depth.max() < LENGTH - 30 + 0.01
    assert not frame.mask.any()
    assert frame.inner_wall == 1


@pytest.mark.parametrize("name", ["square", "fisheye"])
def test_mask_is_where_the_interpolated_score_reaches_a_half(name):
    surface, camera = ringed_tube(), CAMERAS[name]
    with FrameRenderer(surface, camera, PLAIN) as renderer:
        for pose in POSES:
            frame = renderer.render(pose, 0)
            expected = interpolated_score(surface, camera, pose)
            clear = np.abs(expected - 0.5) > 0.02
            assert (frame.mask == (expected >= 0.5))[clear].mean() > 0.999
            assert np.percentile(np.abs(frame.score - expected), 99) < 0.006  # 1/254 and a little
            assert_consistent(frame)


def interpolated_score(surface: Surface, camera: Camera, pose: np.ndarray) -> np.ndarray:
    depth, face = cast(surface, camera, pose)
    points = (pixel_rays(camera) * depth[..., np.newaxis]) @ pose[:3, :3].T + pose[:3, 3]
    a, b, c = (surface.vertices[surface.faces[face, corner]] for corner in range(3))
    area = [np.linalg.norm(np.cross(p - points, q - points), axis=-1) for p, q in ((b, c), (c, a), (a, b))]
    weights = np.stack(area, axis=-1) / np.sum(area, axis=0)[..., np.newaxis]
    return (surface.point_arrays["fold_score"][surface.faces[face]] * weights).sum(axis=-1)


def assert_consistent(frame: Frame) -> None:
    assert frame.mask.any()
    assert not frame.mask.all()
    np.testing.assert_array_equal(frame.mask, frame.instances > 0)
    np.testing.assert_array_equal(frame.mask, frame.score >= 0.5)
    assert (frame.depth > 0).all()
    assert set(np.unique(frame.instances)) <= {0, 1, 2, 3}


def test_mask_has_no_holes_where_score_and_instances_change_in_every_triangle():
    """Scores at random, hard on both sides of the border: the fold's number must never be missing in the mask."""
    tube = ringed_tube()
    rng = np.random.default_rng(4)
    score = rng.choice(np.float32([0, 0.4999999, 0.5, 0.5000001, 1]), len(tube.vertices))
    instance = np.where(score >= 0.5, rng.integers(1, 60_000, len(score)), 0)
    surface = replace(tube, point_arrays={"fold_score": score, "fold_instance": instance})
    for camera in (CAMERAS["square"], CAMERAS["fisheye"]):
        with FrameRenderer(surface, camera, PLAIN) as renderer:
            for pose in POSES:
                frame = renderer.render(pose, 0)
                np.testing.assert_array_equal(frame.mask, frame.instances > 0)
                np.testing.assert_array_equal(frame.mask, frame.score >= 0.5)
                assert set(np.unique(frame.instances)) <= {0, *instance}


def test_pieces_change_nothing():
    surface, camera = ringed_tube(), CAMERAS["square"]
    with (
        FrameRenderer(surface, camera, PLAIN, piece=400) as pieces,
        FrameRenderer(surface, camera, PLAIN, piece=10**9) as whole,
    ):
        for pose in POSES:
            one, other = pieces.render(pose, 0), whole.render(pose, 0)
            np.testing.assert_array_equal(one.depth, other.depth)
            np.testing.assert_array_equal(one.score, other.score)
            np.testing.assert_array_equal(one.instances, other.instances)
            np.testing.assert_array_equal(one.rgb, other.rgb)
            np.testing.assert_array_equal(one.rgb, pieces.picture(pose, 0))  # without knowing what is seen


def test_surface_without_folds_has_an_empty_mask():
    surface = replace(ringed_tube(), point_arrays={})
    with FrameRenderer(surface, CAMERAS["square"], PLAIN) as renderer:
        frame = renderer.render(POSES[1], 0)
    assert not frame.mask.any()
    assert not frame.instances.any()
    assert (frame.depth > 0).all()


def test_frames_from_outside_the_colon_are_marked():
    with FrameRenderer(ringed_tube(), CAMERAS["square"], PLAIN) as renderer:
        assert renderer.render(POSES[0], 0).inner_wall == 1
        away = renderer.render(looking((0, 0, -50), (0, 0, -1)), 0)
        behind = renderer.render(looking((80, 0, 60), (-1, 0, 0)), 0)
    assert away.inner_wall == 0
    assert not away.depth.any()
    assert not away.mask.any()
    assert not away.rgb.any()
    assert behind.inner_wall == 0
    assert behind.depth.any()


@pytest.mark.parametrize(
    "arrays",
    [
        {"fold_score": np.ones(4, np.float32)},
        {"fold_instance": np.ones(4, np.int32)},
        {"fold_score": np.float32([0, 0, 1, 1]), "fold_instance": np.int32([0, 1, 1, 1])},
        {"fold_score": np.ones(4, np.float32), "fold_instance": np.int32([1, 1, 1, 70_000])},
    ],
)
def test_folds_that_cannot_be_drawn_are_refused(arrays):
    tetrahedron = Surface(
        np.array([[0, 0, 0], [9, 0, 0], [0, 9, 0], [0, 0, 9.0]]),
        np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]),
        arrays,
    )
    with pytest.raises(UserError, match="label-folds") as refused:
        FrameRenderer(tetrahedron, CAMERAS["square"], PLAIN)
    assert refused.value.code == "bad-folds"


MIRRORED, ENLARGED = np.diag([1.0, 1, -1, 1]), np.diag([2.0, 2, 2, 1])


@pytest.mark.parametrize("pose", [np.eye(3), MIRRORED, ENLARGED, np.full((4, 4), np.nan)])
def test_a_pose_that_is_none_is_refused(pose):
    with FrameRenderer(ringed_tube(), CAMERAS["square"], PLAIN) as renderer, pytest.raises(UserError) as refused:
        renderer.render(pose, 0)
    assert refused.value.code == "bad-pose"
