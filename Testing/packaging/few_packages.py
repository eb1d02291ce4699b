"""A folder that holds a few installed packages and what they need, as a machine would that has no others."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement

SLICER_BRINGS = ("numpy", "SimpleITK", "pydicom", "pillow")
"""Of what the package uses; Slicer 5.10 to 5.13."""


def link_packages(folder: Path, requirements: Iterable[str]) -> Path:
    """Link the packages of these requirements into `folder`, for PYTHONPATH under ``python -S``."""
    folder.mkdir()
    left, linked = list(requirements), set()
    while left:
        requirement = Requirement(left.pop())
        wanted = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if not wanted or requirement.name.lower() in linked:
            continue
        linked.add(requirement.name.lower())
        found = distribution(requirement.name)
        left += found.requires or []
        for top in {file.parts[0] for file in found.files or []} - {"..", "__pycache__"}:
            link = folder / top
            if not link.exists():
                link.symlink_to(Path(str(found.locate_file(top))))
    return folder


def requirements_of(file: Path) -> list[str]:
    """The requirements that a requirements.txt lists."""
    lines = (line.strip() for line in file.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line and line[0] not in "#-"]
