"""A bundle as it lies in a folder: wheels, what they are for, how to install them, and the checksums of all of it."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from inference_core import __version__
from inference_core.bundle.platforms import family, this_platform, this_python
from inference_core.errors import UserError

SUMS = "SHA256SUMS"
CONTENT = "bundle.json"
INSTRUCTIONS = """\
Python packages for Faithful Imaging (LowDoseDenoise), version {version}
for {platform}, Python {python}: {count} packages, {size}.

In 3D Slicer: Low-Dose CT Denoising > Installation > Install from folder..., and choose this folder.
Slicer checks SHA256SUMS, asks, and installs; no network is used, and packages that Slicer has already stay.

By hand, in Slicer's Python console, FOLDER being this one:
    slicer.util.pip_install(["--no-index", "--find-links", r"FOLDER", {quoted}])

Without Slicer:
    sha256sum --check SHA256SUMS
    python -m pip install --no-index --find-links . {plain}

To be rid of them:
    slicer.util.pip_uninstall("{names}")
"""


@dataclass(frozen=True)
class Bundle:
    """What a bundle is for."""

    platform: str
    python: str
    requirements: list[str]
    """As pip takes them."""


def seal(folder: Path, bundle: Bundle) -> int:
    """Write INSTALL.txt, bundle.json and SHA256SUMS beside the wheels; the bytes of all files are returned."""
    wheels = sorted(folder.glob("*.whl"))
    text = INSTRUCTIONS.format(
        version=__version__,
        platform=bundle.platform,
        python=bundle.python,
        count=len(wheels),
        size=megabytes(sum(wheel.stat().st_size for wheel in wheels)),
        quoted=", ".join(f'"{line}"' for line in bundle.requirements),
        plain=" ".join(f'"{line}"' for line in bundle.requirements),
        names=" ".join(name_of(line) for line in bundle.requirements),
    )
    (folder / "INSTALL.txt").write_text(text, encoding="utf-8")
    content = {"version": __version__, **asdict(bundle)}
    (folder / CONTENT).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    files = sorted(folder.iterdir())
    sums = "".join(f"{_sha256(file)}  {file.name}\n" for file in files)
    (folder / SUMS).write_text(sums, encoding="utf-8", newline="\n")
    return sum(file.stat().st_size for file in files)


def open_bundle(folder: Path) -> Bundle:
    """Check each file of a bundle against its checksum, and read what the bundle is for.

    Raises
    ------
    UserError
        ``no-bundle``, ``checksum``.
    """
    try:
        sums = _sums((folder / SUMS).read_text(encoding="utf-8"))
        content = (folder / CONTENT).read_bytes()
    except (OSError, ValueError) as error:
        raise UserError(
            "no-bundle",
            f"{folder} holds no offline bundle: {SUMS} or {CONTENT} is missing or cannot be read.",
            "Choose a folder made by 'Prepare offline bundle' or by 'inference-core bundle'.",
        ) from error
    here = {file.name for file in folder.glob("*.whl")} | {CONTENT}  # pip would take a wheel that nobody vouches for
    wrong = sorted(here - set(sums)) + [name for name in sums if not _is(folder / name, sums[name])]
    if wrong:
        raise UserError(
            "checksum",
            f"{folder} is not as it was made: {', '.join(wrong)} is missing, changed or not listed in {SUMS}.",
            "Copy the folder once more from where it was made, or make it anew; install nothing from this one.",
        )
    fields = json.loads(content)
    return Bundle(fields["platform"], fields["python"], fields["requirements"])


def check_fits(bundle: Bundle) -> None:
    """Refuse a bundle for other computers than this one.

    Raises
    ------
    UserError
        ``wrong-platform``.
    """
    here, python = this_platform(), this_python()
    if (family(bundle.platform), bundle.python) != (family(here), python):
        raise UserError(
            "wrong-platform",
            f"This bundle is for {bundle.platform} and Python {bundle.python};"
            f" this computer is {here} with Python {python}.",
            "Make one for this system with 'Prepare offline bundle', or with:"
            f" inference-core bundle FOLDER --platform {here} --python {python}.",
        )


def name_of(requirement: str) -> str:
    """Of the package, without its version."""
    return re.split(r"[^\w.-]", requirement, maxsplit=1)[0]


def megabytes(size: int) -> str:
    """Bytes in words."""
    return f"{size / 1e6:.0f} MB" if size >= 1e6 else f"{size / 1e6:.2f} MB"


def _sums(text: str) -> dict[str, str]:
    """Checksum by file name."""
    pairs = [line.split("  ", 1) for line in text.splitlines()]
    if not all(re.fullmatch(r"[0-9a-f]{64}", pair[0]) and Path(pair[-1]).name == pair[-1] for pair in pairs):
        raise ValueError(SUMS)
    return {name: digest for digest, name in pairs}


def _is(file: Path, digest: str) -> bool:
    return file.is_file() and _sha256(file) == digest


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
