"""What became of a batch, for people: ``summary.csv`` for a spreadsheet, ``summary.html`` to look at."""

from __future__ import annotations

import csv
import html
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from inference_core.batch.ledger import DONE, FAILED, REFUSED
from inference_core.image.writing import write_aside

COLUMNS = ("path", "series", "status", "code", "message", "remedy", "output", "model", "noise_before_hu",
           "noise_after_hu", "low_band_change_hu", "time_s")  # fmt: skip
COLORS = {DONE: "#e8f3ec", REFUSED: "#fbf1dc", FAILED: "#f8e0de"}
STYLE = (
    "body{font:14px system-ui,sans-serif;margin:2em}table{border-collapse:collapse}"
    "td,th{padding:.3em .7em;text-align:left;border-bottom:1px solid #ddd;vertical-align:top}"
)


def write_summary(out: Path, entries: Sequence[dict[str, Any]], total: int) -> None:
    """Write both tables.

    Parameters
    ----------
    out : Path
    entries : sequence of dict
        Of the ledger.
    total : int
        Of studies that were found.
    """
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
    table.writeheader()
    table.writerows(entries)
    write_aside(out / "summary.csv", lambda path: path.write_text(text.getvalue(), encoding="utf-8"))
    write_aside(out / "summary.html", lambda path: path.write_text(_page(entries, total), encoding="utf-8"))


def totals(entries: Sequence[dict[str, Any]], total: int) -> str:
    """How many were done, refused, failed, and are left."""
    counts = Counter(entry["status"] for entry in entries)
    parts = [f"{counts[DONE]} of {total} studies done", f"{counts[REFUSED]} refused"]
    if counts[FAILED]:
        parts.append(f"{counts[FAILED]} failed")
    if total > len(entries):
        parts.append(f"{total - len(entries)} left")
    return ", ".join(parts)


def reasons(entries: Sequence[dict[str, Any]]) -> str:
    """A line for each study that was not done."""
    return "\n".join(
        f"{entry['path']}: {entry['code']}: {entry['message']} {entry['remedy']}"
        for entry in entries
        if entry["status"] != DONE
    )


def _page(entries: Sequence[dict[str, Any]], total: int) -> str:
    ordered = sorted(entries, key=lambda entry: (entry["status"] == DONE, entry["path"]))
    head = "".join(f"<th>{name.replace('_', ' ')}</th>" for name in COLUMNS)
    rows = "".join(
        f'<tr style="background:{COLORS[entry["status"]]}">'
        + "".join(f"<td>{html.escape(_cell(entry.get(name)))}</td>" for name in COLUMNS)
        + "</tr>\n"
        for entry in ordered
    )
    title = html.escape(totals(entries, total))
    return (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>\n'
        f"<h1>{title}</h1>\n<table><tr>{head}</tr>\n{rows}</table></html>\n"
    )


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
