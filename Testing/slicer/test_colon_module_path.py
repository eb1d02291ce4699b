"""ColonFoldSim2Real's path, lumen and coverage: curve and camera geometry, a gas phantom, places in cm2."""

import numpy as np
import pytest
from module_helpers import OBLIQUE, polled, turn, until

for package in ("igl", "skimage", "scipy"):
    pytest.importorskip(package)

from inference_core.errors import UserError  # noqa: E402

LENGTH, RADIUS = 240.0, 20.0


@pytest.fixture
def logic(slicer):
    from ColonFoldSim2RealLib.logic import ColonFoldSim2RealLogic

    logic = ColonFoldSim2RealLogic()
    yield logic
    logic.stop()


@pytest.fixture
def colon(slicer, tmp_path):
    from ColonFoldSim2RealLib.folds import showColon
    from ColonFoldSim2RealLib.surface import readSurface
    from made_ringed_tube import ringed_tube

    from inference_core.simulation.colon.mesh.surface_files import write_surface

    write_surface(ringed_tube(), tmp_path / "tube.vtp")
    return showColon(readSurface(tmp_path / "tube.vtp"), "tube")


def ended(run):
    until(lambda: polled(run), 120)
    return run


def curve_through(slicer, places):
    from ColonFoldSim2RealLib.path import setWorldPoints

    curve = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsCurveNode")
    setWorldPoints(curve, np.asarray(places, float))
    return curve


def moved(slicer, node, matrix):
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    node.SetAndObserveTransformNodeID(transform.GetID())
    return transform


def test_the_path_runs_along_the_middle_and_under_a_transform(slicer, logic, colon):
    from ColonFoldSim2RealLib.path import ENDS_REFERENCE, curvePoints, worldPoints

    run = ended(logic.findPath(colon))
    assert run.error is None, run.error
    assert "mm. Drag" in run.status
    points = curvePoints(run.curve)
    axis = np.ptp(points, axis=0).argmax()
    quarter = len(points) // 4  # at its ends it goes to the corner that is farthest off
    across = np.delete(points, axis, axis=1)[quarter:-quarter]
    assert np.linalg.norm(across - np.median(across, 0), axis=1).max() < 4  # a straight tube's middle is straight
    ends = worldPoints(run.ends)
    assert run.curve.GetNodeReference(ENDS_REFERENCE) is run.ends
    assert np.linalg.norm(ends - worldPoints(run.curve)[[0, -1]], axis=1) == pytest.approx(0, abs=1e-3)

    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = turn(1, 70) @ turn(2, 30), (50, -80, 300)
    moved(slicer, colon, matrix)
    again = ended(logic.findPath(colon, None, run.curve))
    assert again.curve is run.curve  # the user's node, with other points
    expected = points @ matrix[:3, :3].T + matrix[:3, 3]
    inner = curvePoints(again.curve)[quarter:-quarter]
    assert max(np.linalg.norm(expected - place, axis=1).min() for place in inner) < 3


