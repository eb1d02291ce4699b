"""One patient's result is never taken for another's, nor replaced by it."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def two(logic, ct):
    """Two CTs, and the result of the first."""
    one, other = ct(name="one"), ct(name="other")
    return one, other, logic.denoise(one)


def test_a_result_knows_its_input(two):
    from LowDoseDenoiseLib.belonging import madeFrom

    one, other, result = two
    assert madeFrom(result, one)
    assert not madeFrom(result, other)
    assert not madeFrom(None, one)
    assert not madeFrom(result, None)


def test_a_result_of_another_input_is_not_replaced(slicer, logic, two):
    from inference_core.errors import UserError

    _, other, result = two
    before = slicer.util.arrayFromVolume(result).copy()
    with pytest.raises(UserError, match="one denoised holds another image, not a result of other") as refused:
        logic.denoise(other, result)
    assert "new volume" in refused.value.remedy
    assert (slicer.util.arrayFromVolume(result) == before).all()


def test_selecting_an_input_offers_its_own_output(slicer, logic, two):
    from LowDoseDenoiseLib.belonging import outputFor

    one, other, result = two
    empty = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty")
    assert outputFor(other, result) is None
    assert outputFor(one, None) is result
    assert outputFor(one, other) is result
    assert outputFor(one, result) is result
    assert outputFor(other, empty) is empty
    second = logic.denoise(one)
    assert outputFor(one, None) is second
    assert outputFor(None, result) is result


def test_a_result_is_selected_unless_something_else_was_meanwhile(slicer, logic, two):
    from LowDoseDenoiseLib.belonging import acceptResult

    one, other, result = two
    parameters = logic.getParameterNode()
    parameters.inputVolume = other
    acceptResult(parameters, result)
    assert parameters.outputVolume is None
    parameters.inputVolume = one
    acceptResult(parameters, result)
    assert parameters.outputVolume is result
    parameters.outputVolume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "chosen")
    acceptResult(parameters, result)
    assert parameters.outputVolume.GetName() == "chosen"


def test_a_result_belongs_to_its_input_after_an_mrb(slicer, two, tmp_path):
    from LowDoseDenoiseLib.belonging import madeFrom

    file = str(tmp_path / "scene.mrb")
    assert slicer.mrmlScene.WriteToMRB(file)
    slicer.mrmlScene.Clear(False)
    slicer.mrmlScene.ReadFromMRB(file, True)
    one, other, result = (slicer.util.getNode(name) for name in ("one", "other", "one denoised"))
    assert madeFrom(result, one)
    assert not madeFrom(result, other)


def test_a_denoised_input_is_warned_of(logic, two):
    _, _, result = two
    again = logic.denoise(result)
    report = json.loads(again.GetAttribute("FaithfulImaging.report"))
    assert any("itself a denoised volume" in warning for warning in report["warnings"])
    assert "itself a denoised volume" in logic.suggest(result).result(timeout=30)[1]


@pytest.mark.parametrize(
    "text", ["", "{damaged", "[]", "3", "null", '{"noise_hu": {"before": 1, "after": 1}}', "without warnings", "text"]
)
def test_a_report_that_cannot_be_shown_is_none(two, text):
    from LowDoseDenoiseLib.report import reportOf

    result = two[2]
    report = reportOf(result)
    assert report["input"]["name"] == "one"
    if text == "without warnings":
        del report["warnings"]
        text = json.dumps(report)
    elif text == "text":
        report["noise_hu"]["after"] = "little"
        text = json.dumps(report)
    result.SetAttribute("FaithfulImaging.report", text)
    assert reportOf(result) is None


def test_what_belongs_to_a_result_goes_with_it(slicer, two):
    import vtk
    from LowDoseDenoiseLib.compare import showDifference
    from LowDoseDenoiseLib.helpers import removeHelpers
    from LowDoseDenoiseLib.structure import STRUCTURE_REFERENCE

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def removed(caller, event, node):
        removeHelpers(node)

    def names():
        return sorted(volume.GetName() for volume in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode"))

    one, _, result = two
    showDifference(one, result)
    found = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "lost structure")
    found.SetNodeReferenceID(STRUCTURE_REFERENCE, result.GetID())
    assert len(names()) == 6
    tag = slicer.mrmlScene.AddObserver(slicer.mrmlScene.NodeRemovedEvent, removed)
    try:
        slicer.mrmlScene.RemoveNode(result)
        assert names() == ["one", "other"]
    finally:
        slicer.mrmlScene.RemoveObserver(tag)


def test_a_shift_that_passed_above_the_alarms_limit_is_explained():
    from LowDoseDenoiseLib.report import explainedText

    rows = [
        {"tissue": "soft", "shift": -1.0, "passed": False},
        {"tissue": "bone", "shift": -5.85, "passed": True},
    ]
    report = {"ct_number_check": {"tissues": rows}}
    assert explainedText(report, 5) == "bone moved by \N{MINUS SIGN}5.85 HU, within its own limit of 10 HU"
    assert explainedText(report, 6) == ""
    rows[1]["shift"] = 12.0
    assert "chance" in explainedText(report, 5)
