"""The panel's strength: what the slider does to preview and result, and when it must not."""

from __future__ import annotations

import json
import types

import numpy as np
import pytest
from module_helpers import until


class Widget(types.SimpleNamespace):
    """A widget that remembers what it was told."""

    def connect(self, signal, function) -> None:
        """Nobody clicks here."""


@pytest.fixture
def panel(slicer, logic):
    """The panel's part, on a scene's parameters, with what it said."""
    from LowDoseDenoiseLib.strength_panel import StrengthPanel

    names = ("previewButton", "previewStatusLabel", "strengthSlider", "strengthStatusLabel")
    ui = types.SimpleNamespace(**{name: Widget(text="", enabled=True, visible=True) for name in names})
    told, checked = [], []
    panel = StrengthPanel(ui, logic, lambda: "low-dose-ct", told.append, lambda: checked.append(1))
    panel.told, panel.timesChecked = told, checked
    panel.setParameterNode(logic.getParameterNode())
    yield panel
    panel.stop()


@pytest.fixture
def done(panel, logic, ct):
    """A volume and its result, selected."""
    parameters = logic.getParameterNode()
    parameters.inputVolume = ct()
    parameters.outputVolume = logic.denoise(parameters.inputVolume)
    panel.resultTaken(parameters.outputVolume)
    return parameters


def polling(panel, condition) -> None:
    def poll() -> bool:
        panel.poll()
        return condition()

    until(poll)


def reported(volume) -> float:
    return json.loads(volume.GetAttribute("FaithfulImaging.report"))["strength"]


def test_slider_blends_the_result_and_its_report_follows(slicer, panel, done):
    from LowDoseDenoiseLib.strength import strengthOf

    original, full = (slicer.util.arrayFromVolume(node).copy() for node in (done.inputVolume, done.outputVolume))
    noise = json.loads(done.outputVolume.GetAttribute("FaithfulImaging.report"))["noise_hu"]["after"]
    done.strength = 0.5
    polling(panel, lambda: strengthOf(done.outputVolume) == 0.5)
    half = slicer.util.arrayFromVolume(done.outputVolume)
    assert np.abs(half - (original.astype(float) + full) / 2).max() <= 0.5
    assert reported(done.outputVolume) == 1.0
    polling(panel, lambda: reported(done.outputVolume) == 0.5)
    assert json.loads(done.outputVolume.GetAttribute("FaithfulImaging.report"))["noise_hu"]["after"] > noise
    assert panel.timesChecked
    assert np.array_equal(slicer.util.arrayFromVolume(done.inputVolume), original)
    assert not panel.told


def test_selecting_another_result_moves_the_slider_and_no_voxel(slicer, panel, logic, ct, done):
    first = done.outputVolume
    other = ct(name="other")
    second = logic.denoise(other, strength=0.3)
    voxels = [slicer.util.arrayFromVolume(node).copy() for node in (first, second)]
    done.inputVolume, done.outputVolume = other, second
    polling(panel, lambda: done.strength == 0.3)
    done.inputVolume, done.outputVolume = slicer.util.getNode("CT"), first
    polling(panel, lambda: done.strength == 1.0)
    for node, before in zip((first, second), voxels, strict=True):
        assert np.array_equal(slicer.util.arrayFromVolume(node), before)


def test_slider_is_fixed_with_a_reason_once_the_input_has_changed(slicer, panel, done):
    full = slicer.util.arrayFromVolume(done.outputVolume).copy()
    slicer.util.arrayFromVolume(done.inputVolume)[0, 0, 0] += 1
    slicer.util.arrayFromVolumeModified(done.inputVolume)
    done.strength = 0.5
    polling(panel, lambda: "has changed" in panel.ui.strengthStatusLabel.text)
    assert "Press Apply" in panel.ui.strengthStatusLabel.text
    assert not panel.ui.strengthSlider.enabled
    assert np.array_equal(slicer.util.arrayFromVolume(done.outputVolume), full)


