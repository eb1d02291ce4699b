"""A long step of a module: a real worker and a real job, its result in the scene, every way in which it ends early."""

import sys

import numpy as np
import pytest
from module_helpers import polled, until

from inference_core.scratch import process_alive


@pytest.fixture
def pictures(tmp_path):
    """A function that writes a folder of frames."""
    from PIL import Image

    def write(count):
        folder = tmp_path / "frames"
        folder.mkdir()
        rng = np.random.default_rng(0)
        for k in range(count):
            Image.fromarray(rng.integers(60, 250, (64, 64, 3), np.uint8)).save(folder / f"{k:03d}.png")
        return folder

    return write


@pytest.fixture
def begin(slicer, tmp_path):
    """A function that begins to segment a folder; the run adds a text node with the number of frames."""
    from FaithfulImagingLib.job_run import JobRun

    class FramesRun(JobRun):
        def _take(self, report):
            node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode", "frames")
            node.SetText(str(report["frames"]))

    runs = []

    def start(folder, needs=(), model="colon-folds"):
        job = {"job": "segment-folds", "input": str(folder), "output": str(tmp_path / "out"), "model": model}
        runs.append(FramesRun(job, sys.executable, needs))
        return runs[-1]

    yield start
    for run in runs:
        run.stop()


def working(run):
    """Until the worker has done something."""
    until(lambda: polled(run) or run.fraction > 0)
    assert run.running
    return run.task.worker.pid


def test_what_a_job_gives_comes_into_the_scene(slicer, begin, pictures):
    run = begin(pictures(3))
    until(lambda: polled(run))
    assert run.error is None
    assert slicer.util.getNode("frames").GetText() == "3"
    assert run.status == "Done."
    assert run.fraction == 1
    assert run.report["frames"] == 3


def test_a_bad_job_ends_with_its_remedy_and_changes_nothing(slicer, begin, tmp_path):
    run = begin(tmp_path / "nowhere")
    until(lambda: polled(run))
    assert run.report is None
    assert "nowhere" in run.error.message
    assert run.error.remedy
    assert run.status == str(run.error)
    assert not slicer.util.getNodesByClass("vtkMRMLTextNode")


def cancel(run, slicer, node):
    run.cancel()
    assert run.status == "Cancelling..."


def take_the_node(run, slicer, node):
    slicer.mrmlScene.RemoveNode(node)


def close_the_scene(run, slicer, node):
    slicer.mrmlScene.Clear(False)


@pytest.mark.parametrize(
    ("end", "status"),
    [
        (cancel, "Cancelled. Nothing was changed."),
        (take_the_node, "Stopped: colon was removed."),
        (close_the_scene, "Stopped: the scene was closed."),
    ],
)
def test_a_run_that_is_ended_early_leaves_no_process_and_no_node(slicer, begin, pictures, end, status):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", "colon")
    run = begin(pictures(150), [node])
    pid = working(run)
    end(run, slicer, node)
    until(lambda: polled(run))
    assert run.status == status
    assert run.error is None
    assert run.report is None
    assert not slicer.util.getNodesByClass("vtkMRMLTextNode")
    until(lambda: not process_alive(pid))


def test_stopping_ends_the_worker_at_once(slicer, begin, pictures):
    run = begin(pictures(150))
    pid = working(run)
    run.stop()
    assert not run.running
    assert not process_alive(pid)


@pytest.mark.parametrize(("seconds", "text"), [(None, "some time"), (0.2, "1 s"), (89, "89 s"), (125, "2 min 0 s")])
def test_durations_are_told_coarsely(slicer, seconds, text):
    from FaithfulImagingLib.text import durationText

    assert durationText(seconds) == text
