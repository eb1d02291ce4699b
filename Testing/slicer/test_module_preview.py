"""A preview shows what a run would give; the strength blends preview and result and never touches the original."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
from module_helpers import until


@pytest.fixture
def axial(slicer):
    """A function that makes a slice view node which looks at a point in RAS."""

    def look(point, name="Red"):
        node = slicer.vtkMRMLSliceNode()
        node.SetName(name)
        node.SetLayoutName(name)
        node.SetSingletonTag(name)
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(slicer.mrmlScene)
        node = slicer.mrmlScene.AddNode(node)
        node.SetOrientation("Axial")
        node.JumpSliceByOffsetting(*point)
        for row in range(3):
            node.GetSliceToRAS().SetElement(row, 3, point[row])
        node.UpdateMatrices()
        return node

    return look


def pointOf(volume, slice_, slicer):
    """RAS of the middle of one slice."""
    import vtk

    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    columns, rows, _ = volume.GetImageData().GetDimensions()
    return matrix.MultiplyPoint((columns / 2, rows / 2, slice_, 1))[:3]


def test_preview_is_what_a_run_gives(slicer, logic, ct):
    volume = ct(shape=(7, 64, 72))
    slicer.util.arrayFromVolume(volume)[3] += 7  # so that no two slices are alike
    original = slicer.util.arrayFromVolume(volume).copy()
    preview = logic.preview(volume, slice(2, 5), model="low-dose-ct")
    shown = slicer.util.arrayFromVolume(preview.volume).copy()
    denoised = logic.denoise(volume, model="low-dose-ct")
    assert np.array_equal(shown, slicer.util.arrayFromVolume(denoised)[2:5])
    assert np.array_equal(slicer.util.arrayFromVolume(volume), original)
    assert preview.volume.GetName() == "CT preview"
    assert not preview.volume.GetSaveWithScene()


def test_preview_lies_where_its_slices_lie(slicer, logic, ct):
    volume = ct(shape=(7, 64, 72))
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    volume.SetAndObserveTransformNodeID(transform.GetID())
    preview = logic.preview(volume, slice(2, 5))
    assert np.allclose(pointOf(preview.volume, 0, slicer), pointOf(volume, 2, slicer), atol=1e-9)
    assert np.allclose(pointOf(preview.volume, 2, slicer), pointOf(volume, 4, slicer), atol=1e-9)
    assert preview.volume.GetTransformNodeID() == transform.GetID()


def test_a_slice_of_512_x_512_is_there_in_time(slicer, logic, ct):
    volume = ct(shape=(3, 512, 512), noise=40)
    begun = time.monotonic()
    logic.preview(volume, slice(1, 2))
    assert time.monotonic() - begun < 4  # on a free machine 1.5; the tests run beside others


def test_strength_of_a_preview_is_live(slicer, logic, ct):
    volume = ct()
    preview = logic.preview(volume, slice(0, 1))
    before = slicer.util.arrayFromVolume(volume)[:1].astype(float)
    full = slicer.util.arrayFromVolume(preview.volume).astype(float)
    preview.blend(0.0)
    assert np.array_equal(slicer.util.arrayFromVolume(preview.volume), before)
    preview.blend(0.25)
    assert np.abs(slicer.util.arrayFromVolume(preview.volume) - (0.75 * before + 0.25 * full)).max() <= 0.5
    preview.blend(1.0)
    assert np.array_equal(slicer.util.arrayFromVolume(preview.volume), full)


def test_preview_ends_with_its_input(slicer, logic, ct):
    volume, other = ct(), ct(name="other")
    preview = logic.preview(volume, slice(0, 1))
    assert not preview.outdated(volume)
    assert preview.outdated(other)
    slicer.util.arrayFromVolumeModified(volume)
    assert preview.outdated(volume)
    preview = logic.preview(volume, slice(0, 1))
    slicer.mrmlScene.RemoveNode(volume)
    assert preview.outdated(None)
    slicer.mrmlScene.Clear(False)
    assert preview.outdated(None)


def test_there_is_one_preview_and_it_gives_its_views_back(slicer, logic, ct):
    from LowDoseDenoiseLib.preview import removePreviews

    volume = ct()
    view = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSliceCompositeNode")
    logic.preview(volume, slice(0, 1))
    second = logic.preview(volume, slice(1, 2))
    assert slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")[1:] == [second.volume]
    view.SetBackgroundVolumeID(second.volume.GetID())
    removePreviews()
    assert view.GetBackgroundVolumeID() == volume.GetID()
    assert slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") == [volume]


def test_the_slice_in_the_view_is_previewed(slicer, ct, axial):
    from LowDoseDenoiseLib.preview import slicesInView

    from inference_core.errors import UserError

    volume = ct(shape=(9, 64, 72))
    view = axial(pointOf(volume, 5, slicer))
    assert slicesInView(volume, view, 1) == slice(5, 6)
    assert slicesInView(volume, view, 5) == slice(3, 8)
    assert slicesInView(volume, axial(pointOf(volume, 8, slicer), "Green"), 5) == slice(6, 9)
    with pytest.raises(UserError, match="shows no slice of CT") as refused:
        slicesInView(volume, axial(pointOf(volume, 12, slicer), "Yellow"), 1)
    assert "Scroll" in refused.value.remedy


def test_input_changed_meanwhile_gives_no_preview(slicer, logic, ct):
    volume = ct(shape=(40, 512, 512))
    run = logic.startPreview(volume, slice(0, 20))
    slicer.util.arrayFromVolumeModified(volume)
    until(lambda: run.poll() or not run.running)
    assert run.error.code == "input-changed"
    assert run.report is None


def test_strength_of_a_result_can_be_changed_later(slicer, logic, ct):
    from LowDoseDenoiseLib.strength import setStrength, strengthOf, whyFixed

    volume = ct()
    original = slicer.util.arrayFromVolume(volume).copy()
    atOnce = slicer.util.arrayFromVolume(logic.denoise(volume, strength=0.6)).copy()
    result = logic.denoise(volume)
    full = slicer.util.arrayFromVolume(result).copy()
    assert whyFixed(volume, result) == ""
    setStrength(volume, result, 0.6)
    assert strengthOf(result) == 0.6
    assert np.array_equal(slicer.util.arrayFromVolume(result), atOnce)
    setStrength(volume, result, 0.0)
    assert np.array_equal(slicer.util.arrayFromVolume(result), original)
    setStrength(volume, result, 1.0)
    assert np.array_equal(slicer.util.arrayFromVolume(result), full)
    assert np.array_equal(slicer.util.arrayFromVolume(volume), original)


def test_report_of_a_blend_is_the_blends(slicer, logic, ct):
    report = json.loads(logic.denoise(ct(), strength=0.5).GetAttribute("FaithfulImaging.report"))
    full = json.loads(logic.denoise(ct(name="same")).GetAttribute("FaithfulImaging.report"))
    assert report["strength"] == 0.5
    assert full["noise_hu"]["after"] < report["noise_hu"]["after"] < report["noise_hu"]["before"]
    assert report["output"]["sha256_voxels"] != full["output"]["sha256_voxels"]
    assert report["ct_number_check"]["passed"]


def test_strength_can_still_be_changed_after_an_mrb(slicer, logic, ct, tmp_path):
    from LowDoseDenoiseLib.strength import CHANGE_REFERENCE, INPUT_HASH_ATTRIBUTE, setStrength, voxelHash, whyFixed

    full = slicer.util.arrayFromVolume(logic.denoise(ct())).copy()
    setStrength(slicer.util.getNode("CT"), slicer.util.getNode("CT denoised"), 0.3)
    file = str(tmp_path / "scene.mrb")
    assert slicer.mrmlScene.WriteToMRB(file)
    slicer.mrmlScene.Clear(False)
    slicer.mrmlScene.ReadFromMRB(file, True)
    volume, result = slicer.util.getNode("CT"), slicer.util.getNode("CT denoised")
    assert whyFixed(volume, result) == ""
    change = result.GetNodeReference(CHANGE_REFERENCE)
    assert change.GetAttribute(INPUT_HASH_ATTRIBUTE) == voxelHash(slicer.util.arrayFromVolume(volume))
    setStrength(volume, result, 1.0)
    assert np.array_equal(slicer.util.arrayFromVolume(result), full)


def test_strength_is_fixed_with_a_reason_where_it_cannot_be_blended(slicer, logic, ct):
    from LowDoseDenoiseLib.strength import CHANGE_REFERENCE, whyFixed

    volume, other = ct(), ct(name="other")
    assert "no result" in whyFixed(volume, None)
    result = logic.denoise(volume)
    assert "no result" in whyFixed(other, result)
    slicer.mrmlScene.RemoveNode(result.GetNodeReference(CHANGE_REFERENCE))
    assert "Press Apply" in whyFixed(volume, result)


def test_change_is_kept_in_two_bytes_and_out_of_the_way(slicer, logic, ct):
    from LowDoseDenoiseLib.strength import CHANGE_REFERENCE

    volume = ct()
    result = logic.denoise(volume)
    change = result.GetNodeReference(CHANGE_REFERENCE)
    voxels = slicer.util.arrayFromVolume(change)
    assert voxels.dtype == np.int16
    before, after = (slicer.util.arrayFromVolume(node).astype(int) for node in (volume, result))
    assert np.array_equal(voxels, after - before)
    assert change.GetHideFromEditors()
    logic.denoise(volume, result, strength=0.5)
    assert result.GetNodeReference(CHANGE_REFERENCE) is change
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 3


def test_previewing_a_preview_is_warned_of(logic, ct):
    from LowDoseDenoiseLib.logic import inputWarnings

    preview = logic.preview(ct(), slice(0, 1))
    assert any("itself a denoised volume" in warning for warning in inputWarnings(preview.volume))
