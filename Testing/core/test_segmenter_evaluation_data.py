"""Frames that people have labelled, and confidences that are brought near to how often they are right."""

import json
import os

import numpy as np
import pytest
from made_frames import write_dataset
from made_labelled_frames import by_brightness, made_card, two_bars, write_manual, written_card
from PIL import Image

from inference_core.errors import UserError
from inference_core.evaluation import fit_calibration as fitting
from inference_core.evaluation.labelled_frames import check_sets, open_frames
from inference_core.measurement.segmentation import calibration
from inference_core.segmenter.confidence import calibrated, fit_temperature, scaled


def code(folder, split="test"):
    with pytest.raises(UserError) as error:
        check_sets([("set", open_frames(folder, split))])
    return error.value.code


@pytest.mark.parametrize("kind", ["numbers", "255", "one bit", "16 bits", "colours", "palette", "with transparency"])
def test_masks_of_all_usual_kinds_say_the_same(tmp_path, kind):
    rgb, labels = two_bars()
    colours = np.uint8([[0, 0, 0], [255, 0, 0], [0, 200, 90]])
    opaque = np.full((*labels.shape, 1), 255, np.uint8)
    palette = Image.fromarray(labels, "P")
    palette.putpalette(colours.ravel().tolist())
    image = {
        "numbers": Image.fromarray(labels),
        "255": Image.fromarray(np.uint8(255 * (labels > 0))),
        "one bit": Image.fromarray(labels > 0),
        "16 bits": Image.fromarray(300 * labels.astype(np.uint16)),
        "colours": Image.fromarray(colours[labels]),
        "palette": palette,
        "with transparency": Image.fromarray(np.concatenate([colours[labels], opaque], axis=2)),
    }[kind]
    write_manual(tmp_path, {"p_1": (rgb, labels)})
    image.save(tmp_path / "masks" / "p_1.png")
    (frame,) = open_frames(tmp_path)
    found = frame.instances
    assert sorted(np.unique(found)) == [0, 1, 2]
    assert ((found > 0) == (labels > 0)).all()
    for fold in (1, 2):
        assert len(np.unique(found[labels == fold])) == 1
    assert (frame.colon, frame.name) == ("p", "p_1")
    assert (frame.rgb == rgb).all()


def test_a_numbered_fold_in_two_parts_is_one_fold(tmp_path):
    """In that frame and in frames of the same folder that have one fold alone."""
    rgb, labels = two_bars()
    write_manual(tmp_path, {"a": (rgb, labels), "b": (rgb, np.uint8(labels > 0))})
    first, second = open_frames(tmp_path)
    assert first.instances.max() == 2
    assert second.instances.max() == 1


def test_frames_of_any_size_and_format_are_read(tmp_path):
    rgb, labels = two_bars(size=97)
    write_manual(tmp_path, {"x": (rgb[:, :71], labels[:, :71])}, ".jpg")
    (tmp_path / "images" / "notes.txt").write_text("not a picture")
    (frame,) = open_frames(tmp_path)
    assert frame.rgb.shape == (97, 71, 3)
    assert np.abs(frame.rgb.astype(int) - rgb[:, :71]).mean() < 6
    found = by_brightness("m").segment(frame)
    assert found.labels.shape == (97, 71)
    assert found.labels.max() == 2


def test_frames_of_one_patient_have_one_name(tmp_path):
    rgb, labels = two_bars()
    write_manual(tmp_path, {name: (rgb, labels) for name in ("seq_003_17", "seq_003_18", "single")})
    assert [frame.colon for frame in open_frames(tmp_path)] == ["seq_003", "seq_003", "single"]


def test_bad_labels_are_told_plainly(tmp_path):
    rgb, labels = two_bars()
    made = iter(range(99))

    def folder(**masks):
        return write_manual(tmp_path / str(next(made)), {name: (rgb, mask) for name, mask in masks.items()})

    assert code(tmp_path / "nowhere") == "no-such-folder"
    (tmp_path / "empty").mkdir()
    assert code(tmp_path / "empty") == "no-dataset"
    (tmp_path / "unlabelled" / "images").mkdir(parents=True)
    assert code(tmp_path / "unlabelled") == "no-labels"
    assert code(folder(a=labels[:-1])) == "bad-mask"
    smooth = np.uint8(np.arange(64 * 64).reshape(64, 64) % 251)
    assert code(folder(a=smooth)) == "bad-mask"
    lonely = folder(a=labels, b=labels)
    os.remove(lonely / "masks" / "b.png")
    assert code(lonely) == "no-labels"
    twice = folder(a=labels)
    Image.fromarray(rgb).save(twice / "images" / "a.jpg")
    assert code(twice) == "no-labels"
    for kind in ("images", "masks"):
        damaged = folder(a=labels)
        path = damaged / kind / "a.png"
        path.write_bytes(path.read_bytes()[:60])
        assert code(damaged) == "bad-frame"
    lossy = folder(a=labels)
    os.rename(lossy / "masks" / "a.png", lossy / "masks" / "a.jpg")
    assert code(lossy) == "bad-mask"
    simulated = write_dataset(tmp_path / "sim", split="train", frames=1)
    assert code(simulated) == "no-dataset"
    assert len(open_frames(simulated, None)) == 1


