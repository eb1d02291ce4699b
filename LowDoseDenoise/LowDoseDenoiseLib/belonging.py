"""Which output belongs to which input: one patient's result is never taken for another's, nor replaced by it."""

import slicer
from slicer.i18n import tr as _

from inference_core.errors import UserError

INPUT_REFERENCE = "FaithfulImaging.input"


def setMadeFrom(outputVolume, inputVolume) -> None:
    """Note in an output, for as long as the scene lives on, which volume it was made from."""
    outputVolume.SetNodeReferenceID(INPUT_REFERENCE, inputVolume.GetID())


def madeFrom(outputVolume, inputVolume) -> bool:
    """Whether a volume is a result of denoising another one."""
    if outputVolume is None or inputVolume is None:
        return False
    return outputVolume.GetNodeReferenceID(INPUT_REFERENCE) == inputVolume.GetID()


def checkOutput(inputVolume, outputVolume) -> None:
    """Refuse to replace an image that is no result of this input.

    Raises
    ------
    UserError
        ``other-image``.
    """
    if not _mayTake(outputVolume, inputVolume):
        raise UserError(
            "other-image",
            _("{name} holds another image, not a result of {input}.").format(
                name=outputVolume.GetName(), input=inputVolume.GetName()
            ),
            _("Choose a new volume, or an empty one, as output volume."),
        )


def outputFor(inputVolume, outputVolume):
    """The output to offer where an input is selected.

    Returns
    -------
    vtkMRMLScalarVolumeNode or None
        The one that was chosen, where it may take the result; else the input's last result; else None, for a new one.
    """
    if inputVolume is None or (outputVolume is not None and _mayTake(outputVolume, inputVolume)):
        return outputVolume
    volumes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    return next((volume for volume in reversed(list(volumes)) if madeFrom(volume, inputVolume)), None)


def acceptResult(parameters, outputVolume) -> None:
    """Select the result of a run that has ended, unless the user has chosen another input or output meanwhile."""
    if madeFrom(outputVolume, parameters.inputVolume) and parameters.outputVolume is None:
        parameters.outputVolume = outputVolume


def _mayTake(outputVolume, inputVolume) -> bool:
    image = outputVolume.GetImageData()
    return image is None or image.GetNumberOfPoints() == 0 or madeFrom(outputVolume, inputVolume)
