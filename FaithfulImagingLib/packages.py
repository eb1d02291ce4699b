"""Python packages that a module's worker needs and Slicer lacks; nothing is installed without asking."""

import subprocess
from importlib import metadata
from pathlib import Path

import slicer
from slicer.i18n import tr as _

from inference_core.bundle.sealed import name_of
from inference_core.errors import UserError


def missingPackages(requirements: Path) -> list[str]:
    """The lines of a requirements.txt that are not fulfilled."""
    lines = requirements.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and line[0] not in "#-" and not _installed(line)]


def ensurePackages(requirements: Path, title: str) -> None:
    """Install what is missing from the package index that pip is set to, after saying what, and asking.

    Raises
    ------
    UserError
        ``missing-package`` where the user declined, or something is still missing.
    """
    missing = missingPackages(requirements)
    if not missing:
        return
    text = _(
        "This step needs Python packages that Slicer does not bring:\n\n{packages}\n\nThey are downloaded once from the"
        " Python package index that pip is set to, and installed into Slicer's own Python. Nothing about you or your"
        " data is sent, and the steps themselves use no network."
    ).format(packages="\n".join(f"- {line}" for line in missing))
    if slicer.util.confirmOkCancelDisplay(text, windowTitle=title):
        try:
            slicer.util.pip_install(missing)
        except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
            raise _stillMissing(missing) from error
    missing = missingPackages(requirements)
    if missing:
        raise _stillMissing(missing)


def _installed(requirement: str) -> bool:
    try:
        from slicer.packaging import pip_check
    except ImportError:  # Slicer 5.10
        try:
            metadata.version(name_of(requirement))
        except metadata.PackageNotFoundError:
            return False
        return True
    return pip_check(requirement)


def _stillMissing(missing: list[str]) -> UserError:
    return UserError(
        "missing-package",
        _("These Python packages are missing: {packages}.").format(packages=", ".join(missing)),
        _("Start the step again and confirm. Or, in Slicer's Python console: {command}.").format(
            command=f"slicer.util.pip_install({' '.join(missing)!r})"
        ),
    )
