"""The made colon in the Sample Data module: made on the spot, without network and without a patient."""

import tempfile
from pathlib import Path

import slicer
from slicer.i18n import tr as _

from FaithfulImagingLib.sample import makeInProcess, registerSample

from .folds import showColon
from .surface import readSurface

NAME = "Colon"
MAKE = (
    "import sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path;"
    "from inference_core.simulation.colon.procedural.haustral_colon import haustral_colon;"
    "from inference_core.simulation.colon.mesh.surface_files import write_surface;"
    "write_surface(haustral_colon(int(sys.argv[3])), Path(sys.argv[2]))"
)


def registerColon(thumbnail: Path) -> None:
    """Add the sample to the Sample Data module."""
    registerSample(NAME, thumbnail, makeColon)


def makeColon(source=None, seed: int = 3) -> list:
    """Make the sample in a process of its own, and load it.

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
        remedy = _("Install the packages of Resources/colon-requirements.txt into Slicer's Python, and try again.")
        makeInProcess(MAKE, path, _("Making a colon (some seconds)..."), remedy, str(seed))
        return [showColon(readSurface(path), _("Made colon"))]
