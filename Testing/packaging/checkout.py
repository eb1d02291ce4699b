"""What the packaging tests know of the checkout."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHARED = ("FaithfulImagingLib",)
"""Folders of what the Slicer modules have in common."""
MODULES = ("LowDoseDenoise", "ColonFoldSim2Real")
"""Folders of the Slicer modules that the extension lists."""


def files(*folders: str) -> list[Path]:
    """Files of the project below ROOT, relative to it: what git holds, and what is new and not ignored."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run([*command, "--", *folders], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    found = sorted({Path(name) for name in listed.split("\0") if name})
    return [file for file in found if (ROOT / file).is_file()]


def module_scripts() -> list[Path]:
    """Every .py file that Slicer's Python runs, relative to ROOT."""
    return [file for file in files(*SHARED, *MODULES) if file.suffix == ".py"]
