"""The module's self-test inside Slicer: a made CT through the real worker, without network, in some seconds."""

import unittest

import numpy as np
import slicer
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleTest

from FaithfulImagingLib.geometry import indexToWorld
from inference_core.errors import UserError

from .install import checkPackages
from .logic import LowDoseDenoiseLogic
from .measure import fillTable, measure, roisToMeasure
from .report import reportOf
from .run import REPORT_ATTRIBUTE
from .strength import setStrength

NOISE = 60.0  # HU


class LowDoseDenoiseTest(ScriptedLoadableModuleTest):
    """Uses ScriptedLoadableModuleTest base class, available at:
    https://github.com/Slicer/Slicer/blob/main/Base/Python/slicer/ScriptedLoadableModule.py
    """

    def setUp(self) -> None:
        """Skip where packages are missing, which are installed on Apply only; else clear the MRML scene."""
        try:
            checkPackages("auto", "auto")
        except UserError as error:
            self.skipTest(str(error))
        slicer.mrmlScene.Clear()

    def runTest(self) -> None:
        """Run all tests."""
        try:
            self.setUp()
        except unittest.SkipTest as skipped:
            self.delayDisplay(f"Skipped: {skipped}")
            return
        self.test_denoising_keeps_place_and_ct_numbers()
        self.setUp()
        self.test_preview_and_strength()
        self.setUp()
        self.test_cancel_leaves_the_scene_as_it_was()

    def test_denoising_keeps_place_and_ct_numbers(self) -> None:
        """The denoised volume lies where the input lies, with less noise and the same means."""
        self.delayDisplay("Denoising a made CT")
        ct = madeCt()
        roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "body")
        roi.CreateDefaultDisplayNodes()
        bounds = np.zeros(6)
        ct.GetRASBounds(bounds)
        roi.SetCenter(bounds.reshape(3, 2).mean(axis=1))
        roi.SetSize(30.0, 30.0, 8.0)
        logic = LowDoseDenoiseLogic()
        denoised = logic.denoise(ct)

        assert denoised.GetName() == "MadeCT denoised"
        assert denoised.GetImageData().GetScalarType() == ct.GetImageData().GetScalarType()
        assert np.abs(indexToWorld(denoised) - indexToWorld(ct)).max() == 0.0
        report = reportOf(denoised)
        assert report["ct_number_check"]["low_band_change_hu"] < 0.5
        assert report["noise_hu"]["after"] < 0.6 * report["noise_hu"]["before"]
        assert report["model"]["id"] in denoised.GetAttribute(REPORT_ATTRIBUTE)

        parameters = logic.getParameterNode()
        (row,) = measure(ct, denoised, roisToMeasure(parameters), "box").result(timeout=20)
        assert row.voxels > 1000
        assert abs(row.meanAfter - row.meanBefore) < 3 * NOISE / np.sqrt(row.voxels)
        assert row.stdAfter < 0.6 * row.stdBefore
        table = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode")
        fillTable(table, [row])
        assert table.GetCellText(0, 0) == "body"

    def test_preview_and_strength(self) -> None:
        """A preview shows what the run gives; the strength of the result can be changed back and forth."""
        self.delayDisplay("Previewing a slice, blending the result")
        ct = madeCt()
        logic = LowDoseDenoiseLogic()
        model = logic.models()[0].id
        preview = logic.preview(ct, slice(3, 5), model=model)
        denoised = logic.denoise(ct, model=model)
        full = slicer.util.arrayFromVolume(denoised).copy()
        assert np.array_equal(slicer.util.arrayFromVolume(preview.volume), full[3:5])
        setStrength(ct, denoised, 0.0)
        assert np.array_equal(slicer.util.arrayFromVolume(denoised), slicer.util.arrayFromVolume(ct))
        setStrength(ct, denoised, 1.0)
        assert np.array_equal(slicer.util.arrayFromVolume(denoised), full)

    def test_cancel_leaves_the_scene_as_it_was(self) -> None:
        """A cancelled run adds no volume."""
        self.delayDisplay("Cancelling a run")
        ct = madeCt()
        logic = LowDoseDenoiseLogic()
        run = logic.start(ct)
        run.cancel()
        while run.running:
            run.poll()
        assert run.report is None
        assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 1


def madeCt():
    """A noisy oval body of soft tissue in air, its edge as soft as a scanner's, oblique, 8 slices of 128 x 128."""
    y, x = np.mgrid[-1:1:128j, -1:1:128j]
    depth = 50 * (1 - np.hypot(x / 0.8, y / 0.7))  # pixels below the skin, about
    body = -1000 + 1040 / (1 + np.exp(-depth / 0.7))
    noise = np.random.default_rng(0).normal(0, NOISE, (8, *body.shape))
    turn = np.deg2rad(15)
    ijkToRas = np.eye(4)
    ijkToRas[:2, :2] = [[-np.cos(turn), np.sin(turn)], [-np.sin(turn), -np.cos(turn)]]
    ijkToRas[:3, :3] *= [0.7, 0.7, 2.0]
    ijkToRas[:3, 3] = [40.0, 55.0, -10.0]
    return slicer.util.addVolumeFromArray(np.rint(body + noise).astype(np.int16), ijkToRAS=ijkToRas, name="MadeCT")
