"""The section Installation makes, cancels and checks bundles beside the main thread; its widgets are stand-ins."""

from __future__ import annotations

import os
import socket
import sys
import types

import pytest
from module_helpers import until

NAMES = ("installationCollapsibleButton", "packagesLabel", "installStatusLabel", "installFolderButton",
         "uninstallButton", "bundleButton", "bundlePlatformComboBox")  # fmt: skip


class Widget:
    """Attributes, and what a combo box is filled by."""

    def __init__(self) -> None:
        self.text, self.enabled, self.visible, self.currentIndex, self.items = "", True, True, 0, []

    def connect(self, signal, slot) -> None:
        pass

    def addItem(self, text) -> None:
        self.items.append(text)

    def clear(self) -> None:
        self.items = []


class Timer(Widget):
    """Ticks when the test polls."""

    running = False

    def setInterval(self, milliseconds) -> None:
        assert milliseconds <= 100

    def start(self) -> None:
        self.running = True

    def stop(self) -> None:
        self.running = False


@pytest.fixture
def panel(slicer, monkeypatch):
    """The panel, and in ``told`` what it said in messages."""
    monkeypatch.setitem(sys.modules, "qt", types.SimpleNamespace(QTimer=Timer))
    monkeypatch.delitem(sys.modules, "LowDoseDenoiseLib.install_panel", raising=False)
    told = []
    monkeypatch.setattr(slicer.util, "warningDisplay", lambda text, windowTitle: told.append(text))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INPUT", "1")
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    from LowDoseDenoiseLib.install_panel import InstallPanel

    panel = InstallPanel(types.SimpleNamespace(**{name: Widget() for name in NAMES}))
    panel.told = told
    yield panel
    panel.stop()
    del sys.modules["LowDoseDenoiseLib.install_panel"]  # it holds the stand-in


def ended(panel) -> bool:
    """Tick once; whether nothing runs any more."""
    panel.poll()
    return not panel.timer.running


def test_it_says_what_is_installed(panel):
    assert "onnxruntime" in panel.ui.packagesLabel.text
    assert "Installed" in panel.ui.packagesLabel.text
    assert panel.ui.bundlePlatformComboBox.items[0] == "This computer"
    assert "Windows" in panel.ui.bundlePlatformComboBox.items


def test_what_is_missing_is_said_with_its_size(panel, monkeypatch):
    from LowDoseDenoiseLib import install_panel

    monkeypatch.setattr(install_panel, "installedPackages", lambda: {"onnxruntime": None, "PyWavelets": "1.8"})
    panel.onCollapsed(False)
    assert "Missing: onnxruntime" in panel.ui.packagesLabel.text
    assert "MB" in panel.ui.packagesLabel.text


def test_a_bundle_that_cannot_be_made_is_told_and_leaves_nothing(panel, tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    folder = tmp_path / "out"
    folder.mkdir()
    panel.prepare(folder)
    assert not panel.ui.installFolderButton.enabled
    until(lambda: ended(panel))
    (text,) = panel.told
    assert "onnxruntime" in text
    assert "--python" in text
    assert panel.ui.installFolderButton.enabled
    assert list(folder.iterdir()) == []


def test_a_bundle_can_be_cancelled(panel, tmp_path, monkeypatch):
    folder = tmp_path / "out"
    folder.mkdir()
    with socket.socket() as server:  # an index that never answers
        server.bind(("127.0.0.1", 0))
        server.listen(8)
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.getsockname()[1]}/simple")
        panel.prepare(folder)
        assert panel.ui.bundleButton.text == "Cancel"
        until(lambda: list(folder.iterdir()))
        panel.onPrepareBundle()
        until(lambda: ended(panel))
    assert "Cancelled" in panel.ui.installStatusLabel.text
    assert panel.ui.bundleButton.text != "Cancel"
    assert panel.told == []
    assert list(folder.iterdir()) == []


def test_a_panel_that_goes_away_leaves_nothing_running(panel, tmp_path, monkeypatch):
    folder = tmp_path / "out"
    folder.mkdir()
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(8)
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.getsockname()[1]}/simple")
        panel.prepare(folder)
        until(lambda: list(folder.iterdir()))
        panel.stop()
    assert list(folder.iterdir()) == []


def test_a_folder_that_is_no_bundle_is_told_with_the_remedy(panel, tmp_path):
    panel.installFrom(tmp_path)
    until(lambda: ended(panel))
    (text,) = panel.told
    assert str(tmp_path) in text
    assert "Prepare offline bundle" in text
    assert panel.ui.bundleButton.enabled
