"""Every dependency is pinned, and the lists of dependencies, licences and weights are those of this checkout."""

from __future__ import annotations

import json
import re

import pytest
import sbom
from checkout import ROOT
from licences import asks, licence_of
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pins import RUN_TIME, groups, installed_packages, not_pinned, pins

from inference_core.models.card import sha256_of
from inference_core.models.registry import BUNDLED


def written() -> dict:
    return json.loads(sbom.SBOM.read_text(encoding="utf-8"))


def test_all_that_is_installed_for_the_project_is_pinned() -> None:
    installed = installed_packages()
    assert {"numpy", "torch", "fsspec", "markupsafe"} <= set(installed), "the walk over what packages bring is broken"
    assert not_pinned() == []


def test_the_constraints_hold_pins_and_nothing_else() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    given = [line for line in lines if line and not line.startswith("#")]
    assert [line for line in given if not re.fullmatch(r"[\w.-]+==[\w.]+", line)] == []
    names = [canonicalize_name(line.split("==")[0]) for line in given]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("group", [*groups()])
def test_what_an_extra_asks_for_is_pinned_to_a_version_it_allows(group: str) -> None:
    pinned = pins()
    for one in groups()[group]:
        assert one.specifier.contains(pinned[canonicalize_name(one.name)]), str(one)


def test_an_extra_of_extras_asks_for_what_those_ask_for() -> None:
    assert {str(one) for one in groups()["video"]} < {str(one) for one in groups()["test"]}
    assert Requirement("numpy>=1.26") in groups()[RUN_TIME]


def test_the_lists_are_those_of_the_pins_the_extras_and_the_cards() -> None:
    """Mended by: python Testing/packaging/sbom.py (its first lines say what a changed pin needs)."""
    packages = sbom.packages_in(written())
    assert sbom.check(packages) == []
    for path, text in sbom.rendered(packages).items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name} is stale: python Testing/packaging/sbom.py"


def test_the_weights_in_the_list_are_the_files_that_are_shipped() -> None:
    listed = {
        file["name"]: file["hashes"][0]["content"]
        for one in written()["components"]
        if one["type"] == "machine-learning-model"
        for file in one["components"]
    }
    shipped = {path.name: sha256_of(path) for path in BUNDLED.iterdir() if path.suffix in (".onnx", ".safetensors")}
    assert listed == shipped


def test_a_changed_card_or_pin_makes_the_lists_stale(tmp_path, monkeypatch) -> None:
    packages = sbom.packages_in(written())
    for card in BUNDLED.glob("*.json"):
        (tmp_path / card.name).write_text(card.read_text(encoding="utf-8").replace("0", "1"), encoding="utf-8")
    with monkeypatch.context() as changed:
        changed.setattr(sbom, "WEIGHTS", tmp_path)
        assert all(path.read_text(encoding="utf-8") != text for path, text in sbom.rendered(packages).items())
    monkeypatch.setattr(sbom, "pins", lambda: {**pins(), "numpy": "0.1", "left-pad": "1.0"})
    assert len(sbom.check(packages)) == 2


def test_no_index_is_named() -> None:
    for path in (sbom.SBOM, sbom.TABLE, ROOT / "constraints.txt"):
        hosts = set(re.findall(r"https?://([^/\s\"]+)", path.read_text(encoding="utf-8")))
        assert hosts <= {"cyclonedx.org"}, path.name


@pytest.mark.parametrize(
    ("metadata", "licence"),
    [
        ({"license_expression": "MIT AND BSD-3-Clause", "license": "other"}, "MIT AND BSD-3-Clause"),
        ({"license": "Apache 2.0 License"}, "Apache-2.0"),
        ({"license": "MPL-2.0 AND MIT"}, "MPL-2.0 AND MIT"),
        ({"license": "Copyright (c) 2020 somebody", "classifier": ["License :: OSI Approved :: MIT License"]}, "MIT"),
        ({"license": "BSD", "classifier": ["License :: OSI Approved :: BSD License"]}, "BSD"),
    ],
)
def test_a_licence_is_read_from_metadata(metadata: dict, licence: str) -> None:
    assert licence_of({"name": "made", **metadata}) == licence


def test_a_licence_that_is_not_stated_is_not_guessed() -> None:
    with pytest.raises(ValueError, match="made"):
        licence_of({"name": "made", "license": "See the file"})
    assert asks("GPL-3.0-only") == "strong copyleft"
    assert asks("MIT OR LGPL-2.1-only") == "weak copyleft"
    assert asks("Apache-2.0") == ""
