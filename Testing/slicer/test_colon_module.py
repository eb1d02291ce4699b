"""ColonFoldSim2Real without its panel: surfaces, folds, frames and the endoscope's camera in a real scene."""

import json
import sys

import numpy as np
import pytest
from made_frames import write_dataset
from module_helpers import OBLIQUE, polled, until

from inference_core.errors import UserError
from inference_core.simulation.colon.rendering.camera import camera_from_dict, project


@pytest.fixture
def tube(slicer):
    """A function that adds a made colon piece, as a model in RAS, under a transform where one is given."""
    import vtk
    from made_ringed_tube import ringed_tube

    def add(transform=None):
        from inference_core.simulation.colon.mesh.polydata import to_polydata

        pytest.importorskip("vtkmodules")
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", "tube")
        surface = to_polydata(ringed_tube())
        turned = vtk.vtkTransform()
        turned.Scale(-1, -1, 1)
        moved = vtk.vtkTransformPolyDataFilter()
        moved.SetInputData(surface)
        moved.SetTransform(turned)
        moved.Update()
        node.SetAndObservePolyData(moved.GetOutput())
        if transform is not None:
            parent = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode", "moved")
            parent.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(transform))
            node.SetAndObserveTransformNodeID(parent.GetID())
        return node

    return add


def points_of(surface):
    from vtk.util import numpy_support

    return numpy_support.vtk_to_numpy(surface.GetPoints().GetData())


@pytest.mark.parametrize("transform", [None, OBLIQUE], ids=["in place", "oblique"])
def test_a_surface_goes_to_the_worker_in_lps_and_comes_back(slicer, tube, tmp_path, transform):
    from ColonFoldSim2RealLib.surface import readSurface, worldSurface, writeSurface

    from inference_core.simulation.colon.mesh.surface_files import read_surface

    node = tube(transform)
    before = points_of(node.GetPolyData()).copy()
    writeSurface(node, tmp_path / "colon.vtp")
    expected = np.c_[before, np.ones(len(before))] @ (np.eye(4) if transform is None else transform).T
    np.testing.assert_allclose(points_of(worldSurface(node)), expected[:, :3], atol=1e-3)
    written = read_surface(tmp_path / "colon.vtp")
    np.testing.assert_allclose(written.vertices, expected[:, :3] * [-1, -1, 1], atol=1e-3)
    np.testing.assert_allclose(points_of(readSurface(tmp_path / "colon.vtp")), expected[:, :3], atol=1e-3)
    np.testing.assert_array_equal(points_of(node.GetPolyData()), before)
    assert written.point_arrays["fold_instance"].max() == 3


def test_a_model_without_a_surface_is_refused(slicer, tmp_path):
    from ColonFoldSim2RealLib.surface import writeSurface

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", "empty")
    with pytest.raises(UserError) as error:
        writeSurface(node, tmp_path / "colon.vtp")
    assert error.value.code == "no-surface"
    assert "empty" in error.value.message


def test_folds_are_shown_listed_and_gone_to(slicer, tube, tmp_path):
    from ColonFoldSim2RealLib.fold_colors import foldColor
    from ColonFoldSim2RealLib.folds import FOLDS, TABLE_REFERENCE, goToFold, placeOfFold, showColon
    from ColonFoldSim2RealLib.surface import readSurface, writeSurface

    writeSurface(tube(), tmp_path / "colon.vtp")
    node = showColon(readSurface(tmp_path / "colon.vtp"), "colon")
    display = node.GetDisplayNode()
    assert display.GetActiveScalarName() == FOLDS
    color = [0.0] * 4
    display.GetColorNode().GetColor(2, color)
    assert color[:3] == pytest.approx(foldColor(2), abs=0.01)
    table = node.GetNodeReference(TABLE_REFERENCE)
    assert [table.GetCellText(row, 0) for row in range(table.GetNumberOfRows())] == ["1", "2", "3"]
    assert float(table.GetCellText(1, 1)) == pytest.approx(2 * np.pi * 15.5 * 8.4, rel=0.1)  # a ring, both flanks
    assert placeOfFold(node, 2)[2] == pytest.approx(60, abs=3)  # mm on the axis
    camera = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLCameraNode", "camera")
    goToFold(node, 3)
    assert camera.GetFocalPoint()[2] == pytest.approx(85, abs=3)
    with pytest.raises(ValueError, match="no fold 9"):
        placeOfFold(node, 9)


def test_folds_are_labelled_by_the_worker(slicer, tube):
    pytest.importorskip("igl")
    from ColonFoldSim2RealLib.folds import TABLE_REFERENCE, FoldsRun

    run = FoldsRun(tube(), sys.executable)
    until(lambda: polled(run))
    assert run.error is None, run.error
    assert run.report["folds"] == 3
    assert run.colonNode.GetNodeReference(TABLE_REFERENCE).GetNumberOfRows() == 3
    assert "3 folds" in run.status


def loaded(folder, kind="frames", browser=None):
    from ColonFoldSim2RealLib.frames import FramesLoader

    loader = FramesLoader(folder, kind, browser)
    until(lambda: polled(loader))
    return loader.browser


