"""Get the Python packages that the worker needs and Slicer lacks, and be rid of them; nothing without asking."""

import importlib.util
import subprocess
from importlib import metadata
from pathlib import Path

import slicer
from slicer.i18n import tr as _

from inference_core.bundle.sealed import Bundle, check_fits, name_of, open_bundle
from inference_core.errors import UserError

REQUIREMENTS = Path(__file__).parents[1] / "Resources" / "requirements.txt"
FOR_TORCH = ["safetensors>=0.4"]
TITLE = "Low-Dose CT Denoising"


def purpose(requirement: str) -> str:
    """What a package is for, and how large its download is; empty where it is none of the module's own."""
    return {
        "onnxruntime": _("runs the denoising network on the processor; 17 to 28 MB"),
        "PyWavelets": _("the wavelet split that keeps the CT numbers; 5 MB"),
        "safetensors": _("reads the network's weights for PyTorch; below 1 MB"),
        "torch": _("PyTorch, runs the network on a GPU; 0.1 to 3 GB"),
    }.get(name_of(requirement), "")


def ensurePackages(requirements: Path, engine: str, device: str = "auto") -> None:
    """Install what is missing from pip's package index, after saying what and why, and asking.

    Parameters
    ----------
    requirements : Path
        The module's requirements.txt.
    engine, device : str
        The engine ``"torch"``, and any device but the CPU, need PyTorch instead of onnxruntime.

    Raises
    ------
    UserError
        ``missing-package`` where the user declined or something is still missing.
    """
    if _needsTorch(engine, device):
        _ensureTorch()
    missing = _missing(requirements, engine, device)
    if not missing:
        return
    try:
        _install(missing)
    except (RuntimeError, OSError, subprocess.CalledProcessError) as error:  # pip failed
        raise _stillMissing(missing) from error
    if not all(map(_installed, missing)):  # in testing mode nothing is installed
        raise _stillMissing(missing)


def checkPackages(engine: str, device: str) -> None:
    """Refuse to start where a package is missing; nothing is asked and nothing installed.

    Raises
    ------
    UserError
        ``missing-package``.
    """
    missing = _missing(REQUIREMENTS, engine, device)
    if _needsTorch(engine, device) and not _found("torch"):
        missing.append("torch")
    elif engine == "auto" and _found("torch") and all(map(_installed, FOR_TORCH)):  # does without onnxruntime
        missing = [line for line in missing if not line.startswith("onnxruntime")]
    if missing:
        raise _stillMissing(missing)


def checkFolder(folder: Path) -> Bundle:
    """Check a bundle's checksums, and that it is for this computer; takes seconds, and needs no main thread.

    Raises
    ------
    UserError
        ``no-bundle``, ``checksum``, ``wrong-platform``.
    """
    bundle = open_bundle(folder)
    check_fits(bundle)
    return bundle


def installFromFolder(folder: Path, bundle: Bundle) -> str:
    """Install what is missing from a folder that :func:`checkFolder` found good, after asking; no network is used.

    Returns
    -------
    str
        What came of it, for the user.

    Raises
    ------
    UserError
        ``install-failed``.
    """
    missing = [line for line in bundle.requirements if not _installed(line)]
    if not missing:
        return _("All that this folder holds is installed already.")
    text = _(
        "These Python packages, and the small ones they need, will be installed into Slicer's own Python:\n\n{packages}"
        "\n\nfrom {folder}. Its checksums are right; no network is used."
    ).format(packages=_listed(missing), folder=folder)
    if not slicer.util.confirmOkCancelDisplay(text, windowTitle=TITLE):
        return _("Nothing was installed. Choose the folder once more when you want to.")
    try:
        slicer.util.pip_install(["--no-index", "--find-links", str(folder), "--only-binary=:all:", *missing])
    except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
        raise _installFailed(folder, missing) from error
    importlib.invalidate_caches()
    missing = [line for line in missing if not _installed(line)]
    if missing:
        raise _installFailed(folder, missing)
    return _("Installed from the folder. You can denoise now.")


def installedPackages() -> dict[str, str | None]:
    """The packages that may be installed for this module, and their versions; None: not installed."""
    requirements = [*_wanted(REQUIREMENTS), *FOR_TORCH, "torch"]
    return {name: _version(name) for name in map(name_of, requirements)}


