"""Write docs/sbom.cdx.json (CycloneDX) and docs/dependencies.md: every package and every model's weights.

After a model was added or changed, or pyproject.toml moved a package between extras:

    python Testing/packaging/sbom.py

After constraints.txt was changed, what pip (25 or newer) says of the packages is needed too:

    python -m pip install -q --dry-run --ignore-installed --report report.json -c constraints.txt \
        -e '.[test,train-endo,bench]' colorama
    python Testing/packaging/sbom.py report.json

Nothing in the files changes from one run to the next: sorted, no date, no serial number, no address of an index.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from checkout import ROOT
from licences import NOTES, SPDX, WORDS, asks, licence_of
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from pins import PROJECT, RUN_TIME, groups, pins

SBOM = ROOT / "docs/sbom.cdx.json"
TABLE = ROOT / "docs/dependencies.md"
WEIGHTS = ROOT / "inference_core/models/weights"
SYSTEMS = (
    {},
    {"sys_platform": "win32", "platform_system": "Windows", "os_name": "nt"},
    {"sys_platform": "darwin", "platform_system": "Darwin"},
)
INTRODUCTION = """\
# Dependencies and their licences

Every package that the project installs, in the version that `constraints.txt` pins, with the licence that the package
states, and the bundled models. The same with checksums, for machines: [sbom.cdx.json](sbom.cdx.json) (CycloneDX 1.6).
Wheels' sha256 there are those of CPython 3.11 on Linux x86_64; torch has none, because its builds differ (those for
CUDA also bring NVIDIA's packages, in versions that torch itself pins). colorama is installed on Windows alone.

