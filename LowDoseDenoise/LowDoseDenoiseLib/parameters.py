"""What the user chose; kept in the scene."""

import enum
from typing import Annotated, Union

from slicer import (
    vtkMRMLMarkupsClosedCurveNode,
    vtkMRMLMarkupsLineNode,
    vtkMRMLMarkupsROINode,
    vtkMRMLScalarVolumeNode,
    vtkMRMLSegmentationNode,
    vtkMRMLTableNode,
)
from slicer.i18n import tr as _
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper

# Slicer's parameterNodeWrapper knows typing.Union for nodes, not |.
RegionNode = Union[vtkMRMLMarkupsROINode, vtkMRMLMarkupsClosedCurveNode, vtkMRMLSegmentationNode, None]  # noqa: UP007


class Engine(enum.Enum):
    """What runs the network. Scenes keep the names; the values are inference_core's."""

    AUTO = "auto"
    ONNXRUNTIME = "onnxruntime"
    TORCH = "torch"

    def label(self) -> str:
        """Text in the combo box."""
        return {
            Engine.AUTO: _("Automatic"),
            Engine.ONNXRUNTIME: _("onnxruntime (CPU)"),
            Engine.TORCH: _("PyTorch"),
        }[self]


class Device(enum.Enum):
    """Where it runs. Scenes keep the names; the values are inference_core's."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"
    MPS = "mps"

    def label(self) -> str:
        """Text in the combo box."""
        return {
            Device.AUTO: _("Automatic"),
            Device.CPU: _("CPU"),
            Device.CUDA: _("NVIDIA GPU (CUDA)"),
            Device.MPS: _("Apple GPU (MPS)"),
        }[self]


class RoiShape(enum.Enum):
    """What part of a Markups ROI is measured."""

    BOX = "box"
    ELLIPSOID = "ellipsoid"

    def label(self) -> str:
        """Text in the combo box."""
        return {RoiShape.BOX: _("Box"), RoiShape.ELLIPSOID: _("Ellipsoid inscribed in the box")}[self]


@parameterNodeWrapper
class LowDoseDenoiseParameterNode:
    """
    The parameters needed by the module.

    inputVolume - The CT to denoise; it is never changed.
    outputVolume - The denoised CT; made on Apply where there is none.
    model - Id of a model; empty: the one that fits the CT.
    strength - 0 (unchanged) to 1 (fully denoised).
    previewSlices - How many slices a preview denoises.
    window, differenceWindow - Names of window presets (inference_core.image.windows); empty: as it is.
    layoutBefore - The view layout that comparing replaced.
    engine - What runs the model.
    device - Where the engine runs.
    roi - The only ROI, closed curve or segmentation to measure; none: every visible one.
    roiShape - Whether the ROI's box or the ellipsoid inscribed in it is measured.
    roiTable - Statistics of the ROIs.
    ctNumberLimit - HU by which a mean may move before that is said.
    contrastRoi, contrastBackground - Names of the two ROIs for CNR and SNR.
    plot - What is plotted (plots.PLOTS).
    profileLine - Where the profile is taken.
    patchCount, patchSize - How many homogeneous patches, and their pixels a side.
    """

    inputVolume: vtkMRMLScalarVolumeNode
    outputVolume: vtkMRMLScalarVolumeNode
    model: str = ""
    strength: Annotated[float, WithinRange(0.0, 1.0)] = 1.0
    previewSlices: Annotated[int, WithinRange(1, 31)] = 1
    window: str = ""
    differenceWindow: str = "difference"
    layoutBefore: int = 0
    engine: Engine = Engine.AUTO
    device: Device = Device.AUTO
    roi: RegionNode
    roiShape: RoiShape = RoiShape.BOX
    roiTable: vtkMRMLTableNode
    ctNumberLimit: Annotated[float, WithinRange(0.1, 100.0)] = 5.0
    contrastRoi: str = ""
    contrastBackground: str = ""
    plot: str = "noise"
    profileLine: vtkMRMLMarkupsLineNode
    patchCount: Annotated[int, WithinRange(1, 1000)] = 300
    patchSize: Annotated[int, WithinRange(8, 128)] = 60
