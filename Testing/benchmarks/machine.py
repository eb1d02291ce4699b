"""The machine that figures were taken on, in words: without it they mean nothing."""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("numpy", "PyWavelets", "onnxruntime", "torch", "SimpleITK", "scikit-image", "bm3d", "vtk", "av")
FLAGS = ("sse4_2", "avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_bf16", "asimd", "sve")


def cpu() -> dict[str, str]:
    """What Linux says of the first core; empty elsewhere."""
    found: dict[str, str] = {}
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines():
            name, _, value = line.partition(":")
            found[name.strip()] = value.strip()
    return found


def cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def machine() -> str:
    """A Markdown list."""
    core = cpu()
    flags = (core.get("flags") or core.get("Features") or "").split()
    name = core.get("model name") or platform.processor() or platform.machine()
    if "cpu family" in core:
        name += f" (family {core['cpu family']}, model {core['model']}, stepping {core['stepping']})"
    lines = [
        f"* CPU: {name}; {cores()} core{'s'[: cores() > 1]}; {platform.machine()}",
        f"* ISA: {', '.join(flag for flag in FLAGS if flag in flags) or 'not known'}",
        f"* {_memory()} of memory; {platform.system()}, {' '.join(platform.libc_ver())}",
        f"* Python {platform.python_version()}",
        f"* {', '.join(f'{one} {_version(one)}' for one in PACKAGES)}",
    ]
    return "\n".join(lines) + "\n"


def load() -> str:
    """Load average of the last minute, or nothing where there is none."""
    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "not known"


def _memory() -> str:
    try:
        return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"
    except (AttributeError, ValueError, OSError):
        return "not known"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
