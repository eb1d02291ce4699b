"""The header of a derived CT slice, made from the header of the slice it was derived from.

Code values are those of DICOM PS3.16, as pydicom's ``pydicom.sr.codedict`` lists them from the standard.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

SMOOTHING = ("113087", "DCM", "Smoothing")
"""CID 7203, Image Derivation; it holds no code for noise reduction, and this is what comes closest."""
PROCESSING_EQUIPMENT = ("109102", "DCM", "Processing Equipment")
"""CID 7005, Contributing Equipment Purpose of Reference."""
SOURCE_IMAGE = ("121322", "DCM", "Source image for image processing operation")
"""CID 7202, Source Image Purpose of Reference."""

FIRST_DERIVED_SERIES = 301
"""Slicer numbers processed series from here on too."""
LOSSY = {
    "1.2.840.10008.1.2.4.50": "ISO_10918_1",
    "1.2.840.10008.1.2.4.51": "ISO_10918_1",
    "1.2.840.10008.1.2.4.81": "ISO_14495_1",
}
"""Transfer syntaxes that lose by definition, and the LossyImageCompressionMethod they use (PS3.3 C.7.6.1.1.5.1)."""
BIG_ENDIAN = "1.2.840.10008.1.2.2"

NO_LONGER_TRUE = (
    "SmallestImagePixelValue",
    "LargestImagePixelValue",
    "SmallestPixelValueInSeries",
    "LargestPixelValueInSeries",
    "IconImageSequence",
    "DigitalSignaturesSequence",
    "MACParametersSequence",
    "DataSetTrailingPadding",
    "ReferencedPerformedProcedureStepSequence",
)
"""They speak of the pixels, the file or the procedure step of the source."""


@dataclass(frozen=True)
class Derivation:
    """What was done, for the headers of a series.

    Attributes
    ----------
    model : str
        Its id; it goes into the series description.
    strength : float
    provenance : mapping
        The block of :mod:`inference_core.provenance`; written as JSON where it fits 1024 characters, as it does unless
        names are absurdly long.
    """

    model: str
    strength: float
    provenance: Mapping[str, Any]

    @property
    def label(self) -> str:
        """For the series description."""
        return f"DENOISED {self.model}" + ("" if self.strength == 1 else f" {self.strength:.0%}")

    @property
    def description(self) -> str:
        """For DerivationDescription."""
        kept = self.provenance["ct_numbers"]["passed"]
        return (
            f"Denoised by model {self.model} at strength {self.strength:g}; for research use;"
            f" CT-number check {'passed' if kept else 'NOT PASSED: do not measure CT numbers'}"
        )


def derived_header(source: Any, derivation: Derivation, series_uid: str, uid: str, now: datetime) -> Any:
    """The source's header, changed where the derived slice differs; without pixels.

    Parameters
    ----------
    source : pydicom.Dataset
        With its ``file_meta``; it is not changed.
    derivation : Derivation
    series_uid, uid : str
        SeriesInstanceUID and SOPInstanceUID of the derived slice.
    now : datetime
        With its time zone.

    Returns
    -------
    pydicom.Dataset
    """
    import copy

    from pydicom.dataset import Dataset

    header = Dataset(copy.deepcopy(source))  # free of the encoding of the file it was read from
    _swap_words(header, str(source.file_meta.get("TransferSyntaxUID", "")))
    header.remove_private_tags()  # nobody can tell which of them would still be true of changed pixels
    for tag in NO_LONGER_TRUE:
        if tag in header:
            del header[tag]
    _drop_overlays_in_pixels(header)
    header.SOPInstanceUID, header.SeriesInstanceUID = uid, series_uid
    # Value 3 and what a scanner says beyond it (a virtual monoenergetic image, say) are as true as before.
    given = header.get("ImageType") or []
    header.ImageType = ["DERIVED", "SECONDARY", *([] if isinstance(given, str) else given[2:])]
    if len(header.ImageType) == 2:
        header.ImageType.append("AXIAL")
    _set_series(header, derivation)
    _set_times(header, now)
    _set_lossy(header, str(source.file_meta.get("TransferSyntaxUID", "")))
    _set_derivation(header, source, derivation)
    _add_equipment(header, derivation, now)
    return header


def _swap_words(header: Any, transfer_syntax: str) -> None:
    """Words of big endian files (overlays, look-up tables) in the new file's order; pydicom leaves them as read."""
    import numpy as np

    if transfer_syntax != BIG_ENDIAN:
        return
    for element in header.iterall():
        if element.VR == "OW" and element.value:
            element.value = np.frombuffer(element.value, ">u2").astype("<u2").tobytes()


