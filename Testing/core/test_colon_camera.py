"""The camera: known angles, the way there and back, and what no camera can be."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_core.errors import UserError
from inference_core.simulation.colon.rendering.camera import (
    Camera,
    camera_from_dict,
    checked_camera,
    endoscope_camera,
    pinhole_around,
    pixel_rays,
    project,
    rays_through,
)


def angle_between(first: np.ndarray, second: np.ndarray) -> float:
    cosine = first @ second / np.linalg.norm(first) / np.linalg.norm(second)
    return float(np.degrees(np.arccos(cosine)))


def test_pinhole_sees_90_degrees_from_edge_to_edge():
    camera = endoscope_camera(256)
    left, right = rays_through(camera, np.array([(-0.5, camera.cy), (255.5, camera.cy)]))
    assert angle_between(left, right) == pytest.approx(90)


def test_fisheye_sees_140_degrees_from_corner_to_corner():
    camera = endoscope_camera(256, "fisheye")
    first, last = rays_through(camera, np.array([(-0.5, -0.5), (255.5, 255.5)]))
    assert angle_between(first, last) == pytest.approx(140)


def test_equidistant_fisheye_has_equal_angles_between_pixels():
    camera = Camera(101, 101, 60, 60, 50, 50, "fisheye")
    rays = pixel_rays(camera)[50, 50:]
    angles = np.degrees(np.arctan2(rays[:, 0], rays[:, 2]))
    np.testing.assert_allclose(np.diff(angles), np.degrees(1 / 60), rtol=1e-9)


def test_first_pixel_centre_is_at_zero():
    camera = Camera(4, 3, 10, 20, 0, 0)
    rays = pixel_rays(camera)
    assert rays.shape == (3, 4, 3)
    np.testing.assert_allclose(rays[0, 0], (0, 0, 1))
    np.testing.assert_allclose(rays[2, 3], (0.3, 0.1, 1))  # x to the right, y down


@given(
    st.sampled_from(["pinhole", "fisheye"]),
    st.floats(200, 400),
    st.floats(200, 400),
    st.floats(50, 150),
    st.floats(50, 150),
    st.tuples(*[st.floats(-0.005, 0.005)] * 4),
)
def test_points_are_seen_at_the_pixel_whose_ray_leads_to_them(model, fx, fy, cx, cy, distortion):
    none = (0.0, 0.0, 0.0, 0.0)
    camera = checked_camera(Camera(200, 180, fx, fy, cx, cy, model, distortion if model == "fisheye" else none))
    rays = pixel_rays(camera)
    columns, rows = np.meshgrid(np.arange(200), np.arange(180))
    np.testing.assert_allclose(project(camera, rays * 37), np.stack([columns, rows], -1), atol=1e-4)


def test_known_distortion():
    """OpenCV's formula worked by hand: 45 degrees with k1 = 0.1, k2 = -0.02."""
    camera = Camera(400, 400, 100, 100, 200, 200, "fisheye", (0.1, -0.02, 0, 0))
    angle = np.pi / 4
    expected = 200 + 100 * angle * (1 + 0.1 * angle**2 - 0.02 * angle**4)
    np.testing.assert_allclose(project(camera, np.array([5.0, 0, 5.0])), (expected, 200))


def test_pinhole_around_a_fisheye_holds_all_its_rays():
    camera = endoscope_camera(64, "fisheye")
    flat = pinhole_around(camera)
    assert flat.model == "pinhole"
    seen = project(flat, pixel_rays(camera))
    assert seen.min() >= 0
    assert (seen < (flat.width - 1, flat.height - 1)).all()


@pytest.mark.parametrize("camera", [endoscope_camera(128), Camera(9, 8, 5, 6, 4.5, 3, "fisheye", (0.1, 0, 0, 0.01))])
def test_json_gives_the_same_camera_back(camera):
    assert camera_from_dict(json.loads(json.dumps(camera.to_dict()))) == camera


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"width": 4}, "height"),
        ({**endoscope_camera().to_dict(), "model": "orthographic"}, "orthographic"),
        ({**endoscope_camera().to_dict(), "fx": 0}, "Focal lengths"),
        ({**endoscope_camera().to_dict(), "fx": "wide"}, "wide"),
        ({**endoscope_camera().to_dict(), "cx": float("nan")}, "centre"),
        ({**endoscope_camera().to_dict(), "width": 100_000}, "100000"),
        ({**endoscope_camera().to_dict(), "fx": 2, "fy": 2}, "160 degrees"),
        ({**endoscope_camera().to_dict(), "distortion": [0.1, 0, 0, 0]}, "no distortion"),
        ({**endoscope_camera(256, "fisheye").to_dict(), "fx": 50, "fy": 50}, "160 degrees"),
    ],
)
def test_impossible_cameras_are_refused_with_the_reason(values, said):
    with pytest.raises(UserError, match=said) as refused:
        camera_from_dict(values)
    assert refused.value.code == "bad-camera"
