"""Get the Python packages that the worker needs and Slicer lacks; asked for on Apply, never before."""

import importlib.util
import subprocess
from pathlib import Path

import slicer
from slicer.i18n import tr as _

from inference_core.errors import UserError

REQUIREMENTS = Path(__file__).parents[1] / "Resources" / "requirements.txt"
FOR_TORCH = ["safetensors>=0.4"]


def ensurePackages(requirements: Path, engine: str, device: str = "auto") -> None:
    """Install what is missing, after asking.

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
    except (RuntimeError, OSError, subprocess.CalledProcessError) as error:  # declined, or pip failed
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


def _needsTorch(engine: str, device: str) -> bool:
    return engine == "torch" or (engine == "auto" and device not in ("auto", "cpu"))


def _missing(requirements: Path, engine: str, device: str) -> list[str]:
    wanted = [line for line in requirements.read_text(encoding="utf-8").splitlines() if line and line[0] not in "#-"]
    if _needsTorch(engine, device):
        wanted = [line for line in wanted if not line.startswith("onnxruntime")] + FOR_TORCH
    return [line for line in wanted if not _installed(line)]


def _found(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


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
        _("Press Apply in the panel and confirm, or in Slicer's Python console: {command}.").format(
            command=f'slicer.util.pip_install({" ".join(missing)!r})'
        ),
    )
