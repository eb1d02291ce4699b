"""A real MRML scene with Slicer's real logics, from the slicer-core wheel; no application and no Qt."""

from __future__ import annotations

import sys
import tempfile
import types
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).resolve().parent
MODULES = ("LowDoseDenoise", "ColonFoldSim2Real")
sys.path[:0] = [str(HERE), *(str(HERE.parents[1] / folder) for folder in ("", *MODULES)), str(HERE.parent / "core")]

LOGICS = {  # logics find each other by these names
    "Volumes": "vtkSlicerVolumesLogic",
    "Markups": "vtkSlicerMarkupsLogic",
    "Tables": "vtkSlicerTablesLogic",
    "Transforms": "vtkSlicerTransformLogic",
    "Sequences": "vtkSlicerSequencesLogic",
    "SubjectHierarchy": "vtkSlicerSubjectHierarchyModuleLogic",
}


@pytest.fixture(scope="session")
def _slicer(tmp_path_factory):
    slicer = pytest.importorskip("slicer")
    if not hasattr(slicer, "vtkMRMLScene"):
        pytest.skip("this slicer is not slicer-core")
    for package in ("onnxruntime", "pywt", "SimpleITK"):
        pytest.importorskip(package)
    from module_standins import install

    scene = slicer.mrmlScene = slicer.vtkMRMLScene()
    application = slicer.vtkSlicerApplicationLogic()
    application.SetMRMLScene(scene)
    colors = application.GetColorLogic()
    colors.SetMRMLScene(scene)
    colors.AddDefaultColorNodes()
    application.SetModuleLogic("Colors", colors)
    remote = slicer.vtkMRMLRemoteIOLogic()  # without it no .mrb can be read
    remote.SetMRMLScene(scene)
    remote.SetMRMLApplicationLogic(application)
    remote.GetCacheManager().SetRemoteCacheDirectory(str(tmp_path_factory.mktemp("cache")))
    data = slicer.vtkDataIOManagerLogic()
    data.SetMRMLScene(scene)
    data.SetMRMLApplicationLogic(application)
    data.SetAndObserveDataIOManager(remote.GetDataIOManager())
    remote.AddDataIOToScene()
    modules = slicer.modules = sys.modules["slicer.modules"] = types.ModuleType("slicer.modules")
    for name, kind in LOGICS.items():
        logic = getattr(slicer, kind)()
        logic.SetMRMLApplicationLogic(application)
        application.SetModuleLogic(name, logic)
        logic.SetMRMLScene(scene)  # registers the module's node classes
        setattr(modules, name.lower(), types.SimpleNamespace(name=name, logic=lambda logic=logic: logic))
    slicer._kept = (application, remote, data)  # Python owns these
    install(slicer)
    return slicer


@pytest.fixture
def slicer(_slicer, tmp_path, monkeypatch):
    """Slicer with an empty scene; at the end no scratch folder may be left."""
    from inference_core.scratch import PREFIX

    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    monkeypatch.setenv("TMPDIR", str(scratch))
    _slicer.mrmlScene.Clear(False)
    yield _slicer
    _slicer.mrmlScene.Clear(False)
    assert not list(scratch.glob(f"{PREFIX}*"))


@pytest.fixture
def logic(slicer):
    from LowDoseDenoiseLib.logic import LowDoseDenoiseLogic

    logic = LowDoseDenoiseLogic()
    yield logic
    logic.stop()


@pytest.fixture
def ct(slicer):
    """A function that adds a noisy, oblique CT to the scene."""

    from module_helpers import OBLIQUE

    def add(dtype="int16", shape=(4, 64, 72), noise=60.0, ijkToRas=None, name="CT"):
        rng = np.random.default_rng(0)
        y, x = np.mgrid[-1 : 1 : shape[1] * 1j, -1 : 1 : shape[2] * 1j]
        body = -1000 + 1040 / (1 + np.exp(-30 * (1 - np.hypot(x / 0.8, y / 0.7))))
        voxels = np.broadcast_to(body, shape) + noise * rng.standard_normal((1, *shape[1:]))
        if np.dtype(dtype).kind in "iu":
            voxels = np.rint(voxels)
        matrix = OBLIQUE if ijkToRas is None else ijkToRas
        return slicer.util.addVolumeFromArray(voxels.astype(dtype), ijkToRAS=matrix, name=name)

    return add
