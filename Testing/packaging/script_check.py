"""What is wrong with a Slicer module's Python file, as far as its syntax tree shows."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

IN_SLICER = {"slicer", "vtk", "qt", "ctk", "numpy"}
OURS = {"inference_core"}


def leaked_names() -> set[str]:
    """Public names of slicer.util, which the slicer-core wheel also puts on ``slicer`` and Slicer itself does not."""
    spec = importlib.util.find_spec("slicer")
    assert spec is not None, "slicer-core is missing"
    assert spec.origin is not None
    tree = ast.parse((Path(spec.origin).parent / "util.py").read_text(encoding="utf-8"))
    found: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
    return {name for name in found if not name.startswith("_")}


def leaks(script: str, names: set[str]) -> list[str]:
    """Uses of ``slicer.<name>`` for these names: they run on slicer-core and fail in Slicer."""
    found = []
    for node in ast.walk(ast.parse(script)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "slicer":
            used = {node.attr}
        elif isinstance(node, ast.ImportFrom) and node.module == "slicer":
            used = {alias.name for alias in node.names}
        else:
            continue
        found += [f"line {node.lineno}: write slicer.util.{name}, not slicer.{name}" for name in sorted(used & names)]
    return found


def foreign_imports(script: str, own: set[str]) -> list[str]:
    """Imports at file scope of what a bare Slicer may lack: there the module would not load, and could not say why."""
    allowed = IN_SLICER | OURS | own | sys.stdlib_module_names
    foreign = [(line, name) for line, name in file_scope_imports(script) if name.split(".")[0] not in allowed]
    return [f"line {line}: {name} at file scope" for line, name in foreign]


def file_scope_imports(script: str) -> list[tuple[int, str]]:
    """Line and dotted name of each absolute import that runs when the file is imported."""
    found = []
    for node in _statements(ast.parse(script).body):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.append((node.lineno, str(node.module)))
    return found


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements that run at import: those in functions do not, nor those for type checkers."""
    for node in body:
        yield node
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            yield from _statements(node.orelse)
            continue
        inner = [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]
        handlers = [child for handler in getattr(node, "handlers", []) for child in handler.body]
        yield from _statements([*inner, *handlers])
