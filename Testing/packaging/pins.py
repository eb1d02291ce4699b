"""What the project needs, and the versions that constraints.txt pins.

    python Testing/packaging/pins.py

names what is installed for the project and not pinned, or of another version; the exit status is 1 then.
"""

from __future__ import annotations

import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution

from checkout import ROOT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

RUN_TIME = "run time"
"""Stands beside the extras for what every installation gets."""
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def pins() -> dict[str, str]:
    """Version of each package, by its canonical name."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    named = (Requirement(line) for line in lines if line.strip() and not line.startswith("#"))
    return {canonicalize_name(one.name): next(iter(one.specifier)).version for one in named}


def groups() -> dict[str, list[Requirement]]:
    """Direct requirements of the run time and of each extra; those of an extra within an extra are its own."""
    extras = {name: [Requirement(line) for line in lines] for name, lines in PROJECT["optional-dependencies"].items()}

    def flat(requirements: list[Requirement]) -> list[Requirement]:
        found: list[Requirement] = []
        for one in requirements:
            own = one.name == PROJECT["name"]
            found += [inner for extra in sorted(one.extras) for inner in flat(extras[extra])] if own else [one]
        return found

    direct = {RUN_TIME: [Requirement(line) for line in PROJECT["dependencies"]]}
    return direct | {name: flat(requirements) for name, requirements in extras.items()}


def installed_packages(wanted: list[Requirement] | None = None) -> dict[str, str]:
    """Version of each package that is installed here and that these bring, however indirectly; by default any extra."""
    left = [one for requirements in groups().values() for one in requirements] if wanted is None else list(wanted)
    found: dict[str, str] = {}
    seen: set[str] = set()
    while left:
        requirement = left.pop()
        asked = [{"extra": extra} for extra in (*requirement.extras, "")]
        if str(requirement) in seen or (requirement.marker and not any(map(requirement.marker.evaluate, asked))):
            continue
        seen.add(str(requirement))
        try:
            package = distribution(requirement.name)
        except PackageNotFoundError:
            continue
        found[canonicalize_name(requirement.name)] = package.version
        for line in package.requires or []:
            inner = Requirement(line)
            if inner.marker is None or any(inner.marker.evaluate(one) for one in asked):
                inner.marker = None
                left.append(inner)
    return found


def not_pinned() -> list[str]:
    """Installed packages that constraints.txt does not name, or names in another version (a build's suffix aside)."""
    pinned = pins()
    wrong = []
    for name, version in sorted(installed_packages().items()):
        if name not in pinned:
            wrong.append(f"{name}=={Version(version).public} is installed and not pinned")
        elif Version(pinned[name]) != Version(Version(version).public):
            wrong.append(f"{name} is {version}, pinned is {pinned[name]}")
    return wrong


if __name__ == "__main__":
    said = not_pinned()
    print("\n".join(said) or f"All {len(installed_packages())} packages are pinned.")
    sys.exit(bool(said))
