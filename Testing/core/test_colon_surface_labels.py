"""Surfaces made of label maps: place, size, topology."""

import numpy as np
import pytest
from made_tubes import arc_axis, tube

from inference_core.errors import UserError
from inference_core.simulation.colon.mesh.surface import Surface, edges, enclosed_volume, mean_edge
from inference_core.simulation.colon.mesh.surface_check import checked
from inference_core.simulation.colon.mesh.surface_files import read_surface
from inference_core.simulation.colon.mesh.surface_from_labels import decimated, surface_of_mask

sitk = pytest.importorskip("SimpleITK")
pytest.importorskip("vtk")
pytest.importorskip("igl")

SPACING = (0.9, 1.1, 1.6)
# Columns: the axes of columns, rows and slices in LPS, turned about two axes.
OBLIQUE = (0.8, -0.36, 0.48, 0.6, 0.48, -0.64, 0.0, 0.8, 0.6)


def capsule(shape=(110, 70, 60), spacing=SPACING, radius=20.0, half=50.0):
    """A mask of a cylinder with round ends along the slices, centred in the grid."""
    index = np.stack(np.meshgrid(*[np.arange(size) - (size - 1) / 2 for size in shape], indexing="ij"), axis=-1)
    place = index[..., ::-1] * spacing
    place[..., 2] -= np.clip(place[..., 2], -half, half)
    return np.linalg.norm(place, axis=-1) <= radius


def euler(surface):
    return len(np.unique(surface.faces)) - len(edges(surface)) + len(surface.faces)


def written(path, array, spacing=SPACING, origin=(11.0, -23.0, 37.0), direction=OBLIQUE, meta=()):
    image = sitk.GetImageFromArray(array, isVector=array.ndim == 4)
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    image.SetDirection(direction)
    for key, value in meta:
        image.SetMetaData(key, value)
    sitk.WriteImage(image, str(path))
    return image


@pytest.mark.parametrize("name", ["colon.nrrd", "colon.nii.gz", "colon.mha"])
def test_an_oblique_label_map_gives_a_surface_where_itk_has_its_voxels(tmp_path, name):
    mask = capsule()
    image = written(tmp_path / name, mask.astype(np.uint8))
    surface = read_surface(tmp_path / name)
    whole, notes = checked(surface)
    assert notes == []
    indices = np.argwhere(mask)[:, ::-1]
    centre = image.TransformContinuousIndexToPhysicalPoint(indices.mean(axis=0).tolist())
    np.testing.assert_allclose(surface.vertices.mean(axis=0), centre, atol=0.05)
    # Every vertex lies 20 mm from the axis, which runs along the third column of the direction.
    away = surface.vertices - centre
    along = away @ np.reshape(OBLIQUE, (3, 3))[:, 2]
    to_axis = away - np.clip(along, -50, 50)[:, None] * np.reshape(OBLIQUE, (3, 3))[:, 2]
    assert np.abs(np.linalg.norm(to_axis, axis=1) - 20).max() < 1.0
    assert np.abs(np.linalg.norm(to_axis, axis=1) - 20).mean() < 0.15
    assert enclosed_volume(whole) == pytest.approx(mask.sum() * np.prod(SPACING), rel=0.01)


def test_a_mirrored_grid_still_has_outward_normals():
    surface = surface_of_mask(capsule(), SPACING, direction=(-1, 0, 0, 0, 1, 0, 0, 0, 1))
    assert enclosed_volume(surface) > 0


def test_one_label_of_several_is_asked_for_and_taken(tmp_path):
    labels = capsule().astype(np.uint8) * 7
    labels[:3] = 2
    written(tmp_path / "organs.nrrd", labels)
    with pytest.raises(UserError, match=r"2, 7") as caught:
        read_surface(tmp_path / "organs.nrrd")
    assert caught.value.code == "which-label"
    with pytest.raises(UserError, match="no label 3"):
        read_surface(tmp_path / "organs.nrrd", 3)
    surface = read_surface(tmp_path / "organs.nrrd", 7)
    assert enclosed_volume(surface) == pytest.approx(capsule().sum() * np.prod(SPACING), rel=0.01)


