"""Make an offline bundle with pip's own client: what pip is told of indexes and proxies, it is told here as well."""

from __future__ import annotations

import os
import queue
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from inference_core.bundle.platforms import family, platform_tags, this_platform, this_python
from inference_core.bundle.sealed import Bundle, megabytes, seal
from inference_core.errors import Cancelled, UserError
from inference_core.scratch import scratch_folder, sweep_stale

REQUIREMENTS = ["onnxruntime>=1.20", "PyWavelets>=1.5"]
"""What the module needs and Slicer does not bring: the same lines as its requirements.txt."""

FOR_TORCH = ["torch>=2.2", "safetensors>=0.4"]
LOOK = 0.1  # seconds between two looks whether to stop


def make_bundle(
    out: Path,
    platform: str | None = None,
    python: str | None = None,
    torch: bool = False,
    say: Callable[[str], None] = print,
    cancelled: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Download the wheels for a computer, and write how to install them and their checksums beside them.

    Parameters
    ----------
    out : Path
        Folder to make; it appears when it is whole.
    platform, python : str, optional
        As :func:`inference_core.bundle.platforms.platform_tags` takes it, and as ``"3.12"``; default: this computer's.
    torch : bool
        With PyTorch as well.
    say : callable
        Gets pip's lines.
    cancelled : callable
        Asked some times a second.

    Returns
    -------
    dict
        ``folder``, ``platform``, ``python``, ``packages`` (their number), ``bytes``.

    Raises
    ------
    UserError
        ``platform``, ``python``, ``torch-elsewhere``, ``folder``, ``no-pip``, ``no-network``, ``no-wheel``,
        ``pip-failed``; nothing is left then.
    Cancelled
    """
    platform, python = platform or this_platform(), python or this_python()
    tags = platform_tags(platform)
    _check_python(python)
    if torch:
        _check_torch(platform, python)
    out = _check_folder(out)
    bundle = Bundle(platform, python, REQUIREMENTS + (FOR_TORCH if torch else []))
    try:
        packages, size = _make(bundle, tags, out, say, cancelled)
    except OSError as error:
        raise UserError(
            "folder",
            f"{out} could not be written: {error.strerror}.",
            "Name a folder where you may write, with space for the packages.",
        ) from error
    say(f"{packages} packages, {megabytes(size)}: {out}")
    return {"folder": str(out), "platform": platform, "python": python, "packages": packages, "bytes": size}


def run(job: dict[str, Any], emit: Callable[..., None], cancelled: Callable[[], bool]) -> dict[str, Any]:
    """Make a bundle as a job of the worker: ``output``, and optionally ``platform``, ``python``, ``torch``."""
    unknown = set(job) - {"job", "output", "platform", "python", "torch"}
    if unknown or "output" not in job:
        raise UserError("bad-job", "A bundle needs output, and takes platform, python, torch.", "Send these fields.")
    return make_bundle(
        Path(job["output"]),
        job.get("platform"),
        job.get("python"),
        bool(job.get("torch")),
        say=lambda line: emit("log", message=line),
        cancelled=cancelled,
    )


def _make(
    bundle: Bundle, tags: list[str], out: Path, say: Callable[[str], None], cancelled: Callable[[], bool]
) -> tuple[int, int]:
    """Make the folder aside and move it into place; number of packages, bytes of all files."""
    sweep_stale(out.parent)
    with scratch_folder(out.parent) as aside:
        folder = aside / "bundle"
        folder.mkdir()
        _download(bundle, tags, folder, say, cancelled)
        size = seal(folder, bundle)
        packages = len(list(folder.glob("*.whl")))
        if out.exists():  # and empty
            out.rmdir()
        folder.rename(out)
    return packages, size


def _check_python(python: str) -> None:
    if not re.fullmatch(r"3\.\d{1,2}", python):
        raise UserError("python", f"There is no Python {python!r}.", "Slicer 5.10 and newer have 3.12.")


def _check_torch(platform: str, python: str) -> None:
    """Pip follows PyTorch's lists of what it needs for the computer it runs on, not for the one that is meant."""
    here = (family(this_platform()), this_python())
    if (family(platform), python) != here:
        raise UserError(
            "torch-elsewhere",
            f"PyTorch for {platform} and Python {python} cannot be gathered on {' with Python '.join(here)}.",
            "Make the bundle on a computer like the one it is for, in Slicer itself, or leave PyTorch out.",
        )


def _check_folder(out: Path) -> Path:
    out = out.resolve()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError("folder", f"{out} is not an empty folder.", "Name a new folder, or an empty one.")
    if not out.parent.is_dir():
        raise UserError("folder", f"There is no folder {out.parent}.", "Make it first, or name another.")
    return out


def _download(
    bundle: Bundle, tags: list[str], folder: Path, say: Callable[[str], None], cancelled: Callable[[], bool]
) -> None:
    command = [sys.executable, "-m", "pip", "download", "--only-binary=:all:", "--dest", str(folder)]
    command += ["--python-version", bundle.python, *(part for tag in tags for part in ("--platform", tag))]
    quiet = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1", "PIP_PROGRESS_BAR": "off"}
    process = subprocess.Popen(
        [*command, *bundle.requirements],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        env={**os.environ, **quiet, "PYTHONUTF8": "1"},
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )
    try:
        lines = _listen(process, say, cancelled)
    finally:
        process.kill()
        process.wait()
    if process.returncode:
        raise _failure(bundle, lines)


def _listen(process: subprocess.Popen[str], say: Callable[[str], None], cancelled: Callable[[], bool]) -> list[str]:
    """Hand on what pip says until it ends, and wait for it."""
    assert process.stdout is not None
    heard: queue.Queue[str | None] = queue.Queue()
    threading.Thread(target=_read, args=(process.stdout, heard), daemon=True).start()
    lines: list[str] = []
    while True:
        if cancelled():
            raise Cancelled
        try:
            line = heard.get(timeout=LOOK)
        except queue.Empty:
            continue
        if line is None:
            process.wait()
            return lines
        lines.append(line)
        if line.lstrip().startswith(("Collecting", "Downloading", "Using cached", "ERROR")):
            say(_without_address(line.strip()))


def _read(stream: IO[str], heard: queue.Queue[str | None]) -> None:
    for line in stream:
        heard.put(line.rstrip())
    heard.put(None)


def _without_address(line: str) -> str:
    """An index's address may hold a password."""
    return re.sub(r"\S*://\S*/", "", line)


def _failure(bundle: Bundle, lines: list[str]) -> UserError:
    text = "\n".join(lines)
    errors = [_without_address(line.removeprefix("ERROR: ")) for line in lines if line.startswith("ERROR: ")]
    if "No module named pip" in text:
        return UserError("no-pip", "This Python has no pip.", "Install it: python -m ensurepip.")
    if re.search(r"Retrying \(|ProxyError|SSLError|ConnectTimeout|NewConnectionError", text):
        return UserError(
            "no-network",
            "pip could not reach its package index.",
            "Connect the computer. Behind a proxy or with an index of your own, tell pip as usual (pip config, or"
            " PIP_PROXY, PIP_INDEX_URL, PIP_CERT in the environment), and try again.",
        )
    if "No matching distribution" in text or "ResolutionImpossible" in text:
        return UserError(
            "no-wheel",
            f"There are no packages for {bundle.platform} with Python {bundle.python}: {' '.join(errors[:1])}",
            "Name another --python or a later version of the platform; if pip has an index of your own, look there.",
        )
    said = " ".join(errors or lines[-2:]) or "it said nothing."
    return UserError("pip-failed", f"pip could not download: {said}", "Mend that, and try again.")
