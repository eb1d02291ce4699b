"""Damaged headers that fuzzing found to escape the readers, or to end the process in a library."""

from __future__ import annotations

import json

import pytest
from made_studies import write_study

from inference_core.errors import UserError
from inference_core.image.reading import read_volume


@pytest.mark.parametrize(
    ("field", "value"),
    [("NDims = 3", "NDims = 4294967296"), ("NDims = 3", "NDims = -1"), ("NDims = 3", "NDims = 1e308"),
     ("TransformMatrix = 1 0 0", "TransformMatrix = 1e308 0 0"), ("Offset = 0 0 0", "Offset = nan 0 0")],
)  # fmt: skip
def test_a_meta_image_with_an_impossible_header_is_refused(tmp_path, field, value):
    path = tmp_path / "ct.mha"
    write_study(path, 1)
    assert read_volume(path).voxels.shape == (4, 96, 96)
    data = path.read_bytes()
    assert field.encode() in data
    path.write_bytes(data.replace(field.encode(), value.encode()))
    with pytest.raises(UserError) as error:
        read_volume(path)
    assert error.value.code == "unreadable-file"


def test_a_label_map_far_from_any_patient_is_refused(tmp_path):
    import SimpleITK as sitk

    from inference_core.measurement.roi_files import read_rois

    write_study(tmp_path / "ct.nrrd", 1)
    volume = read_volume(tmp_path / "ct.nrrd")
    image = sitk.ReadImage(str(tmp_path / "ct.nrrd")) > 0
    image.SetOrigin((0, 0, 1e300))
    sitk.WriteImage(image, str(tmp_path / "roi.nrrd"))
    with pytest.raises(UserError) as error:
        read_rois(tmp_path / "roi.nrrd", volume)
    assert error.value.code == "unreadable-roi"


@pytest.mark.parametrize("place", [1e308, 4294967296.0, float("inf")])
def test_a_path_far_from_any_patient_is_refused(tmp_path, place):
    pytest.importorskip("vtk")
    from inference_core.simulation.colon.path.path_files import read_path

    points = [{"position": [0, 0, 0]}, {"position": [10, 0, 0]}, {"position": [20, place, 0]}]
    said = {"markups": [{"type": "Curve", "coordinateSystem": "LPS", "controlPoints": points}]}
    (tmp_path / "path.mrk.json").write_text(json.dumps(said))
    with pytest.raises(UserError) as error:
        read_path(tmp_path / "path.mrk.json")
    assert error.value.code == "unreadable-path"


def test_a_vtp_that_counts_more_than_it_holds_is_refused(tmp_path):
    pytest.importorskip("vtk")
    from made_ringed_tube import ringed_tube

    from inference_core.simulation.colon.mesh.surface_files import read_surface, write_surface

    path = tmp_path / "tube.vtp"
    surface = ringed_tube()
    write_surface(surface, path)
    assert len(read_surface(path).vertices) == len(surface.vertices)
    count = f'NumberOfPoints="{len(surface.vertices)}"'.encode()
    data = path.read_bytes()
    assert count in data
    path.write_bytes(data.replace(count, b'NumberOfPoints="99999999999999"'))
    with pytest.raises(UserError) as error:
        read_surface(path)
    assert "counts more" in error.value.message


def test_a_dicom_file_without_a_transfer_syntax_is_refused(tmp_path):
    import numpy as np
    import pydicom
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(np.zeros((16, 16), np.int16))
    for tag, value in {"0008|0060": "CT", "0028|1052": "0", "0028|1053": "1"}.items():
        image.SetMetaData(tag, value)
    sitk.WriteImage(image, str(tmp_path / "slice.dcm"))
    file = pydicom.dcmread(tmp_path / "slice.dcm")
    syntax = str(file.file_meta.TransferSyntaxUID).encode()
    data = (tmp_path / "slice.dcm").read_bytes()
    (tmp_path / "slice.dcm").write_bytes(data.replace(syntax, b"9" * len(syntax), 1))
    with pytest.raises(UserError) as error:
        read_volume(tmp_path / "slice.dcm")
    assert error.value.remedy