Written by `python Testing/packaging/sbom.py`: run it again when a model or an extra changed; when `constraints.txt`
changed, that script's first lines say what pip is to be asked before. A test fails while these files are stale.
"""
Component = dict[str, Any]


def packages_of(report: dict[str, Any]) -> dict[str, Component]:
    """Components of what pip would install, by canonical name; each with ``needs``, the names that it brings."""
    metadata = {canonicalize_name(one["metadata"]["name"]): one for one in report["install"]}
    metadata.pop(PROJECT["name"])
    needs = _needs({name: one["metadata"].get("requires_dist", []) for name, one in metadata.items()})
    found = {}
    for name, one in metadata.items():
        version = Version(one["metadata"]["version"])
        component = {"version": version.public, "licence": licence_of(one["metadata"]), "needs": needs[name]}
        file = one["download_info"]["url"].rpartition("/")[2]
        if not version.local:  # a build of some index is not the one that everybody gets
            component |= {"wheel": file, "sha256": one["download_info"]["archive_info"]["hashes"]["sha256"]}
        found[name] = component
    return found


def _needs(requires: dict[str, list[str]]) -> dict[str, list[str]]:
    """Who brings whom, on any system, with the extras that are asked for."""
    found: dict[str, set[str]] = {name: set() for name in requires}
    environments = [{**default_environment(), **system} for system in SYSTEMS]
    left = [(one.name, extra) for direct in groups().values() for one in direct for extra in (*one.extras, "")]
    seen = set()
    while left:
        name, extra = left.pop()
        name = canonicalize_name(name)
        if (name, extra) in seen or name not in requires:
            continue
        seen.add((name, extra))
        for line in requires[name]:
            one = Requirement(line)
            if one.marker is None or any(one.marker.evaluate(where | {"extra": extra}) for where in environments):
                found[name].add(canonicalize_name(one.name))
                left += [(one.name, inner) for inner in (*one.extras, "")]
    return {name: sorted(inner & set(requires)) for name, inner in found.items()}


def packages_in(sbom: dict[str, Any]) -> dict[str, Component]:
    """The same, from a file that this script wrote."""
    needs = {one["ref"]: one["dependsOn"] for one in sbom["dependencies"]}
    names = {one["bom-ref"]: one["name"] for one in sbom["components"]}
    found = {}
    for one in sbom["components"]:
        if one["type"] == "library":
            (licence,) = one["licenses"]
            component = {
                "version": one["version"],
                "licence": licence.get("expression") or licence["license"]["name"],
                "needs": [names[ref] for ref in needs[one["bom-ref"]]],
            }
            told = {entry["name"]: entry["value"] for entry in one["properties"]}
            if "hashes" in one:
                component |= {"wheel": told["wheel"], "sha256": one["hashes"][0]["content"]}
            found[one["name"]] = component
    return found


def brought_by(packages: dict[str, Component]) -> dict[str, list[str]]:
    """For each package, the run time if that needs it, else the extras that do."""
    closures = {}
    for group, direct in groups().items():
        left, closure = [canonicalize_name(one.name) for one in direct], set()
        while left:
            name = left.pop()
            if name not in closure:
                closure.add(name)
                left += packages[name]["needs"]
        closures[group] = closure
    found = {}
    for name in packages:
        of = [group for group, closure in closures.items() if name in closure]
        found[name] = [RUN_TIME] if RUN_TIME in of else of
    return found


def weights() -> list[Component]:
    """A component for each bundled model; the sha256 of its files are those on its card, which each load checks."""
    found = []
    for path in sorted(WEIGHTS.glob("*.json")):
        card = json.loads(path.read_text(encoding="utf-8"))
        files = [{"type": "file", "name": f"{card['id']}.{suffix}", "hashes": [{"alg": "SHA-256", "content": digest}]}
                 for suffix, digest in sorted(card["sha256"].items())]  # fmt: skip
        found.append(
            {
                "type": "machine-learning-model",
                "bom-ref": f"model:{card['id']}",
                "name": card["id"],
                "version": PROJECT["version"],
                "description": card["summary"],
                "licenses": [{"license": {"name": card["licence"]}}],
                "components": files,
                "properties": [{"name": "task", "value": card["task"]}],
            }
        )
    return found


def sbom_of(packages: dict[str, Component]) -> dict[str, Any]:
    """The CycloneDX document."""
    ref = {name: f"pkg:pypi/{name}@{one['version']}" for name, one in packages.items()}
    groups_of = brought_by(packages)
    libraries = []
    for name, one in sorted(packages.items()):
        licence = one["licence"]
        stated = {"license": {"name": licence}} if licence in WORDS else {"expression": licence}
        told = [{"name": "brought by", "value": group} for group in groups_of[name]]
        component = {"type": "library", "bom-ref": ref[name], "name": name, "version": one["version"],
                     "scope": "required" if groups_of[name] == [RUN_TIME] else "optional",
                     "licenses": [stated], "purl": ref[name]}  # fmt: skip
        if "sha256" in one:
            component["hashes"] = [{"alg": "SHA-256", "content": one["sha256"]}]
            told.append({"name": "wheel", "value": one["wheel"]})
        libraries.append(component | {"properties": told})
    project = f"pkg:pypi/{PROJECT['name']}@{PROJECT['version']}"
    direct = {canonicalize_name(one.name) for requirements in groups().values() for one in requirements}
    graph = [{"ref": project, "dependsOn": sorted(ref[name] for name in direct)}]
    graph += [{"ref": ref[name], "dependsOn": [ref[inner] for inner in one["needs"]]}
              for name, one in sorted(packages.items())]  # fmt: skip
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {"type": "application", "bom-ref": project, "name": PROJECT["name"], "purl": project,
                          "version": PROJECT["version"], "licenses": [{"expression": PROJECT["license"]}]}
        },
        "components": [*libraries, *weights()],
        "dependencies": graph,
    }  # fmt: skip


def table_of(packages: dict[str, Component]) -> str:
    """docs/dependencies.md."""
    groups_of = brought_by(packages)
    flagged = {name: _flag(name, one) for name, one in packages.items()}
    lines = [
        *INTRODUCTION.splitlines(),
        "",
        f"## Run time ({sum(of == [RUN_TIME] for of in groups_of.values())} packages)",
        "",
        *_rows(((name, one) for name, one in packages.items() if groups_of[name] == [RUN_TIME]), flagged, None),
        "",
        "## Further packages of the extras",
        "",
        "None is needed to denoise. `[test]` and `[bench]` are for developers.",
        "",
        *_rows(((name, one) for name, one in packages.items() if groups_of[name] != [RUN_TIME]), flagged, groups_of),
        "",
        "## Copyleft, and not free",
        "",
        *(
            f"* **{name}** ({', '.join(groups_of[name])}): {flagged[name]}."
            for name in sorted(packages)
            if flagged[name]
        ),
        "",
        "Weak copyleft (MPL-2.0) binds changes to those packages' own files, which this project does not make.",
        "",
        "## Bundled models",
        "",
        "| model | task | licence | sha256 of its files |",
        "|---|---|---|---|",
    ]
    for one in weights():
        files = ", ".join(f"{file['name'].rpartition('.')[2]} `{file['hashes'][0]['content'][:16]}...`"
                          for file in one["components"])  # fmt: skip
        task, licence = one["properties"][0]["value"], one["licenses"][0]["license"]["name"]
        lines.append(f"| {one['name']} | {task} | {licence} | {files} |")
    return "\n".join(lines) + "\n"


def _flag(name: str, one: Component) -> str:
    return "; ".join(
        filter(None, [asks(one["licence"]) and f"{one['licence']}, {asks(one['licence'])}", NOTES.get(name)])
    )


def _rows(
    packages: Iterable[tuple[str, Component]], flagged: dict[str, str], groups_of: dict[str, list[str]] | None
) -> list[str]:
    head = ["package", "version", "licence", *(["extras"] if groups_of else []), "flag"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for name, one in sorted(packages):
        extras = [", ".join(groups_of[name])] if groups_of else []
        lines.append(
            f"| {' | '.join([name, one['version'], one['licence'], *extras, flagged[name] and 'see below'])} |"
        )
    return lines


def check(packages: dict[str, Component]) -> list[str]:
    """What differs from constraints.txt, or is stated in no known way."""
    pinned, here = pins(), {name: one["version"] for name, one in packages.items()}
    asked = {canonicalize_name(one.name) for requirements in groups().values() for one in requirements}
    wrong = [f"{name} is asked for in pyproject.toml and missing" for name in sorted(asked - set(here))]
    wrong += [f"{name}=={version} is not pinned" for name, version in sorted(here.items()) if name not in pinned]
    wrong += [f"{name}=={version} is pinned and nothing brings it" for name, version in sorted(pinned.items())
              if name not in here]  # fmt: skip
    wrong += [f"{name} is pinned to {pinned[name]}, the SBOM has {version}" for name, version in sorted(here.items())
              if name in pinned and Version(version) != Version(pinned[name])]  # fmt: skip
    wrong += [f"{name}: {one['licence']!r} is no licence in SPDX's terms" for name, one in packages.items()
              if one["licence"] not in WORDS and not SPDX.fullmatch(one["licence"])]  # fmt: skip
    return wrong


def rendered(packages: dict[str, Component]) -> dict[Path, str]:
    """Both files."""
    return {SBOM: json.dumps(sbom_of(packages), indent=1, ensure_ascii=False) + "\n", TABLE: table_of(packages)}


def main(report: str | None = None) -> None:
    """Write both files."""
    if report:
        packages = packages_of(json.loads(Path(report).read_text(encoding="utf-8")))
    else:
        packages = packages_in(json.loads(SBOM.read_text(encoding="utf-8")))
    if wrong := check(packages):
        sys.exit("\n".join([*wrong, "Change constraints.txt, or give pip's report: see this script's first lines."]))
    for path, text in rendered(packages).items():
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
