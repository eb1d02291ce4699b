"""The job and the command ``label-folds``, and the ways of labelling that it is compared with."""

from __future__ import annotations

import json

import numpy as np
import pytest
from made_folded_tubes import LENGTH, RADIUS, ring_fold, tube
from PIL import Image

from inference_core.cli.label_folds import label_folds as command
from inference_core.errors import Cancelled, UserError
from inference_core.evaluation.fold_labels import FoldRow, check_request, fold_table, score_folds
from inference_core.simulation.colon.folds import label_job
from inference_core.simulation.colon.folds.fold_rivals import RIVALS, rival_labels
from inference_core.simulation.colon.mesh.surface_files import read_surface, write_surface
from inference_core.simulation.colon.path.centreline import Centreline
from inference_core.simulation.colon.path.curve import arc_length, parallel_transport

BAND = 5.0  # mm


@pytest.fixture(scope="module")
def colon(tmp_path_factory):
    path = tmp_path_factory.mktemp("colon") / "colon.ply"
    write_surface(tube(ring_fold), path)
    return path


def job(colon, output, **more):
    return {"job": "label-folds", "input": str(colon), "output": str(output), **more}


def run(message, cancelled=lambda: False):
    told = []
    report = label_job.run(message, lambda kind, **fields: told.append((kind, fields)), cancelled)
    return report, told


def straight_path() -> Centreline:
    points = np.stack([np.zeros(161), np.zeros(161), np.linspace(0, LENGTH, 161)], axis=1)
    frames = parallel_transport(points)
    radius = np.full(161, RADIUS)
    return Centreline(points, arc_length(points), frames.tangents, frames.normals, frames.binormals, radius)


def test_the_job_labels_measures_and_writes(colon, tmp_path):
    report, told = run(job(colon, tmp_path / "out.vtp"))
    assert report["folds"] == 1
    assert report["method"] == "relief"
    labelled = read_surface(tmp_path / "out.vtp")
    found = labelled.point_arrays["fold_instance"] > 0
    np.testing.assert_array_equal(labelled.point_arrays["fold_score"] >= 0.5, found)
    assert np.abs(labelled.vertices[found, 2] - LENGTH / 2).max() < BAND
    written = json.loads((tmp_path / "out_folds.json").read_text())
    assert written["each"] == report["each"]
    stages = [fields["stage"] for kind, fields in told if kind == "progress"]
    assert list(dict.fromkeys(stages)) == ["start", "read", "check", "label", "measure", "write", "picture"]
    with Image.open(tmp_path / "out_folds.png") as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    bare, folds = (pixels[:, left : left + 460] for left in (28, 28 + 2 * 468))
    assert np.ptp(bare.max(axis=(0, 1)) - bare.min(axis=(0, 1))) < 200, "the tube is drawn"
    strong = (np.ptp(folds, axis=2) > 120).sum()
    assert strong > 4 * (np.ptp(bare, axis=2) > 120).sum() + 200, "its fold stands out in colour"


def test_labels_are_written_where_nothing_can_be_drawn(colon, tmp_path, monkeypatch):
    def refuse(*_):
        raise UserError("no-opengl", "Nothing draws here.", "Install something.")

    monkeypatch.setattr("inference_core.simulation.colon.folds.fold_picture.open_window", refuse)
    report, _ = run(job(colon, tmp_path / "out.vtp"))
    assert report["folds"] == 1
    assert (tmp_path / "out.vtp").exists()
    assert any("No picture was drawn" in warning for warning in report["warnings"])


