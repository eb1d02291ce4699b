"""A volume goes through the logic and the real worker, and comes back as the same volume with less noise."""

from __future__ import annotations

import json

import numpy as np
import pytest
import vtk
from module_helpers import OBLIQUE, polled, until


def matrix(volume) -> np.ndarray:
    ijkToRas = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(ijkToRas)
    return np.array([[ijkToRas.GetElement(row, column) for column in range(4)] for row in range(4)])


@pytest.mark.parametrize("dtype", ["int16", "int32", "float32", "float64"])
def test_oblique_volume_keeps_geometry_and_type(slicer, logic, ct, dtype):
    volume = ct(dtype)
    original = slicer.util.arrayFromVolume(volume).copy()
    denoised = logic.denoise(volume)
    assert denoised.GetName() == "CT denoised"
    assert np.array_equal(matrix(denoised), matrix(volume))
    assert np.allclose(matrix(denoised), OBLIQUE, atol=1e-9)
    after = slicer.util.arrayFromVolume(denoised)
    assert after.dtype == np.dtype(dtype)
    assert after.shape == original.shape
    assert np.array_equal(slicer.util.arrayFromVolume(volume), original)
    inside = original[:, 28:36, 30:42]
    assert after[:, 28:36, 30:42].std() < 0.6 * inside.std()
    assert logic.run.status.startswith("Done in")


def test_voxels_come_back_in_the_same_places(slicer, logic, ct):
    volume = ct()
    voxels = slicer.util.arrayFromVolume(volume)
    voxels[1, 20:24, 50:54] = 3000
    slicer.util.arrayFromVolumeModified(volume)
    after = slicer.util.arrayFromVolume(logic.denoise(volume))
    bright = np.argwhere(after > 2000)
    assert bright.min(axis=0).tolist() == [1, 20, 50]
    assert bright.max(axis=0).tolist() == [1, 23, 53]


def test_strength_zero_gives_the_input_back(slicer, logic, ct):
    volume = ct()
    denoised = logic.denoise(volume, strength=0.0)
    assert np.array_equal(slicer.util.arrayFromVolume(denoised), slicer.util.arrayFromVolume(volume))


def test_transform_display_units_and_place_are_the_inputs(slicer, logic, ct):
    volume = ct()
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    volume.SetAndObserveTransformNodeID(transform.GetID())
    display = volume.GetScalarVolumeDisplayNode()
    display.SetAutoWindowLevel(False)
    display.SetWindowLevel(4000, 700)
    hounsfield = slicer.vtkCodedEntry()
    hounsfield.SetValueSchemeMeaning("[hnsf'U]", "UCUM", "Hounsfield unit")
    volume.SetVoxelValueUnits(hounsfield)
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    study = hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), "Study")
    hierarchy.CreateItem(study, volume)

    denoised = logic.denoise(volume)
    assert denoised.GetTransformNodeID() == transform.GetID()
    shown = denoised.GetScalarVolumeDisplayNode()
    assert (shown.GetAutoWindowLevel(), shown.GetWindow(), shown.GetLevel()) == (0, 4000, 700)
    assert denoised.GetVoxelValueUnits().GetCodeMeaning() == "Hounsfield unit"
    assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(denoised)) == study


