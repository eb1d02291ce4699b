"""ROI files: what Slicer and label-map tools write is read as they mean it, and bad files are refused with a remedy.

The files in ``data`` were written by Slicer's own code (``data/make_roi_fixtures.py``) from synthetic shapes.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from inference_core.errors import UserError
from inference_core.image.volume import Volume
from inference_core.measurement.roi import Box, Circle, Sphere, voxels_inside
from inference_core.measurement.roi_files import read_rois, read_transform
from inference_core.measurement.statistics import roi_statistics

DATA = Path(__file__).parent / "data"


def rotation(seed: int) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))[0]


def volume_around(center, shape=(40, 44, 48), spacing=(0.9, 0.7, 1.1), axes=None) -> Volume:
    """Zeros on an oblique grid about a point."""
    axes = rotation(3) if axes is None else axes
    origin = np.array(center) - axes @ ((np.array(shape[::-1]) - 1) / 2 * spacing)
    return Volume(np.zeros(shape, np.int16), spacing, tuple(origin), tuple(axes.ravel()))


def mask_of(volume: Volume, roi) -> np.ndarray:
    block, inside = voxels_inside(volume, roi)
    mask = np.zeros(volume.voxels.shape, bool)
    mask[block] = inside
    return mask


def centres(volume: Volume) -> np.ndarray:
    k, j, i = np.indices(volume.voxels.shape)
    return (np.stack([i, j, k, np.ones_like(i)], axis=-1) @ volume.index_to_lps.T)[..., :3]


def write(path: Path, content) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


@pytest.mark.parametrize("file", ["roi_lps.mrk.json", "roi_ras.mrk.json"])
@pytest.mark.parametrize("transform", [None, "roi_transform.tfm", "roi_transform.h5"])
def test_a_slicer_roi_is_the_box_between_slicers_own_planes(file, transform):
    planes = json.loads((DATA / "roi_planes.json").read_text())["under transform" if transform else "alone"]
    volume = volume_around(np.mean([plane["origin"] for plane in planes], axis=0))
    matrix = read_transform(DATA / transform) if transform else None
    (roi,) = read_rois(DATA / file, volume, matrix)
    distance = np.max([(centres(volume) - p["origin"]) @ p["normal"] for p in planes], axis=0)
    clear = np.abs(distance) > 1e-4  # Slicer keeps its planes in float32
    mask = mask_of(volume, roi)
    assert roi.name == file.removesuffix(".mrk.json")
    assert mask.sum() > 3000
    np.testing.assert_array_equal(mask[clear], (distance < 0)[clear])


def test_segments_of_slicer_are_read_with_name_place_and_overlap():
    to_lps = np.diag([-1.0, -1, 1])
    spacing = np.array([0.8, 1.1, 2.0])
    x, z = np.deg2rad([20, 30])  # the geometry that make_roi_fixtures.py gives the segmentation
    turn_x = [[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]]
    turn_z = [[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]]
    axes = to_lps @ turn_x @ turn_z
    volume = volume_around(to_lps @ [10, -20, 30] + axes @ ([14, 11, 9] * spacing), spacing=(0.5, 0.6, 0.7))
    i, j, k = np.floor(((centres(volume) - to_lps @ [10, -20, 30]) @ axes) / spacing + 0.5).transpose(3, 0, 1, 2)
    expected = {
        "Brain": (i - 12) ** 2 + (j - 10) ** 2 + (k - 9) ** 2 <= 36,
        "Bone ä": (abs(i - 15) <= 5) & (abs(j - 10) <= 3) & (abs(k - 9) <= 4),
        "Air": (abs(i - 22) <= 2) & (abs(j - 18) <= 2) & (abs(k - 15) <= 2),
        "Nothing": np.zeros(i.shape, bool),
    }
    rois = {roi.name: roi for roi in read_rois(DATA / "overlap.seg.nrrd", volume)}
    assert list(rois) == list(expected)
    for name, mask in expected.items():
        np.testing.assert_array_equal(mask_of(volume, rois[name]), mask, err_msg=name)
    assert expected["Brain"].sum() > 3000
    assert (expected["Brain"] & expected["Bone ä"]).any()
    assert "empty in its file" in roi_statistics(volume, rois["Nothing"]).warning


def label_map(path: Path, shape=(10, 12, 14), center=(0, 0, 0), kind=np.uint8) -> tuple[Path, Volume]:
    """Three labels on a coarse oblique grid; the second value is the same as a volume, for its geometry."""
    grid = volume_around(center, shape, (3.0, 2.5, 4.0), rotation(8))
    labels = np.zeros(shape, kind)
    labels[2:7, 3:9, 4:8] = 2
    labels[7:9, 3:9, 4:8] = 7
    labels[0, 0, 0] = 9
    image = sitk.GetImageFromArray(labels)
    image.SetSpacing(grid.spacing)
    image.SetOrigin(grid.origin)
    image.SetDirection(grid.direction)
    sitk.WriteImage(image, str(path))
    return path, grid.with_voxels(labels.astype(np.int16))


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.uint32, np.int64])
def test_each_label_is_a_roi_also_on_another_grid(tmp_path, kind):
    path, grid = label_map(tmp_path / "organs.nrrd", kind=kind)
    volume = volume_around((0, 0, 0), (20, 44, 48), (0.6, 0.5, 0.9))
    to_index = np.linalg.inv(grid.index_to_lps)
    i, j, k = np.floor(centres(volume) @ to_index[:3, :3].T + to_index[:3, 3] + 0.5).astype(int).transpose(3, 0, 1, 2)
    found = np.clip(k, 0, 9), np.clip(j, 0, 11), np.clip(i, 0, 13)
    inside = (k == found[0]) & (j == found[1]) & (i == found[2])
    expected = np.where(inside, grid.voxels[found], 0)
    rois = read_rois(path, volume)
    assert [roi.name for roi in rois] == ["organs 2", "organs 7", "organs 9"]
    for roi, value in zip(rois, (2, 7, 9), strict=True):
        np.testing.assert_array_equal(mask_of(volume, roi), expected == value)
    assert (expected == 2).sum() > 5000
    assert "'organs 9' lies wholly outside" in roi_statistics(volume, rois[2]).warning


def test_a_label_map_on_the_same_grid_keeps_its_voxels(tmp_path):
    path, grid = label_map(tmp_path / "organs.nii.gz")
    for roi in read_rois(path, grid):
        np.testing.assert_array_equal(mask_of(grid, roi), grid.voxels == roi.value)


def test_a_label_map_moves_with_the_transform(tmp_path):
    matrix = read_transform(DATA / "roi_transform.tfm")
    path, grid = label_map(tmp_path / "organs.nrrd")
    moved = matrix @ grid.index_to_lps
    axes = moved[:3, :3] / grid.spacing
    volume = Volume(grid.voxels, grid.spacing, tuple(moved[:3, 3]), tuple(axes.ravel()))
    for roi in read_rois(path, volume, matrix):
        np.testing.assert_array_equal(mask_of(volume, roi), grid.voxels == roi.value)


def test_plain_json_gives_spheres_circles_and_boxes(tmp_path):
    shapes = [
        {"name": "a", "shape": "sphere", "center": [1, 2, 3], "radius": 5},
        {"shape": "circle", "center": [1, 2, 3], "radius": 4},
        {"name": "c", "shape": "box", "center": [1, 2, 3], "size": [2, 4, 6]},
    ]
    volume = volume_around((0, 0, 0))
    sphere, circle, box = read_rois(write(tmp_path / "my.json", {"coordinateSystem": "RAS", "rois": shapes}), volume)
    assert (type(sphere), type(circle), type(box)) == (Sphere, Circle, Box)
    assert [roi.name for roi in (sphere, circle, box)] == ["a", "my 2", "c"]
    for roi in (sphere, circle, box):
        assert roi.center.tolist() == [-1, -2, 3]
    assert (sphere.radius, circle.radius, box.size.tolist()) == (5, 4, [2, 4, 6])
    (same, *_) = read_rois(write(tmp_path / "my.json", {"rois": shapes}), volume)
    assert same.center.tolist() == [1, 2, 3]


ROI = {"type": "ROI", "center": [1, 2, 3], "size": [4, 5, 6]}


@pytest.mark.parametrize(("system", "center"), [("LPS", [1, 2]), (1, [1, 2]), ("RAS", [-1, -2]), (0, [-1, -2])])
def test_markups_in_both_coordinate_systems_and_several_in_a_file(tmp_path, system, center):
    markups = [
        {**ROI, "name": "left", "coordinateSystem": system},
        {**ROI, "roiType": "BoundingBox", "size": [1, 1, 1]},
    ]
    left, second = read_rois(write(tmp_path / "ear.mrk.json", {"markups": markups}), volume_around((0, 0, 0)))
    assert (left.name, second.name) == ("left", "ear 2")
    assert left.center.tolist() == [*center, 3]
    assert second.center.tolist() == [1, 2, 3]


SPHERE = {"shape": "sphere", "center": [0, 0, 0], "radius": 1}


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("", "not valid JSON"),
        ('{"rois": [', "not valid JSON"),
        ("[1, 2]", "neither 'markups' nor 'rois'"),
        ({"rois": []}, "holds no ROI"),
        ({"rois": {"a": 1}}, "holds no ROI"),
        ({"rois": [5]}, "not a JSON object"),
        ({"rois": [{**SPHERE, "name": 5}]}, "name"),
        ({"rois": [{**SPHERE, "radius": -1}]}, "negative radius"),
        ({"rois": [{**SPHERE, "radius": "5"}]}, "radius"),
        ({"rois": [{**SPHERE, "radius": True}]}, "radius"),
        ({"rois": [{"shape": "sphere", "center": [0, 0, 0]}]}, "no 'radius'"),
        ({"rois": [{**SPHERE, "center": [0, 0]}]}, "needs 3 numbers as 'center'"),
        ({"rois": [{**SPHERE, "center": [0, float("nan"), 0]}]}, "finite"),
        ({"rois": [{**SPHERE, "center": [0, 10**400, 0]}]}, "finite"),
        ({"rois": [{**SPHERE, "shape": "star"}]}, "'star'"),
        ({"rois": [SPHERE], "coordinateSystem": "XYZ"}, "'XYZ'"),
        ({"rois": [{**SPHERE, "shape": "box", "size": [1, -1, 1]}]}, "negative size"),
        ({"rois": [{**SPHERE, "shape": "box", "size": [1, 1, 1], "orientation": [0] * 9}]}, "orientation"),
        ({"markups": [{**ROI, "type": "Fiducial"}]}, "type 'Fiducial'"),
        ({"markups": [{**ROI, "roiType": "Ball"}]}, "'Ball'"),
        ({"markups": [{**ROI, "insideOut": True}]}, "inside out"),
        ({"markups": [{**ROI, "coordinateUnits": "um"}]}, "'um'"),
        ({"markups": [{"type": "ROI", "size": [1, 1, 1]}]}, "no 'center'"),
    ],
)
def test_a_bad_json_is_refused_by_name_with_a_remedy(tmp_path, content, named):
    with pytest.raises(UserError) as caught:
        read_rois(write(tmp_path / "bad.json", content), volume_around((0, 0, 0)))
    assert "bad.json" in caught.value.message
    assert named in caught.value.message
    assert caught.value.remedy


def image_of(array: np.ndarray, vector: bool = False, **fields: str) -> sitk.Image:
    image = sitk.GetImageFromArray(array, isVector=vector)
    for key, value in fields.items():
        image.SetMetaData(key, value)
    return image


ONES = np.ones((4, 4, 4), np.uint8)


@pytest.mark.parametrize(
    ("name", "image", "named"),
    [
        ("bad.nrrd", image_of(ONES.astype(np.float32)), "32-bit float"),
        ("bad.nrrd", image_of(ONES * 0), "nothing but zeros"),
        ("bad.nrrd", image_of(ONES.astype(np.int16) * -1000), "negative values"),
        ("bad.nrrd", image_of(np.arange(1728, dtype=np.int16).reshape(12, 12, 12)), "1727 different values"),
        ("bad.nrrd", image_of(np.ones((4, 4, 4, 3), np.uint8), vector=True), "several values a voxel"),
        ("bad.seg.nrrd", image_of(ONES), "no segments"),
        ("bad.seg.nrrd", image_of(ONES, Segment0_Name="a", Segment0_Layer="3", Segment0_LabelValue="1"), "no layer 3"),
        ("bad.seg.nrrd", image_of(ONES, Segment0_Name="a", Segment0_Layer="0", Segment0_LabelValue="x"), "no number"),
        ("bad.seg.nrrd", image_of(ONES, Segmentation_MasterRepresentation="Fractional labelmap"), "fractional"),
    ],
)
def test_an_image_that_is_no_label_map_is_refused(tmp_path, name, image, named):
    sitk.WriteImage(image, str(tmp_path / name))
    with pytest.raises(UserError) as caught:
        read_rois(tmp_path / name, volume_around((0, 0, 0)))
    assert name in caught.value.message
    assert named in caught.value.message
    assert caught.value.remedy


@pytest.mark.parametrize("name", ["bad.nrrd", "bad.seg.nrrd", "points.fcsv", "."])
def test_files_that_are_no_rois_at_all_are_refused(tmp_path, name):
    if name != ".":
        write(tmp_path / name, "no image")
    with pytest.raises(UserError) as caught:
        read_rois(tmp_path / name, volume_around((0, 0, 0)))
    assert caught.value.code in ("unreadable-roi", "unsupported-roi")


def test_transforms_that_do_not_keep_a_box_a_box_are_refused(tmp_path):
    scaling = sitk.AffineTransform([1.2, 0, 0, 0, 1, 0, 0, 0, 1], [0, 0, 0])
    bspline = sitk.BSplineTransformInitializer(sitk.GetImageFromArray(ONES), [2, 2, 2])
    flat = sitk.Euler2DTransform()
    for transform, code in ((scaling, "not-rigid"), (bspline, "not-linear"), (flat, "unreadable-transform")):
        sitk.WriteTransform(transform, str(tmp_path / "t.tfm"))
        with pytest.raises(UserError) as caught:
            read_transform(tmp_path / "t.tfm")
        assert caught.value.code == code
        assert caught.value.remedy
    with pytest.raises(UserError) as caught:
        read_transform(write(tmp_path / "t.tfm", "1 0 0 5"))
    assert caught.value.code == "unreadable-transform"


def test_composed_rigid_transforms_are_read_as_one(tmp_path):
    turn = sitk.Euler3DTransform((4, 5, 6), 0.3, -0.2, 0.7, (1, 2, 3))
    move = sitk.TranslationTransform(3, (10, 20, 30))
    both = sitk.CompositeTransform([turn, move])
    sitk.WriteTransform(both, str(tmp_path / "both.h5"))
    point = both.TransformPoint((7, 8, 9))
    assert (read_transform(tmp_path / "both.h5") @ [*point, 1])[:3] == pytest.approx([7, 8, 9])