def test_the_same_job_gives_the_same_bytes(colon, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        run(job(colon, tmp_path / name / "out.vtp"))
    for name in ("out.vtp", "out_folds.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_surface_without_folds_is_labelled_with_none_and_a_warning(tmp_path):
    write_surface(tube(), tmp_path / "plain.ply")
    report, _ = run(job(tmp_path / "plain.ply", tmp_path / "out.vtp"))
    assert report["folds"] == 0
    assert any("No fold" in warning for warning in report["warnings"])
    assert not read_surface(tmp_path / "out.vtp").point_arrays["fold_instance"].any()


def test_a_cancelled_job_writes_nothing(colon, tmp_path):
    with pytest.raises(Cancelled):
        run(job(colon, tmp_path / "out.vtp"), lambda: True)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"output": "out.stl"}, "surface-format"),
        ({"output": "missing/out.vtp"}, "no-such-folder"),
        ({"method": "magic"}, "method"),
        ({"method": 3}, "bad-job"),
        ({"input": "nowhere.ply"}, None),
        ({"depth": 3}, "bad-job"),
    ],
)
def test_what_cannot_be_done_is_refused_in_plain_words(colon, tmp_path, monkeypatch, change, code):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as refusal:
        run({**job(colon, "out.vtp"), **change})
    assert code in (None, refusal.value.code)
    assert refusal.value.remedy
    assert not list(tmp_path.iterdir())


def test_the_input_is_never_written_over(tmp_path):
    path = tmp_path / "colon.vtp"
    write_surface(tube(step=4), path)
    before = path.read_bytes()
    with pytest.raises(UserError, match="is the input"):
        run(job(path, path))
    assert path.read_bytes() == before


def test_the_command_says_how_many_how_large_how_sure(colon, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("inference_core.client.run", lambda message, show: run(message)[0])
    command(colon, tmp_path / "out.vtp")
    said = capsys.readouterr().out
    assert "1 fold, " in said
    for word in ("area", "length", "height", "confidence", "out_folds.json"):
        assert word in said


@pytest.mark.parametrize("method", sorted(RIVALS))
def test_each_rival_finds_a_ring_fold_on_a_straight_tube(method):
    surface = tube(ring_fold)
    labelled = rival_labels(surface, method, straight_path())
    found = labelled.point_arrays["fold_instance"] > 0
    np.testing.assert_array_equal(labelled.point_arrays["fold_score"] >= 0.5, found)
    assert found[np.abs(surface.vertices[:, 2] - LENGTH / 2) < 1].mean() > 0.9


@pytest.mark.parametrize("method", ["curvature", "lumen-radius", "signed-direction"])
def test_signed_rivals_leave_a_plain_tube_alone(method):
    surface = tube()
    found = rival_labels(surface, method, straight_path()).point_arrays["fold_instance"] > 0
    assert not found[np.abs(surface.vertices[:, 2] - LENGTH / 2) < LENGTH / 2 - 20].any()


def test_the_literal_reading_takes_the_floor_beside_a_fold_for_fold():
    surface = tube(ring_fold)
    literal, signed = (
        rival_labels(surface, method, straight_path()).point_arrays["fold_instance"] > 0
        for method in ("direction", "signed-direction")
    )
    assert literal.sum() > 1.3 * signed.sum()


def test_the_table_has_a_row_for_each_colon_and_the_mean_of_each_method():
    surface = tube(step=4)
    truth = (surface.vertices[:, 2] > 80).astype(np.int64)
    right = score_folds(surface, truth, truth)
    wrong = score_folds(surface, truth, 0 * truth)
    table = fold_table([FoldRow(1, 20000, "relief", right, 1.0), FoldRow(2, 20000, "relief", wrong, 3.0)])
    assert "| relief | 1 | 20000 | 1.000 |" in table
    assert "| **relief** | mean | | **0.500** |" in table
    assert table.splitlines()[-1].endswith("| 50 % | | | | 2.0 |")


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (([-1], [20000], ["relief"]), "seed"),
        (([1], [3], ["relief"]), "faces"),
        (([1], [20000], ["best"]), "method"),
        (([1], [20000], []), "method"),
    ],
)
def test_an_evaluation_that_cannot_be_made_is_refused(request_, code):
    with pytest.raises(UserError) as refusal:
        check_request(*request_)
    assert refusal.value.code == code
