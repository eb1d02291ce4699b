"""A depth network is scored on frames whose depth is exact, and the bundled one is what its card says."""

from pathlib import Path

import numpy as np
import pytest
from made_frames import write_dataset

torch = pytest.importorskip("torch")

from inference_core.cli import main  # noqa: E402
from inference_core.cli.evaluate_depth import depth  # noqa: E402
from inference_core.errors import UserError  # noqa: E402
from inference_core.evaluation import depth as evaluation  # noqa: E402
from inference_core.evaluation.translator_scores import Judges  # noqa: E402
from inference_core.models.engines import open_engine  # noqa: E402
from inference_core.models.registry import find_model  # noqa: E402
from inference_core.simulation.colon.dataset.frames import ColonFrames  # noqa: E402


def row_of(text, name):
    line = next(line for line in text.splitlines() if line.startswith(f"| {name}"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_network_that_is_off_by_a_known_factor_gets_that_error(tmp_path, monkeypatch):
    write_dataset(tmp_path / "sim" / "one", split="test", frames=3)
    frames = ColonFrames(tmp_path / "sim", split="test")
    truth = {frames[k]["rgb"].tobytes(): frames[k]["depth"] for k in range(3)}
    too_far = Judges(lambda rgb: (1.1 * np.maximum(truth[rgb.tobytes()], 1)).astype(np.float32))
    monkeypatch.setattr(evaluation, "open_judges", lambda *_: too_far)
    name, count, abs_rel, _, within, scale = row_of(evaluation.score_depth(tmp_path / "sim", "x", "test", 60), "one")
    assert (name, count, abs_rel, within, scale) == ("one", "3", "0.100", "1.000", "1.100")


def test_the_command_scores_the_bundled_network(tmp_path, capsys):
    write_dataset(tmp_path / "sim" / "one", split="test", frames=2)
    write_dataset(tmp_path / "sim" / "two", seed=1, frames=2)
    main(["evaluate", "depth", "--simulated", str(tmp_path / "sim")])
    said = capsys.readouterr().out
    assert "colon-depth" in said
    assert float(row_of(said, "one")[2]) > 0
    assert "two" not in said  # it is of another split


def test_the_bundled_network_gives_depth_in_both_engines():
    card = find_model("colon-depth", "depth")
    frame = np.random.default_rng(0).random((1, 3, 128, 144), np.float32)
    by_onnx, by_torch = (open_engine(card, engine).run(frame) for engine in ("onnxruntime", "torch"))
    np.testing.assert_allclose(by_onnx, by_torch, rtol=1e-3)
    near, far = (open_engine(card).run(np.full((1, 3, 128, 128), light, np.float32)).mean() for light in (0.9, 0.15))
    assert 1 < near < far < 300  # mm: the endoscope carries its light


@pytest.mark.parametrize(
    ("given", "code"),
    [({}, "what-to-score"), ({"simulated": Path(), "frames": 0}, "frames"), ({"simulated": Path()}, "no-dataset")],
)
def test_bad_requests_are_told(given, code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as error:
        depth(**given)
    assert error.value.code == code