def test_result_without_its_change_fixes_the_slider(slicer, panel, done):
    slicer.mrmlScene.RemoveNode(done.outputVolume.GetNodeReference("FaithfulImaging.fullStrengthChange"))
    panel.poll()
    assert not panel.ui.strengthSlider.enabled
    assert "not kept" in panel.ui.strengthStatusLabel.text
    done.outputVolume = None
    panel.poll()
    assert panel.ui.strengthSlider.enabled  # for the next run


def test_what_the_slider_said_meanwhile_counts_for_a_new_result(slicer, panel, logic, ct):
    from LowDoseDenoiseLib.strength import strengthOf

    parameters = logic.getParameterNode()
    parameters.inputVolume = ct()
    result = logic.denoise(parameters.inputVolume)
    parameters.strength = 0.7  # moved while that ran
    parameters.outputVolume = result
    panel.resultTaken(result)
    polling(panel, lambda: strengthOf(result) == 0.7)
    assert parameters.strength == 0.7


def view(slicer, volume):
    """The red slice view, on the middle of a volume."""
    node = slicer.vtkMRMLSliceNode()
    node.SetLayoutName("Red")
    node.SetSingletonTag("Red")
    node = slicer.mrmlScene.AddNode(node)
    bounds = np.zeros(6)
    volume.GetRASBounds(bounds)
    for row, middle in enumerate(bounds.reshape(3, 2).mean(axis=1)):
        node.GetSliceToRAS().SetElement(row, 3, middle)
    node.UpdateMatrices()


def test_preview_follows_the_slider_and_goes_with_its_input(slicer, panel, logic, ct):
    parameters = logic.getParameterNode()
    parameters.inputVolume = ct(shape=(6, 64, 72))
    other = ct(name="other")
    view(slicer, parameters.inputVolume)
    panel.onPreview()
    polling(panel, lambda: panel.preview is not None)
    full = slicer.util.arrayFromVolume(panel.preview.volume).copy()
    assert panel.ui.previewStatusLabel.text.startswith(("Slice 3: noise", "Slice 4: noise"))
    parameters.strength = 0.0
    panel.poll()
    assert not np.array_equal(slicer.util.arrayFromVolume(panel.preview.volume), full)
    parameters.inputVolume = other
    panel.poll()
    assert panel.preview is None
    assert slicer.mrmlScene.GetFirstNodeByName("CT preview") is None
    assert panel.ui.previewStatusLabel.text == ""
    assert not panel.told


def test_a_result_takes_the_place_of_the_preview(slicer, panel, logic, ct):
    parameters = logic.getParameterNode()
    parameters.inputVolume = ct()
    view(slicer, parameters.inputVolume)
    panel.onPreview()
    polling(panel, lambda: panel.preview is not None)
    result = logic.denoise(parameters.inputVolume)
    panel.resultTaken(result)
    assert panel.preview is None
    assert slicer.mrmlScene.GetFirstNodeByName("CT preview") is None


def test_what_cannot_be_previewed_is_said_with_a_remedy(slicer, panel, logic, ct):
    parameters = logic.getParameterNode()
    panel.onPreview()
    parameters.inputVolume = ct()
    panel.onPreview()  # there is no view
    view(slicer, ct(name="far", ijkToRas=np.diag([1.0, 1.0, 1.0, 1.0])))
    panel.onPreview()
    assert [error.code for error in panel.told] == ["no-input", "not-in-view", "not-in-view"]
    assert all(error.remedy for error in panel.told)
    assert panel.preview is None


def test_scene_closed_while_previewing_leaves_nothing(slicer, panel, logic, ct):
    parameters = logic.getParameterNode()
    parameters.inputVolume = ct(shape=(40, 512, 512))
    view(slicer, parameters.inputVolume)
    parameters.previewSlices = 31
    panel.onPreview()
    run = logic.previewRun
    panel.setParameterNode(None)
    slicer.mrmlScene.Clear(False)
    polling(panel, lambda: not run.running)
    panel.setParameterNode(logic.getParameterNode())
    panel.poll()
    assert panel.preview is None
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 0
    assert not panel.told
