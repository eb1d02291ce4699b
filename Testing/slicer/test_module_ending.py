"""However a run ends before its time, it leaves no process, no folder and no exception (the slicer fixture looks)."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
import tempfile
import time

import numpy as np
import pytest
import vtk
from module_helpers import polled, until

from inference_core.errors import UserError
from inference_core.scratch import process_alive


@pytest.fixture
def working(logic, ct):
    """A run whose worker has begun to denoise, and its process."""
    run = logic.start(ct(shape=(120, 512, 512), noise=40))
    until(lambda: polled(run) or run.fraction > 0)
    assert run.running
    pid = run.task.worker.pid
    assert process_alive(pid)
    return run, pid


def check_gone(run, pid, begun, said) -> None:
    from LowDoseDenoiseLib.support import supportText

    until(lambda: polled(run))
    assert time.monotonic() - begun < 2
    assert not process_alive(pid)
    assert run.error is None
    assert run.report is None
    assert run.status == said
    assert said in supportText(None, run)


def test_cancel(slicer, working):
    begun = time.monotonic()
    working[0].cancel()
    check_gone(*working, begun, "Cancelled. Nothing was changed.")
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 1


def test_input_deleted(slicer, working):
    begun = time.monotonic()
    slicer.mrmlScene.RemoveNode(working[0].inputVolume)
    check_gone(*working, begun, "Stopped: the input volume was removed.")
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 0


def test_scene_closed(slicer, working):
    begun = time.monotonic()
    slicer.mrmlScene.Clear(False)
    check_gone(*working, begun, "Stopped: the scene was closed.")
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 0


def test_output_deleted(slicer, logic, ct):
    output = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "output")
    run = logic.start(ct(shape=(120, 512, 512), noise=40), output)
    until(lambda: polled(run) or run.fraction > 0)
    pid, begun = run.task.worker.pid, time.monotonic()
    slicer.mrmlScene.RemoveNode(output)
    check_gone(run, pid, begun, "Stopped: the output volume was removed.")


def voxels(slicer, volume):
    slicer.util.arrayFromVolume(volume)[:] = 0
    slicer.util.arrayFromVolumeModified(volume)


@pytest.mark.parametrize(
    "change",
    [
        voxels,
        lambda slicer, volume: slicer.util.updateVolumeFromArray(volume, np.zeros((2, 9, 9), np.int16)),
        lambda slicer, volume: volume.SetAndObserveImageData(None),
        lambda slicer, volume: volume.SetSpacing(1, 1, 1),
    ],
    ids=["voxels", "size", "no image", "geometry"],
)
def test_input_changed_meanwhile(slicer, working, change):
    run, pid = working
    change(slicer, run.inputVolume)
    until(lambda: polled(run))
    assert not process_alive(pid)
    assert run.error.code == "input-changed"
    assert "CT changed" in run.status
    assert run.report is None
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 1


@pytest.mark.parametrize("end", ["done", "cancelled"])
def test_an_ended_run_keeps_no_voxels_alive(slicer, logic, ct, end):
    volume = ct()
    image = vtk.vtkWeakReference()
    image.Set(volume.GetImageData())
    run = logic.start(volume)
    del volume
    if end == "cancelled":
        run.cancel()
    until(lambda: polled(run))
    slicer.mrmlScene.Clear(False)
    gc.collect()
    assert logic.run is run
    assert image.Get() is None


def test_no_temporary_folder_is_said_with_a_remedy(slicer, logic, ct, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(UserError, match="gone") as refused:
        logic.denoise(ct())
    assert "temporary folder" in refused.value.remedy


def test_no_interpreter_is_said_with_a_remedy(slicer, logic, ct, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "gone"))
    with pytest.raises(UserError, match="interpreter") as refused:
        logic.denoise(ct())
    assert "launcher" in refused.value.remedy


def test_application_goes_away(logic, working):
    run, pid = working
    begun = time.monotonic()
    logic.stop()
    assert time.monotonic() - begun < 2
    assert not process_alive(pid)
    assert not run.running


def test_cancel_before_the_worker_is_there(logic, ct):
    run = logic.start(ct())
    begun = time.monotonic()
    run.cancel()
    until(lambda: polled(run))
    assert time.monotonic() - begun < 2.5
    assert run.report is None


def test_worker_killed_from_outside(slicer, logic, working):
    run, pid = working
    os.kill(pid, 9)
    until(lambda: polled(run))
    assert run.error.code == "worker-died"
    assert run.error.remedy in run.status
    assert logic.run is run
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 1


@pytest.mark.skipif(os.name != "posix", reason="usleep")
def test_run_ends_although_the_event_loop_keeps_pythons_lock(logic, ct):
    """As in Slicer, whose event loop waits with the lock held: the threads live on what poll gives them."""
    wait = ctypes.PyDLL(None).usleep  # a PyDLL call does not release the lock
    run = logic.start(ct(shape=(16, 256, 256)))

    def ended() -> bool:
        wait(50_000)
        return polled(run)

    begun = time.monotonic()
    until(ended)
    assert run.report
    assert time.monotonic() - begun < 20
