"""ColonFoldSim2Real's long steps by real workers: from a surface to frames, their translation and their folds."""

import sys

import numpy as np
import pytest
from module_helpers import polled, until

for package in ("igl", "skimage", "scipy"):
    pytest.importorskip(package)

from inference_core.errors import UserError  # noqa: E402


@pytest.fixture
def logic(slicer):
    from ColonFoldSim2RealLib.logic import ColonFoldSim2RealLogic

    logic = ColonFoldSim2RealLogic()
    yield logic
    logic.stop()


@pytest.fixture
def colon(slicer, tmp_path):
    """A made piece of colon with exact folds, as the scene has it after Sample Data."""
    from ColonFoldSim2RealLib.folds import showColon
    from ColonFoldSim2RealLib.surface import readSurface
    from made_ringed_tube import ringed_tube

    from inference_core.simulation.colon.mesh.surface_files import write_surface

    write_surface(ringed_tube(), tmp_path / "tube.vtp")
    return showColon(readSurface(tmp_path / "tube.vtp"), "tube")


SETTINGS = {"frames": 6, "size": 96, "seed": 1, "appearance": "plain"}


def ended(run):
    until(lambda: polled(run), 120)
    return run


def loaded(folder, kind, browser=None):
    from ColonFoldSim2RealLib.frames import FramesLoader

    loader = FramesLoader(folder, kind, browser)
    until(lambda: polled(loader))
    return loader.browser


def test_from_a_surface_to_folds_found(slicer, logic, colon, tmp_path):
    from ColonFoldSim2RealLib.frames import DEPTH, FOLDS, FOUND, FRAMES, TRANSLATED
    from ColonFoldSim2RealLib.logic import datasetOf, foldOverlap
    from ColonFoldSim2RealLib.views import kindsOf

    made = ended(logic.makeFrames(colon, tmp_path, SETTINGS))
    assert made.error is None, made.error
    assert "6 frames" in made.status
    browser = loaded(made.folder, FRAMES)
    for kind in (DEPTH, FOLDS):
        loaded(made.folder, kind, browser)
    assert datasetOf(browser) == made.folder
    assert foldOverlap(browser) is None  # nothing was segmented yet
    translated = ended(logic.translate(browser, "plain-to-mucosa"))
    assert translated.error is None, translated.error
    assert "edges moved" in translated.status or translated.status == "Translated."
    loaded(translated.folder, TRANSLATED, browser)
    found = ended(logic.segment(translated.folder, "colon-folds", [browser]))
    assert found.error is None, found.error
    loaded(found.folder, FOUND, browser)
    overlaps = foldOverlap(browser)
    assert overlaps.shape == (6,)
    assert np.nanmean(overlaps) > 0.2  # rings in a straight tube are no colon's folds, and 96 pixels are few
    assert kindsOf(browser) == [FRAMES, TRANSLATED, FOLDS, FOUND]


def test_one_step_at_a_time(slicer, logic, colon, tmp_path):
    run = logic.makeFrames(colon, tmp_path, {**SETTINGS, "frames": 300})
    with pytest.raises(UserError) as error:
        logic.labelFolds(colon)
    assert error.value.code == "busy"
    run.cancel()
    ended(run)
    assert run.status == "Cancelled. Nothing was changed."


def test_closing_the_scene_stops_a_step(slicer, logic, colon, tmp_path):
    run = logic.makeFrames(colon, tmp_path, {**SETTINGS, "frames": 300})
    until(lambda: polled(run) or run.fraction > 0, 120)
    slicer.mrmlScene.Clear(False)
    ended(run)
    assert run.status == "Stopped: the scene was closed."
    assert run.report is None


def test_the_same_step_again_takes_another_folder(slicer, logic, colon, tmp_path):
    from ColonFoldSim2RealLib.logic import newFolder

    (tmp_path / "frames").mkdir()
    assert newFolder(tmp_path, "frames") == tmp_path / "frames 2"
    with pytest.raises(UserError) as error:
        newFolder(tmp_path / "nowhere", "frames")
    assert error.value.code == "no-folder"


def test_frames_that_are_gone_are_named(slicer, logic, tmp_path):
    with pytest.raises(UserError) as error:
        logic.translate(None, "plain-to-mucosa")
    assert error.value.code == "no-frames"
    with pytest.raises(UserError) as error:
        logic.segment(tmp_path / "film.mp4", "colon-folds", [])
    assert "film.mp4" in error.value.message


def test_the_worker_of_a_step_is_this_python(slicer):
    from FaithfulImagingLib.python import pythonExecutable

    assert pythonExecutable() == sys.executable


def test_the_sample_has_its_exact_folds(slicer, monkeypatch):
    import types
    from contextlib import nullcontext

    from ColonFoldSim2RealLib.folds import TABLE_REFERENCE
    from ColonFoldSim2RealLib.sample import makeColon

    monkeypatch.setattr(slicer, "app", types.SimpleNamespace(processEvents=lambda: None), raising=False)
    monkeypatch.setattr(slicer.util, "tryWithErrorDisplay", lambda text: nullcontext())
    monkeypatch.setattr(slicer.util, "showStatusMessage", lambda text: None)
    (colon,) = makeColon(seed=3)
    assert colon.GetNodeReference(TABLE_REFERENCE).GetNumberOfRows() == 60


@pytest.mark.parametrize("step", ["label", "translate", "segment", "export"])
@pytest.mark.parametrize("by", ["cancel", "closing"])
def test_a_step_that_is_stopped_leaves_the_scene_as_it_was(slicer, logic, colon, tmp_path, step, by):
    from ColonFoldSim2RealLib.frames import FOLDER_ATTRIBUTE, FRAMES, TRANSLATED, sequenceOf

    if step == "label":
        begin = lambda: logic.labelFolds(colon)  # noqa: E731
    else:
        made = ended(logic.makeFrames(colon, tmp_path, {**SETTINGS, "frames": 12}))
        browser = loaded(made.folder, FRAMES)
        if step == "export":
            loaded(made.folder, TRANSLATED, browser)
            sequenceOf(browser, TRANSLATED).SetAttribute(FOLDER_ATTRIBUTE, str(made.folder))
        begin = {
            "translate": lambda: logic.translate(browser, "plain-to-mucosa"),
            "segment": lambda: logic.segment(made.folder, "colon-folds", [browser]),
            "export": lambda: logic.exportTraining(browser, tmp_path),
        }[step]
    nodes = slicer.mrmlScene.GetNumberOfNodes()
    files = set(tmp_path.iterdir())
    run = begin()
    if by == "cancel":
        run.cancel()
        ended(run)
        assert run.status == "Cancelled. Nothing was changed."
        assert slicer.mrmlScene.GetNumberOfNodes() == nodes
    else:
        slicer.mrmlScene.Clear(False)
        ended(run)
        assert run.status == "Stopped: the scene was closed."
        assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLModelNode") == 0
    assert run.report is None
    assert not run.running
    assert set(tmp_path.iterdir()) == files


def test_a_step_that_was_done_when_it_was_cancelled_leaves_no_folder(slicer, logic, colon, tmp_path):
    files = set(tmp_path.iterdir())
    run = logic.makeFrames(colon, tmp_path, SETTINGS)
    run.task.outcome.result(timeout=120)
    assert run.folder.is_dir()
    run.cancel()
    ended(run)
    assert run.status == "Cancelled. Nothing was changed."
    assert set(tmp_path.iterdir()) == files
