"""A CT over time (4D): each frame of a sequence is denoised by itself, as a volume would be."""

import slicer
from slicer.i18n import tr as _

from inference_core.errors import UserError

from .strength import CHANGE_REFERENCE


def denoiseSequence(logic, sequence, frameDone=None, **options):
    """Denoise all frames, one after another, and wait.

    Parameters
    ----------
    logic : LowDoseDenoiseLogic
    sequence : vtkMRMLSequenceNode
        Of CT volumes; it is not changed.
    frameDone : callable, optional
        ``frameDone(done, total)`` is called after each frame; what it raises ends the work.
    **options
        As for :meth:`LowDoseDenoiseLogic.start`.

    Returns
    -------
    vtkMRMLSequenceNode
        A new one, "<sequence> denoised", with the same index values; a browser that shows the sequence shows it too.

    Raises
    ------
    UserError
        Where a frame cannot be denoised, with its number; nothing is added to the scene then.
    """
    total = sequence.GetNumberOfDataNodes() if sequence else 0
    if not total or not sequence.GetNthDataNode(0).IsA("vtkMRMLScalarVolumeNode"):
        raise UserError("no-input", _("This is no sequence of CT volumes."), _("Choose a sequence of scalar volumes."))
    denoised = slicer.mrmlScene.CreateNodeByClass("vtkMRMLSequenceNode")
    denoised.UnRegister(None)
    denoised.SetName(slicer.mrmlScene.GenerateUniqueName(_("{name} denoised").format(name=sequence.GetName())))
    denoised.SetIndexName(sequence.GetIndexName())
    denoised.SetIndexUnit(sequence.GetIndexUnit())
    denoised.SetIndexType(sequence.GetIndexType())
    for index in range(total):
        _denoiseFrame(logic, sequence, denoised, index, options)
        if frameDone:
            frameDone(index + 1, total)
    slicer.mrmlScene.AddNode(denoised)
    _showBeside(sequence, denoised)
    return denoised


def _denoiseFrame(logic, sequence, denoised, index: int, options: dict) -> None:
    frame = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", sequence.GetNthDataNode(index).GetName())
    result = None
    try:
        frame.CopyContent(sequence.GetNthDataNode(index))
        result = logic.denoise(frame, **options)
        denoised.SetDataNodeAtValue(result, sequence.GetNthIndexValue(index))
    except UserError as error:
        message = _("Frame {number}: {message}").format(number=index + 1, message=error.message)
        raise UserError(error.code, message, error.remedy) from error
    finally:
        nodes = [result and result.GetNodeReference(CHANGE_REFERENCE), result, frame]
        for node in filter(None, nodes):
            display = node.GetDisplayNode()
            slicer.mrmlScene.RemoveNode(node)
            if display:
                slicer.mrmlScene.RemoveNode(display)


def _showBeside(sequence, denoised) -> None:
    browsers = slicer.util.getNodesByClass("vtkMRMLSequenceBrowserNode")
    browser = next((browser for browser in browsers if browser.IsSynchronizedSequenceNode(sequence, True)), None)
    if browser:
        browser.AddSynchronizedSequenceNode(denoised)
        slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
