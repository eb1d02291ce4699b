"""Closed curves and segments are measured where Slicer shows them; contrast, plots and patches are those of numpy."""

from __future__ import annotations

import numpy as np
import pytest
import vtk
from module_helpers import OBLIQUE
from test_module_measure import RIGID, add_roi, centres, put_under

SHAPE = (5, 60, 70)


def at(index) -> np.ndarray:
    """World coordinates of a voxel index (column, row, slice) of the oblique volume."""
    return (OBLIQUE @ [*index, 1])[:3]


def add_curve(slicer, points, name="curve", kind="vtkMRMLMarkupsClosedCurveNode"):
    curve = slicer.mrmlScene.AddNewNodeByClass(kind, name)
    curve.CreateDefaultDisplayNodes()
    for point in points:
        curve.AddControlPoint(*point)
    return curve


def add_segmentation(slicer, segments: dict, matrix=OBLIQUE):
    """A segmentation of (slices, rows, columns) masks by their names, on the oblique volume's grid."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "segmentation")
    node.CreateDefaultDisplayNodes()
    for name, mask in segments.items():
        image = slicer.vtkOrientedImageData()
        image.SetDimensions(mask.shape[::-1])
        image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
        scalars = vtk.util.numpy_support.vtk_to_numpy(image.GetPointData().GetScalars())
        scalars[:] = mask.ravel()
        to_world = vtk.vtkMatrix4x4()
        to_world.DeepCopy(np.asarray(matrix, float).ravel())
        image.SetGeometryFromImageToWorldMatrix(to_world)
        node.AddSegmentFromBinaryLabelmapRepresentation(image, name)
    return node


@pytest.mark.parametrize("under", [[], [RIGID]])
def test_a_curve_holds_the_voxels_inside_it_in_its_slice(slicer, ct, under):
    from LowDoseDenoiseLib.measure import measure

    volume = ct("float32", SHAPE)
    put_under(slicer, volume, *under)
    angle = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    curve = add_curve(slicer, [at((30.3 + 12 * np.cos(a), 28.4 + 12 * np.sin(a), 2.2)) for a in angle])
    put_under(slicer, curve, *under)
    (row,) = measure(volume, None, [curve], "box").result(timeout=30)
    y, x = np.indices(SHAPE[1:])
    inside = np.hypot(y - 28.4, x - 30.3) < 12
    assert abs(row.voxels - inside.sum()) <= 6  # the spline through 60 points is no circle
    assert row.meanBefore == pytest.approx(slicer.util.arrayFromVolume(volume)[2][inside].mean(), abs=8)
    assert row.volume == pytest.approx(row.voxels * 0.7 * 0.7 * 2.5)


def test_a_curve_in_a_sagittal_plane_holds_voxels_of_one_column(slicer, ct):
    from LowDoseDenoiseLib.measure import measure

    volume = ct("float32", SHAPE)
    curve = add_curve(slicer, [at(p) for p in ((20, 9.5, 0.5), (20, 40.5, 0.5), (20, 40.5, 3.5), (20, 9.5, 3.5))])
    curve.SetCurveTypeToLinear()
    (row,) = measure(volume, None, [curve], "box").result(timeout=30)
    values = slicer.util.arrayFromVolume(volume)[1:4, 10:41, 20]
    assert (row.voxels, row.meanBefore) == (values.size, pytest.approx(values.mean(), abs=1e-3))


def test_a_curve_across_slices_is_left_out_and_the_remedy_named(slicer, ct):
    from LowDoseDenoiseLib.measure import sortOut

    curve = add_curve(slicer, [at(p) for p in ((10, 10, 0), (40, 10, 2), (40, 40, 4), (10, 40, 2))], "tilted")
    regions, problems = sortOut([curve], ct("float32", SHAPE), "box")
    assert regions == []
    assert "tilted does not lie in one slice" in problems[0]
    assert "Rotate to volume plane" in problems[0]


@pytest.mark.parametrize("under", [[], [RIGID]])
def test_each_visible_segment_is_measured(slicer, ct, under):
    from LowDoseDenoiseLib.measure import measure

    volume = ct("float32", SHAPE)
    put_under(slicer, volume, *under)
    rng = np.random.default_rng(0)
    masks = {name: np.zeros(SHAPE, np.uint8) for name in ("blob", "specks", "hidden", "beyond")}
    masks["blob"][1:4, 10:30, 40:60] = 1
    masks["specks"][:] = rng.random(SHAPE) < 0.1
    masks["hidden"][0] = 1
    node = add_segmentation(slicer, masks)
    put_under(slicer, node, *under)
    ids = list(node.GetSegmentation().GetSegmentIDs())
    node.GetDisplayNode().SetSegmentVisibility(ids[2], False)
    rows = measure(volume, None, [node], "box").result(timeout=30)
    assert [row.name for row in rows] == ["blob", "specks", "beyond"]
    voxels = slicer.util.arrayFromVolume(volume)
    for row in rows[:2]:
        values = voxels[masks[row.name] > 0].astype(float)
        assert row.voxels == values.size
        assert (row.meanBefore, row.stdBefore) == pytest.approx((values.mean(), values.std()), abs=1e-6)
    assert rows[2].voxels == 0


def test_a_segment_on_another_grid_counts_the_voxels_whose_centre_is_in_it(slicer, ct):
    from LowDoseDenoiseLib.measure import measure

    volume = ct("float32", SHAPE)
    fine = np.eye(4)
    fine[:3, :3] = np.diag([-0.9, 1.1, 0.8])
    middle = centres(OBLIQUE, SHAPE).reshape(-1, 3).mean(axis=0)
    fine[:3, 3] = middle - fine[:3, :3] @ [15, 15, 15]
    mask = np.random.default_rng(1).random((30, 30, 30)) < 0.5
    (row,) = measure(volume, None, [add_segmentation(slicer, {"s": mask.astype(np.uint8)}, fine)], "box").result(30)
    index = np.floor(centres(np.linalg.inv(fine) @ OBLIQUE, SHAPE) + 0.5).astype(int)
    there = ((index >= 0) & (index < 30)).all(axis=-1)
    inside = np.zeros(SHAPE, bool)
    inside[there] = mask[index[there][:, 2], index[there][:, 1], index[there][:, 0]]
    assert row.voxels == inside.sum() > 500
    assert row.meanBefore == pytest.approx(slicer.util.arrayFromVolume(volume)[inside].mean(dtype=float), abs=1e-6)


def test_all_visible_regions_are_measured_and_a_change_is_seen(slicer, logic, ct):
    from LowDoseDenoiseLib.measure import roisToMeasure, stateOf

    parameters = logic.getParameterNode()
    parameters.inputVolume = ct("float32", SHAPE)
    roi = add_roi(slicer, at((30, 30, 2)), (9, 9, 9))
    curve = add_curve(slicer, [at(p) for p in ((10, 10, 2), (40, 10, 2), (40, 40, 2))])
    add_curve(slicer, [at((10, 10, 2))], "two more points to come")
    node = add_segmentation(slicer, {"one": np.ones(SHAPE, np.uint8), "two": np.ones(SHAPE, np.uint8)})
    assert roisToMeasure(parameters) == [roi, curve, node]
    seen = [stateOf(parameters)]
    changes = [
        lambda: curve.SetNthControlPointPosition(0, *at((12, 10, 2))),
        lambda: node.GetDisplayNode().SetSegmentVisibility(node.GetSegmentation().GetNthSegmentID(0), False),
        lambda: node.GetSegmentation().GetNthSegment(0).SetName("renamed"),
        lambda: node.GetSegmentation().RemoveSegment(node.GetSegmentation().GetNthSegmentID(0)),
    ]
    for change in changes:
        change()
        assert stateOf(parameters) not in seen
        seen.append(stateOf(parameters))
    parameters.roi = curve
    assert roisToMeasure(parameters) == [curve]


def test_only_what_changed_is_measured_again(slicer, ct):
    from LowDoseDenoiseLib.belonging import setMadeFrom
    from LowDoseDenoiseLib.measure import measureRegions, sortOut

    before, after = ct("float32", SHAPE), ct("float32", SHAPE, noise=20, name="after")
    setMadeFrom(after, before)
    node = add_segmentation(slicer, {"one": np.ones(SHAPE, np.uint8), "two": np.ones(SHAPE, np.uint8)})
    roi = add_roi(slicer, at((35, 30, 2)), (9, 9, 9))
    known: dict = {}

    def rows() -> list:
        regions, problems = sortOut([node, roi], before, "box")
        assert problems == []
        return measureRegions(before, after, regions, known).result(timeout=30)

    first = rows()
    roi.SetCenter(*at((15, 30, 2)))
    second = rows()
    assert [one is other for one, other in zip(first, second, strict=True)] == [True, True, False]
    assert second[2].meanBefore != first[2].meanBefore
    slicer.util.arrayFromVolume(after)[:] += 1
    slicer.util.arrayFromVolumeModified(after)
    assert [row.meanAfter for row in rows()] == pytest.approx([row.meanAfter + 1 for row in second], abs=1e-3)
    assert len(known) == 3


def test_a_shift_is_told_with_its_interval(slicer, ct):
    from LowDoseDenoiseLib.belonging import setMadeFrom
    from LowDoseDenoiseLib.measure import KEPT, MOVED, PERHAPS, alarmOf, measure

    before, after = ct("float32", SHAPE), ct("float32", SHAPE, name="after")
    noise = np.random.default_rng(5).normal(0, 40, SHAPE)
    slicer.util.updateVolumeFromArray(after, (slicer.util.arrayFromVolume(before) + noise + 9).astype(np.float32))
    setMadeFrom(after, before)
    rois = [add_roi(slicer, at((35, 30, 2)), size) for size in ((30, 30, 20), (7, 7, 7), (1.5, 1.5, 3))]
    large, small, tiny = measure(before, after, rois, "box").result(timeout=30)
    assert 0 < large.interval < small.interval
    assert abs(large.change - 9) < large.interval
    assert tiny.voxels > 0
    assert tiny.interval is None
    assert (alarmOf(large, 5), alarmOf(large, 20), alarmOf(large, abs(large.change) - 0.1)) == (MOVED, KEPT, PERHAPS)


def test_contrast_is_that_of_the_two_regions(slicer):
    from LowDoseDenoiseLib.contrast import contrastText
    from LowDoseDenoiseLib.measure import RoiRow

    rows = [RoiRow("a", 9, 40.0, 20.0, 42.0, 5.0), RoiRow("b", 9, -20.0, 30.0, -18.0, 6.0), RoiRow("out", 0)]
    assert contrastText(rows, "a", "b") == "CNR 2.00 → 10.00; SNR of a 2.00 → 8.40"
    assert contrastText(rows, "a", "a") == contrastText(rows, "a", "out") == contrastText([], "", "") == ""
    assert contrastText([RoiRow("a", 9, 40.0, 20.0), RoiRow("b", 9, 0.0, 0.0)], "a", "b") == "CNR -; SNR of a 2.00"


def test_plots_hold_the_numbers_and_are_brought_up_to_date(slicer, ct):
    from LowDoseDenoiseLib import plots
    from LowDoseDenoiseLib.measure import RoiRow
    from LowDoseDenoiseLib.regions import regionsOf

    from FaithfulImagingLib.chart import showInChart

    volume = ct("float32", SHAPE)
    before = slicer.util.arrayFromVolume(volume)
    after = before + 10
    chart = showInChart(plots.noiseBars([RoiRow("a", 9, 1.0, 20.0, 2.0, 5.0), RoiRow("out", 0)]))
    again = showInChart(plots.noiseBars([RoiRow("a", 9, 1.0, 30.0), RoiRow("b", 9, 1.0, 40.0)]))
    assert again is chart
    assert chart.GetNumberOfPlotSeriesNodes() == 1
    series = chart.GetNthPlotSeriesNode(0)
    table = series.GetTableNode()
    assert series.GetPlotType() == series.PlotTypeBar
    assert [table.GetCellText(row, 1) for row in (0, 1)] == ["30", "40"]
    assert [table.GetCellText(row, 2) for row in (0, 1)] == ["a", "b"]

    roi = add_roi(slicer, at((35, 30, 2)), (20, 20, 8))
    (region,) = regionsOf(roi, OBLIQUE, "box")
    block, inside = region.find(before.shape)
    data = plots.histogram(region, before, after)
    assert data.series["before"].sum() == pytest.approx(inside.sum(), rel=0.01)
    middle = np.average(data.x, weights=data.series["before"])
    assert middle == pytest.approx(before[block][inside].mean(), abs=2)

    line = add_curve(slicer, [at((10, 20, 1)), at((50, 20, 3))], "line", "vtkMRMLMarkupsLineNode")
    data = plots.profile(*plots.profilePoints(line, volume), before, after)
    assert data.x[-1] == pytest.approx(np.linalg.norm(at((50, 20, 3)) - at((10, 20, 1))))
    assert data.series["before"][[0, -1]] == pytest.approx([before[1, 20, 10], before[3, 20, 50]], abs=0.01)
    assert data.series["after"] - data.series["before"] == pytest.approx(10, abs=1e-3)
    chart = showInChart(data)
    assert chart.GetNumberOfPlotSeriesNodes() == 2
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLPlotSeriesNode") == 3


def test_what_cannot_be_plotted_says_why(slicer, ct):
    from LowDoseDenoiseLib import plots
    from LowDoseDenoiseLib.regions import regionsOf

    from inference_core.errors import UserError

    volume = ct("float32", SHAPE)
    voxels = slicer.util.arrayFromVolume(volume)
    (outside,) = regionsOf(add_roi(slicer, (1e4, 0, 0), (9, 9, 9)), OBLIQUE, "box")
    line = add_curve(slicer, [(1e4, 0, 0), (1e4, 9, 0)], "line", "vtkMRMLMarkupsLineNode")
    for code, plot in (
        ("no-roi", lambda: plots.noiseBars([])),
        ("no-voxel", lambda: plots.histogram(outside, voxels, None)),
        ("no-line", lambda: plots.profilePoints(None, volume)),
        ("no-voxel", lambda: plots.profile(*plots.profilePoints(line, volume), voxels, None)),
        ("no-flat-patch", lambda: plots.noisePower(voxels, None, (1, 1, 1))),
    ):
        with pytest.raises(UserError) as refused:
            plot()
        assert refused.value.code == code
        assert refused.value.remedy


def test_noise_power_of_white_noise_is_flat_and_its_area_the_variance(slicer):
    from LowDoseDenoiseLib.plots import noisePower

    before = 40 + np.random.default_rng(0).normal(0, 30, (4, 128, 128))
    data = noisePower(before, 40 + (before - 40) / 3, (0.5, 0.5, 1.0))
    assert data.x[-1] == pytest.approx(1.0, abs=0.03)  # Nyquist of 0.5 mm, cycles a mm
    assert np.median(data.series["before"]) == pytest.approx(30**2 * 0.25, rel=0.1)
    assert np.median(data.series["after"]) == pytest.approx(10**2 * 0.25, rel=0.1)


def test_patches_of_air_and_soft_tissue(slicer):
    from LowDoseDenoiseLib.contrast import fillPatchTable, measurePatches, patchText

    truth = np.full((3, 100, 100), -1000.0, np.float32)
    truth[:, 40:] = 50
    noise = np.random.default_rng(0).normal(0, 20, truth.shape).astype(np.float32)
    rows = measurePatches(truth + noise, truth + noise / 4, 50, 30)
    assert [(row.tissue, row.patches) for row in rows] == [("air", 50), ("soft", 50)]
    assert (rows[1].before.mean, rows[1].before.std) == pytest.approx((50, 20), abs=1)
    assert (rows[0].after.mean, rows[0].after.std) == pytest.approx((-1000, 5), abs=0.5)
    table = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode")
    fillPatchTable(table, rows, 30)
    assert table.GetColumnName(1) == "Patches of 30 x 30"
    assert float(table.GetCellText(1, 3)) == pytest.approx(20, abs=1)
    assert table.GetNumberOfColumns() == 6
    large = measurePatches(truth + noise, None, 50, 50)
    assert large[0].before is None
    assert patchText(large).startswith("Air: no patch of this size fits\nSoft tissue: mean 5")
