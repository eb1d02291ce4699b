"""What the module does, without its panel: also for scripts and batches.

logic = slicer.util.getModuleLogic("LowDoseDenoise")
denoised = logic.denoise(slicer.util.getNode("CT"))
denoised4D = logic.denoiseSequence(slicer.util.getNode("CT over time"))
"""

from concurrent.futures import Future

import numpy as np
import slicer
from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleLogic

from FaithfulImagingLib.background import inBackground
from FaithfulImagingLib.geometry import indexToLps
from FaithfulImagingLib.python import pythonExecutable
from inference_core.denoiser.guard import check_ct
from inference_core.errors import Cancelled, UserError
from inference_core.image.volume import Volume, check_orthogonal
from inference_core.measurement.noise import noise_level
from inference_core.models.registry import list_models, suggest_denoiser

from .belonging import checkOutput
from .install import checkPackages
from .parameters import LowDoseDenoiseParameterNode
from .preview import PREVIEW_REFERENCE, Preview, PreviewRun
from .run import REPORT_ATTRIBUTE, DenoiseRun
from .sequence import denoiseSequence


class LowDoseDenoiseLogic(ScriptedLoadableModuleLogic):
    """Starts runs, one at a time, and answers for the volumes they are given.

    Attributes
    ----------
    run : DenoiseRun or None
        The last run; whoever starts one calls ``run.poll()`` until it no longer runs.
    previewRun : PreviewRun or None
        The last preview's, likewise.
    """

    def __init__(self) -> None:
        ScriptedLoadableModuleLogic.__init__(self)
        self.run: DenoiseRun | None = None
        self.previewRun: PreviewRun | None = None

    def getParameterNode(self) -> LowDoseDenoiseParameterNode:
        """The module's parameters in this scene."""
        return LowDoseDenoiseParameterNode(super().getParameterNode())

    def models(self) -> list:
        """Cards of the models that denoise CT."""
        return list_models("denoise-ct")

    def suggest(self, inputVolume) -> Future:
        """The model that fits a volume, and why, as (id, sentences); measured on a background thread.

        Raises
        ------
        UserError
            Where it cannot be denoised; what only the voxels tell, the future raises.
        """
        checkVolumes(inputVolume, None)
        voxels = slicer.util.arrayFromVolume(inputVolume)
        warnings = inputWarnings(inputVolume)
        return inBackground(_suggest, voxels, inputVolume.GetSpacing(), warnings, *dicomValues(inputVolume))

    def start(
        self, inputVolume, outputVolume=None, model=None, strength=1.0, engine="auto", device="auto"
    ) -> DenoiseRun:
        """Begin to denoise.

        Parameters
        ----------
        inputVolume : vtkMRMLScalarVolumeNode
            A CT in HU; it is not changed.
        outputVolume : vtkMRMLScalarVolumeNode, optional
            An empty volume, or an earlier result of this input. Default: a new one, named "<input> denoised".
        model : str, optional
            Id; default: the one that fits.
        strength : float
            0 to 1.
        engine, device : str
            As :func:`inference_core.models.engines.open_engine` takes them.

        Raises
        ------
        UserError
            With a remedy, where that cannot be done; what only the voxels tell, the run's ``error`` says later.
        """
        if self.run and self.run.running:
            raise UserError("busy", _("A volume is being denoised."), _("Wait for it, or cancel it."))
        checkVolumes(inputVolume, outputVolume)
        checkPackages(engine, device)
        job = {**_job(inputVolume, model, engine, device), "strength": strength}
        self.run = DenoiseRun(inputVolume, outputVolume, job, pythonExecutable(), inputWarnings(inputVolume))
        return self.run

    def denoise(self, inputVolume, outputVolume=None, **options):
        """Denoise and wait, for scripts and batches; arguments as for :meth:`start`.

        Returns
        -------
        vtkMRMLScalarVolumeNode

        Raises
        ------
        UserError
        Cancelled
            Where a volume was deleted meanwhile.
        """
        run = self.start(inputVolume, outputVolume, **options)
        while run.running:
            run.poll()
        if run.error:
            raise run.error
        if run.report is None:
            raise Cancelled
        return run.outputVolume

    def startPreview(self, inputVolume, slices: slice, model=None, engine="auto", device="auto") -> PreviewRun:
        """Begin to denoise some slices, as a run would; a preview that is being made is given up.

        Parameters
        ----------
        inputVolume : vtkMRMLScalarVolumeNode
        slices : slice
            Which ones (:func:`LowDoseDenoiseLib.preview.slicesInView`).
        model : str, optional
            Id; default: the one that fits the noise in these slices.
        engine, device : str
            As for :meth:`start`.

        Raises
        ------
        UserError
            As :meth:`start` does.
        """
        checkVolumes(inputVolume, None)
        checkPackages(engine, device)
        if self.previewRun and self.previewRun.running:
            self.previewRun.cancel()
        self.previewRun = PreviewRun(inputVolume, slices, _job(inputVolume, model, engine, device), pythonExecutable())
        return self.previewRun

    def preview(self, inputVolume, slices: slice, strength=1.0, **options) -> Preview:
        """Denoise some slices and wait; further arguments as for :meth:`startPreview`.

        Returns
        -------
        Preview
            Its ``volume`` is in the scene, its ``blend(strength)`` shows it at another strength.

        Raises
        ------
        UserError
        Cancelled
        """
        run = self.startPreview(inputVolume, slices, **options)
        while run.running:
            run.poll()
        if run.error:
            raise run.error
        if run.report is None:
            raise Cancelled
        preview = Preview(run, inputVolume)
        preview.blend(strength)
        return preview

    def denoiseSequence(self, sequence, frameDone=None, **options):
        """Denoise a CT over time; see :func:`LowDoseDenoiseLib.sequence.denoiseSequence`."""
        return denoiseSequence(self, sequence, frameDone, **options)

    def stop(self) -> None:
        """End what runs, at once, and leave nothing of it."""
        for run in (self.run, self.previewRun):
            if run and run.running:
                run.stop()