def test_chosen_output_is_filled_and_filled_again(slicer, logic, ct):
    volume = ct()
    output = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty")
    assert logic.denoise(volume, output) is output
    output.GetScalarVolumeDisplayNode().SetWindowLevel(80, 40)
    slicer.util.arrayFromVolume(output)[:] = 0
    denoised = logic.denoise(volume, output)
    assert denoised is output
    assert output.GetScalarVolumeDisplayNode().GetWindow() == 80
    assert output.GetName() == "empty"
    assert slicer.util.arrayFromVolume(output).any()
    assert slicer.util.arrayFromVolume(output).shape == (4, 64, 72)
    assert np.array_equal(matrix(output), matrix(volume))
    shown = [node for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") if not node.GetHideFromEditors()]
    assert shown == [volume, output]


def test_output_says_where_it_came_from(logic, ct):
    card = logic.models()[0]
    denoised = logic.denoise(ct(), strength=0.75, model=card.id)
    assert denoised.GetAttribute("FaithfulImaging.model") == card.id
    assert denoised.GetAttribute("FaithfulImaging.modelSha256") == card.sha256["onnx"]
    assert denoised.GetAttribute("FaithfulImaging.strength") == "0.75"
    assert denoised.GetAttribute("FaithfulImaging.version")
    report = json.loads(denoised.GetAttribute("FaithfulImaging.report"))
    assert (report["input"]["name"], report["output"]["name"]) == ("CT", "CT denoised")


def test_suggestion_names_a_model_and_the_noise(logic, ct):
    from inference_core.errors import UserError

    model, reason = logic.suggest(ct()).result(timeout=30)
    assert model in {card.id for card in logic.models()}
    assert "HU" in reason
    with pytest.raises(UserError, match="4 x 4"):
        logic.suggest(ct(shape=(3, 4, 4))).result(timeout=30)


def test_progress_grows_to_the_end(logic, ct):
    run = logic.start(ct(shape=(40, 128, 128)))
    fractions, statuses = [], set()

    def ended() -> bool:
        ended = polled(run)
        fractions.append(run.fraction)
        statuses.add(run.status.split(":")[0])
        return ended

    until(ended)
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert "Denoising" in statuses


def refusals(slicer, ct):
    """(input, output, part of the message) of what cannot be denoised."""
    volume = ct()
    labels = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels")
    slicer.util.updateVolumeFromArray(labels, np.ones((2, 8, 8), np.int16))
    colour = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLVectorVolumeNode", "colour")
    slicer.util.updateVolumeFromArray(colour, np.ones((2, 8, 8, 3), np.uint8))
    empty = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty")
    shear = np.diag([1.0, 1.0, 1.0, 1.0])
    shear[0, 1] = 0.4
    sheared = ct(ijkToRas=shear, name="sheared")
    return [
        (None, None, "No input volume"),
        (labels, None, "label map"),
        (colour, None, "several values"),
        (empty, None, "no voxels"),
        (sheared, None, "right angles"),
        (volume, volume, "replace the input"),
        (volume, labels, "no scalar volume"),
        (volume, ct(name="other"), "other holds another image"),
    ]


def test_what_cannot_be_denoised_is_refused_with_a_remedy(slicer, logic, ct):
    from inference_core.errors import UserError

    for source, target, part in refusals(slicer, ct):
        with pytest.raises(UserError, match=part) as refused:
            logic.start(source, target)
        assert refused.value.remedy


@pytest.mark.parametrize("kind", ["offset", "normalised", "not a number"])
def test_what_only_the_voxels_tell_is_refused_and_no_model_suggested(slicer, logic, ct, kind):
    from inference_core.errors import UserError

    volume = ct("float64")
    voxels = slicer.util.arrayFromVolume(volume)
    if kind == "offset":
        voxels += 2000
    elif kind == "normalised":
        voxels /= 1000
    else:
        voxels[2, 3, 4] = np.nan
    with pytest.raises(UserError) as refused:
        logic.denoise(volume)
    assert refused.value.remedy in logic.run.status
    with pytest.raises(UserError) as suggested:
        logic.suggest(volume).result(timeout=30)
    assert suggested.value.code == refused.value.code
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLVolumeNode") == 1


def test_modality_in_the_hierarchy_is_minded(slicer, logic, ct):
    from inference_core.errors import UserError

    volume = ct()
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    item = hierarchy.CreateItem(hierarchy.GetSceneItemID(), volume)
    hierarchy.SetItemAttribute(item, "DICOM.Modality", "MR")
    with pytest.raises(UserError, match="MR"):
        logic.denoise(volume)


def test_kernel_comes_from_the_dicom_database(slicer, logic, ct, monkeypatch):
    class Database:
        isOpen = True

        def instanceValue(self, uid, tag):
            return {("1.2.3", "0008,0060"): "CT", ("1.2.3", "0018,1210"): "D45f"}[uid, tag]

    volume = ct()
    volume.SetAttribute("DICOM.instanceUIDs", "1.2.3 1.2.4")
    monkeypatch.setattr(slicer, "dicomDatabase", Database(), raising=False)
    logic.denoise(volume)
    assert logic.run.report["input"]["kernel"] == "D45f"


def test_second_run_waits_for_the_first(logic, ct):
    from inference_core.errors import UserError

    volume = ct()
    run = logic.start(volume)
    with pytest.raises(UserError, match="being denoised"):
        logic.start(volume)
    until(lambda: polled(run))
    assert run.report


def test_one_time_point_of_a_sequence_is_said_to_be_one(slicer, logic, ct):
    volume = ct()
    sequence = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode")
    sequence.SetDataNodeAtValue(volume, "0")
    browser = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode")
    browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    slicer.modules.sequences.logic().UpdateAllProxyNodes()
    denoised = logic.denoise(browser.GetProxyNode(sequence))
    report = json.loads(denoised.GetAttribute("FaithfulImaging.report"))
    assert any("one time point" in warning for warning in report["warnings"])


def test_warnings_of_the_worker_stay_with_the_result(slicer, logic, ct):
    volume = ct()
    slicer.util.arrayFromVolume(volume)[1, 20:24, 50:54] = 9000
    denoised = logic.denoise(volume)
    report = json.loads(denoised.GetAttribute("FaithfulImaging.report"))
    assert any("metal" in warning for warning in report["warnings"])
