"""What a reviewer of the Extensions Index, or a machine that is not ours, would stumble over."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest
from checkout import MODULES, ROOT, SHARED, files

FILES = files()
MACHINE_PATH = re.compile(rb"(?<![\w.~$}/])/(?:work|root|home/\w+|tmp|Users/\w+|mnt|opt)/|\b[A-Z]:\\Users\\")
"""A folder of some machine; not a part of an address or of a longer path."""

SCHEMA_FIELDS = {"$schema": str, "category": str, "scm_url": str, "scm_revision": str, "scm_type": str,
                 "enabled": bool, "tier": int, "build_dependencies": list, "build_subdirectory": str,
                 "dicom_support_rule": str}  # fmt: skip
"""Of the Extensions Index' catalog entry, schema v1.0.2; the first three are required, and there are no others."""


def content(file: Path) -> bytes:
    return (ROOT / file).read_bytes()


def is_text(file: Path) -> bool:
    return b"\0" not in content(file)


def test_no_script_lies_at_the_root() -> None:
    """Slicer takes each one in a module path for a module."""
    assert [file for file in FILES if file.suffix == ".py" and len(file.parts) == 1] == []


def test_no_file_is_larger_than_10_mb() -> None:
    assert [file for file in FILES if (ROOT / file).stat().st_size > 10_000_000] == []


def test_no_file_names_a_folder_of_some_machine() -> None:
    """Weights included: an exporter may write where it ran."""
    here = Path(__file__).relative_to(ROOT)
    found = {str(file): MACHINE_PATH.findall(content(file)) for file in FILES if file != here}
    assert {file: paths for file, paths in found.items() if paths} == {}


@pytest.mark.parametrize(
    "text", [b'"/work/x"', b"/root/x", b"\x00/home/me/x", b"C:\\Users\\me", b"cd /tmp/x", b"=/tmp/"]
)
def test_a_folder_of_some_machine_is_found(text: bytes) -> None:
    assert MACHINE_PATH.search(text)


@pytest.mark.parametrize(
    "text", [b"a/work/b", b"https://a.org/home/x/", b"inference_core/tmp/x", b"~/tmp/x", b"../tmp/x", b"${X}/tmp/"]
)
def test_other_paths_are_free(text: bytes) -> None:
    assert not MACHINE_PATH.search(text)


def test_lines_end_with_lf() -> None:
    assert [file for file in FILES if is_text(file) and b"\r\n" in content(file)] == []


def test_scripts_are_shorter_than_400_lines() -> None:
    assert [file for file in FILES if file.suffix == ".py" and content(file).count(b"\n") > 400] == []


def test_every_script_parses_as_python_3_11() -> None:
    for file in FILES:
        if file.suffix == ".py":
            ast.parse(content(file), filename=str(file), feature_version=(3, 11))


def test_the_catalog_entry_follows_its_schema() -> None:
    (file,) = [file for file in FILES if file.parts[0] == "Resources" and file.suffix == ".json"]
    entry = json.loads(content(file))
    assert {"$schema", "category", "scm_url"} <= set(entry)
    assert {name: type(value) for name, value in entry.items()} == {name: SCHEMA_FIELDS[name] for name in entry}
    assert entry["$schema"].endswith("slicer-extension-catalog-entry-schema-v1.0.2.json#")
    assert 1 <= entry["tier"] <= 5
    assert file.stem == description()["project"]
    assert not file.stem.startswith("Slicer")
    assert entry["scm_url"] == description()["HOMEPAGE"]
    assert entry["scm_url"].split("/")[-1] == "Slicer" + file.stem
    assert entry["build_dependencies"] == []
    assert "DEPENDS" not in description(), "PyTorch is optional"


def test_the_extensions_pictures_are_in_the_repository() -> None:
    for name in ("ICONURL", "SCREENSHOTURLS"):
        for url in description()[name].split():
            assert url.startswith("https://raw.githubusercontent.com/")
            owner, repository, revision, path = url.removeprefix("https://raw.githubusercontent.com/").split("/", 3)
            assert description()["HOMEPAGE"] == f"https://github.com/{owner}/{repository}"
            assert revision == "main"
            assert Path(path) in FILES
            assert content(Path(path)).startswith(b"\x89PNG")


def test_links_between_the_documents_lead_somewhere() -> None:
    for file in FILES:
        if file.suffix == ".md":
            links = re.findall(r"\]\(([^)#\s]+)", content(file).decode())
            missing = [link for link in links if "://" not in link and not (ROOT / file.parent / link).exists()]
            assert missing == [], file


def test_the_extension_lists_its_modules() -> None:
    listed = re.findall(r"^add_subdirectory\((\w+)\)", root_cmake(), flags=re.MULTILINE)
    assert listed == ["inference_core", *SHARED, *MODULES]


def test_there_is_a_licence() -> None:
    assert b"Apache License" in content(Path("LICENSE"))


def root_cmake() -> str:
    return content(Path("CMakeLists.txt")).decode()


def description() -> dict[str, str]:
    """The project's name and its EXTENSION_* values; each stands quoted on one line, as the index reads it."""
    (project,) = re.findall(r"^project\((\w+)\)$", root_cmake(), flags=re.MULTILINE)
    values = dict(re.findall(r'^set\(EXTENSION_(\w+) "(.+)"\)$', root_cmake(), flags=re.MULTILINE))
    assert {"HOMEPAGE", "CONTRIBUTORS", "DESCRIPTION", "ICONURL", "SCREENSHOTURLS"} <= set(values)
    return {"project": project, **values}
