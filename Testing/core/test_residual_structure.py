"""Taken-out noise is not flagged, taken-out anatomy is."""

import numpy as np
import pytest

from inference_core.errors import Cancelled, UserError
from inference_core.image.exchange import read_exchange
from inference_core.image.volume import Volume
from inference_core.image.writing import write_volume
from inference_core.measurement.homogeneous_patches import smoothed
from inference_core.measurement.residual_structure import residual_structure
from inference_core.measurement.structure_job import BRIGHT, DARK, run

SHAPE = (3, 160, 170)
FINE, COARSE = (0.2, 0.2, 0.6), (0.7, 0.7, 2.0)  # mm: temporal bone, abdomen


def noise(rng: np.random.Generator, kind: str) -> np.ndarray:
    """Noise of 60 HU at the left to 180 HU at the right."""
    fy, fx = np.fft.fftfreq(SHAPE[1])[:, None], np.fft.fftfreq(SHAPE[2])[None]
    radius = np.hypot(fy, fx)
    transfer = {
        "white": np.ones_like(radius),
        "backprojected": np.sqrt(radius) * np.exp(-((radius / 0.3) ** 2)),
        "streaks": 0.1 + np.exp(-((fy / 0.02) ** 2) - (fx / 0.3) ** 2),
    }[kind]
    field = np.fft.ifft2(np.fft.fft2(rng.standard_normal(SHAPE)) * transfer).real
    return 60 * field / field.std() * np.linspace(1, 3, SHAPE[2])


@pytest.mark.parametrize("spacing", [FINE, COARSE])
@pytest.mark.parametrize("kind", ["white", "backprojected", "streaks"])
def test_pure_noise_is_flagged_no_more_often_than_promised(kind, spacing):
    rng = np.random.default_rng(3)
    y, x = np.mgrid[: SHAPE[1], : SHAPE[2]]
    field_of_view = np.hypot(y - 80, x - 85) < 78
    volumes = 20
    flagged = 0
    for number in range(volumes):
        before = np.rint(noise(rng, kind) * (field_of_view if number % 2 else 1)).astype(np.int16)
        flagged += bool(residual_structure(before, np.zeros_like(before), spacing, false_alarm=0.05).regions)
    assert flagged <= 3  # of 20 with 5 % each: more has a probability of 1.6 %


def disc(center: tuple[int, int], radius: float) -> np.ndarray:
    y, x = np.mgrid[: SHAPE[1], : SHAPE[2]]
    return np.hypot(y - center[0], x - center[1]) <= radius


def test_an_erased_ossicle_of_1_mm_is_flagged_and_nothing_else():
    rng = np.random.default_rng(0)
    ossicle = disc((60, 50), 2.5)  # pixels of 0.2 mm: 1 mm across
    anatomy = np.zeros(SHAPE)
    anatomy[1, ossicle] = 700
    before = np.rint(anatomy + noise(rng, "backprojected")).astype(np.int16)
    kept, erased = np.rint(anatomy).astype(np.int16), np.zeros(SHAPE, np.int16)
    assert residual_structure(before, kept, FINE).regions == []
    found = residual_structure(before, erased, FINE)
    (region,) = found.regions
    assert region.index[0] == 1
    assert np.hypot(region.index[1] - 60, region.index[2] - 50) <= 2
    assert region.z > found.threshold  # something bright went
    assert found.z[region.index] == np.float32(region.z)
    assert region.volume_mm3 == pytest.approx(region.voxels * 0.2 * 0.2 * 0.6)
    assert residual_structure(before, 2 * kept, FINE).regions[0].z < -found.threshold  # something bright came


def test_a_faint_disc_of_1_mm_is_found_in_fine_voxels():
    rng = np.random.default_rng(5)
    for _ in range(5):
        before = noise(rng, "backprojected") / np.linspace(1, 3, SHAPE[2])  # 60 HU
        before[1, disc((80, 85), 2.5)] += 200
        regions = residual_structure(before, np.zeros(SHAPE), FINE).regions
        assert [region.index[0] for region in regions] == [1]
        assert np.hypot(regions[0].index[1] - 80, regions[0].index[2] - 85) <= 4