def test_ends_that_the_user_sets_are_taken(slicer, logic, colon):
    from ColonFoldSim2RealLib.path import curvePoints, setWorldPoints

    points = curvePoints(ended(logic.findPath(colon)).curve)
    third, two = points[len(points) // 3], points[2 * len(points) // 3]
    ends = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode")
    setWorldPoints(ends, np.array([two, third]))
    run = ended(logic.findPath(colon, ends))
    assert run.error is None, run.error
    found = curvePoints(run.curve)
    assert np.linalg.norm(found[0] - two) < 6
    assert np.linalg.norm(found[-1] - third) < 6


def test_the_camera_flies_along_an_edited_curve(slicer):
    from ColonFoldSim2RealLib.camera import applyView, cameraOf, showMarker
    from ColonFoldSim2RealLib.path import flight

    angles = np.linspace(0, np.pi / 2, 12)
    places = np.stack([100 * np.cos(angles), 100 * np.sin(angles), 20 * angles], 1)
    curve = curve_through(slicer, places)
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = turn(0, 40), (5, 6, 7)
    moved(slicer, curve, matrix)
    views = flight(curve)
    assert len(views) == pytest.approx(curve.GetCurveLengthWorld() + 1, abs=1.5)
    positions = np.array([view.position for view in views])
    local = (positions - matrix[:3, 3]) @ matrix[:3, :3]
    assert np.hypot(local[:, 0], local[:, 1]) == pytest.approx(100, abs=0.5)
    for view, after in zip(views[:-20], views[15:], strict=False):
        ahead = (view.focus - view.position) / np.linalg.norm(view.focus - view.position)
        assert view.up @ ahead == pytest.approx(0, abs=1e-9)
        assert ahead @ (after.position - view.position) > 14  # it looks to where it flies
    rolls = [one.up @ other.up for one, other in zip(views, views[1:], strict=False)]
    assert min(rolls) > 0.99
    camera = cameraOf(curve)
    applyView(camera, views[30])
    showMarker(views[30])
    assert np.array(camera.GetPosition()) == pytest.approx(positions[30])
    assert cameraOf(curve) is camera
    marker = slicer.util.getNode("Endoscope")
    assert slicer.util.arrayFromMarkupsControlPoints(marker, True)[0] == pytest.approx(positions[30], abs=1e-4)


def test_folds_are_placed_along_the_path(slicer, logic, colon):
    from ColonFoldSim2RealLib.folds import POSITION, TABLE_REFERENCE, placeFolds, placeOfFold
    from ColonFoldSim2RealLib.path import curvePoints

    curve = ended(logic.findPath(colon)).curve
    placeFolds(colon, curve)
    table = colon.GetNodeReference(TABLE_REFERENCE)
    column = table.GetTable().GetColumnByName(POSITION)
    start = curvePoints(curve)[0]
    axis = np.ptp(curvePoints(curve), axis=0).argmax()
    for row in range(table.GetNumberOfRows()):
        place = placeOfFold(colon, int(table.GetCellText(row, 0)))
        assert column.GetValue(row) == pytest.approx(abs(place[axis] - start[axis]), abs=6)


def test_without_a_path_folds_lie_nowhere_and_a_small_loop_has_views(slicer, logic, colon):
    from ColonFoldSim2RealLib.folds import POSITION, TABLE_REFERENCE, placeFolds
    from ColonFoldSim2RealLib.path import flight

    placeFolds(colon, ended(logic.findPath(colon)).curve)
    placeFolds(colon, None)
    column = colon.GetNodeReference(TABLE_REFERENCE).GetTable().GetColumnByName(POSITION)
    assert np.isnan([column.GetValue(row) for row in range(column.GetNumberOfTuples())]).all()
    loop = curve_through(slicer, [(0, 0, 0), (3, 0, 0), (3, 3, 0), (0, 3, 0), (0, 0, 0)])
    assert all(np.isfinite([*view.focus, *view.up]).all() for view in flight(loop))


def test_a_path_of_one_point_is_refused(slicer):
    from ColonFoldSim2RealLib.path import flight

    with pytest.raises(UserError) as error:
        flight(curve_through(slicer, [(1, 2, 3)]))
    assert error.value.code == "no-path"


def test_frames_follow_the_users_path_and_cover_what_they_show(slicer, logic, colon, tmp_path):
    from ColonFoldSim2RealLib.coverage import SEEN
    from ColonFoldSim2RealLib.frames import FRAMES, FramesLoader, cameras
    from ColonFoldSim2RealLib.path import curvePoints
    from ColonFoldSim2RealLib.surface import pointArray

    points = curvePoints(ended(logic.findPath(colon)).curve)
    part = points[len(points) // 4 : 3 * len(points) // 4]
    curve = curve_through(slicer, part[:: len(part) // 8])
    settings = {"frames": 5, "size": 96, "seed": 1, "appearance": "plain"}
    made = ended(logic.makeFrames(colon, tmp_path, settings, curve))
    assert made.error is None, made.error
    poses = np.array([frame["camera_to_world"] for frame in cameras(made.folder)["frames"]])[:, :3, 3]
    nearest = [np.linalg.norm(part * (-1, -1, 1) - pose, axis=1).min() for pose in poses]
    assert max(nearest) < 8  # the hand wobbles about the path

    loader = FramesLoader(made.folder, FRAMES)
    until(lambda: polled(loader))
    run = ended(logic.measureCoverage(loader.browser))
    assert run.error is None, run.error
    report = run.report
    assert report["seen_cm2"] + report["never_seen_cm2"] == pytest.approx(report["total_cm2"], abs=0.2)
    assert 0.1 < report["share"] < 0.95  # half of the tube was flown
    assert f"{report['seen_cm2']:.0f} of {report['total_cm2']:.0f} cm2" in run.status
    seen = pointArray(run.surfaceNode.GetPolyData(), SEEN)
    assert seen.max() <= 5
    assert (seen == 0).any()
    assert run.surfaceNode.GetDisplayNode().GetActiveScalarName() == SEEN


def gas_phantom(slicer, transform=None):
    """A body with a straight gas-filled tube, oblique; gives the volume and a function from index to world."""
    shape = (60, 80, 80)  # slices, rows, columns; 2.5 x 0.7 x 0.7 mm
    slices, rows, columns = np.indices(shape)
    away = np.hypot((rows - 40) * 0.7, (columns - 38) * 0.7)
    voxels = np.where(away < 10, -950, 40).astype(np.int16)
    voxels[(slices < 4) | (slices > 55)] = 40
    voxels[np.hypot((rows - 40) * 0.7, (columns - 74) * 0.7) < 2] = -950  # another pocket of gas
    volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT")
    slicer.util.updateVolumeFromArray(volume, voxels)
    volume.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(OBLIQUE))
    matrix = OBLIQUE if transform is None else transform @ OBLIQUE
    if transform is not None:
        moved(slicer, volume, transform)
    return volume, lambda index: (matrix @ np.array([*index, 1.0]))[:3]


@pytest.mark.parametrize("under_a_transform", [False, True])
def test_the_lumen_of_a_gas_phantom_lies_where_the_gas_is(slicer, logic, under_a_transform):
    from ColonFoldSim2RealLib.path import setWorldPoints
    from ColonFoldSim2RealLib.surface import worldSurface
    from vtk.util import numpy_support

    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = turn(1, 20), (10, 20, -30)
    volume, at = gas_phantom(slicer, matrix if under_a_transform else None)
    seeds = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode")
    setWorldPoints(seeds, np.array([at((38, 40, 10)), at((38, 40, 50))]))
    run = ended(logic.findLumen(volume, seeds, -800.0))
    assert run.error is None, run.error
    assert run.report["volume_ml"] == pytest.approx(np.pi * 10**2 * 52 * 2.5 / 1000, rel=0.05)
    points = numpy_support.vtk_to_numpy(worldSurface(run.surfaceNode).GetPoints().GetData()).astype(float)
    along = (at((38, 40, 50)) - at((38, 40, 10))) / np.linalg.norm(at((38, 40, 50)) - at((38, 40, 10)))
    offset = points - at((38, 40, 0))
    way = offset @ along
    middle = (way > 30) & (way < 110)
    across = np.linalg.norm(offset - way[:, None] * along, axis=1)[middle]
    assert np.abs(across - 10).mean() < 0.5
    assert across.max() < 12  # the other pocket did not come along


def test_a_lumen_without_points_or_in_tissue_is_refused(slicer, logic):
    from ColonFoldSim2RealLib.path import setWorldPoints

    volume, at = gas_phantom(slicer)
    with pytest.raises(UserError) as error:
        logic.findLumen(volume, None, -800.0)
    assert error.value.code == "no-seeds"
    seeds = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode")
    setWorldPoints(seeds, np.array([at((6, 6, 30))]))
    run = ended(logic.findLumen(volume, seeds, -800.0))
    assert run.error is not None
    assert run.report is None
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLModelNode") == 0


@pytest.mark.parametrize("step", ["lumen", "path", "coverage"])
def test_closing_the_scene_or_cancel_leaves_nothing(slicer, logic, colon, tmp_path, step):
    from ColonFoldSim2RealLib.frames import FRAMES, FramesLoader
    from ColonFoldSim2RealLib.path import setWorldPoints

    def begin():
        if step == "lumen":
            volume, at = gas_phantom(slicer)
            seeds = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode")
            setWorldPoints(seeds, np.array([at((38, 40, 10))]))
            return logic.findLumen(volume, seeds, -800.0)
        if step == "path":
            return logic.findPath(colon)
        made = ended(logic.makeFrames(colon, tmp_path, {"frames": 3, "size": 64, "seed": 1, "appearance": "plain"}))
        loader = FramesLoader(made.folder, FRAMES)
        until(lambda: polled(loader))
        return logic.measureCoverage(loader.browser)

    run = begin()
    nodes = slicer.mrmlScene.GetNumberOfNodes()
    run.cancel()
    ended(run)
    assert run.status == "Cancelled. Nothing was changed."
    assert slicer.mrmlScene.GetNumberOfNodes() == nodes
    run = begin()
    slicer.mrmlScene.Clear(False)
    ended(run)
    assert run.status == "Stopped: the scene was closed."
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLModelNode") == 0


def test_a_saved_scene_keeps_the_path_its_ends_and_the_coverage(slicer, logic, colon, tmp_path):
    from ColonFoldSim2RealLib.coverage import SEEN, showCoverage
    from ColonFoldSim2RealLib.folds import POSITION, TABLE_REFERENCE, placeFolds
    from ColonFoldSim2RealLib.path import ENDS_REFERENCE, curvePoints, worldPoints
    from vtk.util import numpy_support

    run = ended(logic.findPath(colon))
    placeFolds(colon, run.curve)
    points, ends = curvePoints(run.curve), worldPoints(run.ends)
    surface = colon.GetPolyData().NewInstance()
    surface.DeepCopy(colon.GetPolyData())
    counts = numpy_support.numpy_to_vtk(np.arange(surface.GetNumberOfPoints(), dtype=np.int32) % 7, deep=True)
    counts.SetName(SEEN)
    surface.GetPointData().AddArray(counts)
    showCoverage(surface, "seen", {"folds": [{"id": 1, "visible_in": 3, "marked_in": None}]})
    bundle = str(tmp_path / "scene.mrb")
    assert slicer.mrmlScene.WriteToMRB(bundle)
    slicer.mrmlScene.Clear(False)
    assert slicer.mrmlScene.ReadFromMRB(bundle)
    curve = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLMarkupsCurveNode")
    assert np.abs(curvePoints(curve) - points).max() < 0.01
    assert np.abs(worldPoints(curve.GetNodeReference(ENDS_REFERENCE)) - ends).max() < 0.01
    model = slicer.util.getNode("tube")
    assert model.GetNodeReference(TABLE_REFERENCE).GetTable().GetColumnByName(POSITION) is not None
    display = slicer.util.getNode("seen").GetDisplayNode()
    assert display.GetActiveScalarName() == SEEN
    assert display.GetColorNode().GetColorName(0) == "never seen"
