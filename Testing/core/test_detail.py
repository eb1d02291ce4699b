"""Measures of detail: right for what is known exactly, and blind to noise where they must be."""

import math

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from inference_core.evaluation.detail import contrast_recovery, edge_ratio, strongest_edges
from inference_core.evaluation.pairs import Pair
from inference_core.evaluation.run import evaluate
from inference_core.evaluation.table import tables
from inference_core.image.volume import Volume
from inference_core.simulation.head_anatomy import Detail
from inference_core.simulation.painted_scene import Scene
from inference_core.simulation.projection import (
    WATER_ATTENUATION,
    Ellipsoid,
    filtered_back_projection,
    line_integrals,
)

PIXEL = 0.6  # mm
SIZE, SLICES = 96, 12


@pytest.fixture(scope="module")
def phantom() -> tuple[Volume, tuple[Detail, ...]]:
    """A cylinder of bone with spheres of air and fluid of 0.6 to 2 mm, reconstructed from its projections."""
    scene = Scene()
    scene.paint(1800, Ellipsoid((0, 0, 0), (20, 20, 100)))
    details = []
    for k, diameter in enumerate((2.0, 1.5, 1.0, 0.6)):
        for hu, y in ((-1000, -4.1), (10, 4.3)):
            centre = (-9.0 + 6.2 * k, y, 0.25)
            scene.paint(hu, Ellipsoid(centre, (diameter / 2,) * 3))
            details.append(Detail(f"{hu} {diameter}", centre, diameter, hu, 1800))
    bodies = {body: density * WATER_ATTENUATION for body, density in scene.bodies.items()}
    image = filtered_back_projection(line_integrals(bodies, 240, 110, PIXEL, SLICES, PIXEL), SIZE, PIXEL, PIXEL)
    hu = np.rint(np.clip(1000 * (image / WATER_ATTENUATION - 1), -1024, 3071)).astype(np.int16)
    corner = -(SIZE - 1) / 2 * PIXEL
    origin = (corner, corner, -(SLICES - 1) / 2 * PIXEL)
    return Volume(hu, spacing=(PIXEL,) * 3, origin=origin, modality="CT"), tuple(details)


def like(volume: Volume, voxels: np.ndarray) -> Volume:
    return volume.with_voxels(voxels.astype(np.float32))


def test_the_spheres_are_where_they_are_said_to_be(phantom):
    truth, details = phantom
    for detail in details[:4]:
        column, row, index = np.rint((np.array(detail.centre) - truth.origin) / PIXEL).astype(int)
        assert truth.voxels[index, row, column] < 900


def test_contrast_of_the_truth_is_one_and_of_a_blurred_truth_less(phantom):
    truth, details = phantom
    same = contrast_recovery(truth, truth, details)
    assert list(same) == [0.6, 1.0, 1.5, 2.0]
    assert set(same.values()) == {1.0}
    blurred = contrast_recovery(like(truth, gaussian_filter(truth.voxels.astype(float), (0, 1, 1))), truth, details)
    assert max(blurred.values()) < 0.75
    assert blurred[0.6] < blurred[1.0] < blurred[2.0], "the smaller, the more is lost"


def test_contrast_scales_with_the_contrast_and_not_with_the_level(phantom):
    truth, details = phantom
    for diameter, ratio in contrast_recovery(like(truth, 0.5 * truth.voxels + 300), truth, details).items():
        assert ratio == pytest.approx(0.5, abs=1e-4), diameter


def test_noise_leaves_the_contrast_as_it_is_on_average(phantom):
    truth, details = phantom
    rng = np.random.default_rng(0)
    draws = [
        contrast_recovery(like(truth, truth.voxels + 250 * rng.standard_normal(truth.voxels.shape)), truth, details)
        for _ in range(60)
    ]
    for diameter in draws[0]:
        values = [draw[diameter] for draw in draws]
        standard_error = np.std(values) / math.sqrt(len(values))
        assert np.mean(values) == pytest.approx(1, abs=4 * standard_error), diameter
        assert standard_error < 0.06, "or the test would pass for anything"


def test_the_table_gives_contrast_by_diameter_and_its_spread_over_phantoms(phantom):
    truth, details = phantom
    rng = np.random.default_rng(1)
    noisy = (np.rint(truth.voxels + 60 * rng.standard_normal(truth.voxels.shape)).astype(np.int16) for _ in range(2))
    pairs = [Pair(f"phantom{k}", "phantom", f"phantom{k}", truth.with_voxels(low), truth, details)
             for k, low in enumerate(noisy)]  # fmt: skip
    results = evaluate(pairs, {"truth": lambda low: truth.voxels})
    lines = tables(results).split("Contrast of small spheres")[1].splitlines()
    assert lines[2] == "| method | 0.6 mm | 1 mm | 1.5 mm | 2 mm |"
    assert lines[5] == "| truth | 1.00 ± 0.00 | 1.00 ± 0.00 | 1.00 ± 0.00 | 1.00 ± 0.00 |"
    assert all(0.7 < float(cell.split("±")[0]) < 1.3 for cell in lines[4].split("|")[2:-1])


def test_edges_of_the_reference_are_one_of_a_blurred_one_less(phantom):
    image = phantom[0].voxels[SLICES // 2]
    assert edge_ratio(image, image) == 1
    blurred = gaussian_filter(image.astype(float), 1)
    assert edge_ratio(blurred, image) < 0.85
    assert edge_ratio(gaussian_filter(image.astype(float), 0.5), image) < 0.95
    assert edge_ratio(2 * image.astype(float), image) == pytest.approx(2)


def test_edges_are_the_strongest_of_the_body_without_its_skin():
    image = np.full((128, 128), -1000.0)
    y, x = np.mgrid[-1:1:128j, -1:1:128j]
    image[np.hypot(x, y) < 0.85] = 40
    image[np.hypot(x, y) < 0.3] = 140
    image[np.hypot(x - 0.5, y) < 0.1] = -900  # an air hole is part of the body
    edges = strongest_edges(image)
    assert 0.02 < edges.sum() / (np.hypot(x, y) < 0.8).sum() < 0.05
    assert not edges[np.hypot(x, y) > 0.8].any()
    assert edges[np.abs(np.hypot(x - 0.5, y) - 0.1) < 0.01].all()


def test_a_slice_of_air_has_no_edges():
    air = np.full((64, 64), -1000, np.int16)
    assert math.isnan(edge_ratio(air, air))
