"""Paths as files, and an edited one flown."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from made_colon_scene import files_of, labelled_tube

pytest.importorskip("vtkmodules")
pytest.importorskip("igl")

from scipy.spatial import cKDTree

from inference_core import client
from inference_core.errors import UserError
from inference_core.simulation.colon.mesh.surface import Surface
from inference_core.simulation.colon.mesh.surface_files import write_surface
from inference_core.simulation.colon.path.centreline import find_centreline
from inference_core.simulation.colon.path.curve import evenly_spaced
from inference_core.simulation.colon.path.given_path import centreline_along
from inference_core.simulation.colon.path.path_files import control_points, read_path, write_path

TO_RAS = np.array([-1.0, -1.0, 1.0])


@pytest.fixture(scope="module")
def tube():
    return labelled_tube()


@pytest.fixture(scope="module")
def line(tube):
    return find_centreline(tube)


@pytest.fixture
def colon(tube, tmp_path):
    write_surface(tube, tmp_path / "colon.vtp")
    return tmp_path / "colon.vtp"


def curve(path, points, **changed):
    item = {
        "type": "Curve",
        "coordinateSystem": "LPS",
        "controlPoints": [{"position": list(map(float, point)), "positionStatus": "defined"} for point in points],
    }
    path.write_text(json.dumps({"markups": [{**item, **changed}]}))
    return path


def off(points, path):
    """Largest distance in mm of points from a path."""
    return cKDTree(evenly_spaced(path, 0.05)).query(points)[0].max()


def made(job):
    return client.run(job, lambda message: None)


def film(colon, out, **changed):
    small = {"frames": 4, "size": 32, "jitter": 0.0}
    return made({"job": "simulate-colon", "input": str(colon), "output": str(out), **small, **changed})


def places(out):
    poses = json.loads((out / "cameras.json").read_text())["frames"]
    return np.array([np.array(pose["camera_to_world"])[:3, 3] for pose in poses])


def test_a_centreline_comes_back_as_it_was_written(line, tmp_path):
    assert write_path(line, tmp_path / "line.vtp") == len(line.points)
    np.testing.assert_allclose(read_path(tmp_path / "line.vtp"), line.points, atol=1e-6)
    count = write_path(line, tmp_path / "line.mrk.json")
    assert 3 <= count <= 20  # few enough to edit by hand
    back = read_path(tmp_path / "line.mrk.json")
    np.testing.assert_allclose(back[[0, -1]], line.points[[0, -1]], atol=1e-3)
    assert off(line.points, back) < 1.0


def test_control_points_become_more_where_the_path_bends():
    way = np.arange(0, 300.0)
    straight = np.stack([way, 0 * way, 0 * way], axis=1)
    winding = np.stack([way, 12 * np.sin(way / 8), 0 * way], axis=1)
    assert len(control_points(winding)) > 2 * len(control_points(straight))


def test_the_coordinate_system_of_a_curve_counts(tmp_path):
    points = np.array([[10.0, -20, 30], [15, -10, 60], [5, 0, 90]])
    left = read_path(curve(tmp_path / "l.mrk.json", points))
    right = read_path(curve(tmp_path / "r.mrk.json", points * TO_RAS, coordinateSystem="RAS"))
    np.testing.assert_allclose(left, right, atol=1e-9)
    np.testing.assert_allclose(left[[0, -1]], points[[0, -1]], atol=1e-9)
    assert off(points[1:2], left) < 0.05
    assert np.linalg.norm(np.diff(left, axis=0), axis=1).max() < 4


def test_a_line_file_in_ras_is_turned(line, tmp_path):
    from vtkmodules.vtkCommonCore import vtkPoints, vtkStringArray
    from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkPolyData
    from vtkmodules.vtkIOXML import vtkXMLPolyDataWriter

    points, cells, data, space = vtkPoints(), vtkCellArray(), vtkPolyData(), vtkStringArray()
    for place in line.points[::-1] * TO_RAS:
        points.InsertNextPoint(*place)
    cells.InsertNextCell(len(line.points), list(range(len(line.points)))[::-1])
    space.SetName("SPACE")
    space.InsertNextValue("RAS")
    data.SetPoints(points)
    data.SetLines(cells)
    data.GetFieldData().AddArray(space)
    writer = vtkXMLPolyDataWriter()
    writer.SetFileName(str(tmp_path / "ras.vtp"))
    writer.SetInputData(data)
    writer.Write()
    np.testing.assert_allclose(read_path(tmp_path / "ras.vtp"), line.points, atol=1e-4)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"type": "ClosedCurve"}, "closed"),
        ({"type": "Fiducial"}, "0 curves"),
        ({"coordinateSystem": "scanner"}, "scanner"),
        ({"controlPoints": []}, "0 points"),
        ({"controlPoints": [{"position": [1, 2]}] * 3}, "three coordinates"),
        ({"controlPoints": "no"}, "Markups"),
    ],
)
def test_what_is_no_path_is_refused(tmp_path, changed, words):
    with pytest.raises(UserError, match=words) as error:
        read_path(curve(tmp_path / "c.mrk.json", [[0, 0, 0], [0, 0, 50]], **changed))
    assert error.value.code == "unreadable-path"


def test_a_surface_a_broken_file_and_another_name_are_refused(colon, tmp_path):
    with pytest.raises(UserError, match="0 lines"):
        read_path(colon)
    (tmp_path / "broken.vtp").write_bytes(b"<VTKFile")
    with pytest.raises(UserError, match="damaged"):
        read_path(tmp_path / "broken.vtp")
    with pytest.raises(UserError, match=r"\.mrk\.json"):
        read_path(tmp_path / "path.txt")
    with pytest.raises(UserError, match="does not exist"):
        read_path(tmp_path / "path.vtp")


def test_a_found_path_given_back_is_flown_within_a_millimetre(tube, line):
    again = centreline_along(tube, line.points)
    assert off(again.points, line.points) < 1.0
    assert abs(again.arc_length[-1] - line.arc_length[-1]) < 3
    np.testing.assert_allclose(again.radius.mean(), line.radius.mean(), atol=0.5)
    np.testing.assert_allclose(np.linalg.norm(np.diff(again.points, axis=0), axis=1), 1.0, atol=0.1)


def test_where_a_path_leaves_the_lumen_is_told(tube, line):
    bent = line.points + np.where(line.arc_length > 100.4, 60.0, 0.0)[:, None] * line.normals
    with pytest.raises(UserError) as error:
        centreline_along(tube, bent)
    assert error.value.code == "path-outside"
    said = float(error.value.message.split("lumen ")[1].split(" mm")[0])
    assert 100 <= said <= 130
    with pytest.raises(UserError) as error:
        centreline_along(tube, line.points[:20])
    assert error.value.code == "short-path"


def test_an_edited_path_is_flown_and_is_part_of_the_dataset(colon, line, tmp_path):
    found = film(colon, tmp_path / "found")
    shifted = line.points + 5 * line.normals
    given = curve(tmp_path / "edited.mrk.json", shifted[::12] * TO_RAS, coordinateSystem="RAS")
    film(colon, tmp_path / "given", path=str(given))
    assert off(places(tmp_path / "found"), line.points) < 1.0
    assert off(places(tmp_path / "given"), shifted) < 1.5
    assert off(places(tmp_path / "given"), line.points) > 3.5
    card = json.loads((tmp_path / "given/dataset.json").read_text())["centreline"]
    assert card["follows"] == "edited.mrk.json"
    assert "follows" not in json.loads((tmp_path / "found/dataset.json").read_text())["centreline"]
    before = files_of(tmp_path / "given")
    assert film(colon, tmp_path / "given", path=str(given))["made"] == 0  # the same command finds them there
    assert files_of(tmp_path / "given") == before
    curve(tmp_path / "edited.mrk.json", (line.points + 4 * line.normals)[::12])
    with pytest.raises(UserError) as error:
        film(colon, tmp_path / "given", path=str(given))
    assert error.value.code == "other-run"
    assert found["frames"] == 4


def test_a_path_goes_with_nothing_that_contradicts_it(colon, line, tmp_path):
    write_path(line, tmp_path / "line.vtp")
    for other in ({"start": [0.0, 0, 0]}, {"benchmark": True}):
        with pytest.raises(UserError) as error:
            film(colon, tmp_path / "out", path=str(tmp_path / "line.vtp"), **other)
        assert error.value.code == "path"
    (tmp_path / "out").mkdir()
    write_path(line, tmp_path / "out/centreline.vtp")
    with pytest.raises(UserError) as error:
        film(colon, tmp_path / "out", path=str(tmp_path / "out/centreline.vtp"))
    assert error.value.code == "inside-output"


def test_the_command_finds_a_path_and_the_next_one_flies_it(colon, line, tmp_path):
    ends = [",".join(f"{x:.2f}" for x in line.points[k]) for k in (-10, 10)]

    def command(*arguments):
        done = subprocess.run(
            [sys.executable, "-c", "from inference_core.cli import main; main()", *map(str, arguments)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    said = command("colon-path", "colon.vtp", "way.mrk.json", "--start", ends[0], "--end", ends[1])
    assert "cm" in said
    np.testing.assert_allclose(read_path(tmp_path / "way.mrk.json")[[0, -1]], line.points[[-10, 10]], atol=3)
    command("simulate-colon", "colon.vtp", "out", "--path", "way.mrk.json", "--frames", 2, "--size", 16)
    assert json.loads((tmp_path / "out/dataset.json").read_text())["centreline"]["follows"] == "way.mrk.json"


def test_the_worker_reports_points_radii_and_length(colon, line, tmp_path):
    report = made({"job": "colon-path", "input": str(colon), "output": str(tmp_path / "line.vtp")})
    np.testing.assert_allclose(report["points"], line.points, atol=1e-3)
    np.testing.assert_allclose(report["radius_mm"], line.radius, atol=1e-3)
    assert report["length_mm"] == pytest.approx(line.arc_length[-1], abs=0.1)
    assert report["points_written"] == len(line.points)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"start": [1, 2]}, "bad-job"),
        ({"output": "line.txt"}, "path-format"),
        ({"end": [500.0, 500, 500]}, "end-outside"),
        ({"threshold": 1}, "bad-job"),
    ],
)
def test_a_bad_job_is_refused(colon, tmp_path, changed, code):
    with pytest.raises(UserError) as error:
        made({"job": "colon-path", "input": str(colon), "output": str(tmp_path / "line.vtp"), **changed})
    assert error.value.code == code
    assert not (tmp_path / "line.vtp").exists()


def test_a_path_in_a_mirrored_colon_is_outside(tube, line):
    mirrored = Surface(tube.vertices * TO_RAS, tube.faces)
    with pytest.raises(UserError, match="another colon"):
        centreline_along(mirrored, line.points)
