"""A denoised volume goes to the DICOM database as a derived series; the database is a folder that stands in for it."""

from __future__ import annotations

import json
import shutil
import sys
import types
from pathlib import Path

import numpy as np
import pydicom
import pytest
from module_helpers import until

sys.path.append(str(Path(__file__).resolve().parents[1] / "core"))

from made_series import PLANTED, read_all, stored_ct, write_series

from inference_core.errors import UserError
from inference_core.image.reading import read_volume


class Database:
    """What the export asks of ctkDICOMDatabase, answered from a folder."""

    isOpen = True

    def __init__(self, folder):
        self.folder = folder
        self.room = 10**6

    def headers(self):
        files = [file for file in self.folder.rglob("*") if file.is_file()]
        return [(file, pydicom.dcmread(file, stop_before_pixels=True)) for file in files]

    def fileForInstance(self, uid):
        return next((str(file) for file, header in self.headers() if header.SOPInstanceUID == uid), "")

    def filesForSeries(self, uid):
        return [str(file) for file, header in self.headers() if header.SeriesInstanceUID == uid]

    def instanceValue(self, uid, tag):
        header = pydicom.dcmread(self.fileForInstance(uid), stop_before_pixels=True)
        group, element = (int(part, 16) for part in tag.split(","))
        return str(header[group, element].value) if (group, element) in header else ""

    def importDicom(self, folder, database, copyFiles):
        assert copyFiles, "the files are gone after the export"
        target = self.folder / "imported"
        target.mkdir(exist_ok=True)
        for file in sorted(Path(folder).iterdir())[: self.room]:
            shutil.copy(file, target)
        return True


@pytest.fixture
def database(slicer, tmp_path, monkeypatch):
    write_series(tmp_path / "database", stored_ct(3), BitsStored=12, HighBit=11)
    database = Database(tmp_path / "database")
    monkeypatch.setattr(slicer, "dicomDatabase", database, raising=False)
    library = types.ModuleType("DICOMLib")
    library.DICOMUtils = types.SimpleNamespace(importDicom=database.importDicom)
    monkeypatch.setitem(sys.modules, "DICOMLib", library)
    return database


@pytest.fixture
def loaded(slicer, database):
    """The series as Slicer's DICOM module loads it: in RAS, with the UIDs of its slices."""
    volume = read_volume(database.folder)
    toRas = np.diag([-1.0, -1.0, 1.0, 1.0]) @ volume.index_to_lps
    node = slicer.util.addVolumeFromArray(volume.voxels, ijkToRAS=toRas, name="5: CT")
    uids = [str(pydicom.dcmread(file).SOPInstanceUID) for file in reversed(volume.files)]
    node.SetAttribute("DICOM.instanceUIDs", " ".join(uids))
    return node


def refused(volume) -> UserError:
    from LowDoseDenoiseLib.dicom_export import exportAndWait

    with pytest.raises(UserError) as caught:
        exportAndWait(volume)
    assert caught.value.remedy
    return caught.value


def test_the_denoised_volume_comes_into_the_database_as_a_derived_series(slicer, logic, database, loaded):
    from LowDoseDenoiseLib.dicom_export import canExport, exportAndWait

    sources = read_all(database.folder)
    denoised = logic.denoise(loaded)
    assert canExport(denoised)
    assert not canExport(loaded)
    uid = exportAndWait(denoised)
    assert len(database.filesForSeries(uid)) == 3
    for one, other in zip(sources, read_all(database.folder / "imported"), strict=True):
        assert list(other.ImageType)[:2] == ["DERIVED", "SECONDARY"]
        assert other.StudyInstanceUID == one.StudyInstanceUID
        assert other.SourceImageSequence[0].ReferencedSOPInstanceUID == one.SOPInstanceUID
        assert str(other.PatientName) == PLANTED["PatientName"]
    voxels = slicer.util.arrayFromVolume(denoised)
    back = read_volume(database.folder / "imported")
    np.testing.assert_array_equal(back.voxels, np.clip(voxels, -1024, 3071))


