"""Any JSON where a card, a ROI file, a path, a recipe or a message is read: a result or a UserError, nothing else."""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inference_core import worker
from inference_core.errors import UserError
from inference_core.image.reading import read_volume
from inference_core.image.volume import Volume
from inference_core.measurement.roi_files import read_rois
from inference_core.models.card import read_card
from inference_core.models.registry import BUNDLED

QUICK = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(-3, 10), st.floats(), st.text(max_size=20),
    st.sampled_from(["LPS", "RAS", "Box", "ROI", "Curve", "sphere", "denoise-ct", "depth", "onnx", "mm", "\ud800", "\0",
                     10**400, -(2**63)]),
)  # fmt: skip
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=8), inner, max_size=6)
)
VOLUME = Volume(np.zeros((2, 4, 4), np.int16))
CARDS = [json.loads((BUNDLED / f"{name}.json").read_text(encoding="utf-8")) for name in ("low-dose-ct", "colon-folds")]
ROIS = [
    {"markups": [{"type": "ROI", "coordinateSystem": "LPS", "roiType": "Box", "center": [1, 1, 1], "size": [1, 1, 1],
                  "orientation": [1, 0, 0, 0, 1, 0, 0, 0, 1]}]},
    {"coordinateSystem": "RAS", "rois": [{"name": "a", "shape": "sphere", "center": [1, 1, 1], "radius": 1}]},
]  # fmt: skip
PATHS = [{"markups": [{"type": "Curve", "coordinateSystem": "LPS", "controlPoints": [
    {"position": [k, 2 * k, 0], "positionStatus": "defined"} for k in range(0, 30, 10)]}]}]  # fmt: skip
RECIPES = [{"model": "low-dose-ct", "strength": 0.5, "threads": 2, "format": ".nrrd"}]
MESSAGES = [
    {"job": "check", "input": "nothing.nrrd", "output": "nothing.nrrd", "model": "low-dose-ct", "strength": 0.5},
    {"job": "structure", "before": "nothing.nrrd", "after": "nothing.nrrd", "output": "nothing.nrrd"},
    {"job": "simulate-colon", "input": "nothing.ply", "output": "nothing", "frames": 1, "start": [0, 0, 0]},
    {"job": "label-folds", "input": "nothing.ply", "output": "nothing.vtp"},
    {"job": "colon-lumen", "input": "nothing.nrrd", "output": "nothing.vtp", "seeds": [[0, 0, 0]], "threshold": -800},
    {"job": "colon-path", "input": "nothing.ply", "output": "nothing.vtp", "start": [0, 0, 0], "end": [1, 1, 1]},
    {"job": "colon-coverage", "input": "nothing", "output": "nothing.vtp"},
    {"job": "translate", "input": "nothing", "output": "nothing-else", "model": "plain-to-mucosa"},
    {"job": "segment-folds", "input": "nothing", "output": "nothing-else", "model": "colon-folds"},
]


def changed(wholes):
    """Whole ones in which one value, at any depth, is another; or any JSON at all."""

    @st.composite
    def draw_one(draw):
        content = copy.deepcopy(draw(st.sampled_from(wholes)))
        places = list(_places(content))
        holder, key = draw(st.sampled_from(places))
        if draw(st.booleans()):
            holder[key] = draw(JSON)
        else:
            del holder[key]
        return content

    return draw_one() | JSON


def _places(content):
    items = content.items() if isinstance(content, dict) else enumerate(content)
    for key, value in items:
        yield content, key
        if isinstance(value, (dict, list)):
            yield from _places(value)


def read_or_refused(read, path: Path, content) -> None:
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    refused = None
    try:
        read(path)
    except UserError as error:
        refused = error
    assert refused is None or (refused.message and refused.remedy)


@QUICK
@given(content=changed(CARDS))
def test_cards(tmp_path, content):
    read_or_refused(read_card, tmp_path / "m.json", content)


@QUICK
@given(content=changed(ROIS))
def test_roi_files(tmp_path, content):
    read_or_refused(lambda path: read_rois(path, VOLUME), tmp_path / "r.mrk.json", content)


