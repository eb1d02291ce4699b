"""Write what was found: Markdown to read, CSV and JSON to compute with."""

from __future__ import annotations

import csv
import io
import json
import math
import platform
from pathlib import Path
from typing import Any

from inference_core import __version__
from inference_core.errors import UserError
from inference_core.image.writing import write_aside

SUFFIXES = (".md", ".csv", ".json")
Tables = dict[str, list[dict[str, Any]]]


def make_folder(out: Path) -> None:
    """Make the folder that data, runs and figures go to; the results are written beside it, under its name.

    Raises
    ------
    UserError
        ``output-format`` where ``out`` is a file or named like a result.
    """
    if out.suffix in SUFFIXES or (out.exists() and not out.is_dir()):
        raise UserError("output-format", f"{out} is no folder.", "Give --out a folder, e.g. runs/reproduce.")
    out.mkdir(parents=True, exist_ok=True)


def write_results(out: Path, text: str, tables: Tables, settings: dict[str, Any]) -> list[Path]:
    """Write ``OUT.md``, ``OUT.csv`` and ``OUT.json``, over those of an earlier call.

    Parameters
    ----------
    out : Path
    text : str
        What was printed (Markdown).
    tables : dict
        By table: a dict a line, ``method`` and its values.
    settings : dict
        How it was made.

    Raises
    ------
    UserError
        ``write-failed``.
    """
    software = {"name": "faithful-imaging", "version": __version__, "python": platform.python_version()}
    record = {"software": software, "settings": settings, "tables": tables}
    content = {
        ".md": text,
        ".csv": as_csv(tables),
        ".json": json.dumps(_finite(record), indent=1, ensure_ascii=False) + "\n",
    }
    written = []
    for suffix, said in content.items():
        path = out.with_name(out.name + suffix)
        write_aside(path, lambda aside, said=said: aside.write_text(said, encoding="utf-8", newline=""))  # type: ignore[misc]
        written.append(path)
    return written


def as_csv(tables: Tables) -> str:
    """One line a value: table, method, quantity, value; what was not measured is left out."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["table", "method", "quantity", "value"])
    for table, lines in tables.items():
        for line in lines:
            values = {name: value for name, value in line.items() if name != "method"}
            writer.writerows(
                [table, line["method"], name, value] for name, value in values.items() if _finite(value) is not None
            )
    return text.getvalue()


def plain(value: Any) -> Any:
    """The same with paths as text, for JSON."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    return str(value) if isinstance(value, Path) else value


def _finite(value: Any) -> Any:
    """The same with null in the place of NaN and infinity, which JSON does not know."""
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
