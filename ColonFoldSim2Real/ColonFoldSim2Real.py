"""From a colon's surface to labelled endoscopy frames, their translation and their folds; see ColonFoldSim2RealLib."""

import sys
from pathlib import Path

import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import ScriptedLoadableModule

try:
    import inference_core  # noqa: F401
except ModuleNotFoundError:  # opened from a source checkout, where the package lies beside the module's folder
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # as does FaithfulImagingLib

from ColonFoldSim2RealLib.logic import ColonFoldSim2RealLogic  # noqa: F401 - Slicer finds it here by its name
from ColonFoldSim2RealLib.parameters import ColonFoldSim2RealParameterNode  # noqa: F401
from ColonFoldSim2RealLib.sample import registerColon
from ColonFoldSim2RealLib.selftest import ColonFoldSim2RealTest  # noqa: F401 - Slicer finds it here by its name
from ColonFoldSim2RealLib.widget import ColonFoldSim2RealWidget  # noqa: F401 - Slicer finds it here by its name


class ColonFoldSim2Real(ScriptedLoadableModule):
    """Uses ScriptedLoadableModule base class, available at:
    https://github.com/Slicer/Slicer/blob/main/Base/Python/slicer/ScriptedLoadableModule.py
    """

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("Colon Fold Sim2Real")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Endoscopy")]
        self.parent.dependencies = []
        self.parent.contributors = ["Faithful Imaging contributors"]
        self.parent.helpText = _("""
From a colon's surface to endoscopy frames with exact depth and folds, to the look of real frames with the folds where
they were, and to the folds found in frames and videos by a network that no person labelled a frame for.
<p>For research use only; not a medical device.</p>
""")
        self.parent.acknowledgementText = _("""
Part of Faithful Imaging. After Tomasini, Riazuelo, Murillo, Sim2Real in endoscopy segmentation with a novel structure
aware image translation (SASHIMI 2024). Sample data: module Sample Data, category Faithful Imaging (a made colon, no
patient).
""")

        # Additional initialization step after application startup is complete
        slicer.app.connect("startupCompleted()", registerSampleData)


def registerSampleData() -> None:
    """Add data sets to Sample Data module."""
    registerColon(Path(__file__).parent / "Resources" / "Icons" / "Colon.png")