def test_a_datasets_pictures_are_in_step(slicer, tmp_path):
    from ColonFoldSim2RealLib.frames import DEPTH, FOLDS, datasetBrowsers, shown, timesOf

    folder = write_dataset(tmp_path / "sim", frames=11, size=48)
    browser = loaded(folder)
    for kind in (DEPTH, FOLDS):
        assert loaded(folder, kind, browser) is browser
    assert timesOf(browser) == [f"{0.02 * k:.3f}" for k in range(11)]
    from PIL import Image

    for index in (0, 7, 10):
        browser.SetSelectedItemNumber(index)
        slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
        for kind, name in (("frames", "rgb"), (DEPTH, "depth"), (FOLDS, "instances")):
            pixels = slicer.util.arrayFromVolume(shown(browser, kind))[0]
            expected = np.array(Image.open(folder / name / f"{index:06d}.png")) / (200 if kind == DEPTH else 1)
            np.testing.assert_allclose(pixels, expected, atol=1e-4)
    assert datasetBrowsers() == [browser]


def test_frames_stand_upright(slicer, tmp_path):
    """In an axial view the patient's right is on the left, and front on top: so go columns and rows."""
    from ColonFoldSim2RealLib.frames import shown

    node = shown(loaded(write_dataset(tmp_path / "sim")), "frames")
    matrix = slicer.util.arrayFromVTKMatrix(_ijkToRas(slicer, node))
    assert matrix[0, 0] < 0
    assert matrix[1, 1] < 0


def _ijkToRas(slicer, node):
    import vtk

    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return matrix


def test_pictures_of_other_frames_are_refused(slicer, tmp_path):
    browser = loaded(write_dataset(tmp_path / "sim", frames=5))
    other = write_dataset(tmp_path / "other", frames=4)
    with pytest.raises(UserError) as error:
        loaded(other, "translated", browser)
    assert error.value.code == "other-frames"
    with pytest.raises(UserError) as error:
        loaded(tmp_path)
    assert error.value.code in ("no-frames", "no-dataset")


def test_a_cancelled_load_leaves_nothing(slicer, tmp_path):
    from ColonFoldSim2RealLib.frames import FramesLoader

    before = slicer.mrmlScene.GetNumberOfNodes()
    loader = FramesLoader(write_dataset(tmp_path / "sim", frames=30), "frames")
    loader.poll()
    assert 0 < loader.fraction < 1
    loader.cancel()
    loader.poll()
    assert loader.browser is None
    assert slicer.mrmlScene.GetNumberOfNodes() == before


def filmed(folder, size=48):
    """A dataset whose camera has been somewhere and turned."""
    write_dataset(folder, frames=3, size=size)
    said = json.loads((folder / "cameras.json").read_text())
    said["camera"] |= {"width": size, "height": size, "cx": (size - 1) / 2, "cy": (size - 1) / 2, "fx": 30, "fy": 30}
    for k, frame in enumerate(said["frames"]):
        pose = np.eye(4)
        pose[:3, :3] = OBLIQUE[:3, :3] / np.linalg.norm(OBLIQUE[:3, :3], axis=0)
        if np.linalg.det(pose[:3, :3]) < 0:
            pose[:3, 0] *= -1
        pose[:3, 3] = [10 * k, -20, 30]
        frame["camera_to_world"] = pose.tolist()
    (folder / "cameras.json").write_text(json.dumps(said))
    return said


@pytest.mark.parametrize("moved", [False, True], ids=["in place", "colon moved"])
def test_the_endoscope_sees_in_3d_what_the_frame_shows(slicer, tmp_path, tube, moved):
    """A point of the wall falls on the same pixel by VTK's camera as by the simulator's."""
    from ColonFoldSim2RealLib.camera import Endoscope

    said = filmed(tmp_path / "sim")
    browser = loaded(tmp_path / "sim")
    rigid = np.eye(4)
    rigid[:3, :3] = OBLIQUE[:3, :3] / np.linalg.norm(OBLIQUE[:3, :3], axis=0)
    if np.linalg.det(rigid[:3, :3]) < 0:
        rigid[:3, 0] *= -1
    rigid[:3, 3] = [5, 6, 7]
    colon = tube(rigid if moved else None)
    endoscope = Endoscope(browser, colon)
    try:
        browser.SetSelectedItemNumber(2)
        pose = np.array(said["frames"][2]["camera_to_world"])
        inCamera = np.array([[3.0, -2.0, 25.0], [-9.0, 6.0, 40.0], [0.0, 0.0, 10.0]])
        ras = (np.c_[inCamera, np.ones(3)] @ pose.T) * [-1, -1, 1, 1]
        world = ras @ (rigid if moved else np.eye(4)).T
        expected = project(camera_from_dict(said["camera"]), inCamera)
        matrix = endoscope.camera.GetCamera().GetCompositeProjectionTransformMatrix(1.0, -1, 1)
        seen = world @ slicer.util.arrayFromVTKMatrix(matrix).T
        size = said["camera"]["width"]
        column, row = (seen[:, :2] / seen[:, 3:]).T
        found = np.stack([(column + 1) / 2 * size - 0.5, (1 - row) / 2 * size - 0.5], 1)
        np.testing.assert_allclose(found, expected, atol=0.5)
    finally:
        endoscope.stop()


def test_a_saved_scene_keeps_the_frames_and_their_kinds(slicer, tmp_path):
    from ColonFoldSim2RealLib.frames import FOLDS, datasetBrowsers, sequenceOf, timesOf

    folder = write_dataset(tmp_path / "sim", frames=4)
    loaded(folder, FOLDS, loaded(folder))
    bundle = str(tmp_path / "scene.mrb")
    assert slicer.mrmlScene.WriteToMRB(bundle)
    slicer.mrmlScene.Clear(False)
    assert slicer.mrmlScene.ReadFromMRB(bundle)
    (browser,) = datasetBrowsers()
    assert len(timesOf(browser)) == 4
    assert sequenceOf(browser, FOLDS).GetNumberOfDataNodes() == 4
    assert sequenceOf(browser, "frames").GetNumberOfDataNodes() == 4
