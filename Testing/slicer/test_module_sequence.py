"""A CT over time is denoised frame by frame into a sequence that plays along."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture
def sequence(slicer, ct):
    """Three frames that differ, with their browser."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", "CT over time")
    node.SetIndexName("time")
    node.SetIndexUnit("s")
    frame = ct(name="frame")
    for index in range(3):
        slicer.util.arrayFromVolume(frame)[:] += 5
        slicer.util.arrayFromVolumeModified(frame)
        node.SetDataNodeAtValue(frame, str(index))
    slicer.mrmlScene.RemoveNode(frame)
    browser = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode")
    browser.SetAndObserveMasterSequenceNodeID(node.GetID())
    slicer.modules.sequences.logic().UpdateAllProxyNodes()
    return node, browser


def test_each_frame_is_denoised_as_a_volume_would_be(slicer, logic, sequence):
    from LowDoseDenoiseLib.marks import isDenoised
    from LowDoseDenoiseLib.sequence import denoiseSequence

    source, browser = sequence
    volumesBefore = slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode")
    frames = [slicer.util.arrayFromVolume(source.GetNthDataNode(index)).copy() for index in range(3)]
    calls = []
    denoised = denoiseSequence(logic, source, lambda done, total: calls.append((done, total)), strength=0.9)
    assert calls == [(1, 3), (2, 3), (3, 3)]
    assert denoised.GetName() == "CT over time denoised"
    assert [denoised.GetNthIndexValue(index) for index in range(3)] == ["0", "1", "2"]
    assert (denoised.GetIndexName(), denoised.GetIndexUnit()) == ("time", "s")
    for index, frame in enumerate(frames):
        after = slicer.util.arrayFromVolume(denoised.GetNthDataNode(index))
        inside = (slice(None), slice(28, 36), slice(30, 42))
        assert after[inside].std() < 0.6 * frame[inside].std()
        assert np.array_equal(slicer.util.arrayFromVolume(source.GetNthDataNode(index)), frame)
        assert isDenoised(denoised.GetNthDataNode(index))
    proxy = browser.GetProxyNode(denoised)
    assert isDenoised(proxy)
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == volumesBefore + 1  # the proxy
    browser.SetSelectedItemNumber(2)
    slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
    shown = slicer.util.arrayFromVolume(browser.GetProxyNode(denoised))
    assert np.array_equal(shown, slicer.util.arrayFromVolume(denoised.GetNthDataNode(2)))


def test_a_frame_that_is_no_ct_is_named_and_nothing_is_left(slicer, logic, sequence):
    from LowDoseDenoiseLib.sequence import denoiseSequence

    from inference_core.errors import UserError

    source, _ = sequence
    slicer.util.arrayFromVolume(source.GetNthDataNode(1))[:] += 3000
    kinds = ("vtkMRMLVolumeNode", "vtkMRMLVolumeDisplayNode", "vtkMRMLSequenceNode")
    nodes = [slicer.mrmlScene.GetNumberOfNodesByClass(kind) for kind in kinds]
    with pytest.raises(UserError, match="Frame 2:") as refused:
        denoiseSequence(logic, source)
    assert refused.value.remedy
    assert [slicer.mrmlScene.GetNumberOfNodesByClass(kind) for kind in kinds] == nodes
    with pytest.raises(UserError, match="no sequence"):
        denoiseSequence(logic, None)
