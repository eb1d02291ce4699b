"""What became of a batch, for people: ``summary.csv`` for a spreadsheet, ``summary.html`` to look at."""

from __future__ import annotations

import csv
import html
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from inference_core.batch.ledger import DONE, FAILED, LEFT_OUT, REFUSED
from inference_core.image.writing import write_aside

COLUMNS = ("path", "series", "files", "status", "code", "message", "remedy", "output", "model", "noise_before_hu",
           "noise_after_hu", "low_band_change_hu", "warnings", "time_s")  # fmt: skip
ORDER = (FAILED, REFUSED, DONE, LEFT_OUT)  # what needs a person comes first
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a cell that begins so is a formula to a spreadsheet
NUMBERS = ("files", "noise_before_hu", "noise_after_hu", "low_band_change_hu", "time_s")
SHOWN = 40  # reasons that a terminal is given
STYLE = """
body{font:14px/1.4 system-ui,sans-serif;margin:2em;color:#1c2430}
h1{font-size:1.4em}
ul.counts{display:flex;flex-wrap:wrap;gap:.8em;padding:0;list-style:none}
ul.counts li{padding:.6em 1.2em;border-radius:.4em;background:#eef1f4}
ul.counts b{display:block;font-size:1.7em;font-weight:600}
table{border-collapse:collapse;margin:1em 0 2em}
td,th{padding:.3em .7em;text-align:left;border-bottom:1px solid #d5dae0;vertical-align:top;overflow-wrap:anywhere}
th{position:sticky;top:0;background:#fff;overflow-wrap:normal}
.number{text-align:right;overflow-wrap:normal;font-variant-numeric:tabular-nums}
.done{background:#e8f3ec!important}.refused{background:#fbf1dc!important}.failed{background:#f8e0de!important}
"""


def write_summary(out: Path, entries: Sequence[dict[str, Any]], total: int, about: str) -> None:
    """Write both tables.

    Parameters
    ----------
    out : Path
    entries : sequence of dict
        Of the ledger.
    total : int
        Of studies that were found, without those left out.
    about : str
        When, of what, and by what they were made.

    Raises
    ------
    UserError
        ``write-failed``.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    table.writerows([_csv_cell(entry.get(name)) for name in COLUMNS] for entry in entries)
    # The mark at the start tells Excel that it is UTF-8.
    write_aside(out / "summary.csv", lambda path: path.write_text(text.getvalue(), encoding="utf-8-sig", newline="\n"))
    page = _page(entries, total, about)
    write_aside(out / "summary.html", lambda path: path.write_text(page, encoding="utf-8"))


def totals(entries: Sequence[dict[str, Any]], total: int) -> str:
    """How many were done, refused, failed, left out, and are left."""
    counts = Counter(entry["status"] for entry in entries)
    parts = [f"{counts[DONE]} of {total} studies done", f"{counts[REFUSED]} refused"]
    if counts[FAILED]:
        parts.append(f"{counts[FAILED]} failed")
    left = total - counts[DONE] - counts[REFUSED] - counts[FAILED]
    if left:
        parts.append(f"{left} left")
    if counts[LEFT_OUT]:
        parts.append(f"{counts[LEFT_OUT]} series left out (no CT)")
    return ", ".join(parts)


def not_done(entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that were refused or failed."""
    return [entry for entry in entries if entry["status"] in (REFUSED, FAILED)]


def reasons(entries: Sequence[dict[str, Any]]) -> str:
    """For a terminal: a line for each study that was not done; where they are many, the first ones and how many."""
    lines = [
        _plain(f"{entry['path']}: {entry['code']}: {entry['message']} {entry['remedy']}") for entry in not_done(entries)
    ]
    if len(lines) > SHOWN:
        counts = Counter(entry["code"] for entry in not_done(entries)).most_common()
        lines = [*lines[:SHOWN], f"... {len(lines)} in all: " + ", ".join(f"{count} {code}" for code, count in counts)]
    return "\n".join(lines)


def _page(entries: Sequence[dict[str, Any]], total: int, about: str) -> str:
    counts = Counter(entry["status"] for entry in entries)
    warned = sum(bool(entry.get("warnings")) for entry in entries)
    left = total - counts[DONE] - counts[REFUSED] - counts[FAILED]
    told = [(DONE, counts[DONE]), (REFUSED, counts[REFUSED]), (FAILED, counts[FAILED]), ("not begun", left),
            ("done with warnings", warned), ("left out: no CT", counts[LEFT_OUT])]  # fmt: skip
    tiles = "".join(
        f'<li class="{name if name in ORDER and count else ""}"><b>{count}</b>{name}</li>' for name, count in told
    )
    why = Counter((entry["status"], entry["code"]) for entry in not_done(entries)).most_common()
    kinds = "".join(
        f'<tr class="{status}"><td class="number">{count}</td><td>{status}</td><td>{html.escape(code)}</td></tr>'
        for (status, code), count in why
    )
    title = html.escape(totals(entries, total))
    ordered = sorted(entries, key=lambda entry: (ORDER.index(entry["status"]), entry["path"]))
    head = "".join(f"<th{_class(name)}>{name.replace('_', ' ')}</th>" for name in COLUMNS)
    rows = "".join(_row(entry) for entry in ordered)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
        f'</head>\n<body><h1>{title}</h1>\n<p>{html.escape(_plain(about))}</p>\n<ul class="counts">{tiles}</ul>\n'
        + (f"<table><tr><th>studies</th><th>what</th><th>why</th></tr>{kinds}</table>\n" if kinds else "")
        + f"<table><thead><tr>{head}</tr></thead>\n<tbody>{rows}</tbody></table></body></html>\n"
    )


def _row(entry: dict[str, Any]) -> str:
    cells = "".join(f"<td{_class(name)}>{html.escape(_cell(entry.get(name)))}</td>" for name in COLUMNS)
    return f'<tr class="{entry["status"].replace(" ", "-")}">{cells}</tr>\n'


def _class(name: str) -> str:
    return ' class="number"' if name in NUMBERS else ""


def _csv_cell(value: Any) -> str:
    text = _cell(value)
    return f"'{text}" if isinstance(value, (str, list)) and text.startswith(FORMULA) else text


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return _plain(" ".join(map(str, value)))
    return "" if value is None else f"{value:g}" if isinstance(value, float) else _plain(str(value))


def _plain(text: str) -> str:
    """Without what UTF-8 cannot say: names of files need not be text."""
    return text.encode("utf-8", "replace").decode()
