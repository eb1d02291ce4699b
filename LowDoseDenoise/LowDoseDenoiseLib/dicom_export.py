"""Send a denoised volume to Slicer's DICOM database, as a series that says that it is derived and from what.

Slicer's own export writes every CT as ORIGINAL\\PRIMARY, which a denoised one is not.
"""

import contextlib
import json
import logging
from pathlib import Path

import slicer
from slicer.i18n import tr as _

from FaithfulImagingLib.background import giveTurn, inBackground
from FaithfulImagingLib.geometry import indexToLps
from inference_core.errors import UserError
from inference_core.image.dicom_header import Derivation
from inference_core.image.dicom_pixels import storable
from inference_core.image.dicom_writing import with_files, write_slices
from inference_core.image.volume import Volume, as_hounsfield_array
from inference_core.provenance import block_of, sha256_of_voxels
from inference_core.scratch import scratch_folder

from .belonging import INPUT_REFERENCE
from .run import REPORT_ATTRIBUTE


class DicomExport:
    """An export that has begun: written on a background thread, then imported on the main one by :meth:`poll`.

    Attributes
    ----------
    running : bool
    status : str
        For the user.
    seriesUID : str or None
        Of the new series, when it is in the database.
    error : UserError or None
    """

    def __init__(self, volume) -> None:
        """Begin to export.

        Parameters
        ----------
        volume : vtkMRMLScalarVolumeNode
            A result of this module, of a CT that was loaded from the DICOM database.

        Raises
        ------
        UserError
            ``not-denoised``, ``no-dicom-source``, ``no-database`` or ``files-gone``; what only the voxels and headers
            tell, ``error`` says later.
        """
        report = _reportOf(volume)
        source = volume.GetNodeReference(INPUT_REFERENCE)
        files = _sourceFiles(volume, source)
        self.running = True
        self.status = _("Writing the DICOM series...")
        self.seriesUID: str | None = None
        self.error: UserError | None = None
        self._cancelled = False
        self._clipped = 0
        self._slices = len(files)
        self._exits = contextlib.ExitStack()
        self._folder = self._exits.enter_context(scratch_folder())
        self._images = (volume.GetImageData(), source.GetImageData())  # keep the memory that the arrays look at
        voxels, original = slicer.util.arrayFromVolume(volume), slicer.util.arrayFromVolume(source)
        self._outcome = inBackground(self._write, voxels, original, indexToLps(volume), files, report)

    def poll(self) -> None:
        """Take in what has happened since the last call; the last one imports the files."""
        if not self.running:
            return
        giveTurn()
        if not self._outcome.done():
            return
        self.running = False
        try:
            if not self._cancelled:
                self._import(self._outcome.result())
        except UserError as error:
            self.error = error
            self.status = str(error)
        except Exception as error:
            # Without the error's words: they may quote a header.
            logging.error(f"LowDoseDenoise: DICOM export failed ({type(error).__name__})")
            self.error = UserError(
                "internal", _("The export failed ({error}).").format(error=type(error).__name__), _("Please report it.")
            )
            self.status = str(self.error)
        finally:
            self._images = None
            self._exits.close()

    def stop(self) -> None:
        """Give up, and wait until nothing of it is left."""
        self._cancelled = True
        if self.running:
            with contextlib.suppress(Exception):
                self._outcome.exception(timeout=5)
            self.running = False
            self.status = _("Cancelled. Nothing was exported.")
            self._images = None
            self._exits.close()

    def _write(self, voxels, original, toLps, files: list[Path], report: dict) -> str:
        """On the background thread: no node is touched here."""
        result = as_hounsfield_array(voxels, "The result")
        block = block_of(report)
        if sha256_of_voxels(result) != report["output"]["sha256_voxels"]:
            raise UserError(
                "result-changed",
                _("The result was changed after it was denoised: its report no longer speaks of it."),
                _("Press Apply again, then export."),
            )
        spacing = (toLps[:3, :3] ** 2).sum(axis=0) ** 0.5
        place = (tuple(spacing), tuple(toLps[:3, 3]), tuple((toLps[:3, :3] / spacing).ravel()))
        volume = with_files(Volume(result, *place), files)
        before = as_hounsfield_array(original, "The input")
        stored, self._clipped = storable(volume, before)
        derivation = Derivation(block["model"]["id"], block["parameters"]["strength"], block)
        return write_slices(stored, before, self._folder, derivation, lambda: not self._cancelled)

    def _import(self, seriesUID: str) -> None:
        from DICOMLib import DICOMUtils

        DICOMUtils.importDicom(str(self._folder), slicer.dicomDatabase, copyFiles=True)
        imported = len(slicer.dicomDatabase.filesForSeries(seriesUID))
        if imported != self._slices:
            raise UserError(
                "not-imported",
                _("Only {imported} of {slices} slices came into the DICOM database.").format(
                    imported=imported, slices=self._slices
                ),
                _("Check the free space of the database's folder (DICOM module, settings), delete that series there,"
                  " and export again."),
            )  # fmt: skip
        self.seriesUID = seriesUID
        self.status = _("The denoised series ({slices} slices) is in Slicer's DICOM database.").format(
            slices=self._slices
        )
        if self._clipped:
            self.status += " " + _("{count} voxels were set to the nearest value that its files can hold.").format(
                count=self._clipped
            )


def canExport(volume) -> bool:
    """Whether a volume is one that an export may be tried for; cheap enough to be asked at each change."""
    source = volume.GetNodeReference(INPUT_REFERENCE) if volume else None
    return bool(source and volume.GetAttribute(REPORT_ATTRIBUTE) and source.GetAttribute("DICOM.instanceUIDs"))


def exportAndWait(volume) -> str:
    """Export and wait, for scripts.

    Returns
    -------
    str
        SeriesInstanceUID of the new series.

    Raises
    ------
    UserError
    """
    export = DicomExport(volume)
    while export.running:
        export.poll()
    if export.error:
        raise export.error
    return export.seriesUID


def _reportOf(volume) -> dict:
    try:
        report = json.loads(volume.GetAttribute(REPORT_ATTRIBUTE) or "")
        block_of(report)
    except (AttributeError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            "not-denoised",
            _("This volume is no result of this module, or of an older version of it."),
            _("Select a denoised volume as output, or press Apply again."),
        ) from error
    return report


def _sourceFiles(volume, source) -> list[Path]:
    instances = (source.GetAttribute("DICOM.instanceUIDs") or "").split() if source else []
    if not instances:
        raise UserError(
            "no-dicom-source",
            _("{name} was not made from a volume of the DICOM database: there are no headers to derive from.").format(
                name=volume.GetName()
            ),
            _("Load the CT from the DICOM database and denoise that; or save the result as .nrrd."),
        )
    database = getattr(slicer, "dicomDatabase", None)
    if not database or not database.isOpen:
        raise UserError(
            "no-database", _("Slicer's DICOM database is not open."), _("Open the DICOM module once, then export.")
        )
    files = [Path(database.fileForInstance(instance) or "/nowhere") for instance in instances]
    missing = sum(not file.is_file() for file in files)
    if missing:
        raise UserError(
            "files-gone",
            _("{missing} of the {slices} source slices are no longer in the DICOM database.").format(
                missing=missing, slices=len(files)
            ),
            _("Import the original series into the database again."),
        )
    return files