def test_a_blurred_canal_wall_is_flagged_along_the_wall():
    rng = np.random.default_rng(0)
    wall = disc((80, 60), 30) & ~disc((80, 60), 27)
    anatomy = np.where(wall, 1200.0, 0.0)[None] * np.ones(SHAPE)
    before = anatomy + noise(rng, "backprojected")
    assert residual_structure(before, anatomy, FINE).regions == []
    found = residual_structure(before, smoothed(anatomy, 2.0), FINE)
    flagged = np.abs(found.z) > found.threshold
    near = disc((80, 60), 40) & ~disc((80, 60), 17)
    assert flagged.any()
    assert not flagged[:, ~near].any()
    assert flagged[:, wall].mean() > 0.1


def test_an_erasure_without_any_noise_around_is_flagged():
    before = np.zeros(SHAPE, np.float32)
    before[2, disc((100, 100), 2.5)] = 100
    (region,) = residual_structure(before, np.zeros(SHAPE, np.float32), FINE).regions
    assert region.index[0] == 2
    assert residual_structure(before, before, FINE).regions == []


def test_a_smaller_false_alarm_rate_has_a_higher_threshold_and_flags_no_more():
    before = noise(np.random.default_rng(1), "white")
    often, rarely = (residual_structure(before, np.zeros(SHAPE), FINE, rate) for rate in (0.999, 1e-6))
    assert often.threshold < rarely.threshold
    assert np.array_equal(often.z, rarely.z)
    assert len(often.regions) >= len(rarely.regions) == 0


def test_it_can_be_stopped_between_slices():
    seen = []

    def each(index: int) -> None:
        seen.append(index)
        if index == 1:
            raise Cancelled

    with pytest.raises(Cancelled):
        residual_structure(np.ones(SHAPE), np.zeros(SHAPE), FINE, each=each)
    assert seen == [0, 1]


def test_the_job_writes_a_label_map_and_reports_the_regions(tmp_path):
    rng = np.random.default_rng(0)
    before = noise(rng, "white")
    before[1, disc((60, 50), 2.5)] += 900
    before[2, disc((100, 90), 2.5)] -= 1200
    place = Volume(np.rint(before).astype(np.int16), FINE, (5.0, -7.0, 11.0))
    write_volume(place, tmp_path / "before.nhdr")
    write_volume(place.with_voxels(np.zeros(SHAPE, np.int16)), tmp_path / "after.nhdr")
    job = {"before": tmp_path / "before.nhdr", "after": tmp_path / "after.nhdr", "output": tmp_path / "labels.nhdr"}
    sent = []
    report = run({"job": "structure", **{name: str(file) for name, file in job.items()}},
                 lambda kind, **fields: sent.append((kind, fields)), lambda: False)  # fmt: skip
    labels = read_exchange(job["output"])
    assert labels.dtype == np.int16
    assert set(np.unique(labels)) == {0, BRIGHT, DARK}
    assert labels[1, 60, 50] == BRIGHT
    assert labels[2, 100, 90] == DARK
    assert report["regions"] == len(report["strongest"]) == 2
    assert report["volume_mm3"] == pytest.approx((labels > 0).sum() * 0.2 * 0.2 * 0.6)
    assert {region["index"][0]: region["z"] > 0 for region in report["strongest"]} == {1: True, 2: False}
    assert [fields["done"] for kind, fields in sent if kind == "progress"][-1] == SHAPE[0]
    with pytest.raises(Cancelled):
        run({name: str(file) for name, file in job.items()}, lambda *a, **b: None, lambda: True)
    with pytest.raises(UserError, match="structure job takes"):
        run({"before": "a"}, lambda *a, **b: None, lambda: False)
