"""Headers of derived slices: what stays true stays, what does not goes, and nothing is claimed that is not so."""

from datetime import datetime

import pydicom
import pytest
from made_derived import DERIVATION, PROVENANCE, derived
from made_series import read_all, stored_ct, write_series

from inference_core.image.dicom_header import Derivation, derived_header


def test_what_was_lost_stays_marked_as_lost_and_burned_in_as_burned_in(tmp_path):
    write_series(
        tmp_path / "s", stored_ct(), LossyImageCompression="01", LossyImageCompressionRatio=12, BurnedInAnnotation="YES"
    )
    derived(tmp_path / "s", tmp_path / "out")
    for header in read_all(tmp_path / "out"):
        assert (header.LossyImageCompression, header.BurnedInAnnotation) == ("01", "YES")
        assert header.LossyImageCompressionRatio == 12


@pytest.mark.parametrize(("syntax", "flag"), [("4.51", "01"), ("4.81", "01"), ("4.70", None), ("4.91", None)])
def test_a_source_that_lost_by_its_compression_is_marked_so(tmp_path, syntax, flag):
    (file,) = write_series(tmp_path / "s", stored_ct(1))
    header = pydicom.dcmread(file)
    header.file_meta.TransferSyntaxUID = f"1.2.840.10008.1.2.{syntax}"
    made = derived_header(header, DERIVATION, "1.2", "1.3", datetime.now().astimezone())
    assert made.get("LossyImageCompression") == flag


@pytest.mark.parametrize("own_data", [True, False])
def test_overlays_stay_unless_they_lay_in_bits_of_the_pixels(tmp_path, own_data):
    (file,) = write_series(tmp_path / "s", stored_ct(1))
    header = pydicom.dcmread(file)
    header.add_new(0x60000010, "US", 64)
    header.add_new(0x60000102, "US", 12)
    if own_data:
        header.add_new(0x60003000, "OW", bytes(576))
    header.save_as(file)
    derived(tmp_path / "s", tmp_path / "out")
    assert (0x60000010 in read_all(tmp_path / "out")[0]) == own_data


def test_a_check_that_was_not_passed_is_in_the_header(tmp_path):
    (file,) = write_series(tmp_path / "s", stored_ct(1))
    moved = Derivation("a-model", 1.0, {**PROVENANCE, "ct_numbers": {"passed": False}})
    made = derived_header(pydicom.dcmread(file), moved, "1.2", "1.3", datetime.now().astimezone())
    assert "NOT PASSED" in made.DerivationDescription


def test_what_is_no_longer_true_goes_and_earlier_derivations_stay(tmp_path):
    files = write_series(
        tmp_path / "s", stored_ct(), SmallestImagePixelValue=0, LargestImagePixelValue=4095, SeriesNumber=700,
        DerivationDescription="Resampled", ImageType=["ORIGINAL", "PRIMARY", "AXIAL", "VMI"], InstanceNumber=1,
    )  # fmt: skip
    for file in files:
        header = pydicom.dcmread(file)
        block = header.private_block(0x0029, "MADE PRIVATE", create=True)
        block.add_new(0x10, "LO", "a hash of the pixels")
        header.save_as(file)
    derived(tmp_path / "s", tmp_path / "out")
    headers = read_all(tmp_path / "out")
    for header in headers:
        assert "SmallestImagePixelValue" not in header
        assert not [element for element in header.iterall() if element.tag.is_private]
        assert list(header.ImageType) == ["DERIVED", "SECONDARY", "AXIAL", "VMI"]
        assert header.DerivationDescription.endswith("before: Resampled")
        assert header.SeriesNumber == 1000
    assert [header.InstanceNumber for header in headers] == [1, 2, 3]


def test_long_descriptions_and_missing_ones_fit(tmp_path):
    for name, text in {"long": "x" * 64, "none": None}.items():
        write_series(tmp_path / name, stored_ct(1), SeriesDescription=text, SeriesNumber=None)
        derived(tmp_path / name, tmp_path / f"{name}_out")
        (header,) = read_all(tmp_path / f"{name}_out")
        assert header.SeriesDescription.endswith("DENOISED a-model")
        assert len(header.SeriesDescription) <= 64
        assert header.SeriesNumber == 301


def test_descriptions_of_several_values_and_of_wide_letters_are_cut_as_text(tmp_path):
    for name, text, kept in (("several", ["Thorax", "nativ"], "Thorax\\nativ"), ("wide", "肺" * 40, "肺" * 15)):
        write_series(tmp_path / name, stored_ct(1), SpecificCharacterSet="ISO_IR 192", SeriesDescription=text)
        derived(tmp_path / name, tmp_path / f"{name}_out")
        (header,) = read_all(tmp_path / f"{name}_out")
        value = header.SeriesDescription
        value = value if isinstance(value, str) else "\\".join(value)
        assert value == f"{kept} DENOISED a-model"
        assert len(value.encode()) <= 64


def test_names_in_other_alphabets_survive(tmp_path):
    write_series(tmp_path / "s", stored_ct(1), SpecificCharacterSet="ISO_IR 192", PatientName="Müller^Ægir 山田")
    derived(tmp_path / "s", tmp_path / "out")
    assert str(read_all(tmp_path / "out")[0].PatientName) == "Müller^Ægir 山田"


def test_a_header_with_odd_values_is_written_as_it_was(tmp_path):
    files = write_series(tmp_path / "s", stored_ct(1))
    content = files[0].read_bytes()
    odd = content.replace(b"19610229", b"1961/2/9").replace(b"PLANTED-4711", b"PLANTED\\4711")
    assert odd != content
    files[0].write_bytes(odd)
    derived(tmp_path / "s", tmp_path / "out")
    (header,) = read_all(tmp_path / "out")
    assert header.get_item("PatientBirthDate").value in (b"1961/2/9", "1961/2/9")


def test_times_are_written_in_the_sources_time_zone(tmp_path):
    write_series(tmp_path / "s", stored_ct(1), TimezoneOffsetFromUTC="+1130")
    derived(tmp_path / "s", tmp_path / "out")
    (header,) = read_all(tmp_path / "out")
    here = header.ContributingEquipmentSequence[-1].ContributionDateTime
    utc = pydicom.valuerep.DT(here).timestamp()
    written = pydicom.valuerep.DT(header.ContentDate + header.ContentTime + "+1130").timestamp()
    assert abs(written - utc) < 2
