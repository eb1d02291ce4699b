"""What is wrong with a module's .ui file, as far as it shows without Qt."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from xml.etree import ElementTree

SCENE_SIGNAL = "mrmlSceneChanged(vtkMRMLScene*)"
SCENE_SLOT = "setMRMLScene(vtkMRMLScene*)"
NO_INPUT = ("QLabel", "QProgressBar", "QWidget")
MENUS = "FEVH"
"""Letters of Slicer's own menus."""


def parameter_names(scripts: Iterable[str]) -> set[str]:
    """What a SlicerParameterName may say: the fields of these scripts' parameter nodes, those of packs behind a dot."""
    nodes: list[ast.ClassDef] = []
    packs: dict[str, ast.ClassDef] = {}
    for script in scripts:
        for node in ast.walk(ast.parse(script)):
            if isinstance(node, ast.ClassDef):
                decorators = {ast.unparse(decorator).split(".")[-1] for decorator in node.decorator_list}
                if "parameterNodeWrapper" in decorators:
                    nodes.append(node)
                if "parameterPack" in decorators:
                    packs[node.name] = node
    return {name for node in nodes for name in _field_names(node, packs)}


def _field_names(node: ast.ClassDef, packs: dict[str, ast.ClassDef]) -> set[str]:
    found = set()
    for statement in node.body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            field = statement.target.id
            found.add(field)
            for part in ast.walk(statement.annotation):
                if isinstance(part, ast.Name) and part.id in packs:
                    found |= {f"{field}.{inner}" for inner in _field_names(packs[part.id], packs)}
    return found


def problems(ui: str, parameters: set[str]) -> list[str]:
    """One sentence a fault of the .ui file with this text, whose module's parameter node has these fields."""
    tree = ElementTree.fromstring(ui)
    root = tree.find("widget")
    if root is None:
        return ["There is no widget."]
    widgets = list(root.iter("widget"))
    found = []
    if root.get("class") != "qMRMLWidget":
        found.append(f"The root is a {root.get('class')}, not a qMRMLWidget.")
    for widget in widgets:
        found += _property_problems(widget, parameters)
    found += _undeclared(tree, widgets)
    found += _scene_problems(tree, root, widgets)
    found += _keyboard_problems(root, widgets)
    return found


def _property_problems(widget: ElementTree.Element, parameters: set[str]) -> list[str]:
    found = []
    for item in widget.findall("property"):
        name, value = item.get("name"), item.findtext("string") or ""
        if name == "SlicerParameterName":
            if value not in parameters:
                found.append(f"{widget.get('name')}: the parameter node has no field {value!r}.")
            if item.get("stdset") != "0":
                found.append(f'{widget.get("name")}: SlicerParameterName needs stdset="0".')
        elif name in parameters and item.get("stdset") == "0":
            found.append(f"{widget.get('name')}: {name} is a property here; a SlicerParameterName was meant.")
    return found


def _undeclared(tree: ElementTree.Element, widgets: list[ElementTree.Element]) -> list[str]:
    headers = {item.findtext("class"): item.findtext("header") for item in tree.iter("customwidget")}
    custom = {str(widget.get("class")) for widget in widgets if not str(widget.get("class")).startswith("Q")}
    return [f"{name} is not in customwidgets with a header." for name in sorted(custom) if not headers.get(name)]


def _scene_problems(
    tree: ElementTree.Element, root: ElementTree.Element, widgets: list[ElementTree.Element]
) -> list[str]:
    parts = ("sender", "signal", "receiver", "slot")
    connections = [tuple(item.findtext(part) for part in parts) for item in tree.iter("connection")]
    names = {widget.get("name") for widget in widgets}
    strangers = sorted({str(name) for sender, _, receiver, _ in connections for name in (sender, receiver)} - names)
    found = [f"A connection names {name}, and there is no such widget." for name in strangers]
    for widget in widgets:
        mrml = str(widget.get("class")).startswith(("qMRML", "qSlicer")) and widget is not root
        if mrml and (root.get("name"), SCENE_SIGNAL, widget.get("name"), SCENE_SLOT) not in connections:
            found.append(f"{widget.get('name')} does not get the scene from {root.get('name')}.")
    return found


def _keyboard_problems(root: ElementTree.Element, widgets: list[ElementTree.Element]) -> list[str]:
    """A label that stands before an input is its buddy: a screen reader says it, and Alt with its letter goes there."""
    found = []
    for layout in root.iter("layout"):
        rows: dict[str, dict[str, ElementTree.Element]] = {}
        for item in layout.findall("item") if layout.get("class") == "QFormLayout" else []:
            rows.setdefault(str(item.get("row")), {})[str(item.get("column"))] = item
        for row in rows.values():
            label = row["0"].find("widget") if "0" in row else None
            inputs = [widget.get("name") for widget in row["1"].iter("widget")] if "1" in row else []
            shows = [widget.get("class") in NO_INPUT for widget in row["1"].iter("widget")] if "1" in row else []
            if label is None or label.get("class") != "QLabel" or all(shows):
                continue
            if label.findtext("property[@name='buddy']/cstring") not in inputs:
                found.append(f"{label.get('name')}: its buddy is none of {', '.join(map(str, inputs))}.")
    letters: dict[str, str] = dict.fromkeys(MENUS, "Slicer's menus")
    for widget in widgets:
        text = widget.findtext("property[@name='text']/string") or ""
        letter = text.partition("&")[2][:1].upper()
        if letter:
            name = str(widget.get("name"))
            if letter in letters:
                found.append(f"{name}: Alt+{letter} is taken by {letters[letter]}.")
            letters[letter] = name
    return found