def _job(inputVolume, model: str | None, engine: str, device: str) -> dict:
    """The part of a job that every run on a volume shares."""
    modality, kernel = dicomValues(inputVolume)
    return {
        "job": "denoise", "model": model or None, "engine": engine, "device": device, "modality": modality,
        "kernel": kernel,
    }  # fmt: skip


def checkVolumes(inputVolume, outputVolume) -> None:
    """Refuse what can be seen to be no CT, or no place for the result, before anything is done.

    Raises
    ------
    UserError
        ``no-input``, ``label-map``, ``not-scalar``, ``empty``, ``sheared-geometry``, ``same-volume`` or
        ``other-image``.
    """
    if inputVolume is None:
        raise UserError("no-input", _("No input volume is selected."), _("Load a CT and select it as input volume."))
    name = inputVolume.GetName()
    if inputVolume.IsA("vtkMRMLLabelMapVolumeNode"):
        raise UserError("label-map", _("{name} is a label map.").format(name=name), _("Select the CT it was drawn on."))
    image = inputVolume.GetImageData() if inputVolume.IsA("vtkMRMLScalarVolumeNode") else None
    if not inputVolume.IsA("vtkMRMLScalarVolumeNode") or (image and image.GetNumberOfScalarComponents() > 1):
        raise UserError(
            "not-scalar",
            _("{name} holds several values per voxel.").format(name=name),
            _("Extract one scalar volume from it (Vector to Scalar Volume module)."),
        )
    if image is None or image.GetNumberOfPoints() == 0 or image.GetPointData().GetScalars() is None:
        raise UserError("empty", _("{name} has no voxels.").format(name=name), _("Load it again."))
    axes = indexToLps(inputVolume)[:3, :3] / inputVolume.GetSpacing()
    check_orthogonal(tuple(axes.ravel()), name)
    if outputVolume is inputVolume:
        raise UserError(
            "same-volume",
            _("The output would replace the input."),
            _("Select another output volume; the original is never changed."),
        )
    if outputVolume is not None and outputVolume.GetClassName() != "vtkMRMLScalarVolumeNode":
        raise UserError(
            "not-scalar",
            _("{name} is no scalar volume.").format(name=outputVolume.GetName()),
            _("Select another output volume."),
        )
    if outputVolume is not None:
        checkOutput(inputVolume, outputVolume)


def inputWarnings(volume) -> list[str]:
    """What the user should know of a volume before it is denoised."""
    name = volume.GetName()
    warnings = []
    if volume.GetAttribute(REPORT_ATTRIBUTE) or volume.GetNodeReferenceID(PREVIEW_REFERENCE):
        warnings.append(_("{name} is itself a denoised volume; denoise the original instead.").format(name=name))
    sequences = getattr(slicer.modules, "sequences", None)
    if sequences and sequences.logic().GetFirstBrowserNodeForProxyNode(volume):
        warnings.append(_("{name} shows one time point of a sequence; only that one is denoised.").format(name=name))
    return warnings


def dicomValues(volume) -> tuple[str | None, str | None]:
    """DICOM modality and convolution kernel, where Slicer knows them."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    item = hierarchy.GetItemByDataNode(volume) if hierarchy else 0
    modality = hierarchy.GetItemAttribute(item, "DICOM.Modality") if item else ""
    kernel = ""
    instances = (volume.GetAttribute("DICOM.instanceUIDs") or "").split()
    database = getattr(slicer, "dicomDatabase", None)
    if instances and database and database.isOpen:
        modality = modality or database.instanceValue(instances[0], "0008,0060")
        kernel = database.instanceValue(instances[0], "0018,1210")
    return modality or None, kernel or None


def _suggest(voxels, spacing, warnings: list[str], modality: str | None, kernel: str | None) -> tuple[str, str]:
    asHounsfield = voxels if voxels.dtype == np.int16 else voxels.astype(np.float32)
    volume = Volume(asHounsfield, spacing, modality=modality, file_type=voxels.dtype)
    warnings = warnings + check_ct(volume)  # a model is suggested for nothing that a run would refuse
    card, reason = suggest_denoiser(modality, kernel, noise_level(voxels))
    return card.id, " ".join([f"{reason[:1].upper()}{reason[1:]}.", *warnings])