def test_slicers_own_reader_reads_it_back(slicer, logic, database, loaded):
    from LowDoseDenoiseLib.dicom_export import exportAndWait

    denoised = logic.denoise(loaded)
    exportAndWait(denoised)
    files = sorted((database.folder / "imported").iterdir())
    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    storage.SetFileName(str(files[0]))
    for file in files:
        storage.AddFileName(str(file))
    storage.SetSingleFile(0)
    back = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    assert storage.ReadData(back)
    expected = np.clip(slicer.util.arrayFromVolume(denoised), -1024, 3071)
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(back), expected)
    np.testing.assert_allclose(back.GetSpacing(), loaded.GetSpacing())
    np.testing.assert_allclose(back.GetOrigin(), loaded.GetOrigin())


def test_what_it_says_of_itself_makes_it_again(slicer, logic, database, loaded):
    from LowDoseDenoiseLib.dicom_export import exportAndWait

    from inference_core.provenance import read_provenance, sha256_of_voxels

    denoised = logic.denoise(loaded, strength=0.6)
    exportAndWait(denoised)
    block = read_provenance(database.folder / "imported")
    assert block["parameters"] == {"strength": 0.6}
    assert block["input"]["sha256"] == sha256_of_voxels(slicer.util.arrayFromVolume(loaded))
    assert block["result"]["sha256"] == sha256_of_voxels(slicer.util.arrayFromVolume(denoised))


def test_what_is_no_result_or_has_no_source_is_refused(slicer, logic, ct, database, loaded):
    assert refused(loaded).code == "not-denoised"
    assert refused(logic.denoise(ct())).code == "no-dicom-source"


def test_an_edited_result_is_refused(slicer, logic, loaded):
    denoised = logic.denoise(loaded)
    slicer.util.arrayFromVolume(denoised)[0, 0, 0] += 1
    assert refused(denoised).code == "result-changed"


def test_a_source_that_is_gone_is_refused(slicer, logic, database, loaded):
    denoised = logic.denoise(loaded)
    next(file for file, _ in database.headers()).unlink()
    assert refused(denoised).code == "files-gone"
    database.isOpen = False
    assert refused(denoised).code == "no-database"


def test_a_volume_elsewhere_is_refused(slicer, logic, loaded):
    loaded.SetOrigin(1, 2, 3)
    assert refused(logic.denoise(loaded)).code == "other-grid"


def test_a_full_database_is_told(slicer, logic, database, loaded):
    denoised = logic.denoise(loaded)
    database.room = 1
    error = refused(denoised)
    assert error.code == "not-imported"
    assert "1 of 3" in error.message


def test_an_export_that_is_stopped_leaves_nothing(slicer, logic, database, loaded):
    from LowDoseDenoiseLib.dicom_export import DicomExport

    export = DicomExport(logic.denoise(loaded))
    export.stop()
    export.poll()
    assert not export.running
    assert export.seriesUID is None
    assert not (database.folder / "imported").exists()


def test_the_scene_and_the_log_hold_no_name(slicer, logic, database, loaded, caplog, monkeypatch):
    from LowDoseDenoiseLib import dicom_export

    denoised = logic.denoise(loaded)

    def fail(*arguments):
        raise ValueError(f"cannot write {PLANTED['PatientName']}")

    monkeypatch.setattr(dicom_export, "write_slices", fail)
    export = dicom_export.DicomExport(denoised)
    until(lambda: (export.poll(), not export.running)[1])
    assert export.error.code == "internal"
    told = caplog.text + export.status + denoised.GetAttribute("FaithfulImaging.report")
    assert "Mustermann" not in told
    assert json.loads(denoised.GetAttribute("FaithfulImaging.report"))["provenance"]["input"]["sha256"]
