"""A closed curve holds the pixels whose centres lie inside."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import points_in_poly

from inference_core.measurement.polygon import pixels_in_polygon

coordinates = st.floats(-3, 15).map(lambda value: round(value, 2) + 0.003)  # never on the centre of a pixel


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(coordinates, coordinates), min_size=3, max_size=12))
def test_it_agrees_with_another_implementation(corners):
    centres = np.stack(np.indices((11, 13)), axis=-1).reshape(-1, 2)
    expected = points_in_poly(centres, corners).reshape(11, 13)
    edges = np.array(corners), np.roll(corners, -1, axis=0)
    steps = np.linspace(0, 1, 400)[:, None, None]
    outline = ((1 - steps) * edges[0] + steps * edges[1]).reshape(-1, 2)
    clear = np.array([np.hypot(*(outline - centre).T).min() > 0.05 for centre in centres]).reshape(11, 13)
    np.testing.assert_array_equal(pixels_in_polygon(np.array(corners), (11, 13))[clear], expected[clear])


def test_a_fine_polygon_around_a_circle_holds_the_circles_pixels():
    angle = np.linspace(0, 2 * np.pi, 2000, endpoint=False)
    circle = np.stack([50.2 + 30.3 * np.sin(angle), 60.4 + 30.3 * np.cos(angle)], axis=1)
    y, x = np.indices((101, 121))
    radius = np.hypot(y - 50.2, x - 60.4)
    clear = np.abs(radius - 30.3) > 0.001
    assert np.array_equal(pixels_in_polygon(circle, (101, 121))[clear], (radius < 30.3)[clear])
    assert not pixels_in_polygon(circle[:2], (9, 9)).any()


def test_neighbours_share_no_pixel_and_leave_none_out():
    left = np.array([[1, 1], [1, 5], [8, 5], [8, 1]])
    right = left + np.array([0, 4])
    both = pixels_in_polygon(left, (12, 12)).astype(int) + pixels_in_polygon(right, (12, 12))
    assert both.max() == 1
    assert (both[1:8, 1:9] == 1).all()
    assert both.sum() == 7 * 8