def test_a_slicer_segmentation_with_overlapping_segments(tmp_path):
    layers = np.stack([np.zeros(capsule().shape), 5 * capsule()], axis=-1).astype(np.uint8)
    layers[:3, ..., 0] = 1
    written(
        tmp_path / "colon.seg.nrrd",
        layers,
        meta=[("Segment0_LabelValue", "1"), ("Segment1_LabelValue", "5"), ("Segment1_Layer", "1")],
    )
    surface = read_surface(tmp_path / "colon.seg.nrrd", 5)
    assert enclosed_volume(surface) == pytest.approx(capsule().sum() * np.prod(SPACING), rel=0.01)


@pytest.mark.parametrize(
    ("array", "code"),
    [
        (np.zeros((20, 20, 20), np.uint8), "empty-label"),
        (np.random.default_rng(0).integers(-1000, 1000, (20, 20, 20)).astype(np.int16), "not-a-label-map"),
        (np.random.default_rng(0).random((20, 20, 20)).astype(np.float32), "not-a-label-map"),
    ],
    ids=["zeros", "a CT", "probabilities"],
)
def test_volumes_that_hold_no_labels_are_refused(tmp_path, array, code):
    written(tmp_path / "volume.nrrd", array)
    with pytest.raises(UserError) as caught:
        read_surface(tmp_path / "volume.nrrd")
    assert caught.value.code == code


def test_a_damaged_label_map_is_refused(tmp_path):
    (tmp_path / "colon.nrrd").write_bytes(b"NRRD0004\ntype: uchar\n")
    with pytest.raises(UserError) as caught:
        read_surface(tmp_path / "colon.nrrd")
    assert caught.value.code == "unreadable-file"


def test_cavities_and_loose_voxels_leave_no_trace():
    mask = capsule()
    holed = mask.copy()
    holed[50:56, 30:36, 28:34] = False
    holed[2:5, 2:5, 2:5] = True
    plain, cleaned = surface_of_mask(mask, SPACING), surface_of_mask(holed, SPACING)
    np.testing.assert_array_equal(plain.vertices, cleaned.vertices)


def test_a_lumen_that_touches_the_rim_of_the_scan_is_closed():
    mask = capsule()[20:90]
    surface = surface_of_mask(mask, SPACING)
    assert euler(surface) == 2
    assert checked(surface)[1] == []


def test_thin_things_are_refused():
    mask = np.zeros((20, 20, 20), bool)
    mask[10, 10, 10] = True
    with pytest.raises(UserError) as caught:
        surface_of_mask(mask, SPACING)
    assert caught.value.code == "empty-label"


@pytest.mark.parametrize("faces", [20_000, 5_000, 800])
def test_decimation_keeps_a_ring_a_ring(faces):
    """A torus: one handle, which a careless collapse would tear or close."""
    z, y, x = np.meshgrid(*[np.arange(-size, size + 1) for size in (14, 60, 60)], indexing="ij")
    mask = (np.hypot(x, y) - 42.0) ** 2 + z**2 <= 10.0**2
    full = surface_of_mask(mask, (1.0, 1.0, 1.0))
    small = decimated(full, faces)
    assert abs(len(small.faces) - faces) <= 2
    assert euler(full) == euler(small) == 0
    assert checked(small)[1] == []
    x, y, z = (small.vertices - full.vertices.mean(axis=0)).T
    from_torus = np.abs(np.hypot(np.hypot(x, y) - 42, z) - 10)
    assert from_torus.mean() < 0.04 * mean_edge(small) + 0.1
    assert from_torus.max() < 0.15 * mean_edge(small) + 0.5
    lengths = np.linalg.norm(np.diff(small.vertices[edges(small)], axis=1)[:, 0], axis=1)
    assert lengths.max() < 3 * mean_edge(small)
    np.testing.assert_array_equal(small.vertices, decimated(full, faces).vertices)


def test_decimation_takes_the_point_arrays_along():
    surface = tube(arc_axis(step=1.0), around=96)
    heights = surface.vertices[:, 2].copy()
    small = decimated(Surface(surface.vertices, surface.faces, {"height": heights}), 4000)
    assert len(small.faces) == 4000
    assert np.abs(small.point_arrays["height"] - small.vertices[:, 2]).max() < 6
    assert np.abs(small.point_arrays["height"] - small.vertices[:, 2]).mean() < 2