def test_a_temperature_is_found_again():
    """Confidences that say too much by a known factor."""
    rng = np.random.default_rng(0)
    logit = rng.uniform(-3, 3, 20000)
    right = rng.random(20000) < 1 / (1 + np.exp(-logit))
    for factor, moved in ((0.5, 0.0), (2.5, 0.0), (0.8, 3.0), (1.0, -2.0)):
        said = 1 / (1 + np.exp(-factor * (logit + moved)))
        temperature, bias = fit_temperature(said, right)
        assert temperature == pytest.approx(factor, rel=0.08)
        assert bias == pytest.approx(-moved, rel=0.08, abs=0.05)
        assert calibration(scaled(said, temperature, bias), right).error < 0.3 * calibration(said, right).error


def test_what_is_marked_but_mostly_wrong_gets_a_low_confidence():
    """All above a half, as all that is marked: a temperature alone could not say less."""
    rng = np.random.default_rng(0)
    said = rng.uniform(0.55, 0.95, 2000)
    right = rng.random(2000) < 0.2
    assert calibration(scaled(said, *fit_temperature(said, right)), right).error < 0.05


def test_a_card_without_a_calibration_changes_nothing_and_order_stays():
    confidence = np.float32([0.0, 0.2, 0.5, 0.9, 1.0])
    assert (calibrated(confidence, made_card()) == confidence).all()
    neutral = made_card(calibration={"temperature": 1, "bias": 0})
    assert calibrated(confidence, neutral) == pytest.approx(confidence, abs=1e-5)
    warm = calibrated(confidence, made_card(calibration={"temperature": 3, "bias": 0}))
    assert (np.diff(warm) > 0).all()
    assert warm[2] == 0.5
    assert 0 < warm[0] < warm[-1] < 1
    for right in (np.zeros(5, bool), np.ones(5, bool), np.zeros(0, bool)):
        with pytest.raises(ValueError, match="some that are right"):
            fit_temperature(confidence[: len(right)], right)


@pytest.mark.parametrize("nonsense", [0, -1, "warm", None, float("nan")])
def test_a_card_with_a_bad_temperature_is_told_plainly(nonsense):
    for given in ({"temperature": nonsense, "bias": 0}, {"temperature": 1}, nonsense or 0):
        with pytest.raises(UserError, match="temperature above 0 and a bias"):
            calibrated(np.float32([0.5]), made_card(calibration=given))


@pytest.fixture
def unsure(tmp_path, monkeypatch):
    """A network that is sure of all it marks, of which half is right; its card, and frames of the split validation."""
    frames = {}
    rgb, labels = two_bars()
    for k in range(30):
        frames[f"p{k}_0"] = (rgb, np.where(labels == 2, 0, labels))
    folder = write_manual(tmp_path / "labelled", frames)
    card = written_card(tmp_path, made_card())

    def opened(models):
        text = json.loads((tmp_path / "made.json").read_text())
        segmenter = by_brightness("bright", slope=0.05, **{k: text[k] for k in ("calibration",) if k in text})
        object.__setattr__(segmenter.card, "path", card)
        return [segmenter]

    monkeypatch.setattr(fitting, "open_segmenters", opened)
    return card, folder


def test_a_fitted_card_says_what_is_right_as_often(unsure):
    card, folder = unsure
    before = json.loads(card.read_text())
    fitted = fitting.fit_calibration(card, folder)
    text = json.loads(card.read_text())
    assert text["calibration"] == fitted
    assert {name: text[name] for name in before} == before, "the rest of the card stays"
    assert fitted["share_right"] == 0.5
    assert fitted["instances"] == 60
    assert fitted["error_before"] > 0.3
    assert fitted["error_after"] < 0.1
    again = fitting.fit_calibration(card, folder)
    assert again["temperature"] == fitted["temperature"], "the old one is not in the way"
    frame = open_frames(folder)[0]
    (segmenter,) = fitting.open_segmenters([])
    raw = by_brightness("bright", slope=0.05)
    assert (segmenter.segment(frame).labels == raw.segment(frame).labels).all(), "masks stay"
    assert (segmenter.segment(frame).confidence < raw.segment(frame).confidence).all()


def test_too_little_to_fit_is_told_and_the_card_stays(unsure, tmp_path, capsys):
    card, _ = unsure
    before = card.read_bytes()
    few = write_manual(tmp_path / "few", {"a_1": two_bars()})
    assert fitting.main([str(card), str(few)]) == 2
    assert "2 folds were marked, 2 of them rightly" in capsys.readouterr().err
    assert fitting.main([str(card)]) == 2
    assert card.read_bytes() == before
