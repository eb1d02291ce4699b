"""Samples in the Sample Data module that are made on the spot: no network, no patient."""

import subprocess
import time
from pathlib import Path

import slicer
from slicer.i18n import tr as _

from inference_core.client import PACKAGE_PARENT
from inference_core.errors import UserError

from .python import pythonExecutable

CATEGORY = "FaithfulImaging"


def registerSample(name: str, thumbnail: Path, make) -> None:
    """Add a sample to the Sample Data module; ``make(source)`` puts it into the scene and returns its nodes."""
    import SampleData

    logic = SampleData.SampleDataLogic
    if hasattr(logic, "registerCustomSampleDataCategory"):  # Slicer 5.12
        logic.registerCustomSampleDataCategory(CATEGORY, title=_("Faithful Imaging"))
    logic.registerCustomSampleDataSource(
        category=CATEGORY,
        sampleName=name,
        thumbnailFileName=str(thumbnail),
        uris="",  # nothing is fetched
        fileNames="",
        customDownloader=make,
    )


def makeInProcess(code: str, path: Path, message: str, remedy: str, *arguments: str) -> None:
    """Run Python code that makes a file, in a process of its own; the application stays alive meanwhile.

    Parameters
    ----------
    code : str
        Finds the package's folder in ``sys.argv[1]``, the file to make in ``sys.argv[2]``, and ``arguments`` after it.
    path : Path
        The file to make, in a temporary folder.
    message : str
        In the status bar while it is made.
    remedy : str
        Where it fails.

    Raises
    ------
    UserError
        ``sample``.
    """
    command = [pythonExecutable(), "-c", code, str(PACKAGE_PARENT), str(path), *arguments]
    log = path.with_suffix(".log")
    slicer.util.showStatusMessage(message)
    try:
        with log.open("wb") as stream:
            process = subprocess.Popen(command, stderr=stream, creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0))
            while process.poll() is None:
                slicer.app.processEvents()
                time.sleep(0.02)
    finally:
        slicer.util.showStatusMessage("")
    if process.returncode:
        said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        text = _("The process that makes it ended with code {code}: {said}")
        raise UserError("sample", text.format(code=process.returncode, said="".join(said[-1:])), remedy)
