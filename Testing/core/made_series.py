"""A made CT series as DICOM files, complete enough for a checker of the standard, with a planted patient."""

import numpy as np
import pydicom
from made_slice import made_slice
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

STUDY, FRAME = generate_uid(), generate_uid()

PLANTED = {
    "PatientName": "Mustermann^Erika",
    "PatientID": "PLANTED-4711",
    "PatientBirthDate": "19610229",
    "PatientAddress": "Heidestrasse 17",
    "OtherPatientNames": "Gabler^Erika",
    "PatientComments": "knows the mayor",
    "AccessionNumber": "ACC-80815",
    "ReferringPhysicianName": "Hasenbein^Karl",
    "OperatorsName": "Nachtdienst^Olga",
    "InstitutionName": "Klinikum Entenhausen",
    "StationName": "CTRAUM3",
    "StudyID": "STUDY-0815",
    "StudyDescription": "Schaedel von Erika",
    "SeriesDescription": "Felsenbein Mustermann",
    "ProtocolName": "Erikas Protokoll",
    "RequestingPhysician": "Bein^Holz",
}
"""What must stay in the DICOM files."""


def stored_ct(slices=3, rows=64, columns=72):
    """Stored values of a noisy made CT, intercept -1024, [slice, row, column]."""
    voxels = np.stack([made_slice(rows, columns, 40, seed, seed / 4) for seed in range(slices)])
    return np.clip(np.rint(voxels) + 1024, 0, 4095).astype(np.int64)


def write_series(folder, voxels, positions=None, **changes):
    """Stored values [slice, row, column] as CT slices 3 mm apart, file names in reverse; ``changes`` set tags.

    A change may be a value, a function of the slice's number, or None, which takes the tag out.
    """
    folder.mkdir(exist_ok=True)
    series = changes.pop("SeriesInstanceUID", generate_uid())
    files = []
    for k, plane in enumerate(voxels):
        header = _header(k, plane, series, positions[k] if positions else 3.0 * k)
        for tag, value in changes.items():
            value = value(k) if callable(value) else value
            if value is None:
                delattr(header, tag)
            else:
                setattr(header, tag, value)
        file = folder / f"{series[-6:]}_{len(voxels) - k:03d}.dcm"
        header.save_as(file, enforce_file_format=True)
        files.append(file)
    return files


def _header(k, plane, series, position):
    header = Dataset()
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.SOPClassUID, header.SOPInstanceUID = CTImageStorage, generate_uid()
    header.StudyInstanceUID, header.SeriesInstanceUID, header.FrameOfReferenceUID = STUDY, series, FRAME
    for tag, value in PLANTED.items():
        setattr(header, tag, value)
    header.PatientSex, header.StudyDate, header.StudyTime = "F", "20200102", "101112"
    header.SpecificCharacterSet, header.Manufacturer, header.SeriesNumber = "ISO_IR 100", "Made", 5
    header.AcquisitionNumber, header.KVP, header.PatientPosition, header.PositionReferenceIndicator = 1, 120, "HFS", ""
    header.BodyPartExamined = "HEAD"
    header.Modality, header.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
    header.ConvolutionKernel = "H60s"
    header.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    header.ImagePositionPatient = [-10, -20, position]
    header.PixelSpacing, header.SliceThickness = [0.5, 0.7], 3
    header.RescaleSlope, header.RescaleIntercept, header.RescaleType = 1, -1024, "HU"
    header.WindowCenter, header.WindowWidth = [40, 700], [400, 4000]
    header.Rows, header.Columns = plane.shape
    header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
    header.BitsAllocated, header.BitsStored, header.HighBit, header.PixelRepresentation = 16, 16, 15, 0
    header.InstanceNumber = k + 1
    header.PixelData = plane.astype(np.uint16).tobytes()
    header["PixelData"].VR = "OW"
    return header


def read_all(folder):
    """The files of a series as data sets, by their place along the third axis."""
    headers = [pydicom.dcmread(file) for file in folder.rglob("*") if file.is_file()]
    return sorted(headers, key=lambda header: float(header.ImagePositionPatient[2]))
