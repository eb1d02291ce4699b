"""What made a result is written down, and makes it again."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from made_series import read_all, stored_ct, write_series

from inference_core import client
from inference_core.errors import UserError
from inference_core.image.reading import read_volume
from inference_core.image.writing import write_volume
from inference_core.provenance import read_provenance, sha256_of_voxels


def run(source, out, **options):
    job = {"job": "denoise", "input": str(source), "output": str(out), "threads": 1, **options}
    return client.run(job, lambda message: None)


def refused(*arguments, **options) -> UserError:
    with pytest.raises(UserError) as caught:
        run(*arguments, **options)
    assert caught.value.remedy
    return caught.value


@pytest.fixture
def scan(ct, tmp_path):
    write_volume(ct, tmp_path / "CT.nrrd")
    return tmp_path / "CT.nrrd"


@pytest.fixture
def report_file(scan, tmp_path):
    """Of a run that did not use the defaults."""
    run(scan, tmp_path / "first.nrrd", strength=0.7, model="low-dose-ct-phantom", report=str(tmp_path / "r.json"))
    return tmp_path / "r.json"


def changed(report_file, part, **values):
    report = json.loads(report_file.read_text())
    report["provenance"][part].update(values)
    report_file.write_text(json.dumps(report))
    return str(report_file)


def test_the_block_names_model_engine_parameters_input_and_result(report_file, ct, tmp_path):
    block = read_provenance(report_file)
    import onnxruntime

    assert block["model"]["id"] == "low-dose-ct-phantom"
    assert len(block["model"]["sha256"]) == 64
    assert (block["engine"]["name"], block["engine"]["version"]) == ("onnxruntime", onnxruntime.__version__)
    assert block["parameters"] == {"strength": 0.7}
    assert block["input"]["sha256"] == sha256_of_voxels(ct.voxels)
    assert block["result"]["sha256"] == sha256_of_voxels(read_volume(tmp_path / "first.nrrd").voxels)
    check = json.loads(report_file.read_text())["ct_number_check"]
    assert block["ct_numbers"]["passed"] == check["passed"]
    assert block["time"]["denoise_s"] >= 0


def test_a_report_makes_the_same_file_again(scan, report_file, tmp_path):
    report = run(scan, tmp_path / "second.nrrd", again=str(report_file))
    assert (tmp_path / "second.nrrd").read_bytes() == (tmp_path / "first.nrrd").read_bytes()
    assert report["strength"] == 0.7
    assert report["model"]["reason"] == "as in the earlier result"


def test_a_dicom_series_makes_the_same_pixels_again(tmp_path):
    write_series(tmp_path / "s", stored_ct(), BitsStored=12, HighBit=11, PixelPaddingValue=0)
    run(tmp_path / "s", tmp_path / "first", strength=0.7)
    run(tmp_path / "s", tmp_path / "second", again=str(tmp_path / "first"))
    run(tmp_path / "s", tmp_path / "third.nrrd", again=str(next((tmp_path / "first").iterdir())))
    for one, other in zip(read_all(tmp_path / "first"), read_all(tmp_path / "second"), strict=True):
        assert one.PixelData == other.PixelData
    first, third = read_volume(tmp_path / "first"), read_volume(tmp_path / "third.nrrd")
    inside = third.voxels > -1023
    np.testing.assert_array_equal(first.voxels[inside], third.voxels[inside])


def test_another_input_is_refused(scan, ct, report_file, tmp_path):
    voxels = ct.voxels.copy()
    voxels[2, 40, 40] += 1
    write_volume(ct.with_voxels(voxels), scan)
    assert refused(scan, tmp_path / "out.nrrd", again=str(report_file)).code == "other-input"
    assert not (tmp_path / "out.nrrd").exists()


def test_the_same_voxels_with_other_padding_are_another_input(scan, report_file, tmp_path):
    again = changed(report_file, "input", padding_hu=[-2000, -2000])
    error = refused(scan, tmp_path / "out.nrrd", again=again)
    assert error.code == "other-input"
    assert "-2000" in error.message


def test_other_weights_and_engines_and_results_are_refused(scan, report_file, tmp_path):
    text = report_file.read_text()
    for part, values, code in (
        ("model", {"sha256": "0" * 64}, "other-model"),
        ("model", {"id": "gone"}, "other-model"),
        ("engine", {"version": "0.1"}, "other-engine"),
        ("result", {"sha256": "0" * 64}, "not-reproduced"),
    ):
        report_file.write_text(text)
        error = refused(scan, tmp_path / "out.nrrd", again=changed(report_file, part, **values))
        assert error.code == code
        assert not (tmp_path / "out.nrrd").exists()


@pytest.mark.parametrize("content", ["", "{}", "[1]", "null", '{"provenance": {"model": 3}}', '{"model": {"id": 1}}'])
def test_what_says_nothing_is_refused(scan, tmp_path, content):
    (tmp_path / "other.json").write_text(content)
    assert refused(scan, tmp_path / "out.nrrd", again=str(tmp_path / "other.json")).code == "no-provenance"


@pytest.mark.parametrize(
    ("part", "values"),
    [
        ("parameters", {"strength": "much"}),
        ("parameters", {"strength": True}),
        ("parameters", {"strength": float("nan")}),
        ("parameters", {"strength": 10**400}),
        ("model", {"id": ["low-dose-ct"]}),
        ("model", {"sha256": 7}),
        ("engine", {"name": None}),
        ("input", {"padding_hu": "-2000"}),
        ("input", {"padding_hu": [-2000]}),
        ("input", {"padding_hu": [-2000, "x"]}),
        ("result", {"sha256": {}}),
    ],
)
def test_a_damaged_report_is_refused(report_file, part, values):
    changed(report_file, part, **values)
    report = json.loads(report_file.read_text())
    report["strength"] = report["provenance"]["parameters"]["strength"]
    report_file.write_text(json.dumps(report))
    with pytest.raises(UserError) as caught:
        read_provenance(report_file)
    assert caught.value.code == "no-provenance"


def test_a_bottomless_report_is_refused(tmp_path):
    (tmp_path / "deep.json").write_text("[" * 200_000)
    with pytest.raises(UserError) as caught:
        read_provenance(tmp_path / "deep.json")
    assert caught.value.code == "no-provenance"


def test_a_model_that_is_not_installed_is_named_with_the_way_to_add_it(scan, report_file, tmp_path):
    error = refused(scan, tmp_path / "out.nrrd", again=changed(report_file, "model", id="my-own"))
    assert "my-own, which is not installed" in error.message
    assert "models --add" in error.remedy


def test_a_result_made_again_does_not_go_into_the_earlier_one(tmp_path):
    write_series(tmp_path / "s", stored_ct(1))
    run(tmp_path / "s", tmp_path / "first")
    error = refused(tmp_path / "s", tmp_path / "first" / "second", again=str(tmp_path / "first"))
    assert error.code == "inside-input"


def test_a_series_of_the_scanner_says_nothing(tmp_path):
    write_series(tmp_path / "s", stored_ct(1))
    assert refused(tmp_path / "s", tmp_path / "out", again=str(tmp_path / "s")).code == "no-provenance"
    assert refused(tmp_path / "s", tmp_path / "out", again=str(tmp_path / "none.json")).code == "no-such-file"


def test_again_takes_no_other_settings(scan, report_file, tmp_path):
    assert refused(scan, tmp_path / "out.nrrd", again=str(report_file), strength=0.5).code == "again-and-more"


def test_a_series_that_is_already_denoised_is_warned_of(tmp_path):
    write_series(tmp_path / "s", stored_ct(1))
    run(tmp_path / "s", tmp_path / "once")
    assert any("itself denoised" in warning for warning in run(tmp_path / "once", tmp_path / "twice")["warnings"])


def test_the_command_makes_a_series_and_makes_it_again(tmp_path):
    write_series(tmp_path / "s", stored_ct(1))

    def command(*arguments):
        return subprocess.run(
            [sys.executable, "-c", "from inference_core.cli import main; main()", "denoise", *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )

    assert command("s", "first").returncode == 0
    assert {file.name for file in tmp_path.iterdir()} == {"s", "first", "first_report.json", "first_comparison.png"}
    done = command("s", "second/", "--again", "first_report.json")
    assert done.returncode == 0, done.stderr
    assert read_all(tmp_path / "first")[0].PixelData == read_all(tmp_path / "second")[0].PixelData
