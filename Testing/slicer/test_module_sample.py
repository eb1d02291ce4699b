"""The sample in the Sample Data module: no network, loaded with its ROIs, and a failure is told."""

from __future__ import annotations

import sys
import types
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

MODULE = Path(__file__).parents[2] / "LowDoseDenoise"


@pytest.fixture
def sample(slicer, monkeypatch):
    """The module's sample, with two slices so that it takes seconds, in a Slicer that loads files."""
    from LowDoseDenoiseLib import sample

    told = []

    @contextmanager
    def display(message):
        try:
            yield
        except Exception as error:
            told.append(f"{message} {error}")
            raise

    def load_volume(path):
        return slicer.modules.volumes.logic().AddArchetypeVolume(path, Path(path).stem, 0)

    monkeypatch.setattr(sample, "MAKE", sample.MAKE.replace("temporal_bone()", "temporal_bone(slices=2)"))
    monkeypatch.setattr(slicer, "app", types.SimpleNamespace(processEvents=lambda: None), raising=False)
    monkeypatch.setattr(slicer.util, "tryWithErrorDisplay", display)
    monkeypatch.setattr(slicer.util, "showStatusMessage", lambda text: None)
    monkeypatch.setattr(slicer.util, "loadVolume", load_volume)
    monkeypatch.setattr(slicer.util, "loadMarkups", slicer.modules.markups.logic().LoadMarkups)
    sample.told = told
    return sample


def test_the_sample_is_loaded_with_rois_that_can_be_measured(sample, slicer):
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "the user's own")
    volume, *rois = sample.makeTemporalBone()
    voxels = slicer.util.arrayFromVolume(volume)
    assert voxels.dtype == np.int16
    assert voxels.min() == -1024
    assert {roi.GetName() for roi in rois} == {"brain", "air", "soft tissue", "cavity", "bone"}
    bounds = np.zeros(6)
    volume.GetRASBounds(bounds)
    for roi in rois:
        centre = np.array(roi.GetCenter())
        assert (bounds[::2] <= centre).all()
        assert (centre <= bounds[1::2]).all()
    assert volume.GetStorageNode() is None, "its file is gone; it is saved with the scene"


def test_a_failure_is_told_with_the_remedy(sample, monkeypatch):
    from inference_core.errors import UserError

    monkeypatch.setattr(sample, "MAKE", "raise OSError(28, 'No space left on device')")
    with pytest.raises(UserError):
        sample.makeTemporalBone()
    (text,) = sample.told
    assert "No space left on device" in text
    assert "100 MB" in text


def test_the_sample_is_offered_with_a_picture_and_without_an_address(slicer, monkeypatch):
    from LowDoseDenoiseLib.sample import registerTemporalBone

    offered = {}
    logic = types.SimpleNamespace(registerCustomSampleDataSource=lambda **source: offered.update(source))
    monkeypatch.setitem(sys.modules, "SampleData", types.SimpleNamespace(SampleDataLogic=logic))
    registerTemporalBone(MODULE / "Resources" / "Icons" / "TemporalBone.png")
    assert Path(offered["thumbnailFileName"]).read_bytes().startswith(b"\x89PNG")
    assert not offered["uris"]
    assert callable(offered["customDownloader"])
