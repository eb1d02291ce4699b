"""Low-dose CT denoising that moves no CT number; the module's parts are in LowDoseDenoiseLib."""

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

from LowDoseDenoiseLib.layout import registerLayout
from LowDoseDenoiseLib.logic import LowDoseDenoiseLogic  # noqa: F401 - Slicer finds it here by its name
from LowDoseDenoiseLib.marks import watchViews
from LowDoseDenoiseLib.parameters import LowDoseDenoiseParameterNode  # noqa: F401
from LowDoseDenoiseLib.sample import registerTemporalBone
from LowDoseDenoiseLib.selftest import LowDoseDenoiseTest  # noqa: F401 - Slicer finds it here by its name
from LowDoseDenoiseLib.widget import LowDoseDenoiseWidget  # noqa: F401 - Slicer finds it here by its name


class LowDoseDenoise(ScriptedLoadableModule):
    """Uses ScriptedLoadableModule base class, available at:
    https://github.com/Slicer/Slicer/blob/main/Base/Python/slicer/ScriptedLoadableModule.py
    """

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("Low-Dose CT Denoising")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Filtering")]
        self.parent.dependencies = []
        self.parent.contributors = ["Faithful Imaging contributors"]
        self.parent.helpText = _("""
Removes noise from a low-dose CT and keeps its CT numbers: a network takes noise out of the high spatial frequencies
only, and what it does cannot move the low ones, from which the mean of a region comes. Each result says by how much the
mean of air, soft tissue and bone moved; regions of interest show mean and standard deviation before and after.
<p>For research use only; not a medical device.</p>
""")
        self.parent.acknowledgementText = _("""
Part of Faithful Imaging. Sample data: module Sample Data, category Faithful Imaging (a made CT, no patient).
""")

        # Additional initialization step after application startup is complete
        slicer.app.connect("startupCompleted()", registerSampleData)
        slicer.app.connect("startupCompleted()", prepareViews)


def registerSampleData() -> None:
    """Add data sets to Sample Data module."""
    registerTemporalBone(Path(__file__).parent / "Resources" / "Icons" / "TemporalBone.png")


def prepareViews() -> None:
    """Mark denoised volumes in all slice views, and know the layout of scenes saved while comparing."""
    registerLayout()
    watchViews()
