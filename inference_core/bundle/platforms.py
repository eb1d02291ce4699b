"""The computers that a bundle can be made for, by the names that wheels carry."""

from __future__ import annotations

import platform as this_computer
import re
import sys
import sysconfig

from inference_core.errors import UserError

EXAMPLES = ("win_amd64", "manylinux_2_28_x86_64", "macosx_14_0_arm64", "macosx_14_0_x86_64")
OLD_LINUX_NAMES = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
"""What manylinux_2_N was called before it was named by glibc's version; wheels carry either."""


def platform_tags(platform: str) -> list[str]:
    """Names of the wheels that this platform takes, best first.

    Parameters
    ----------
    platform : str
        As in :data:`EXAMPLES`, with any version.

    Raises
    ------
    UserError
        ``platform``.
    """
    if platform == "win_amd64" or re.fullmatch(r"macosx_1\d_\d+_(arm64|x86_64)", platform):
        return [platform]  # of macOS pip knows the earlier versions by itself
    linux = re.fullmatch(r"manylinux_2_(\d+)_(x86_64|aarch64)", platform)
    if not linux or int(linux[1]) < min(OLD_LINUX_NAMES):
        raise UserError(
            "platform",
            f"There is no platform {platform!r}.",
            f"Choose one of these; the versions may differ: {', '.join(EXAMPLES)}.",
        )
    tags = []
    for minor in range(int(linux[1]), min(OLD_LINUX_NAMES) - 1, -1):
        names = [f"manylinux_2_{minor}", *filter(None, [OLD_LINUX_NAMES.get(minor)])]
        tags += [f"{name}_{linux[2]}" for name in names]
    return tags


def family(platform: str) -> str:
    """System and processor without the version, e.g. ``"macosx arm64"``."""
    platform_tags(platform)  # refuses what it does not know
    system = re.match(r"[a-z]+", platform)
    assert system
    processor = re.search(r"(amd64|x86_64|arm64|aarch64)$", platform)
    assert processor
    return f"{system[0]} {processor[0]}"


def this_platform() -> str:
    """The platform of this interpreter; on Linux the oldest that Slicer runs on.

    Raises
    ------
    UserError
        ``platform``, where there is no Slicer for it.
    """
    processor = this_computer.machine()
    if sys.platform == "darwin":
        version = int(this_computer.mac_ver()[0].split(".")[0])
        name = f"macosx_{max(version, 11)}_0_{processor}"
    elif sys.platform == "win32":
        name = sysconfig.get_platform().replace("-", "_")
    else:
        name = f"manylinux_2_28_{processor}"
    platform_tags(name)
    return name


def this_python() -> str:
    """Version of this interpreter, as in the names of wheels: ``"3.12"``."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"
