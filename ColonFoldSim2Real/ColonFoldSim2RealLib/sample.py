"""The made colon in the Sample Data module: made on the spot, without network and without a patient."""

import subprocess
import tempfile
import time
from pathlib import Path

import slicer
from slicer.i18n import tr as _

from FaithfulImagingLib.python import pythonExecutable
from inference_core.client import PACKAGE_PARENT
from inference_core.errors import UserError

from .folds import showColon
from .surface import readSurface

CATEGORY = "FaithfulImaging"
NAME = "Colon"
MAKE = (
    "import sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path;"
    "from inference_core.simulation.colon.procedural.haustral_colon import haustral_colon;"
    "from inference_core.simulation.colon.mesh.surface_files import write_surface;"
    "write_surface(haustral_colon(int(sys.argv[3])), Path(sys.argv[2]))"
)


def registerColon(thumbnail: Path) -> None:
    """Add the sample to the Sample Data module."""
    import SampleData

    logic = SampleData.SampleDataLogic
    if hasattr(logic, "registerCustomSampleDataCategory"):  # Slicer 5.12
        logic.registerCustomSampleDataCategory(CATEGORY, title=_("Faithful Imaging"))
    logic.registerCustomSampleDataSource(
        category=CATEGORY,
        sampleName=NAME,
        thumbnailFileName=str(thumbnail),
        uris="",  # nothing is fetched
        fileNames="",
        customDownloader=makeColon,
    )


def makeColon(source=None, seed: int = 3) -> list:
    """Make the sample in a process of its own, and load it; the application stays alive meanwhile.

    Returns
    -------
    list of nodes
        The colon, its folds exact.
    """
    # Sample Data calls this from a button, where an exception would be seen by nobody.
    with (
        slicer.util.tryWithErrorDisplay(_("The made colon could not be made.")),
        tempfile.TemporaryDirectory() as folder,
    ):
        path = Path(folder, "colon.vtp")
        slicer.util.showStatusMessage(_("Making a colon (some seconds)..."))
        try:
            _write(path, seed)
        finally:
            slicer.util.showStatusMessage("")
        return [showColon(readSurface(path), _("Made colon"))]


def _write(path: Path, seed: int) -> None:
    command = [pythonExecutable(), "-c", MAKE, str(PACKAGE_PARENT), str(path), str(seed)]
    log = path.with_suffix(".log")
    with log.open("wb") as stream:
        process = subprocess.Popen(command, stderr=stream, creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0))
        while process.poll() is None:
            slicer.app.processEvents()
            time.sleep(0.02)
    if process.returncode:
        said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        raise UserError(
            "sample",
            _("The process that makes it ended with code {code}: {said}").format(
                code=process.returncode, said="".join(said[-1:])
            ),
            _("Install the packages of Resources/requirements.txt into Slicer's Python, and try again."),
        )
