"""ROI statistics equal numpy's on the voxels whose centres, in world coordinates, lie in the ROI."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
import vtk
from module_helpers import OBLIQUE, turn


def vtk_matrix(matrix: np.ndarray) -> vtk.vtkMatrix4x4:
    result = vtk.vtkMatrix4x4()
    result.DeepCopy(np.asarray(matrix, float).ravel())
    return result


def affine(rotation: np.ndarray, shift=(0, 0, 0)) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation, shift
    return matrix


def put_under(slicer, node, *matrices) -> None:
    """Put a node under a chain of linear transforms, the innermost first."""
    child = node
    for matrix in matrices:
        transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
        transform.SetMatrixTransformToParent(vtk_matrix(matrix))
        child.SetAndObserveTransformNodeID(transform.GetID())
        child = transform


def add_roi(slicer, center, size, rotation=None, name="ROI"):
    roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", name)
    roi.CreateDefaultDisplayNodes()
    roi.SetSize(*size)
    roi.SetAndObserveObjectToNodeMatrix(vtk_matrix(affine(np.eye(3) if rotation is None else rotation, center)))
    return roi


def centres(volume_matrix: np.ndarray, shape) -> np.ndarray:
    """World coordinates of all voxel centres, (slices, rows, columns, 3)."""
    k, j, i = np.indices(shape)
    return np.stack([i, j, k, np.ones(shape)], axis=-1) @ volume_matrix.T[:, :3]


RIGID = affine(turn(1, 33) @ turn(2, 71), (5, -8, 13))
OTHER = affine(turn(0, -20), (-3, 4, 2.5))
SCALED = affine(turn(2, 10) @ np.diag([1.5, 1.5, 1.5]), (1, 2, 3))


@pytest.mark.parametrize("shape", ["box", "ellipsoid"])
@pytest.mark.parametrize("volume_under", [[], [RIGID], [OTHER, RIGID], [SCALED]])
@pytest.mark.parametrize("roi_under", [[], [RIGID], [RIGID, OTHER]])
def test_statistics_equal_numpys(slicer, ct, shape, volume_under, roi_under):
    from LowDoseDenoiseLib.belonging import setMadeFrom
    from LowDoseDenoiseLib.measure import measure

    before = ct("float32", (6, 40, 44), name="before")
    after = ct("float32", (6, 40, 44), noise=20, name="after")
    setMadeFrom(after, before)
    put_under(slicer, before, *volume_under)
    after.SetAndObserveTransformNodeID(before.GetTransformNodeID())
    to_world = OBLIQUE
    for matrix in volume_under:
        to_world = matrix @ to_world
    points = centres(to_world, (6, 40, 44))

    # A turned ROI about the middle of the volume, wherever its own transforms put that.
    roi_to_world = np.eye(4)
    for matrix in roi_under:
        roi_to_world = matrix @ roi_to_world
    middle = np.linalg.inv(roi_to_world) @ np.append(points.reshape(-1, 3).mean(axis=0), 1)
    own, size = turn(0, 17) @ turn(1, -9), np.array([13.3, 9.1, 7.7])
    roi = add_roi(slicer, middle[:3], size, own)
    put_under(slicer, roi, *roi_under)

    offset = (points - roi_to_world[:3] @ middle) @ (roi_to_world[:3, :3] @ own)  # along the ROI's axes
    halves = offset / (size / 2)
    inside = (np.abs(halves) <= 1).all(axis=-1) if shape == "box" else (halves**2).sum(axis=-1) <= 1
    assert inside.sum() > 30

    (row,) = measure(before, after, [roi], shape).result(timeout=30)
    assert row.voxels == inside.sum()
    for volume, mean, std in ((before, row.meanBefore, row.stdBefore), (after, row.meanAfter, row.stdAfter)):
        values = slicer.util.arrayFromVolume(volume)[inside].astype(np.float64)
        assert mean == pytest.approx(values.mean(), abs=1e-9)
        assert std == pytest.approx(values.std(), abs=1e-9)


def test_roi_under_scaling_is_the_box_that_slicer_shows(slicer, ct):
    from LowDoseDenoiseLib.measure import measure

    volume = ct(shape=(10, 40, 40), ijkToRas=np.eye(4))
    roi = add_roi(slicer, (10.25, 10.25, 2.25), (6, 6, 2))
    put_under(slicer, roi, affine(np.diag([2.0, 2.0, 2.0])))
    bounds = np.zeros(6)
    roi.GetRASBounds(bounds)
    points = centres(np.eye(4), (10, 40, 40))
    inside = ((points >= bounds[::2]) & (points <= bounds[1::2])).all(axis=-1)
    (row,) = measure(volume, None, [roi], "box").result(timeout=30)
    assert row.voxels == inside.sum() == 12 * 12 * 4
    assert row.meanAfter is None


@pytest.mark.parametrize("dtype", ["int16", "uint16", "float64"])
def test_every_voxel_type_is_measured(slicer, ct, dtype):
    from LowDoseDenoiseLib.measure import measure

    volume = ct(ijkToRas=np.eye(4))
    voxels = (slicer.util.arrayFromVolume(volume) + 2000).astype(dtype)
    slicer.util.updateVolumeFromArray(volume, voxels)
    roi = add_roi(slicer, (30, 30, 1.5), (9, 9, 9))
    (row,) = measure(volume, None, [roi], "box").result(timeout=30)
    part = voxels[:, 26:35, 26:35].astype(np.float64)
    assert row.voxels == part.size
    assert (row.meanBefore, row.stdBefore) == pytest.approx((part.mean(), part.std()), abs=1e-9)


@pytest.mark.parametrize("why", ["another grid", "another volume's"])
def test_output_of_another_volume_is_not_compared(slicer, ct, why):
    from LowDoseDenoiseLib.belonging import setMadeFrom
    from LowDoseDenoiseLib.measure import measure

    volume, third = ct(), ct(name="third")
    other = ct(ijkToRas=np.eye(4) if why == "another grid" else None, name="other")
    setMadeFrom(other, volume if why == "another grid" else third)
    roi = add_roi(slicer, OBLIQUE[:3, 3] + OBLIQUE[:3, :3] @ [30, 30, 2], (9, 9, 9))
    (row,) = measure(volume, other, [roi], "box").result(timeout=30)
    assert row.voxels > 0
    assert row.meanAfter is None


def test_roi_outside_has_no_numbers(slicer, ct):
    from LowDoseDenoiseLib.measure import measure

    (row,) = measure(ct(), None, [add_roi(slicer, (1e4, 0, 0), (9, 9, 9))], "ellipsoid").result(timeout=30)
    assert (row.voxels, row.meanBefore, row.stdBefore) == (0, None, None)


@pytest.mark.parametrize("which", ["volume", "roi"])
def test_nonlinear_transform_is_refused_with_a_remedy(slicer, ct, which):
    from LowDoseDenoiseLib.measure import measure, sortOut

    from inference_core.errors import UserError

    nodes = {"volume": ct(), "roi": add_roi(slicer, (0, 0, 0), (9, 9, 9))}
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLBSplineTransformNode")
    spline = vtk.vtkThinPlateSplineTransform()
    spline.SetSourceLandmarks(points((0, 0, 0), (9, 0, 0), (0, 9, 0), (0, 0, 9), (9, 9, 9)))
    spline.SetTargetLandmarks(points((0, 0, 0), (9, 1, 0), (0, 9, 2), (1, 0, 9), (7, 9, 9)))
    transform.SetAndObserveTransformToParent(spline)
    nodes[which].SetAndObserveTransformNodeID(transform.GetID())
    with pytest.raises(UserError, match="nonlinear") as refused:
        measure(nodes["volume"], None, [nodes["roi"]], "box")
    assert "Harden" in refused.value.remedy
    if which == "roi":
        assert sortOut([nodes["roi"]], nodes["volume"], "box") == ([], [str(refused.value)])


def test_an_inside_out_roi_is_left_out_and_named(slicer, ct):
    from LowDoseDenoiseLib.measure import sortOut

    good, bad = (add_roi(slicer, (0, 0, 0), (9, 9, 9), name=name) for name in ("good", "bad"))
    bad.SetInsideOut(True)
    regions, problems = sortOut([good, bad], ct(), "box")
    assert [region.name for region in regions] == ["good"]
    assert len(problems) == 1
    assert problems[0].startswith("bad is inside out")


def test_a_roi_that_waits_to_be_placed_is_taken_again(slicer):
    from LowDoseDenoiseLib.measure import roiToPlace

    placed = add_roi(slicer, (0, 0, 0), (9, 9, 9))
    anothers = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "another module's")
    roi = roiToPlace()
    assert roi not in (placed, anothers)
    assert roiToPlace() is roi
    roi.SetSize(3, 3, 3)
    roi.SetCenter(1, 2, 3)
    assert roiToPlace() not in (placed, anothers, roi)


def test_a_line_that_waits_to_be_placed_is_taken_again(slicer):
    from LowDoseDenoiseLib.measure import markupToPlace

    line = markupToPlace("vtkMRMLMarkupsLineNode", "Line")
    assert markupToPlace("vtkMRMLMarkupsLineNode", "Line") is line
    line.AddControlPoint(1, 2, 3)
    assert markupToPlace("vtkMRMLMarkupsLineNode", "Line") is not line
    assert markupToPlace("vtkMRMLMarkupsClosedCurveNode", "Curve").IsA("vtkMRMLMarkupsClosedCurveNode")


def points(*where) -> vtk.vtkPoints:
    result = vtk.vtkPoints()
    for point in where:
        result.InsertNextPoint(point)
    return result


def test_chosen_roi_or_every_visible_one(slicer, logic):
    from LowDoseDenoiseLib.measure import roisToMeasure

    parameters = logic.getParameterNode()
    one, hidden = (add_roi(slicer, (0, 0, 0), (2, 2, 2), name=name) for name in ("one", "hidden"))
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "being placed")
    hidden.SetDisplayVisibility(False)
    assert roisToMeasure(parameters) == [one]
    parameters.roi = hidden
    assert roisToMeasure(parameters) == [hidden]


def test_state_changes_with_all_that_the_numbers_depend_on(slicer, logic, ct):
    from LowDoseDenoiseLib.measure import stateOf
    from LowDoseDenoiseLib.parameters import RoiShape

    parameters = logic.getParameterNode()
    parameters.inputVolume = ct()
    roi = add_roi(slicer, (0, 0, 0), (9, 9, 9))
    put_under(slicer, roi, np.eye(4))

    def voxels():
        slicer.util.arrayFromVolume(parameters.inputVolume)[:] = 7
        slicer.util.arrayFromVolumeModified(parameters.inputVolume)

    changes = [
        lambda: roi.SetCenter(1, 2, 3),
        lambda: roi.SetName("renamed"),
        lambda: roi.GetParentTransformNode().SetMatrixTransformToParent(vtk_matrix(RIGID)),
        voxels,
        lambda: setattr(parameters, "roiShape", RoiShape.ELLIPSOID),
        lambda: setattr(parameters, "outputVolume", ct(name="denoised")),
        lambda: roi.SetDisplayVisibility(False),
    ]
    seen = [stateOf(parameters)]
    assert stateOf(parameters) == seen[0]
    for change in changes:
        change()
        assert stateOf(parameters) not in seen
        seen.append(stateOf(parameters))


def test_table_and_csv_say_the_same(slicer):
    from LowDoseDenoiseLib.measure import RoiRow, fillTable, tableText

    table = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode")
    rows = [
        RoiRow('ear, "left"', 12, 40.123, 60.5, 40.25, 15.127, 3.456, 0.321),
        RoiRow("outside", 0),
        RoiRow("cyst", 400, 0.0, 50.0, 8.0, 10.0, 9.0, 2.0),
        RoiRow("tip", 100, 0.0, 50.0, 8.0, 10.0, 9.0, 6.0),
    ]
    fillTable(table, rows, limit=5.0)
    header, ear, outside, cyst, tip = csv.reader(io.StringIO(tableText(table, ",")))
    assert header == [
        *("ROI", "n", "Volume (mm3)", "Mean before (HU)", "Mean after (HU)", "Δ mean (HU)", "95 % ± (HU)"),
        *("Std before (HU)", "Std after (HU)", "Δ std (HU)", "CT number"),
    ]
    assert ear[0] == 'ear, "left"'
    assert ear[1:] == ["12", "3.46", "40.12", "40.25", "0.13", "0.32", "60.50", "15.13", "-45.37", "kept"]
    assert outside == ["outside", "0", "0.00", *[""] * 8]
    assert [row[-1] for row in (cyst, tip)] == ["MOVED", "moved? (noise)"]
    assert table.GetLocked()
    fillTable(table, [RoiRow("ear", 12, 40.0, 60.0, volume=1.5)])
    assert tableText(table, "\t").splitlines() == [
        "ROI\tn\tVolume (mm3)\tMean before (HU)\tStd before (HU)",
        "ear\t12\t1.50\t40.00\t60.00",
    ]
    fillTable(table, [])
    assert table.GetNumberOfRows() == 0
