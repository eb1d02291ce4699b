"""The temporal-bone sample in the Sample Data module: made on the spot, without network and without a patient."""

import subprocess
import tempfile
import time
from pathlib import Path

import slicer
from slicer.i18n import tr as _

from FaithfulImagingLib.python import pythonExecutable
from inference_core.client import PACKAGE_PARENT
from inference_core.errors import UserError

CATEGORY = "FaithfulImaging"
NAME = "TemporalBone"
MAKE = (
    "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]);"
    "from inference_core.simulation.temporal_bone import temporal_bone, write_sample;"
    "write_sample(temporal_bone(), Path(sys.argv[2]))"
)


def registerTemporalBone(thumbnail: Path) -> None:
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
        customDownloader=makeTemporalBone,
    )


def makeTemporalBone(source=None) -> list:
    """Make the sample in a process of its own, and load it; the application stays alive meanwhile.

    Returns
    -------
    list of nodes
        The noisy CT, and the ROIs in it.
    """
    # Sample Data calls this from a button, where an exception would be seen by nobody.
    with slicer.util.tryWithErrorDisplay(_("The temporal-bone sample could not be made.")):
        before = set(_rois())
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, f"{NAME}.nrrd")
            slicer.util.showStatusMessage(_("Making the temporal-bone sample (up to a minute)..."))
            try:
                _write(path)
            finally:
                slicer.util.showStatusMessage("")
            volume = slicer.util.loadVolume(str(path))
            slicer.util.loadMarkups(str(path.with_name(f"{NAME}_rois.mrk.json")))
        # Their files are gone; without storage nodes they are saved with the scene.
        nodes = [volume, *(roi for roi in _rois() if roi not in before)]
        for node in nodes:
            node.SetAndObserveStorageNodeID(None)
        return nodes


def _write(path: Path) -> None:
    command = [pythonExecutable(), "-c", MAKE, str(PACKAGE_PARENT), str(path)]
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
            _("Check that the temporary folder {folder} has 100 MB of space and try again.").format(
                folder=path.parent.parent
            ),
        )


def _rois() -> list:
    return list(slicer.util.getNodesByClass("vtkMRMLMarkupsROINode"))
