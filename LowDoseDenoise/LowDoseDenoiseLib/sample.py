"""The temporal-bone sample in the Sample Data module: made on the spot, without network and without a patient."""

import tempfile
from pathlib import Path

import slicer
from slicer.i18n import tr as _

from FaithfulImagingLib.sample import makeInProcess, registerSample

NAME = "TemporalBone"
MAKE = (
    "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]);"
    "from inference_core.simulation.temporal_bone import temporal_bone, write_sample;"
    "write_sample(temporal_bone(), Path(sys.argv[2]))"
)


def registerTemporalBone(thumbnail: Path) -> None:
    """Add the sample to the Sample Data module."""
    registerSample(NAME, thumbnail, makeTemporalBone)


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
            remedy = _("Check that the temporary folder {folder} has 100 MB of space and try again.")
            message = _("Making the temporal-bone sample (up to a minute)...")
            makeInProcess(MAKE, path, message, remedy.format(folder=path.parent.parent))
            volume = slicer.util.loadVolume(str(path))
            slicer.util.loadMarkups(str(path.with_name(f"{NAME}_rois.mrk.json")))
        # Their files are gone; without storage nodes they are saved with the scene.
        nodes = [volume, *(roi for roi in _rois() if roi not in before)]
        for node in nodes:
            node.SetAndObserveStorageNodeID(None)
        return nodes


def _rois() -> list:
    return list(slicer.util.getNodesByClass("vtkMRMLMarkupsROINode"))
