"""The made temporal-bone CT and the projections it is made with."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference_core.cli.sample import sample as sample_command
from inference_core.errors import UserError
from inference_core.image.reading import read_volume
from inference_core.image.volume import Volume
from inference_core.simulation import temporal_bone as temporal_bone_module
from inference_core.simulation.head_anatomy import head
from inference_core.simulation.painted_scene import Scene
from inference_core.simulation.projection import (
    WATER_ATTENUATION,
    Ellipsoid,
    add_photon_noise,
    filtered_back_projection,
    line_integrals,
    reconstruction_circle,
)
from inference_core.simulation.temporal_bone import (
    TemporalBoneSample,
    sample_paths,
    temporal_bone,
    temporal_bone_details,
    write_sample,
)

TISSUE_HU = {"brain": 35, "air": -1000, "soft tissue": 50, "cavity": -1000, "bone": 1800}
TRUTH_STD = 25  # HU: what the discrete views leave in a flat region, a tenth of the noise


@pytest.fixture(scope="module")
def sample() -> TemporalBoneSample:
    return temporal_bone(seed=0, slices=6)


def in_box(volume: Volume, centre: list[float], size: list[float]) -> np.ndarray:
    """Values of the voxels whose centres lie in a box along the LPS axes."""
    index = np.stack(np.meshgrid(*(np.arange(n) for n in volume.voxels.shape[::-1]), indexing="ij"), -1)
    points = index @ volume.index_to_lps[:3, :3].T + volume.index_to_lps[:3, 3]
    inside = np.all(np.abs(points - centre) <= np.array(size) / 2 + 1e-6, axis=-1)
    return volume.voxels.transpose(2, 1, 0)[inside].astype(float)


def rotations() -> st.SearchStrategy[tuple[float, ...]]:
    matrix = st.integers(0, 10**6).map(lambda seed: np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))[0])
    return matrix.map(lambda turn: tuple(turn.ravel().tolist()))


def ellipsoids() -> st.SearchStrategy[Ellipsoid]:
    place, length = st.floats(-6, 6), st.floats(3, 9)
    return st.builds(Ellipsoid, st.tuples(place, place, place), st.tuples(length, length, length), rotations())


@settings(max_examples=25, deadline=None)
@given(ellipsoids())
def test_every_view_of_an_ellipsoid_holds_its_volume(part: Ellipsoid) -> None:
    views = line_integrals({frozenset([part]): 1.0}, views=7, detectors=80, pitch=0.5, slices=80, thickness=0.5)
    volume = 4 / 3 * np.pi * np.prod(part.semi_axes)
    assert views.sum(axis=(1, 2)) * 0.5 * 0.5 == pytest.approx(volume, rel=0.01)


def test_two_spheres_overlap_in_a_lens() -> None:
    radius, distance = 9.0, 7.0
    pair = frozenset([Ellipsoid((0, 0, 0), (radius,) * 3), Ellipsoid((0, distance, 0), (radius,) * 3)])
    views = line_integrals({pair: 2.0}, views=5, detectors=60, pitch=0.5, slices=60, thickness=0.5)
    lens = np.pi * (4 * radius + distance) * (2 * radius - distance) ** 2 / 12
    assert views.sum(axis=(1, 2)) * 0.5 * 0.5 == pytest.approx(2 * lens, rel=0.01)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(ellipsoids(), st.floats(-1000, 2000)), min_size=1, max_size=5), st.integers(0, 1000))
def test_the_last_paint_shows(painted: list[tuple[Ellipsoid, float]], seed: int) -> None:
    scene = Scene()
    points = np.random.default_rng(seed).uniform(-15, 15, (300, 3))
    expected = np.full(300, -1000.0)
    on_an_edge = np.zeros(300, bool)
    for part, hu in painted:
        scene.paint(hu, part)
        expected[part.level(points) <= 1] = hu
        on_an_edge |= np.abs(part.level(points) - 1) < 0.05  # a lens thinner than the sampled surface may be left out
    assert scene.hu_at(points)[~on_an_edge] == pytest.approx(expected[~on_an_edge], abs=1e-6)


def test_painting_one_shape_again_replaces_it() -> None:
    scene = Scene()
    for hu in (100.0, 900.0, -200.0):
        scene.paint(hu, Ellipsoid((2.0, 0.0, 0.0), (3.0, 3.0, 4.0)))
        scene.paint(hu + 1, Ellipsoid((0.0, 0.0, 0.0), (3.0, 3.0, 3.0)))
    assert scene.hu_at(np.array([[4.5, 0.0, 0.0], [-2.0, 0.0, 0.0]])) == pytest.approx([-200.0, -199.0])


def test_water_reconstructs_to_0_hu() -> None:
    water = Ellipsoid((12.0, -7.0, 0.0), (70.0, 70.0, 1e5))
    views = line_integrals({frozenset([water]): WATER_ATTENUATION}, 720, 400, 0.6, 1, 0.6)
    hu = 1000 * (filtered_back_projection(views, 256, 0.9, 0.6)[0] / WATER_ATTENUATION - 1)
    t = (np.arange(256) - 127.5) * 0.9
    distance = np.hypot(t[None] - 12, t[:, None] + 7)
    assert np.abs(hu[distance < 63]).max() < 2  # farther out the edge rings, as a sharp kernel does
    around = (distance > 75) & reconstruction_circle(256, 0.9, 400, 0.6)
    assert hu[around].mean() == pytest.approx(-1000, abs=2)


def test_a_small_ball_comes_back_where_it_was() -> None:
    ball = Ellipsoid((30.0, -15.0, 0.3), (3.0, 3.0, 3.0))
    views = line_integrals({frozenset([ball]): 1.0}, 180, 160, 0.6, 2, 0.6)
    image = filtered_back_projection(views, 128, 0.75, 0.6)[1]
    row, column = np.unravel_index(image.argmax(), image.shape)
    weight = np.where(image > 0.5 * image.max(), image, 0)
    t = (np.arange(128) - 63.5) * 0.75
    assert (weight.sum(0) @ t / weight.sum(), weight.sum(1) @ t / weight.sum()) == pytest.approx((30, -15), abs=0.1)
    assert np.hypot(t[column] - 30, t[row] + 15) < 3


def test_photon_noise_has_the_spread_of_its_counts() -> None:
    path = np.full((8, 200, 100), 2.0, np.float32)
    noisy = add_photon_noise(path, photons=1e5, electronic=50.0, rng=np.random.default_rng(0))
    counts = 1e5 * np.exp(-2)
    assert noisy.mean() == pytest.approx(2.0, abs=1e-3)
    assert noisy.std() == pytest.approx(np.sqrt(counts + 50**2) / counts, rel=0.02)
    assert np.isfinite(add_photon_noise(path + 20, 1e3, 10.0, np.random.default_rng(0))).all()


def test_the_sample_is_a_low_dose_ct_centred_on_the_head(sample: TemporalBoneSample) -> None:
    for volume in (sample.volume, sample.truth):
        assert volume.voxels.shape == (6, 384, 384)
        assert volume.voxels.dtype == np.int16
        assert (volume.modality, volume.padding_value) == ("CT", -1024)
        middle = volume.index_to_lps @ [191.5, 191.5, 2.5, 1]
        assert middle[:3] == pytest.approx([0, 0, 0], abs=1e-9)
        assert (volume.voxels[:, [0, 0, -1, -1], [0, -1, 0, -1]] == -1024).all()
        assert -1024 <= volume.voxels.min() <= volume.voxels.max() <= 3071


@pytest.mark.parametrize("name", TISSUE_HU)
def test_each_roi_is_one_tissue(sample: TemporalBoneSample, name: str) -> None:
    roi = next(roi for roi in sample.rois if roi.name == name)
    truth = in_box(sample.truth, list(roi.centre), list(roi.size))
    assert truth.size > 300
    assert truth.mean() == pytest.approx(TISSUE_HU[name], abs=3)
    assert truth.std() < TRUTH_STD


def test_rois_are_one_tissue_on_any_seed() -> None:
    for seed in (1, 2):
        scene, rois, _ = head(seed)
        for roi in rois:
            steps = [np.linspace(-0.5, 0.5, 9) * (length + 1.2) for length in roi.size[:2]]  # and 0.6 mm around it
            steps.append(np.linspace(-0.5, 0.5, 9) * roi.size[2])
            points = np.stack(np.meshgrid(*steps, indexing="ij"), -1) + roi.centre
            assert scene.hu_at(points) == pytest.approx(TISSUE_HU[roi.name], abs=1e-6), f"{roi.name}, seed {seed}"


def test_noise_is_that_of_a_low_dose_temporal_bone_ct(sample: TemporalBoneSample) -> None:
    brain = next(roi for roi in sample.rois if roi.name == "brain")
    low, truth = (in_box(v, list(brain.centre), list(brain.size)) for v in (sample.volume, sample.truth))
    assert 200 < (low - truth).std() < 300
    assert abs((low - truth).mean()) < 5


def test_details_are_where_they_are_said_to_be(sample: TemporalBoneSample) -> None:
    scene, _, details = head(0)
    assert details == temporal_bone_details(0)
    assert min(detail.diameter for detail in details) < 1
    directions = np.random.default_rng(0).normal(size=(200, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    for detail in details:
        centre = np.array(detail.centre)
        assert scene.hu_at(centre + directions * 0.49 * detail.diameter) == pytest.approx(detail.hu, abs=1e-6)
        around = scene.hu_at(centre + directions * (0.5 * detail.diameter + 0.4))
        assert np.median(around) == pytest.approx(detail.background_hu, abs=1e-6)
        if "mm" in detail.name:  # a test sphere lies alone
            assert around == pytest.approx(detail.background_hu, abs=1e-6)
    assert sample.details  # those that the thin volume holds show in it
    for detail in sample.details:
        seen = in_box(sample.truth, list(detail.centre), [1.2, 1.2, 1.2]).mean()
        assert abs(seen - detail.background_hu) > 100


def test_the_roi_file_fits_the_truth_file(sample: TemporalBoneSample, tmp_path: Path) -> None:
    paths = write_sample(sample, tmp_path / "head.nii.gz")
    assert [path.name for path in paths] == ["head.nii.gz", "head_truth.nii.gz", "head_rois.mrk.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in paths)
    assert np.array_equal(read_volume(paths[0]).voxels, sample.volume.voxels)
    truth = read_volume(paths[1])
    content = json.loads(paths[2].read_text(encoding="utf-8"))
    assert content["@schema"].endswith("markups-schema-v1.0.3.json#")
    assert [markup["name"] for markup in content["markups"]] == list(TISSUE_HU)
    for markup in content["markups"]:
        assert (markup["type"], markup["roiType"], markup["coordinateSystem"]) == ("ROI", "Box", "LPS")
        assert np.abs(np.reshape(markup["orientation"], (3, 3))) == pytest.approx(np.eye(3))
        assert markup["controlPoints"][0]["position"] == markup["center"]
        values = in_box(truth, markup["center"], markup["size"])
        assert values.mean() == pytest.approx(TISSUE_HU[markup["name"]], abs=3)


def test_refuses_what_is_no_volume_file_before_the_work(tmp_path: Path) -> None:
    for name in ("head.png", "head", "missing/head.nrrd"):
        with pytest.raises(UserError):
            sample_command("temporal-bone", tmp_path / name)
    with pytest.raises(UserError) as caught:
        sample_paths(tmp_path / "head.dcm")
    assert caught.value.code == "output-format"
    assert not list(tmp_path.iterdir())


def test_the_command_writes_the_same_files_for_the_same_seed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Seconds, not many: one slice from few views.
    monkeypatch.setattr(temporal_bone_module, "temporal_bone", partial(temporal_bone, slices=1))
    monkeypatch.setattr(temporal_bone_module, "VIEWS", 60)
    names = ("head.nrrd", "head_truth.nrrd", "head_rois.mrk.json")
    for folder, seed in (("a", 3), ("b", 3), ("c", 4)):
        (tmp_path / folder).mkdir()
        sample_command("temporal-bone", tmp_path / folder / "head.nrrd", seed)
        printed = capsys.readouterr().out
        assert all(name in printed for name in names)
    for name in names:
        a, b, c = ((tmp_path / folder / name).read_bytes() for folder in "abc")
        assert a == b
        assert a != c
