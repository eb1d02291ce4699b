"""Projections of pixels agree with the exact ones, and filtered back-projection undoes them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference_core.simulation import forward_projection
from inference_core.simulation.forward_projection import project
from inference_core.simulation.projection import (
    WATER_ATTENUATION,
    Ellipsoid,
    filtered_back_projection,
    line_integrals,
    reconstruction_circle,
)

SIZE, PIXEL, PARTS = 128, 2.0, 8


def painted(part: Ellipsoid, size: int = SIZE) -> np.ndarray:
    """(size, size) share of each pixel that lies in an ellipsoid's middle slice."""
    t = ((np.arange(size * PARTS) + 0.5) / PARTS - size / 2) * PIXEL
    points = np.stack(np.broadcast_arrays(t[None], t[:, None], 0.0), -1)
    return (part.level(points) <= 1).reshape(size, PARTS, size, PARTS).mean(axis=(1, 3))


@settings(max_examples=10, deadline=None)
@given(st.floats(-25, 25), st.floats(-25, 25), st.floats(25, 90), st.floats(25, 90), st.floats(0, np.pi))
def test_a_painted_ellipse_projects_as_the_exact_one(x: float, y: float, a: float, b: float, turn: float) -> None:
    axes = (np.cos(turn), -np.sin(turn), 0.0, np.sin(turn), np.cos(turn), 0.0, 0.0, 0.0, 1.0)
    ellipse = Ellipsoid((x, y, 0.0), (a, b, 1e5), axes)
    views = project(painted(ellipse)[None], PIXEL, 30, 160, PIXEL)
    exact = line_integrals({frozenset([ellipse]): 1.0}, 30, 160, PIXEL, 1, PIXEL)
    assert views.sum(axis=1) * PIXEL == pytest.approx(np.pi * a * b, rel=0.005)  # the area, in every view
    assert np.sqrt(np.mean((views - exact) ** 2)) < 0.01 * exact.max()
    assert views.max() == pytest.approx(exact.max(), rel=0.02)


def test_filtered_back_projection_undoes_it() -> None:
    disc = Ellipsoid((12.0, -7.0, 0.0), (70.0, 70.0, 1e5))
    image = painted(disc) * WATER_ATTENUATION
    views = project(image[None], PIXEL, 360, 184, PIXEL)
    hu = 1000 * (filtered_back_projection(views, SIZE, PIXEL, PIXEL)[0] / WATER_ATTENUATION - 1)
    t = (np.arange(SIZE) - (SIZE - 1) / 2) * PIXEL
    distance = np.hypot(t[None] - 12, t[:, None] + 7)
    inside, around = distance < 60, (distance > 80) & reconstruction_circle(SIZE, PIXEL, 184, PIXEL)
    assert hu[inside].mean() == pytest.approx(0, abs=1)
    assert np.abs(hu[inside]).max() < 25  # the edge rings
    assert hu[around].mean() == pytest.approx(-1000, abs=1)


def test_slices_are_projected_each_on_its_own_and_sums_as_sums() -> None:
    rng = np.random.default_rng(0)
    images = rng.random((3, 20, 31))
    together = project(images, 1.5, 12, 40, 1.2)
    assert together.shape == (12, 40, 3)
    for k in range(3):
        np.testing.assert_array_equal(project(images[k : k + 1], 1.5, 12, 40, 1.2)[..., 0], together[..., k])
    whole = project(images.sum(0)[None], 1.5, 12, 40, 1.2)[..., 0]
    np.testing.assert_allclose(together.sum(-1), whole, rtol=1e-4, atol=1e-3)


def test_rays_along_the_axes_are_row_and_column_sums() -> None:
    image = np.random.default_rng(1).random((1, 16, 24))
    views = project(image, 0.5, 2, 24, 0.5)[..., 0]
    np.testing.assert_allclose(views[0], image[0].sum(axis=0) * 0.5, rtol=1e-5)
    np.testing.assert_allclose(views[1][4:20], image[0].sum(axis=1) * 0.5, rtol=1e-5)
    assert (views[1][[0, -1]] == 0).all()


def test_the_number_of_threads_changes_no_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    image = np.random.default_rng(2).random((1, 40, 40))
    two = project(image, 1.0, 30, 60, 1.0)
    monkeypatch.setattr(forward_projection, "THREADS", 1)
    np.testing.assert_array_equal(project(image, 1.0, 30, 60, 1.0), two)
