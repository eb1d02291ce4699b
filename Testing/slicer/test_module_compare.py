"""Original, denoised and difference in linked views; a denoised image always says that it is one."""

from __future__ import annotations

import json

import numpy as np
import pytest
import vtk


@pytest.fixture
def views(slicer):
    """A scene with a layout, and a function that makes the views it asks for, as the application does."""
    scene = slicer.mrmlScene
    slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene)
    layouts = slicer.vtkMRMLLayoutLogic()
    layouts.SetMRMLScene(scene)
    kept = []

    def make(names=("FIOriginal", "FIDenoised", "FIDifference")):
        from FaithfulImagingLib.layout import compositeOf, sliceNodeOf

        for name in names:
            if compositeOf(name) is None:
                logic = slicer.vtkMRMLSliceLogic()
                logic.SetMRMLScene(scene)
                node = sliceNodeOf(name)
                logic.SetSliceNode(node) if node else logic.AddSliceNode(name)
                logic.GetSliceNode().SetDimensions(64, 64, 1)
                kept.append(logic)
        return [compositeOf(name) for name in names]

    layouts.GetLayoutNode().SetViewArrangement(4)
    yield make
    layouts.SetMRMLScene(None)


def test_layout_is_own_and_the_old_one_comes_back(slicer, views):
    from LowDoseDenoiseLib.layout import LAYOUT_ID, VIEWS, comparing, enterLayout, leaveLayout

    from FaithfulImagingLib.layout import layoutNode, sliceNodeOf

    assert not comparing()
    before = enterLayout()
    assert comparing()
    assert layoutNode().GetViewArrangement() == LAYOUT_ID > 100
    assert all(sliceNodeOf(name) for name in VIEWS.values())
    leaveLayout(before)
    assert layoutNode().GetViewArrangement() == 4
    layoutNode().SetViewArrangement(6)
    leaveLayout(before)  # the user has left it meanwhile
    assert layoutNode().GetViewArrangement() == 6


def test_leaving_a_layout_that_a_scene_was_saved_in_goes_somewhere(slicer, views):
    from LowDoseDenoiseLib.layout import LAYOUT_ID, comparing, enterLayout, leaveLayout

    enterLayout()
    assert enterLayout() == 0
    leaveLayout(0)
    assert not comparing()
    enterLayout()
    leaveLayout(LAYOUT_ID)
    assert not comparing()


def test_three_views_are_linked_and_look_where_the_user_looked(slicer, logic, ct, views):
    from LowDoseDenoiseLib.compare import showDifference
    from LowDoseDenoiseLib.layout import VIEWS, enterLayout, lookAt, showVolumes

    from FaithfulImagingLib.layout import sliceNodeOf

    volume = ct()
    result = logic.denoise(volume)
    (red,) = views(["Red"])
    reference = sliceNodeOf("Red")
    reference.SetOrientation("Sagittal")
    reference.JumpSliceByOffsetting(12.5, 0, 0)
    enterLayout()
    composites = views()
    difference = showDifference(volume, result)
    showVolumes({"original": volume, "denoised": result, "difference": difference})
    lookAt(reference, volume)
    assert [view.GetBackgroundVolumeID() for view in composites] == [n.GetID() for n in (volume, result, difference)]
    assert all(view.GetLinkedControl() and view.GetHotLinkedControl() for view in composites)
    for name in VIEWS.values():
        assert sliceNodeOf(name).GetViewGroup() != reference.GetViewGroup()
        assert sliceNodeOf(name).GetOrientation() == "Sagittal"
        assert abs(sliceNodeOf(name).GetSliceToRAS().GetElement(0, 3) - 12.5) < 1e-6
    lookAt(reference, volume, first=[1.0, 2.0, 3.0])
    normal = [sliceNodeOf("FIDenoised").GetSliceToRAS().GetElement(row, 2) for row in range(3)]
    ijkToRas = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(ijkToRas)
    axis = np.array([ijkToRas.GetElement(row, 2) for row in range(3)])
    assert abs(normal @ axis / np.linalg.norm(axis)) > 0.9999  # the plane in which the CT was taken
    assert red.GetBackgroundVolumeID() is None


