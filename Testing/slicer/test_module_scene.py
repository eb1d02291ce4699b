"""Parameters and results come back from a saved scene."""

from __future__ import annotations

import numpy as np
import pytest


def test_parameters_and_results_survive_an_mrb(slicer, logic, ct, tmp_path):
    from LowDoseDenoiseLib.measure import RoiRow, fillTable, tableText
    from LowDoseDenoiseLib.parameters import Device, Engine, RoiShape
    from LowDoseDenoiseLib.report import ctNumberText, noiseText, reportOf

    parameters = logic.getParameterNode()
    parameters.inputVolume = ct()
    parameters.strength = 0.7
    parameters.model = "low-dose-ct"
    parameters.engine, parameters.device, parameters.roiShape = Engine.ONNXRUNTIME, Device.CPU, RoiShape.ELLIPSOID
    parameters.outputVolume = logic.denoise(parameters.inputVolume, strength=0.7)
    parameters.roiTable = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", "ROIs")
    fillTable(parameters.roiTable, [RoiRow("ear", 12, 40.1, 60.5, 40.25, 15.1)])
    voxels = slicer.util.arrayFromVolume(parameters.outputVolume).copy()
    report = reportOf(parameters.outputVolume)
    text = tableText(parameters.roiTable, ",")

    file = str(tmp_path / "scene.mrb")
    assert slicer.mrmlScene.WriteToMRB(file)
    slicer.mrmlScene.Clear(False)
    assert not logic.getParameterNode().inputVolume
    slicer.mrmlScene.ReadFromMRB(file, True)

    back = logic.getParameterNode()
    assert (back.inputVolume.GetName(), back.outputVolume.GetName()) == ("CT", "CT denoised")
    assert (back.strength, back.model) == (0.7, "low-dose-ct")
    assert (back.engine, back.device, back.roiShape) == (Engine.ONNXRUNTIME, Device.CPU, RoiShape.ELLIPSOID)
    assert np.array_equal(slicer.util.arrayFromVolume(back.outputVolume), voxels)
    assert reportOf(back.outputVolume) == report
    assert "HU" in noiseText(reportOf(back.outputVolume))
    assert "HU" in ctNumberText(reportOf(back.outputVolume))
    assert tableText(back.roiTable, ",") == text


def test_strength_outside_its_range_is_refused(logic):
    parameters = logic.getParameterNode()
    with pytest.raises(ValueError, match="2"):
        parameters.strength = 2.0
    assert parameters.strength == 1.0


def test_words_of_the_report():
    from LowDoseDenoiseLib.report import ctNumberText, noiseText, signed

    report = {
        "noise_hu": {"before": 60.0, "after": 15.0},
        "ct_number_check": {"passed": False, "tissues": [{"tissue": "soft", "shift": -1.249}]},
    }
    assert noiseText(report) == "60.0 HU before, 15.0 HU after (\N{MINUS SIGN}75 %)"
    assert ctNumberText(report) == "Moved (soft tissue \N{MINUS SIGN}1.25 HU)"
    report["ct_number_check"] = {"passed": True, "tissues": [{"tissue": "air", "shift": -0.001}]}
    assert ctNumberText(report) == "Kept (air 0.00 HU)"
    report["ct_number_check"]["tissues"] = []
    assert "Not checked" in ctNumberText(report)
    assert signed(0.126) == "+0.13"
