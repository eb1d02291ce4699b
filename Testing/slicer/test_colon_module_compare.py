"""ColonFoldSim2Real's views and comparison: layouts, found folds in the true ones' colours, IoU, films, export."""

import csv
import json

import numpy as np
import pytest
from module_helpers import polled, until

from inference_core.errors import UserError


@pytest.fixture
def logic(slicer):
    from ColonFoldSim2RealLib.logic import ColonFoldSim2RealLogic

    logic = ColonFoldSim2RealLogic()
    yield logic
    logic.stop()


def dataset(folder, frames=4, side=48):
    """A folder as simulate-colon and segment-folds write it: a fold that moves, found one pixel aside, and a ghost."""
    from PIL import Image

    said = {"camera": {"width": side, "height": side, "fx": 24, "fy": 24, "cx": 24, "cy": 24}, "frames": []}
    for k in range(frames):
        true, found = np.zeros((side, side), np.uint16), np.zeros((side, side), np.uint16)
        true[10:20, 5 + k : 25 + k] = 7
        found[11:21, 5 + k : 25 + k] = 3
        found[40:44, 40:44] = 9  # no fold is there
        pictures = {"rgb": np.full((side, side, 3), 9 * k, np.uint8), "depth": np.full((side, side), 4000, np.uint16)}
        for name, pixels in {**pictures, "instances": true, "../found/instances": found}.items():
            (folder / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(folder / name / f"{k:06d}.png")
        said["frames"].append({"time_s": 0.1 * k, "camera_to_world": np.eye(4).tolist()})
    (folder / "cameras.json").write_text(json.dumps(said), encoding="utf-8")
    return folder


def loaded(loader):
    until(lambda: polled(loader))
    return loader.browser


@pytest.fixture
def browser(slicer, tmp_path):
    from ColonFoldSim2RealLib.frames import FOLDS, FOUND, FRAMES, FramesLoader

    folder = dataset(tmp_path / "frames")
    browser = loaded(FramesLoader(folder, FRAMES))
    loaded(FramesLoader(folder, FOLDS, browser))
    loaded(FramesLoader(tmp_path / "found", FOUND, browser))
    return browser


def test_found_folds_have_the_colours_of_the_true_ones_and_ghosts_are_white(slicer, browser, tmp_path):
    from ColonFoldSim2RealLib.compare import ComparedLoader, overlapPlot, overlapText, writeOverlaps
    from ColonFoldSim2RealLib.fold_colors import UNMATCHED
    from ColonFoldSim2RealLib.frames import COMPARED, shown, timesOf
    from ColonFoldSim2RealLib.logic import foldOverlap

    from FaithfulImagingLib.chart import showInChart

    assert loaded(ComparedLoader(browser)) is browser
    for index in range(4):
        browser.SetSelectedItemNumber(index)
        labels = slicer.util.arrayFromVolume(shown(browser, COMPARED))[0]
        assert set(np.unique(labels)) == {0, 7, UNMATCHED}
        assert labels[15, 15 + index] == 7
    color = [0.0] * 4
    shown(browser, COMPARED).GetDisplayNode().GetColorNode().GetColor(UNMATCHED, color)
    assert color == [1, 1, 1, 1]
    overlaps = foldOverlap(browser)
    expected = 180 / (220 + 16)
    assert overlaps == pytest.approx(expected)
    assert overlapText(overlaps).startswith(f"IoU with the true folds: {100 * expected:.1f}")
    chart = showInChart(overlapPlot(timesOf(browser), overlaps))
    table = chart.GetNthPlotSeriesNode(0).GetTableNode()
    assert [float(table.GetCellText(row, 1)) for row in range(4)] == pytest.approx([100 * expected] * 4, abs=0.1)
    writeOverlaps(tmp_path / "iou.csv", timesOf(browser), overlaps)
    with (tmp_path / "iou.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["time_s"] for row in rows] == ["0.000", "0.100", "0.200", "0.300"]
    assert float(rows[2]["iou"]) == pytest.approx(expected, abs=1e-4)


def test_comparing_needs_truth(slicer, tmp_path):
    from ColonFoldSim2RealLib.compare import ComparedLoader
    from ColonFoldSim2RealLib.frames import FRAMES, FramesLoader

    browser = loaded(FramesLoader(dataset(tmp_path / "frames"), FRAMES))
    with pytest.raises(UserError) as error:
        ComparedLoader(browser)
    assert error.value.code == "no-truth"


def test_folds_of_frames_of_another_size_are_refused(slicer, tmp_path):
    from ColonFoldSim2RealLib.compare import ComparedLoader
    from ColonFoldSim2RealLib.frames import FOLDS, FOUND, FRAMES, FramesLoader
    from ColonFoldSim2RealLib.logic import foldOverlap

    folder = dataset(tmp_path / "one" / "frames")
    dataset(tmp_path / "two" / "frames", side=64)
    browser = loaded(FramesLoader(folder, FRAMES))
    loaded(FramesLoader(folder, FOLDS, browser))
    loaded(FramesLoader(tmp_path / "two" / "found", FOUND, browser))
    with pytest.raises(UserError) as error:
        ComparedLoader(browser).poll()
    assert error.value.code == "other-frames"
    assert np.isnan(foldOverlap(browser)).all()


def test_a_kind_that_comes_again_replaces_the_old_one(slicer, browser, tmp_path):
    from ColonFoldSim2RealLib.frames import FOUND, FramesLoader, sequenceOf

    before = slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSequenceNode")
    old = sequenceOf(browser, FOUND)
    loaded(FramesLoader(tmp_path / "found", FOUND, browser))
    assert sequenceOf(browser, FOUND) is not old
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSequenceNode") == before


@pytest.fixture
def layouts(slicer):
    scene = slicer.mrmlScene
    slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene)
    logic = slicer.vtkMRMLLayoutLogic()
    logic.SetMRMLScene(scene)
    logic.GetLayoutNode().SetViewArrangement(4)
    yield logic
    logic.SetMRMLScene(None)


def test_the_layouts_are_own_and_the_old_one_comes_back(slicer, layouts, browser):
    from ColonFoldSim2RealLib.frames import FOLDS, FOUND, FRAMES, shown
    from ColonFoldSim2RealLib.views import (
        CAMERA_VIEW,
        FLIGHT_LAYOUT,
        FRAMES_LAYOUT,
        VIEWS,
        enterFlight,
        enterFrames,
        leave,
        showFrames,
    )

    from FaithfulImagingLib.layout import compositeOf, layoutNode, sliceNodeOf

    enterFrames()
    assert layoutNode().GetViewArrangement() == FRAMES_LAYOUT
    assert all(sliceNodeOf(name) for name in VIEWS.values())
    logics = []
    for name in VIEWS.values():
        logic = slicer.vtkMRMLSliceLogic()
        logic.SetMRMLScene(slicer.mrmlScene)
        logic.SetSliceNode(sliceNodeOf(name))
        logics.append(logic)
    showFrames(browser)
    content = {name: compositeOf(VIEWS[name]) for name in VIEWS}
    assert content["endoscope"].GetBackgroundVolumeID() == shown(browser, FRAMES).GetID()
    assert content["endoscope"].GetLabelVolumeID() == shown(browser, FOLDS).GetID()
    assert content["translated"].GetBackgroundVolumeID() is None
    assert content["overlay"].GetLabelVolumeID() == shown(browser, FOUND).GetID()
    enterFlight()
    assert layoutNode().GetViewArrangement() == FLIGHT_LAYOUT
    views = slicer.util.getNodesByClass("vtkMRMLViewNode")
    assert {view.GetLayoutName() for view in views} >= {CAMERA_VIEW, "1"}
    leave()
    assert layoutNode().GetViewArrangement() == 4
    layoutNode().SetViewArrangement(6)
    leave()
    assert layoutNode().GetViewArrangement() == 6  # the user's choice stands


def test_a_film_and_its_folds_are_in_step(slicer, logic, tmp_path):
    from ColonFoldSim2RealLib.film import FILM_ATTRIBUTE, FilmLoader
    from ColonFoldSim2RealLib.frames import FOUND, FRAMES, sequenceOf, shown, timesOf
    from PIL import Image

    folder = tmp_path / "film"
    folder.mkdir()
    random = np.random.default_rng(0)
    for k in range(5):
        pixels = np.kron(random.integers(60, 200, (8, 8, 3)), np.ones((16, 16, 1))).astype(np.uint8)
        pixels[:8, :8] = 50 * k
        Image.fromarray(pixels).save(folder / f"shot{k + 6}.png")  # shot10 comes after shot9
    run = logic.segment(folder, "colon-folds", [])
    until(lambda: polled(run), 120)
    assert run.error is None, run.error
    loader = FilmLoader(run.frames, run.folder, run.report["frames"])
    browser = loaded(loader)
    loaded(loader.foundLoader())
    assert browser.GetAttribute(FILM_ATTRIBUTE) == str(folder)
    assert timesOf(browser) == ["0.000", "0.040", "0.080", "0.120", "0.160"]
    assert sequenceOf(browser, FOUND).GetNumberOfDataNodes() == 5
    for index in range(5):
        browser.SetSelectedItemNumber(index)
        frame = slicer.util.arrayFromVolume(shown(browser, FRAMES))[0]
        assert frame[2, 2].tolist() == [50 * index] * 3
        assert slicer.util.arrayFromVolume(shown(browser, FOUND)).shape == (1, 128, 128)


def test_an_export_is_what_training_reads(slicer, logic, browser, tmp_path):
    from ColonFoldSim2RealLib.frames import TRANSLATED, FramesLoader

    with pytest.raises(UserError) as error:
        logic.exportTraining(browser, tmp_path)
    assert error.value.code == "no-translation"
    other = dataset(tmp_path / "frames plain-to-mucosa")
    loaded(FramesLoader(other, TRANSLATED, browser))
    run = logic.exportTraining(browser, tmp_path)
    until(lambda: polled(run))
    assert run.error is None, run.error
    assert (run.folder / "simulated" / "frames" / "rgb" / "000003.png").is_file()
    assert (run.folder / "translated" / "frames" / "cameras.json").is_file()  # equally named: twins
    assert run.command in run.status
    assert (run.folder / "train.txt").read_text() == run.command + "\n"
    assert run.command.startswith("inference-core train segmenter --config segmenter --data ")


def test_a_segmentation_is_a_surface_too(slicer, tmp_path):
    import vtk
    from ColonFoldSim2RealLib.surface import worldSurface

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    node.GetSegmentation().SetSourceRepresentationName("Closed surface")
    ball = vtk.vtkSphereSource()
    ball.SetRadius(10)
    ball.Update()
    node.AddSegmentFromClosedSurfaceRepresentation(ball.GetOutput(), "lumen", [1, 0, 0])
    surface = worldSurface(node)
    assert surface.GetBounds()[1] == pytest.approx(10, abs=0.3)
    node.GetSegmentation().RemoveAllSegments()
    with pytest.raises(UserError):
        worldSurface(node)


def test_frames_with_the_same_time_are_all_loaded_in_their_order(slicer, tmp_path):
    from ColonFoldSim2RealLib.frames import FRAMES, FramesLoader, shown, timesOf

    folder = dataset(tmp_path / "frames")
    said = json.loads((folder / "cameras.json").read_text())
    for frame, time in zip(said["frames"], (0.04, 0.04, 0.0401, 0.02), strict=True):
        frame["time_s"] = time
    (folder / "cameras.json").write_text(json.dumps(said))
    browser = loaded(FramesLoader(folder, FRAMES))
    assert timesOf(browser) == ["0.040", "0.041", "0.042", "0.043"]
    for index in range(4):
        browser.SetSelectedItemNumber(index)
        assert slicer.util.arrayFromVolume(shown(browser, FRAMES))[0, 0, 0].tolist() == [9 * index] * 3


@pytest.mark.parametrize("text", ["{}", "[]", '{"frames": 3}', '{"frames": [{}]}', '{"frames": [{"time_s": 0}]}'])
def test_a_wrong_cameras_file_is_refused(slicer, tmp_path, text):
    from ColonFoldSim2RealLib.frames import FRAMES, FramesLoader

    folder = dataset(tmp_path / "frames")
    (folder / "cameras.json").write_text(text)
    with pytest.raises(UserError) as error:
        FramesLoader(folder, FRAMES)
    assert error.value.code == "no-dataset"


def test_a_browser_without_a_folder_has_no_dataset(slicer, tmp_path, monkeypatch):
    from ColonFoldSim2RealLib.logic import datasetOf

    monkeypatch.chdir(tmp_path)  # an empty attribute is not the current folder
    with pytest.raises(UserError) as error:
        datasetOf(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode"))
    assert error.value.code == "no-frames"


def test_an_export_into_a_source_does_not_copy_itself(slicer, logic, browser, tmp_path):
    from ColonFoldSim2RealLib.frames import TRANSLATED, FramesLoader

    other = dataset(tmp_path / "frames plain-to-mucosa")
    loaded(FramesLoader(other, TRANSLATED, browser))
    run = logic.exportTraining(browser, other)
    until(lambda: polled(run))
    assert run.error is None, run.error
    assert not list(run.folder.rglob("training set*"))


def test_a_browser_that_is_removed_ends_its_loading(slicer, tmp_path):
    from ColonFoldSim2RealLib.frames import DEPTH, FRAMES, FramesLoader

    folder = dataset(tmp_path / "frames", frames=20)
    browser = loaded(FramesLoader(folder, FRAMES))
    loader = FramesLoader(folder, DEPTH, browser)
    loader.poll()
    slicer.mrmlScene.RemoveNode(browser)
    nodes = slicer.mrmlScene.GetNumberOfNodes()
    until(lambda: polled(loader))
    assert loader.browser is None
    assert slicer.mrmlScene.GetNumberOfNodes() == nodes