def test_difference_is_denoised_minus_original(slicer, logic, ct):
    from LowDoseDenoiseLib.compare import removeDifferences, showDifference

    volume = ct(shape=(6, 64, 72))
    result = logic.denoise(volume)
    node = showDifference(volume, result)
    before, after = (slicer.util.arrayFromVolume(one).astype(int) for one in (volume, result))
    assert np.array_equal(slicer.util.arrayFromVolume(node), after - before)
    preview = logic.preview(volume, slice(2, 4))
    preview.blend(0.5)
    assert showDifference(volume, preview.volume, node) is node
    half = slicer.util.arrayFromVolume(preview.volume).astype(int)
    assert np.array_equal(slicer.util.arrayFromVolume(node), half - before[2:4])
    assert node.GetOrigin() == preview.volume.GetOrigin()
    assert not node.GetSaveWithScene()
    removeDifferences()
    assert node.GetScene() is None


def test_flip_shows_the_original_and_comes_back(slicer, logic, ct, views):
    from LowDoseDenoiseLib.compare import flip

    volume = ct()
    result = logic.denoise(volume)
    original, denoised, other = views(["FIOriginal", "Red", "Green"])
    original.SetBackgroundVolumeID(volume.GetID())
    denoised.SetBackgroundVolumeID(result.GetID())
    other.SetBackgroundVolumeID(ct(name="other").GetID())
    shown = other.GetBackgroundVolumeID()
    assert flip(volume, result, keep=("FIOriginal",)) is False
    assert denoised.GetBackgroundVolumeID() == volume.GetID()
    assert flip(volume, result, keep=("FIOriginal",)) is True
    assert denoised.GetBackgroundVolumeID() == result.GetID()
    assert original.GetBackgroundVolumeID() == volume.GetID()
    assert other.GetBackgroundVolumeID() == shown


def test_window_presets_and_one_window_for_both(slicer, ct):
    from LowDoseDenoiseLib.compare import setWindow, shareWindow, windowOf, windowText

    one, two = ct(), ct(name="two")
    setWindow(one, "temporal bone")
    assert windowOf(one) == (1600, 20)
    setWindow(one, "")
    assert windowOf(one) == (1600, 20)
    last = shareWindow([one, two], None)
    assert windowOf(two) == (1600, 20)
    two.GetDisplayNode().SetWindowLevel(80, 40)
    last = shareWindow([one, two], last)
    assert windowOf(one) == windowOf(two) == (80, 40) == last
    assert shareWindow([one, None], last) == (80, 40)
    assert windowText("abdomen") == "Abdomen (\N{MINUS SIGN}150 to 210)"


def test_denoised_views_say_so(slicer, logic, ct, views):
    from LowDoseDenoiseLib.marks import ViewMarks

    renderers = {"Red": vtk.vtkRenderer(), "Green": vtk.vtkRenderer()}
    volume = ct()
    red, green = views(["Red", "Green"])
    red.SetBackgroundVolumeID(volume.GetID())
    marks = ViewMarks(renderers.get)
    assert marks.textOf("Red") == ""
    result = logic.denoise(volume)
    red.SetBackgroundVolumeID(result.GetID())
    assert marks.textOf("Red") == "DENOISED, research use"
    assert renderers["Red"].GetViewProps().GetNumberOfItems() == 1
    assert marks.textOf("Green") == ""
    green.SetForegroundVolumeID(result.GetID())
    green.SetForegroundOpacity(0.5)
    assert marks.textOf("Green") == "DENOISED, research use"
    green.SetForegroundOpacity(0.0)
    assert marks.textOf("Green") == ""
    red.SetBackgroundVolumeID(logic.preview(volume, slice(0, 1)).volume.GetID())
    assert marks.textOf("Red") == "DENOISED, research use"
    red.SetBackgroundVolumeID(volume.GetID())
    assert marks.textOf("Red") == ""
    marks.stop()
    assert renderers["Red"].GetViewProps().GetNumberOfItems() == 0


