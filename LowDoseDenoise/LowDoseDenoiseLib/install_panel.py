"""The panel's section about Python packages: what is there, install from a folder, prepare a folder, uninstall."""

import contextlib
import logging
from concurrent.futures import Future
from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

from FaithfulImagingLib.background import giveTurn, inBackground
from FaithfulImagingLib.python import pythonExecutable
from inference_core.bundle.platforms import EXAMPLES, this_platform, this_python
from inference_core.bundle.sealed import megabytes
from inference_core.client import Worker
from inference_core.errors import UserError

from .install import TITLE, checkFolder, installedPackages, installFromFolder, uninstall

TICK = 100  # ms between two looks at what runs


class InstallPanel:
    """Runs one thing at a time beside the main thread, looked at by a timer of its own."""

    def __init__(self, ui) -> None:
        self.ui = ui
        self._worker: Worker | None = None
        self._cancelling = False
        self._folder: Path | None = None
        self._check: Future | None = None
        self._platforms = self._fillPlatforms()
        ui.installFolderButton.connect("clicked(bool)", self.onInstallFromFolder)
        ui.bundleButton.connect("clicked(bool)", self.onPrepareBundle)
        ui.uninstallButton.connect("clicked(bool)", self.onUninstall)
        ui.installationCollapsibleButton.connect("contentsCollapsed(bool)", self.onCollapsed)
        self.timer = qt.QTimer()
        self.timer.setInterval(TICK)
        self.timer.connect("timeout()", self.poll)
        self._show("")

    def stop(self) -> None:
        """End what runs, now; for when the panel goes away."""
        self.timer.stop()
        self._check = None
        if self._worker:
            self._worker.kill()
            self._worker.wait_ended(timeout=5)
            self._worker = None

    def onCollapsed(self, collapsed: bool) -> None:
        """Show what is installed when the section is opened."""
        if not collapsed:
            self._showPackages()

    def onInstallFromFolder(self) -> None:
        """Ask for a bundle, check it, and install it."""
        folder = _askFolder(_("Folder made by Prepare offline bundle"))
        if folder:
            self.installFrom(folder)

    def installFrom(self, folder: Path) -> None:
        """Check a bundle beside the main thread; :meth:`poll` then installs it."""
        self._folder = folder
        self._check = inBackground(checkFolder, folder)
        self._show(_("Checking the checksums of {folder}...").format(folder=folder))
        self.timer.start()

    def onPrepareBundle(self) -> None:
        """Ask where to, and make a bundle there; or cancel the one being made."""
        if self._worker:
            self._cancelling = True
            self._worker.cancel()
            self._show(_("Cancelling..."))
            return
        parent = _askFolder(_("Where to put the folder with the packages"))
        if parent:
            self.prepare(parent)

    def prepare(self, parent: Path) -> None:
        """Begin to make a bundle for the chosen platform in a new folder of its own."""
        platform = self._platforms[self.ui.bundlePlatformComboBox.currentIndex]
        output = parent / f"LowDoseDenoise-{platform}-python{this_python()}"
        job = {"job": "bundle", "output": str(output), "platform": platform, "python": this_python()}
        try:
            self._worker = Worker(job, pythonExecutable())
        except OSError as error:
            self._tell(UserError("no-python", str(error), _("Start Slicer by its launcher, or install it anew.")))
            return
        self._cancelling = False
        self._show(_("Asking the Python package index..."))
        self.timer.start()

    def onUninstall(self) -> None:
        """Take the packages away, after asking."""
        self._do(uninstall)

    def poll(self) -> None:
        """See what has come; takes some milliseconds."""
        giveTurn()
        if self._worker:
            for message in self._worker.messages():
                self._hear(message)
        if self._check and self._check.done():
            check, self._check = self._check, None
            self._do(lambda: installFromFolder(self._folder, check.result()))
        if not self._worker and not self._check:
            self.timer.stop()

    def _hear(self, message: dict) -> None:
        if message["type"] == "result":
            self._worker = None
            report = message["report"]
            self._show(
                _(
                    "{packages} packages, {size}, for {platform}: {folder}. Carry this folder to the other computer,"
                    " and press Install from folder there."
                ).format(**report, size=megabytes(report["bytes"]))
            )
        elif message["type"] == "error":
            self._worker = None
            if message["code"] == "cancelled":
                self._show(_("Cancelled. No folder was made."))
            else:
                self._tell(UserError(message["code"], message["message"], message["remedy"]))
        elif message["type"] == "log" and not self._cancelling:
            self._show(message["message"])

    def _do(self, action) -> None:
        try:
            self._show(action())
        except UserError as error:
            self._tell(error)
        except Exception as error:
            logging.error("LowDoseDenoise", exc_info=error)
            self._tell(UserError("internal", f"{type(error).__name__}: {error}", _("Please report it with the log.")))

    def _fillPlatforms(self) -> list[str]:
        names = [_("Windows"), _("Linux"), _("macOS, Apple silicon"), _("macOS, Intel")]
        platforms = dict(zip(EXAMPLES, names, strict=True))
        with contextlib.suppress(UserError):  # no Slicer for this computer; bundles for others can be made
            here = this_platform()
            platforms.pop(here, None)
            platforms = {here: _("This computer"), **platforms}
        self.ui.bundlePlatformComboBox.clear()
        for name in platforms.values():
            self.ui.bundlePlatformComboBox.addItem(name)
        return list(platforms)

    def _show(self, text: str) -> None:
        self.ui.installStatusLabel.text = text
        self.ui.installStatusLabel.visible = bool(text)
        busy = bool(self._worker or self._check)
        self.ui.installFolderButton.enabled = self.ui.uninstallButton.enabled = not busy
        self.ui.bundlePlatformComboBox.enabled = not busy
        self.ui.bundleButton.enabled = not self._check and not (self._worker and self._cancelling)
        self.ui.bundleButton.text = _("Cancel") if self._worker else _("Prepare offline bundle...")
        if not busy:
            self._showPackages()

    def _showPackages(self) -> None:
        packages = installedPackages()
        there = [f"{name} {version}" for name, version in packages.items() if version]
        missing = [name for name in ("onnxruntime", "PyWavelets") if not packages[name]]
        parts = [_("Installed: {packages}.").format(packages=", ".join(there))] if there else []
        if missing:
            parts.append(
                _("Missing: {packages}; Apply asks before it downloads them (some 30 MB).").format(
                    packages=", ".join(missing)
                )
            )
        parts.append(_("Denoising uses no network."))
        self.ui.packagesLabel.text = " ".join(parts)

    def _tell(self, error: UserError) -> None:
        self._show(str(error))
        slicer.util.warningDisplay(f"{error.message}\n\n{error.remedy}", windowTitle=TITLE)


def _askFolder(title: str) -> Path | None:
    path = qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), title)
    return Path(path) if path else None