def uninstall() -> str:
    """Take away what this module had installed, after asking; what comes with Slicer and PyTorch stay.

    Returns
    -------
    str
        What came of it, for the user.

    Raises
    ------
    UserError
        ``uninstall-failed``.
    """
    names = [name for name in map(name_of, _wanted(REQUIREMENTS)) if _version(name)]
    if not names:
        return _("There is nothing to uninstall.")
    text = _(
        "{packages} will be taken out of Slicer's own Python. Other extensions that use them will miss them; this"
        " module asks for them again on the next Apply. The small packages that came with them stay."
    ).format(packages=", ".join(names))
    if not slicer.util.confirmOkCancelDisplay(text, windowTitle=TITLE):
        return _("Nothing was uninstalled.")
    try:
        slicer.util.pip_uninstall(names)
    except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
        raise UserError(
            "uninstall-failed",
            _("{packages} could not be uninstalled.").format(packages=", ".join(names)),
            _("Restart Slicer, and before opening this module, in the Python console: {command}.").format(
                command=f"slicer.util.pip_uninstall({' '.join(names)!r})"
            ),
        ) from error
    return _("Uninstalled: {packages}. Restart Slicer to finish.").format(packages=", ".join(names))


def _needsTorch(engine: str, device: str) -> bool:
    return engine == "torch" or (engine == "auto" and device not in ("auto", "cpu"))


def _missing(requirements: Path, engine: str, device: str) -> list[str]:
    wanted = _wanted(requirements)
    if _needsTorch(engine, device):
        wanted = [line for line in wanted if not line.startswith("onnxruntime")] + FOR_TORCH
    return [line for line in wanted if not _installed(line)]


def _wanted(requirements: Path) -> list[str]:
    return [line for line in requirements.read_text(encoding="utf-8").splitlines() if line and line[0] not in "#-"]


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _found(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def _installed(requirement: str) -> bool:
    try:
        from slicer.packaging import pip_check
    except ImportError:  # Slicer 5.10
        return _version(name_of(requirement)) is not None
    return pip_check(requirement)


def _install(missing: list[str]) -> None:
    text = _(
        "To denoise, the module needs Python packages that Slicer does not bring:\n\n{packages}\n\n"
        "They and the small packages they need (below 10 MB) are downloaded once from the Python package index that pip"
        " is set to, and installed into Slicer's own Python (up to 120 MB on disk). No image and nothing about you is"
        " sent, and denoising itself uses no network.\n\n"
        "Without a network: Cancel, and use Installation > Install from folder. To be rid of them later: Installation"
        " > Uninstall."
    ).format(packages=_listed(missing))
    if not slicer.util.confirmOkCancelDisplay(text, windowTitle=TITLE):
        raise _stillMissing(missing)
    try:
        from slicer.packaging import pip_ensure
    except ImportError:  # Slicer 5.10
        slicer.util.pip_install(missing)
        return
    pip_ensure(missing, requester="LowDoseDenoise", prompt_install=False)


def _listed(requirements: list[str]) -> str:
    return "\n".join(f"- {line}: {purpose(line)}" if purpose(line) else f"- {line}" for line in requirements)


def _ensureTorch() -> None:
    if _found("torch"):
        return
    try:
        import PyTorchUtils
    except ImportError as error:
        raise UserError(
            "missing-package",
            _("The chosen engine or device needs PyTorch, and PyTorch is not installed."),
            _("Install the PyTorch extension (Extensions Manager) and restart Slicer, or choose Automatic."),
        ) from error
    if PyTorchUtils.PyTorchUtilsLogic().installTorch(askConfirmation=True) is None:
        raise _stillMissing(["torch"])


def _stillMissing(missing: list[str]) -> UserError:
    return UserError(
        "missing-package",
        _("These Python packages are missing: {packages}.").format(packages=", ".join(missing)),
        _(
            "Press Apply in the panel and confirm. Without a network, use Installation > Install from folder. Or, in"
            " Slicer's Python console: {command}."
        ).format(command=f"slicer.util.pip_install({' '.join(missing)!r})"),
    )


def _installFailed(folder: Path, missing: list[str]) -> UserError:
    return UserError(
        "install-failed",
        _("{packages} could not be installed from {folder}.").format(packages=", ".join(missing), folder=folder),
        _(
            "Slicer's Python console says why. Restart Slicer and try again before opening another extension; if a"
            " package is missing there, make the folder anew: inference-core bundle."
        ),
    )