def test_denoised_views_say_so_after_a_scene_was_loaded(slicer, logic, ct, views, tmp_path):
    from LowDoseDenoiseLib.marks import ViewMarks

    from FaithfulImagingLib.layout import compositeOf

    renderers = {"Red": vtk.vtkRenderer()}
    result = logic.denoise(ct())
    (red,) = views(["Red"])
    red.SetBackgroundVolumeID(result.GetID())
    file = str(tmp_path / "scene.mrb")
    assert slicer.mrmlScene.WriteToMRB(file)
    slicer.mrmlScene.Clear(False)
    marks = ViewMarks(renderers.get)
    assert marks.textOf("Red") == ""
    slicer.mrmlScene.ReadFromMRB(file, True)
    assert compositeOf("Red").GetBackgroundVolumeID() == slicer.util.getNode("CT denoised").GetID()
    assert marks.textOf("Red") == "DENOISED, research use"
    slicer.mrmlScene.Clear(False)
    assert marks.textOf("Red") == ""
    marks.stop()


def test_choices_survive_an_mrb(slicer, logic, tmp_path):
    parameters = logic.getParameterNode()
    parameters.window, parameters.differenceWindow = "brain", "fine difference"
    parameters.previewSlices, parameters.layoutBefore = 5, 4
    file = str(tmp_path / "scene.mrb")
    assert slicer.mrmlScene.WriteToMRB(file)
    slicer.mrmlScene.Clear(False)
    assert logic.getParameterNode().window == ""
    slicer.mrmlScene.ReadFromMRB(file, True)
    back = logic.getParameterNode()
    assert (back.window, back.differenceWindow) == ("brain", "fine difference")
    assert (back.previewSlices, back.layoutBefore) == (5, 4)


def test_report_to_copy_names_nobody(slicer, logic, ct):
    from LowDoseDenoiseLib.support import supportText

    from FaithfulImagingLib.support import withoutNames

    volume = ct(name="DOE^JOHN 1950")
    parameters = logic.getParameterNode()
    parameters.inputVolume = volume
    logic.denoise(volume)
    logic.run.log = [
        'File "/{}/doe/My Slicer/inference_core/denoiser/job.py", line 3, in run'.format("home"),
        r"FileNotFoundError: C:\{}\Doe John\scan.dcm of DOE^JOHN 1950".format("Users"),
        "cannot read '/data/doe, john/x y.nrrd' 1.2.840.113619.2.55.3.604688119",
    ]
    text = supportText(parameters, logic.run)
    for secret in ("DOE", "Doe", "doe", "John", "1.2.840", "scan.dcm"):
        assert secret not in text
    for fact in ("Faithful Imaging", "numpy", "onnxruntime", "72 x 64 x 4", "low-dose-ct", "denoiser/job.py"):
        assert fact in text
    assert withoutNames("3 of 4 slices, 1.5 HU/mm") == "3 of 4 slices, 1.5 HU/mm"


def test_expected_time_and_memory_follow_the_volume_and_this_machine(slicer, logic, ct):
    from LowDoseDenoiseLib.estimate import expected, expectedText, measuredSpeed

    seconds, memory = expected((100, 512, 512), 2, 0.25, 4)
    moreSeconds, moreMemory = expected((400, 512, 512), 2, 0.25, 4)
    assert 2 * seconds < moreSeconds < 4 * seconds
    assert moreMemory > memory > 100 * 512 * 512 * 2
    report = json.loads(logic.denoise(ct(shape=(40, 256, 256))).GetAttribute("FaithfulImaging.report"))
    speed = measuredSpeed(report)
    assert 0.01 < speed < 100
    assert "guess" in expectedText((40, 256, 256), 2, None)
    assert "guess" not in expectedText((40, 256, 256), 2, speed)
    assert measuredSpeed({**report, "input": {"shape": [1, 64, 64]}}) is None
