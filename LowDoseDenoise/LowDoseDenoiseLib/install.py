"""Get the Python packages that the worker needs and Slicer lacks; asked for on Apply, never before."""

import importlib.util
import subprocess
from pathlib import Path

import slicer
from slicer.i18n import tr as _

from inference_core.errors import UserError

FOR_TORCH = ["safetensors>=0.4"]


def ensurePackages(requirements: Path, engine: str) -> None:
    """Install what is missing, after asking.

    Parameters
    ----------
    requirements : Path
        The module's requirements.txt.
    engine : str
        ``"torch"`` needs PyTorch instead of onnxruntime.

    Raises
    ------
    UserError
        ``missing-package`` where the user declined or something is still missing.
    """
    wanted = [line for line in requirements.read_text(encoding="utf-8").splitlines() if line and line[0] not in "#-"]
    if engine == "torch":
        _ensureTorch()
        wanted = [line for line in wanted if not line.startswith("onnxruntime")] + FOR_TORCH
    missing = [line for line in wanted if not _installed(line)]
    if not missing:
        return
    try:
        _install(missing)
    except (RuntimeError, subprocess.CalledProcessError) as error:  # declined, or pip failed
        raise _stillMissing(missing) from error
    if not all(map(_installed, missing)):  # in testing mode nothing is installed
        raise _stillMissing(missing)


def _installed(requirement: str) -> bool:
    try:
        from slicer.packaging import pip_check
    except ImportError:  # Slicer 5.10
        from importlib.metadata import PackageNotFoundError, version

        try:
            return bool(version(requirement.split(">")[0]))
        except PackageNotFoundError:
            return False
    return pip_check(requirement)


def _install(missing: list[str]) -> None:
    try:
        from slicer.packaging import pip_ensure
    except ImportError:  # Slicer 5.10
        text = _("LowDoseDenoise needs Python packages that will be installed into Slicer:")
        if slicer.util.confirmOkCancelDisplay(f"{text}\n\n" + "\n".join(missing)):
            slicer.util.pip_install(missing)
        return
    pip_ensure(missing, requester="LowDoseDenoise")


def _ensureTorch() -> None:
    if importlib.util.find_spec("torch"):
        return
    try:
        import PyTorchUtils
    except ImportError as error:
        raise UserError(
            "missing-package",
            _("The PyTorch engine was chosen, but PyTorch is not installed."),
            _("Install the PyTorch extension (Extensions Manager) and restart Slicer, or choose another engine."),
        ) from error
    if PyTorchUtils.PyTorchUtilsLogic().installTorch(askConfirmation=True) is None:
        raise _stillMissing(["torch"])


def _stillMissing(missing: list[str]) -> UserError:
    return UserError(
        "missing-package",
        _("These Python packages are missing: {packages}.").format(packages=", ".join(missing)),
        _("Press Apply again and confirm, or install them in Slicer's Python console: slicer.util.pip_install(...)."),
    )