@QUICK
@given(content=changed(PATHS))
def test_path_files(tmp_path, content):
    pytest.importorskip("vtk")
    from inference_core.simulation.colon.path.path_files import read_path

    read_or_refused(read_path, tmp_path / "p.mrk.json", content)


@QUICK
@given(content=changed(RECIPES))
def test_recipes(tmp_path, content):
    pytest.importorskip("yaml")
    from inference_core.batch.recipe import read_recipe

    read_or_refused(read_recipe, tmp_path / "r.yaml", content)


def asked(line: str) -> dict:
    """What the worker answers at last."""
    said = []
    worker.answer(line, lambda kind, **fields: said.append({"type": kind, **fields}), lambda: False)
    json.dumps(said)
    return said[-1]


@QUICK
@given(content=changed(MESSAGES))
def test_messages(tmp_path, content):
    before = os.getcwd()
    os.chdir(tmp_path)  # where a path without a folder leads
    try:
        if isinstance(content, dict) and (content.get("job") == "bundle" or content.get("benchmark")):
            return
        last = asked(json.dumps(content))
    finally:
        os.chdir(before)
    assert last["type"] == "error", last
    assert last["code"] != "internal", last
    assert last["remedy"]


@QUICK
@given(data=st.binary(max_size=200) | st.text(max_size=200).map(lambda text: json.dumps(text).encode()))
def test_lines_that_are_no_messages(data):
    last = asked(data.decode("utf-8", "replace"))
    assert last["code"] == "bad-job"
    assert last["remedy"]


@pytest.mark.parametrize("line", ["[" * 100_000, "", "null", '{"job": {"a": []}}', '{"job": "denoise\0"}', "\ufeff{}"])
def test_lines_that_once_were_trouble(line):
    assert asked(line)["code"] == "bad-job"


TROUBLE = [
    (0, ("input", "multiple_of"), float("inf")),
    (0, ("input", "multiple_of"), 10**400),
    (0, ("input", "unit_hu"), 10**400),
    (0, ("input",), []),
    (0, ("sha256",), {"onnx": None}),
    (0, ("architecture", "arguments"), [[1, 2], [3]]),
    (1, ("task",), {}),
]


@pytest.mark.parametrize(("which", "place", "value"), TROUBLE)
def test_cards_with_values_that_no_card_has(tmp_path, which, place, value):
    content = copy.deepcopy(CARDS[which])
    holder = content
    for name in place[:-1]:
        holder = holder[name]
    holder[place[-1]] = value
    read_or_refused(read_card, tmp_path / "m.json", content)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "1e999", "9" * 5000, "\ufeff{}"])
def test_json_that_is_deep_or_large(tmp_path, text):
    readers = {".json": read_card, ".mrk.json": lambda path: read_rois(path, VOLUME)}
    for suffix, read in readers.items():
        (tmp_path / f"x{suffix}").write_text(text, encoding="utf-8")
        with pytest.raises(UserError):
            read(tmp_path / f"x{suffix}")
    pytest.importorskip("vtk")
    from inference_core.simulation.colon.path.path_files import read_path

    with pytest.raises(UserError):
        read_path(tmp_path / "x.mrk.json")


def test_a_path_whose_coordinate_system_is_a_list_is_refused(tmp_path):
    pytest.importorskip("vtk")
    from inference_core.simulation.colon.path.path_files import read_path

    content = copy.deepcopy(PATHS[0])
    content["markups"][0]["coordinateSystem"] = []
    (tmp_path / "p.mrk.json").write_text(json.dumps(content))
    with pytest.raises(UserError) as caught:
        read_path(tmp_path / "p.mrk.json")
    assert caught.value.code == "unreadable-path"


@pytest.mark.parametrize("dimensions", ["\u00b2", "1" * 5000, "0x3", "3 3", ""])
def test_a_meta_image_whose_dimensions_are_no_number_is_refused(tmp_path, dimensions):
    (tmp_path / "x.mha").write_text(f"NDims = {dimensions}\nDimSize = 1 1 1\n", encoding="latin-1")
    with pytest.raises(UserError) as caught:
        read_volume(tmp_path / "x.mha")
    assert caught.value.code == "unreadable-file"