def _drop_overlays_in_pixels(header: Any) -> None:
    """Retired overlays that lie in unused bits of the pixels: they are not in the new ones."""
    for group in range(0x6000, 0x6020, 2):
        if (group, 0x0010) in header and (group, 0x3000) not in header:
            for element in list(header.group_dataset(group)):
                del header[element.tag]


def _set_series(header: Any, derivation: Derivation) -> None:
    given = header.get("SeriesDescription") or ""
    before = (given if isinstance(given, str) else "\\".join(map(str, given))).strip()  # LO may hold several values
    label = _cut(derivation.label, 64)
    header.SeriesDescription = f"{_cut(before, 64 - len(label.encode()) - 1)} {label}".strip()
    number = int(header.get("SeriesNumber") or 1)
    shifted = number + FIRST_DERIVED_SERIES - 1
    header.SeriesNumber = shifted if number > 0 and shifted < 2**31 else FIRST_DERIVED_SERIES


def _cut(text: str, room: int) -> str:
    """Whole characters that fit; LO holds 64 characters, and some readers count bytes."""
    return text.encode("utf-8", "replace")[: max(room, 0)].decode("utf-8", "ignore")


def _set_times(header: Any, now: datetime) -> None:
    here = now.astimezone(_zone(header.get("TimezoneOffsetFromUTC")))
    date, time = here.strftime("%Y%m%d"), here.strftime("%H%M%S")
    for event in ("InstanceCreation", "Series", "Content"):
        setattr(header, f"{event}Date", date)
        setattr(header, f"{event}Time", time)


def _zone(offset: Any) -> timezone | None:
    """Of times in the header (``+0130``); None: this machine's."""
    text = str(offset or "")
    if len(text) != 5 or text[0] not in "+-" or not text[1:].isdigit():
        return None
    away = timedelta(hours=int(text[1:3]), minutes=int(text[3:]))
    return timezone(away if text[0] == "+" else -away)


def _set_lossy(header: Any, transfer_syntax: str) -> None:
    """Once lossy, always lossy: the new file is uncompressed, but what was lost stays lost."""
    if transfer_syntax in LOSSY and header.get("LossyImageCompression") != "01":
        header.LossyImageCompression = "01"
        header.LossyImageCompressionMethod = LOSSY[transfer_syntax]


def _set_derivation(header: Any, source: Any, derivation: Derivation) -> None:
    from pydicom.dataset import Dataset

    before = str(source.get("DerivationDescription") or "")
    header.DerivationDescription = (derivation.description + (f"; before: {before}" if before else ""))[:1024]
    header.DerivationCodeSequence = [*(header.get("DerivationCodeSequence") or []), _code(*SMOOTHING)]
    reference = Dataset()
    reference.ReferencedSOPClassUID = source.SOPClassUID
    reference.ReferencedSOPInstanceUID = source.SOPInstanceUID
    reference.PurposeOfReferenceCodeSequence = [_code(*SOURCE_IMAGE)]
    header.SourceImageSequence = [reference]


def _add_equipment(header: Any, derivation: Derivation, now: datetime) -> None:
    from pydicom.dataset import Dataset

    software = derivation.provenance["software"]
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = [_code(*PROCESSING_EQUIPMENT)]
    item.Manufacturer = "Faithful Imaging"
    item.ManufacturerModelName = software["name"]
    item.SoftwareVersions = [software["version"], derivation.model[:64], derivation.provenance["model"]["sha256"]]
    item.ContributionDateTime = now.strftime("%Y%m%d%H%M%S%z")
    block = json.dumps(derivation.provenance, separators=(",", ":"))
    item.ContributionDescription = block if len(block) <= 1024 else derivation.description[:1024]
    header.ContributingEquipmentSequence = [*(header.get("ContributingEquipmentSequence") or []), item]


def _code(value: str, scheme: str, meaning: str) -> Any:
    from pydicom.dataset import Dataset

    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code
