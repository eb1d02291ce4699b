"""Surface files: what is read is what was written, and a bad file is told plainly."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_tubes import arc_axis, straight_axis, tube

from inference_core.errors import UserError
from inference_core.simulation.colon.mesh.surface import Surface, enclosed_volume
from inference_core.simulation.colon.mesh.surface_files import SURFACE_SUFFIXES, read_surface, write_surface

pytest.importorskip("vtk")


def labelled(surface):
    scores = np.random.default_rng(0).random(len(surface.vertices)).astype(np.float32)
    return Surface(
        surface.vertices, surface.faces, {"fold_score": scores, "fold_instance": (9 * scores).astype(np.int32)}
    )


SMALL = labelled(tube(straight_axis(60.0, 4.0), around=16))


def refusal(path):
    with pytest.raises(UserError) as caught:
        read_surface(path)
    assert path.name in caught.value.message
    assert caught.value.remedy
    return caught.value.code


def write_text(path, text):
    path.write_text(text)
    return path


@pytest.mark.parametrize("suffix", SURFACE_SUFFIXES)
def test_a_written_surface_reads_back(tmp_path, suffix):
    surface = labelled(tube(arc_axis()))
    write_surface(surface, tmp_path / f"colon{suffix}")
    again = read_surface(tmp_path / f"colon{suffix}")
    assert len(again.vertices) == len(surface.vertices)
    corners = again.vertices[again.faces]
    np.testing.assert_allclose(corners, surface.vertices[surface.faces], atol=1e-4)
    if suffix in (".vtp", ".vtk", ".ply"):
        for name, values in surface.point_arrays.items():
            assert again.point_arrays[name].dtype == values.dtype
            np.testing.assert_array_equal(again.point_arrays[name], values)
    if suffix in (".vtp", ".vtk"):
        np.testing.assert_array_equal(again.vertices, surface.vertices)


@pytest.mark.parametrize("suffix", SURFACE_SUFFIXES)
def test_the_same_surface_gives_the_same_bytes_and_nothing_else(tmp_path, suffix):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write_surface(SMALL, tmp_path / folder / f"colon{suffix}")
    first, second = (tmp_path / folder / f"colon{suffix}" for folder in "ab")
    assert first.read_bytes() == second.read_bytes()
    assert [file.name for file in first.parent.iterdir()] == [first.name]


@pytest.mark.parametrize("suffix", SURFACE_SUFFIXES)
def test_files_in_ras_are_turned_to_lps(tmp_path, suffix):
    path = tmp_path / f"colon{suffix}"
    write_surface(SMALL, path)
    data = path.read_bytes()
    if suffix == ".vtp":
        from vtkmodules.vtkCommonCore import vtkStringArray
        from vtkmodules.vtkIOXML import vtkXMLPolyDataWriter

        from inference_core.simulation.colon.mesh.polydata import to_polydata

        polydata, space, writer = to_polydata(SMALL), vtkStringArray(), vtkXMLPolyDataWriter()
        space.SetName("SPACE")
        space.InsertNextValue("RAS")
        polydata.GetFieldData().AddArray(space)
        writer.SetInputData(polydata)
        writer.SetFileName(str(path))
        writer.Write()
    else:
        assert b"SPACE=LPS" in data
        path.write_bytes(data.replace(b"SPACE=LPS", b"SPACE=RAS"))
    again = read_surface(path)
    expected = (SMALL.vertices * [-1, -1, 1])[SMALL.faces]
    np.testing.assert_allclose(again.vertices[again.faces], expected, atol=1e-4)
    assert enclosed_volume(again) > 0


def test_ascii_ply_with_polygons_and_other_elements(tmp_path):
    path = write_text(
        tmp_path / "cube.ply",
        "ply\nformat ascii 1.0\ncomment made by hand\nelement camera 1\nproperty float view\nelement vertex 5\n"
        "property float x\nproperty float y\nproperty float z\nproperty uchar red\nproperty float fold_score\n"
        "element face 2\nproperty uchar flag\nproperty list uchar int vertex_index\nend_header\n"
        "7.5\n0 0 0 255 0\n1 0 0 255 0.25\n1 1 0 255 0.5\n0 1 0 255 0.75\n0 0 1 255 1\n1 4 0 1 2 3\n0 3 0 1 4\n",
    )
    surface = read_surface(path)
    np.testing.assert_array_equal(surface.faces, [[0, 1, 2], [0, 2, 3], [0, 1, 4]])
    assert list(surface.point_arrays) == ["fold_score"]
    np.testing.assert_array_equal(surface.point_arrays["fold_score"], [0, 0.25, 0.5, 0.75, 1])


def test_big_endian_ply_with_quadrilaterals(tmp_path):
    header = (
        "ply\nformat binary_big_endian 1.0\nelement vertex 4\nproperty double x\nproperty double y\nproperty double z\n"
        "element face 1\nproperty list uchar uint vertex_indices\nend_header\n"
    )
    points = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], ">f8")
    path = tmp_path / "square.ply"
    path.write_bytes(header.encode() + points.tobytes() + b"\x04" + np.arange(4, dtype=">u4").tobytes())
    surface = read_surface(path)
    np.testing.assert_array_equal(surface.faces, [[0, 1, 2], [0, 2, 3]])
    np.testing.assert_array_equal(surface.vertices, points)


def test_ascii_stl_joins_corners_at_one_place(tmp_path):
    facet = "facet normal 0 0 1\nouter loop\n{}endloop\nendfacet\n"
    corners = [[(0, 0, 0), (1, 0, 0), (1, 1, 0)], [(0, 0, 0), (1, 1, 0), (0, 1, 0)]]
    text = "".join(facet.format("".join(f"vertex {x} {y} -{z}\n" for x, y, z in three)) for three in corners)
    surface = read_surface(write_text(tmp_path / "square.stl", f"solid square\n{text}endsolid square\n"))
    assert surface.vertices.shape == (4, 3)
    np.testing.assert_array_equal(surface.faces, [[0, 1, 2], [0, 2, 3]])


def test_obj_with_textures_polygons_and_numbers_from_the_end(tmp_path):
    path = write_text(
        tmp_path / "square.obj",
        "# by hand\nmtllib none.mtl\nv 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nvt 0 0\nvn 0 0 1\ng square\n"
        "f 1/1/1 2//1 3/1 4\nf -4 -3 -2\n",
    )
    surface = read_surface(path)
    np.testing.assert_array_equal(surface.faces, [[0, 1, 2], [0, 2, 3], [0, 1, 2]])


def test_triangle_strips_of_a_vtk_file(tmp_path):
    path = write_text(
        tmp_path / "strip.vtk",
        "# vtk DataFile Version 3.0\nstrip\nASCII\nDATASET POLYDATA\nPOINTS 4 float\n0 0 0 1 0 0 0 1 0 1 1 0\n"
        "TRIANGLE_STRIPS 1 5\n4 0 1 2 3\n",
    )
    np.testing.assert_array_equal(read_surface(path).faces, [[0, 1, 2], [3, 2, 1]])


def test_missing_folder_and_foreign_files_are_refused(tmp_path):
    assert refusal(tmp_path / "none.ply") == "no-such-file"
    assert refusal(write_text(tmp_path / "colon.docx", "hello")) == "surface-format"
    (tmp_path / "folder.ply").mkdir()
    assert refusal(tmp_path / "folder.ply") == "surface-format"
    with pytest.raises(UserError, match="not the file of a surface"):
        write_surface(SMALL, tmp_path / "colon.xyz")
    with pytest.raises(UserError, match="does not exist"):
        write_surface(SMALL, tmp_path / "nowhere" / "colon.vtp")


@pytest.mark.parametrize("suffix", SURFACE_SUFFIXES)
@pytest.mark.parametrize("content", [b"", b"hello", b"\x00" * 200], ids=["empty", "text", "zeros"])
def test_files_that_are_no_surface_are_refused_without_a_word_of_vtk(tmp_path, capfd, suffix, content):
    path = tmp_path / f"colon{suffix}"
    path.write_bytes(content)
    assert refusal(path) in ("unreadable-surface", "empty-surface")
    assert capfd.readouterr() == ("", "")


def test_a_vtk_file_of_another_kind_is_refused(tmp_path):
    path = write_text(
        tmp_path / "grid.vtk",
        "# vtk DataFile Version 3.0\ngrid\nASCII\nDATASET STRUCTURED_POINTS\nDIMENSIONS 2 2 2\nORIGIN 0 0 0\n"
        "SPACING 1 1 1\nPOINT_DATA 8\nSCALARS s float 1\nLOOKUP_TABLE default\n0 0 0 0 0 0 0 0\n",
    )
    assert refusal(path) == "unreadable-surface"


def test_faces_that_name_missing_vertices_are_refused(tmp_path):
    path = write_text(tmp_path / "colon.obj", "v 0 0 0\nv 1 0 0\nv 1 1 0\nf 1 2 4\n")
    assert refusal(path) == "unreadable-surface"


def test_vtk_speaks_again_after_a_refusal(tmp_path, capfd):
    from vtkmodules.vtkIOXML import vtkXMLPolyDataReader

    path = write_text(tmp_path / "bad.vtp", "<VTKFile")
    refusal(path)
    assert capfd.readouterr().err == ""
    reader = vtkXMLPolyDataReader()
    reader.SetFileName(str(path))
    reader.Update()
    assert "vtkXMLParser" in capfd.readouterr().err


@pytest.mark.parametrize("suffix", [".ply", ".stl", ".vtk", ".vtp"])
@settings(max_examples=30, deadline=None)
@given(share=st.floats(0, 0.98))
def test_a_file_that_was_cut_short_is_always_refused(tmp_path_factory, suffix, share):
    folder = tmp_path_factory.mktemp("cut")
    write_surface(SMALL, folder / f"whole{suffix}")
    data = (folder / f"whole{suffix}").read_bytes()
    (folder / f"cut{suffix}").write_bytes(data[: int(share * len(data))])
    assert refusal(folder / f"cut{suffix}") == "unreadable-surface"


@pytest.mark.parametrize("suffix", SURFACE_SUFFIXES)
@settings(max_examples=30, deadline=None)
@given(changes=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=6))
def test_changed_bytes_give_a_surface_or_a_refusal_and_no_crash(tmp_path_factory, suffix, changes):
    path = tmp_path_factory.mktemp("changed") / f"colon{suffix}"
    write_surface(SMALL, path)
    data = bytearray(path.read_bytes())
    for place, value in changes:
        data[int(place * len(data))] = value
    path.write_bytes(data)
    try:
        surface = read_surface(path)
    except UserError:
        return
    assert surface.faces.max() < len(surface.vertices)
    assert np.isfinite(surface.vertices).all()
