"""The module's self test, in the application: Reload and Test."""

import slicer
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleTest

from .sample import makeColon


class ColonFoldSim2RealTest(ScriptedLoadableModuleTest):
    """Uses ScriptedLoadableModuleTest base class, available at:
    https://github.com/Slicer/Slicer/blob/main/Base/Python/slicer/ScriptedLoadableModule.py
    """

    def setUp(self) -> None:
        slicer.mrmlScene.Clear()

    def runTest(self) -> None:
        self.setUp()
        self.test_theMadeColonHasFolds()

    def test_theMadeColonHasFolds(self) -> None:
        from .folds import TABLE_REFERENCE

        (colon,) = makeColon()
        assert colon.GetNodeReference(TABLE_REFERENCE).GetNumberOfRows() > 20
