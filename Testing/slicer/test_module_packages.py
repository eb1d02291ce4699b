"""Missing packages are asked for, and what then is still missing is said."""

from __future__ import annotations

import subprocess
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

    def pip_ensure(missing, requester, prompt_install):
        assert not prompt_install, "the user was asked already"
        if module.answer == "no network":
            raise subprocess.CalledProcessError(1, "pip")
        if module.answer == "accept":
            module.installed.update(requirement.split(">")[0] for requirement in missing)

    def confirm(text, windowTitle):
        module.asked.append(text)
        return module.answer != "decline"

    def pip_install(arguments):
        module.pip_arguments = arguments
        pip_ensure([argument for argument in arguments if ">" in argument], "", False)

    module.pip_ensure = pip_ensure
    monkeypatch.setitem(sys.modules, "slicer.packaging", module)
    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", confirm)
    monkeypatch.setattr(slicer.util, "pip_install", pip_install, raising=False)
    return module


def test_nothing_is_asked_when_all_is_there(packaging):
    from LowDoseDenoiseLib.install import ensurePackages

    ensurePackages(REQUIREMENTS, "auto")
    assert packaging.asked == []


def test_missing_package_is_installed_after_asking(packaging):
    from LowDoseDenoiseLib.install import ensurePackages

    packaging.installed, packaging.answer = {"PyWavelets"}, "accept"
    ensurePackages(REQUIREMENTS, "auto")
    (text,) = packaging.asked
    assert "onnxruntime" in text
    assert "MB" in text
    assert "no network" in text
    assert "Uninstall" in text
    assert "PyWavelets" not in text
    assert packaging.installed == {"PyWavelets", "onnxruntime"}


@pytest.mark.parametrize("answer", ["decline", "testing mode", "no network"])
def test_what_is_still_missing_is_said(packaging, answer):
    from LowDoseDenoiseLib.install import ensurePackages

    from inference_core.errors import UserError

    packaging.installed, packaging.answer = set(), answer
    with pytest.raises(UserError, match=r"onnxruntime.*PyWavelets") as refused:
        ensurePackages(REQUIREMENTS, "auto")
    assert refused.value.code == "missing-package"
    assert "Install from folder" in refused.value.remedy
    assert packaging.installed == set()


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
    assert packaging.installed == {"PyWavelets", "safetensors"}


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
    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", lambda text, windowTitle: "onnxruntime" in text)
    monkeypatch.setattr(slicer.util, "pip_install", lambda missing: installed.update(["onnxruntime"]), raising=False)
    ensurePackages(REQUIREMENTS, "auto")
    assert installed == {"onnxruntime"}


@pytest.fixture
def bundle(tmp_path):
    """A folder as `inference-core bundle` makes it for this computer; its wheels hold nothing."""
    from inference_core.bundle.make import REQUIREMENTS as requirements
    from inference_core.bundle.platforms import this_platform, this_python
    from inference_core.bundle.sealed import Bundle, seal

    folder = tmp_path / "a bundle"
    folder.mkdir()
    for requirement in requirements:
        (folder / f"{requirement.split('>')[0]}-9.0-py3-none-any.whl").write_bytes(b"")
    seal(folder, Bundle(this_platform(), this_python(), requirements))
    return folder


def test_install_from_a_folder_needs_no_network(packaging, bundle):
    from LowDoseDenoiseLib.install import checkFolder, installFromFolder

    packaging.installed, packaging.answer = {"PyWavelets"}, "accept"
    text = installFromFolder(bundle, checkFolder(bundle))
    assert "Installed" in text
    assert packaging.installed == {"PyWavelets", "onnxruntime"}
    assert packaging.pip_arguments[:3] == ["--no-index", "--find-links", str(bundle)]
    assert not [argument for argument in packaging.pip_arguments if argument.startswith("PyWavelets")]
    assert "onnxruntime" in packaging.asked[0]


def test_a_folder_that_holds_nothing_new_asks_nothing(packaging, bundle):
    from LowDoseDenoiseLib.install import checkFolder, installFromFolder

    assert "already" in installFromFolder(bundle, checkFolder(bundle))
    assert packaging.asked == []


def test_a_declined_folder_installs_nothing_and_says_so(packaging, bundle):
    from LowDoseDenoiseLib.install import checkFolder, installFromFolder

    packaging.installed, packaging.answer = set(), "decline"
    assert "Nothing was installed" in installFromFolder(bundle, checkFolder(bundle))
    assert packaging.installed == set()


@pytest.mark.parametrize("answer", ["no network", "testing mode"])
def test_a_folder_that_pip_could_not_install_is_said_with_the_remedy(packaging, bundle, answer):
    from LowDoseDenoiseLib.install import checkFolder, installFromFolder

    from inference_core.errors import UserError

    packaging.installed, packaging.answer = set(), answer
    with pytest.raises(UserError, match=r"onnxruntime.*PyWavelets") as refused:
        installFromFolder(bundle, checkFolder(bundle))
    assert refused.value.code == "install-failed"
    assert "Restart Slicer" in refused.value.remedy


def test_a_changed_folder_is_refused(packaging, bundle):
    from LowDoseDenoiseLib.install import checkFolder

    from inference_core.errors import UserError

    (bundle / "onnxruntime-9.0-py3-none-any.whl").write_bytes(b"something else")
    with pytest.raises(UserError, match="onnxruntime-9") as refused:
        checkFolder(bundle)
    assert refused.value.code == "checksum"


def test_uninstall_takes_what_the_module_had_installed(packaging, slicer, monkeypatch):
    from LowDoseDenoiseLib import install

    taken = []
    monkeypatch.setattr(slicer.util, "pip_uninstall", taken.append, raising=False)
    packaging.answer = "accept"
    assert "Restart" in install.uninstall()
    assert taken == [["onnxruntime", "PyWavelets"]]
    assert "Other extensions" in packaging.asked[0]


def test_a_declined_uninstall_takes_nothing(packaging, slicer, monkeypatch):
    from LowDoseDenoiseLib import install

    taken = []
    monkeypatch.setattr(slicer.util, "pip_uninstall", taken.append, raising=False)
    packaging.answer = "decline"
    assert "Nothing" in install.uninstall()
    assert taken == []


def test_an_uninstall_that_fails_says_what_to_do(packaging, slicer, monkeypatch):
    from LowDoseDenoiseLib import install

    from inference_core.errors import UserError

    def fail(names):
        raise subprocess.CalledProcessError(1, "pip")

    monkeypatch.setattr(slicer.util, "pip_uninstall", fail, raising=False)
    packaging.answer = "accept"
    with pytest.raises(UserError, match="onnxruntime") as refused:
        install.uninstall()
    assert "Restart Slicer" in refused.value.remedy
