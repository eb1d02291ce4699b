"""What the user chose; kept in the scene."""

import enum
from pathlib import Path
from typing import Annotated, Union

from slicer import (
    vtkMRMLMarkupsCurveNode,
    vtkMRMLMarkupsFiducialNode,
    vtkMRMLModelNode,
    vtkMRMLScalarVolumeNode,
    vtkMRMLSegmentationNode,
    vtkMRMLSequenceBrowserNode,
)
from slicer.i18n import tr as _
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper


class Look(enum.Enum):
    """Appearance of frames. Scenes keep the names; the values are inference_core's."""

    PLAIN = "plain"
    MUCOSA = "mucosa"
    NBI = "nbi"

    def label(self) -> str:
        """Text in the combo box."""
        return {
            Look.PLAIN: _("Plain (the simulator's own)"),
            Look.MUCOSA: _("Mucosa, white light"),
            Look.NBI: _("Mucosa, narrow-band light"),
        }[self]


@parameterNodeWrapper
class ColonFoldSim2RealParameterNode:
    """
    The parameters needed by the module.

    lumenVolume, lumenSeeds, lumenThreshold - A CT colonography, points in its lumen, and below which HU is gas.
    surface - A colon's surface: a model or a segmentation.
    colon - The same with labelled folds.
    path, pathEnds - Through it, and where it is to begin and end.
    frameCount, frameSize, seed - What Make frames makes.
    look - In which appearance.
    folder - Where datasets go.
    frames - The browser that is looked at.
    translator, segmenter - Ids of models.
    """

    lumenVolume: vtkMRMLScalarVolumeNode
    lumenSeeds: vtkMRMLMarkupsFiducialNode
    lumenThreshold: Annotated[float, WithinRange(-1000, -300)] = -800.0
    surface: Union[vtkMRMLModelNode, vtkMRMLSegmentationNode, None] = None  # noqa: UP007 - the wrapper knows only this
    colon: vtkMRMLModelNode
    path: vtkMRMLMarkupsCurveNode
    pathEnds: vtkMRMLMarkupsFiducialNode
    frameCount: Annotated[int, WithinRange(1, 10000)] = 200
    frameSize: Annotated[int, WithinRange(64, 1024)] = 256
    seed: Annotated[int, WithinRange(0, 1000000)] = 1
    look: Look = Look.PLAIN
    folder: Path
    frames: vtkMRMLSequenceBrowserNode
    translator: str = "plain-to-mucosa"
    segmenter: str = "colon-folds"
