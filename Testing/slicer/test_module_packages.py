"""Missing packages are asked for, and what then is still missing is said."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest

REQUIREMENTS = Path(__file__).parents[2] / "LowDoseDenoise" / "Resources" / "requirements.txt"


@pytest.fixture
def packaging(slicer, monkeypatch):
    """Slicer's packaging module with a made set of installed packages."""
    module = types.ModuleType("slicer.packaging")
    module.installed, module.asked = {"PyWavelets", "onnxruntime"}, []
    module.pip_check = lambda requirement: requirement.split(">")[0] in module.installed

    def pip_ensure(missing, requester):
        module.asked.append(list(missing))
        if module.answer == "decline":
            raise RuntimeError("User declined package installation")
        if module.answer == "accept":
            module.installed.update(requirement.split(">")[0] for requirement in missing)

    module.pip_ensure = pip_ensure
    monkeypatch.setitem(sys.modules, "slicer.packaging", module)
    return module


def test_nothing_is_asked_when_all_is_there(packaging):
    from LowDoseDenoiseLib.install import ensurePackages

    ensurePackages(REQUIREMENTS, "auto")
    assert packaging.asked == []


def test_missing_package_is_installed_after_asking(packaging):
    from LowDoseDenoiseLib.install import ensurePackages

    packaging.installed, packaging.answer = {"PyWavelets"}, "accept"
    ensurePackages(REQUIREMENTS, "auto")
    assert [missing[0].split(">")[0] for missing in packaging.asked] == ["onnxruntime"]


@pytest.mark.parametrize("answer", ["decline", "testing mode"])
def test_what_is_still_missing_is_said(packaging, answer):
    from LowDoseDenoiseLib.install import ensurePackages

    from inference_core.errors import UserError

    packaging.installed, packaging.answer = set(), answer
    with pytest.raises(UserError, match=r"onnxruntime.*PyWavelets") as refused:
        ensurePackages(REQUIREMENTS, "auto")
    assert refused.value.code == "missing-package"
    assert refused.value.remedy


def test_torch_without_its_extension_is_refused_with_a_remedy(packaging, monkeypatch):
    from LowDoseDenoiseLib import install

    from inference_core.errors import UserError

    monkeypatch.setattr(install.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="PyTorch") as refused:
        install.ensurePackages(REQUIREMENTS, "torch")
    assert "PyTorch extension" in refused.value.remedy


def test_torch_needs_no_onnxruntime(packaging, monkeypatch):
    from LowDoseDenoiseLib import install

    packaging.installed, packaging.answer = {"PyWavelets"}, "accept"
    monkeypatch.setattr(install.importlib.util, "find_spec", lambda name: True)
    install.ensurePackages(REQUIREMENTS, "torch")
    assert [missing[0].split(">")[0] for missing in packaging.asked] == ["safetensors"]


@pytest.mark.parametrize(
    ("engine", "device", "installed", "torch", "named"),
    [
        ("auto", "auto", {"PyWavelets"}, False, "onnxruntime"),
        ("auto", "cuda", {"PyWavelets", "safetensors"}, False, "torch"),
        ("torch", "cpu", {"PyWavelets"}, True, "safetensors"),
        ("onnxruntime", "cpu", {"PyWavelets", "safetensors"}, True, "onnxruntime"),
    ],
)
def test_scripts_are_told_what_is_missing(packaging, logic, ct, monkeypatch, engine, device, installed, torch, named):
    from LowDoseDenoiseLib import install

    from inference_core.errors import UserError

    packaging.installed = installed
    monkeypatch.setattr(install, "_found", lambda name: torch)
    with pytest.raises(UserError, match=named) as refused:
        logic.denoise(ct(), engine=engine, device=device)
    assert refused.value.code == "missing-package"
    assert "pip_install" in refused.value.remedy
    assert logic.run is None
    assert packaging.asked == []


def test_torch_alone_is_enough_for_automatic(packaging, monkeypatch):
    from LowDoseDenoiseLib import install

    packaging.installed = {"PyWavelets", "safetensors"}
    monkeypatch.setattr(install, "_found", lambda name: True)
    install.checkPackages("auto", "auto")


def test_slicer_5_10_asks_and_installs_by_itself(slicer, monkeypatch):
    from importlib import metadata

    from LowDoseDenoiseLib.install import ensurePackages

    monkeypatch.setitem(sys.modules, "slicer.packaging", None)  # importing it fails, as there
    installed, version = set(), metadata.version

    def versions(name):
        if name == "onnxruntime" and name not in installed:
            raise metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(metadata, "version", versions)
    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", lambda text: "onnxruntime" in text)
    monkeypatch.setattr(slicer.util, "pip_install", lambda missing: installed.update(["onnxruntime"]), raising=False)
    ensurePackages(REQUIREMENTS, "auto")
    assert installed == {"onnxruntime"}
