"""What the check of a colon surface repairs and says, and what it refuses and why."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_tubes import arc_axis, straight_axis, tube, with_ring_fold

from inference_core.errors import UserError
from inference_core.simulation.colon.mesh.surface import Surface, enclosed_volume
from inference_core.simulation.colon.mesh.surface_check import checked, lumen_width

pytest.importorskip("igl")


def closed(surface):
    """Every edge is run through once in each direction."""
    edges = surface.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    there = set(map(tuple, edges.tolist()))
    return len(there) == len(edges) and there == {(b, a) for a, b in there}


def numbered(surface):
    return Surface(surface.vertices, surface.faces, {"fold_instance": np.arange(1, len(surface.vertices) + 1)})


def moved(surface, by):
    return Surface(surface.vertices + by, surface.faces)


def together(*surfaces):
    starts = np.cumsum([0] + [len(surface.vertices) for surface in surfaces])
    return Surface(
        np.concatenate([surface.vertices for surface in surfaces]),
        np.concatenate([surface.faces + start for surface, start in zip(surfaces, starts, strict=False)]),
    )


def without_faces(surface, missing):
    return Surface(surface.vertices, surface.faces[~missing], surface.point_arrays)


def refusal(surface):
    with pytest.raises(UserError) as caught:
        checked(surface)
    return caught.value


@pytest.mark.parametrize(
    "surface",
    [
        tube(straight_axis()),
        tube(arc_axis()),
        tube(straight_axis(step=1.0), with_ring_fold(straight_axis(step=1.0))),
    ],
    ids=["cylinder", "piece of a torus", "ring fold"],
)
def test_a_right_surface_is_left_alone(surface):
    same, notes = checked(numbered(surface))
    assert notes == []
    np.testing.assert_array_equal(same.vertices, surface.vertices)
    np.testing.assert_array_equal(same.faces, surface.faces)
    np.testing.assert_array_equal(same.point_arrays["fold_instance"], np.arange(1, len(surface.vertices) + 1))


def test_the_width_of_a_long_cylinder_is_its_diameter():
    assert lumen_width(tube(straight_axis(2000.0), 20.0, around=96)) == pytest.approx(40, rel=0.03)


@pytest.mark.parametrize(
    ("unit", "size", "factor"), [("metres", 0.001, "1000"), ("centimetres", 0.1, "10"), ("micrometres", 1000, "0.001")]
)
@pytest.mark.parametrize("radius", [7.0, 20.0, 29.0])
def test_other_units_are_named_with_the_factor(unit, size, factor, radius):
    right = tube(straight_axis(), radius)
    error = refusal(Surface(right.vertices * size, right.faces))
    assert error.code == "surface-scale"
    assert f"in {unit} (then multiply its coordinates by {factor})" in error.remedy


def test_a_colon_in_voxels_of_a_fine_scan_is_refused():
    right = tube(straight_axis(450.0))
    error = refusal(Surface(right.vertices / 0.7, right.faces))
    assert error.code == "surface-scale"
    assert "643 mm" in error.message
    assert "voxel" in error.remedy


def test_an_open_tube_gets_two_caps_and_its_wall_stays():
    surface = numbered(tube(arc_axis(), capped=False))
    whole, notes = checked(surface)
    assert closed(whole)
    assert len(notes) == 1
    assert "2 open ends" in notes[0]
    assert "39.9 mm and 39.9 mm" in notes[0]
    np.testing.assert_array_equal(whole.vertices[:-2], surface.vertices)
    assert enclosed_volume(whole) == pytest.approx(enclosed_volume(tube(arc_axis())), rel=1e-6)
    np.testing.assert_array_equal(whole.point_arrays["fold_instance"][-2:], 0)
    np.testing.assert_array_equal(whole.point_arrays["fold_instance"][:-2], surface.point_arrays["fold_instance"])


def test_an_open_tube_that_is_inside_out_gets_both_repairs():
    surface = tube(straight_axis(), capped=False)
    whole, notes = checked(Surface(surface.vertices, surface.faces[:, ::-1]))
    assert closed(whole)
    assert enclosed_volume(whole) > 0
    assert len(notes) == 2
    assert "pointed into the lumen" in notes[1]


def test_inward_normals_are_turned():
    surface = tube(straight_axis())
    whole, notes = checked(Surface(surface.vertices, surface.faces[:, ::-1]))
    assert notes == ["Turned the whole surface over: its normals pointed into the lumen."]
    assert enclosed_volume(whole) == pytest.approx(enclosed_volume(surface))


def test_single_faces_that_look_inwards_are_turned():
    surface = tube(straight_axis())
    faces = surface.faces.copy()
    faces[5:5000:100] = faces[5:5000:100, ::-1]
    whole, notes = checked(Surface(surface.vertices, faces))
    assert notes == [
        f"Turned over {len(range(5, min(5000, len(faces)), 100))} triangles that faced the other way"
        " than their neighbours."
    ]
    assert closed(whole)
    assert enclosed_volume(whole) == pytest.approx(enclosed_volume(surface))


def test_two_colons_are_refused_with_their_sizes():
    error = refusal(together(tube(straight_axis()), moved(tube(straight_axis(150.0)), (100, 0, 0))))
    assert error.code == "several-surfaces"
    assert "2 separate surfaces: 40 x 40 x 200 mm" in error.message
    assert "40 x 40 x 150 mm" in error.message


def test_loose_bits_are_dropped_and_said():
    bit = tube(straight_axis(5.0), 2.0, around=8)
    surface = tube(straight_axis())
    whole, notes = checked(together(moved(bit, (100, 0, 0)), surface, moved(bit, (0, 80, 0))))
    assert len(notes) == 1
    assert notes[0].startswith("Dropped 2 loose pieces")
    np.testing.assert_array_equal(whole.vertices, surface.vertices)


def test_a_hole_torn_into_the_wall_is_refused():
    surface = tube(straight_axis())
    middle = surface.vertices[surface.faces].mean(axis=1)
    error = refusal(without_faces(surface, np.linalg.norm(middle - surface.vertices[24 * 100], axis=1) < 14))
    assert error.code == "surface-damaged"
    assert "missing" in error.message


def test_a_ragged_end_is_refused():
    surface = tube(straight_axis(), capped=False)
    rng = np.random.default_rng(1)
    ragged = (surface.vertices[surface.faces][:, :, 2].max(axis=1) > 150) & (rng.random(len(surface.faces)) < 0.4)
    error = refusal(without_faces(surface, ragged))
    assert error.code == "surface-damaged"


def test_pinholes_are_closed_and_counted():
    surface = tube(straight_axis())
    missing = np.zeros(len(surface.faces), bool)
    missing[[400, 1500, 2600]] = True
    whole, notes = checked(without_faces(surface, missing))
    assert closed(whole)
    assert enclosed_volume(whole) == pytest.approx(enclosed_volume(surface))
    assert "3 small holes" in notes[0]


def test_a_third_sheet_at_an_edge_is_refused():
    surface = tube(straight_axis())
    fin = np.concatenate([surface.vertices, [[80.0, 0, 100]]])
    corner = surface.faces[700]
    faces = np.concatenate([surface.faces, [[corner[0], corner[1], len(fin) - 1]]])
    error = refusal(Surface(fin, faces))
    assert error.code == "surface-damaged"
    assert "1 edge more than two" in error.message


def test_sheets_that_touch_at_a_vertex_are_parted():
    left = tube(arc_axis(angle=np.pi / 2))
    # Two vertices far apart on the wall become one: a bow tie.
    first, second = 10, len(left.vertices) // 2
    faces = left.faces.copy()
    faces[faces == second] = first
    parted, notes = checked(Surface(left.vertices, faces))
    assert closed(parted)
    assert len(parted.vertices) == len(left.vertices)
    assert any("sheets" in note for note in notes)


def test_triangles_saved_one_by_one_are_joined():
    surface = tube(straight_axis())
    loose = Surface(surface.vertices[surface.faces].reshape(-1, 3), np.arange(surface.faces.size).reshape(-1, 3))
    whole, notes = checked(loose)
    assert closed(whole)
    assert len(whole.vertices) == len(surface.vertices)
    assert notes == [f"Joined {surface.faces.size - len(surface.vertices)} vertices that lay at the place of another."]


def test_useless_triangles_and_vertices_are_dropped():
    surface = tube(straight_axis())
    faces = np.concatenate([surface.faces, surface.faces[:3], [[4, 4, 9]]])
    vertices = np.concatenate([surface.vertices, np.zeros((5, 3))])
    whole, notes = checked(Surface(vertices, faces))
    np.testing.assert_array_equal(whole.vertices, surface.vertices)
    np.testing.assert_array_equal(whole.faces, surface.faces)
    assert [note.split()[1] for note in notes] == ["1", "3", "5"]


def test_coordinates_that_are_no_numbers_are_refused():
    surface = tube(straight_axis())
    surface.vertices[7, 1] = np.nan
    assert "1 of its vertices" in refusal(surface).message


def test_a_moebius_strip_is_refused():
    way = np.linspace(0, 2 * np.pi, 80, endpoint=False)
    across = np.stack([np.cos(way / 2) * np.cos(way), np.cos(way / 2) * np.sin(way), np.sin(way / 2)], axis=1)
    middle = 60 * np.stack([np.cos(way), np.sin(way), 0 * way], axis=1)
    vertices = np.concatenate([middle - 15 * across, middle + 15 * across])
    here, after = np.arange(80), np.arange(80) + 1
    low = np.where(after == 80, 80, after)
    high = np.where(after == 80, 0, after + 80)
    faces = np.concatenate([np.stack([here, low, high], axis=1), np.stack([here, high, here + 80], axis=1)])
    error = refusal(Surface(vertices, faces))
    assert error.code == "surface-damaged"


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**16), wounds=st.integers(0, 60), flips=st.integers(0, 60), loose=st.booleans())
def test_whatever_is_wrong_the_answer_is_closed_and_outward_or_a_refusal(seed, wounds, flips, loose):
    rng = np.random.default_rng(seed)
    surface = tube(arc_axis(step=4.0), around=24)
    faces = surface.faces.copy()
    turned = rng.integers(0, len(faces), flips)
    faces[turned] = faces[turned, ::-1]
    faces = np.delete(faces, rng.integers(0, len(faces), wounds), axis=0)
    broken = Surface(surface.vertices, faces)
    if loose:
        broken = Surface(surface.vertices[faces].reshape(-1, 3), np.arange(faces.size).reshape(-1, 3))
    try:
        whole, notes = checked(broken)
    except UserError as error:
        refused = error.code
    else:
        refused = ""
        assert closed(whole)
        assert enclosed_volume(whole) > 0
    assert refused in ("", "surface-damaged")
    assert refused or notes or not (wounds or flips or loose)
