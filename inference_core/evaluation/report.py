"""Write results: Markdown to read, CSV and JSON to compute with, pictures to look at."""

from __future__ import annotations

import csv
import io
import json
import math
import platform
from collections.abc import Iterable
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from inference_core import __version__
from inference_core.errors import UserError
from inference_core.evaluation.bootstrap import DRAWS, groups_of
from inference_core.evaluation.noise_spectra import mean_frequency
from inference_core.evaluation.pictures import file_stem, write_noise_power, write_strip
from inference_core.evaluation.run import Results
from inference_core.evaluation.scores import Row
from inference_core.evaluation.table import mean, mean_interval, reduction, worst
from inference_core.image.writing import check_folder, write_aside

SUFFIXES = (".md", ".csv", ".json", "_noise_power.csv")
SCORES = [field.name for field in fields(Row) if field.type == "float"]


def check_out(out: Path, read: Iterable[Path]) -> None:
    """Refuse a name for the results before any work is done for it.

    Parameters
    ----------
    out : Path
        Start of the results' names: ``out.md``, ``out.csv``, ...
    read : iterable of Path
        Files and folders that are read: none of them is ever written.

    Raises
    ------
    UserError
        ``output-format``, ``same-file``, ``exists``, or as :func:`~inference_core.image.writing.check_folder`.
    """
    if out.exists() or out.suffix in SUFFIXES:
        kind = "a folder" if out.is_dir() else "a file" if out.exists() else "a file's name"
        raise UserError(
            "output-format",
            f"{out} is {kind}.",
            "Give the start of the results' names: with 'runs/results' they are runs/results.md, .csv, .json and the"
            " folder runs/results_pictures.",
        )
    kept = {path.resolve() for path in read}
    written = [*(_named(out, suffix) for suffix in SUFFIXES), _pictures(out)]
    for path in written:
        if path.resolve() in kept:
            raise UserError("same-file", f"{path} is read here.", "Give the results another name.")
    for suffix in SUFFIXES:
        check_folder(_named(out, suffix))
    there = [str(path) for path in written if path.exists()]
    if there:
        raise UserError("exists", f"Already there: {', '.join(there)}.", "Give another --out, or remove them.")


def write_results(out: Path, results: Results, text: str, settings: dict[str, Any]) -> list[Path]:
    """Write all files, each whole or not at all.

    Parameters
    ----------
    out : Path
        Passed by :func:`check_out`.
    results : Results
    text : str
        What was printed (Markdown).
    settings : dict
        How it was made; goes into the JSON.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    UserError
        ``write-failed``.
    """
    content = {
        ".md": text,
        ".csv": rows_as_csv(results.rows),
        ".json": json.dumps(_finite(as_record(results, settings)), indent=1, ensure_ascii=False) + "\n",
        "_noise_power.csv": noise_power_as_csv(results),
    }
    written = []
    for suffix, said in content.items():
        path = _named(out, suffix)
        write_aside(path, lambda aside, said=said: aside.write_text(said, encoding="utf-8", newline=""))  # type: ignore[misc]
        written.append(path)
    folder = _pictures(out)
    folder.mkdir(exist_ok=True)
    for scan, example in results.examples.items():
        written.append(folder / f"{file_stem(scan)}.png")
        write_strip(example, written[-1])
    for scan, spectra in results.spectra.items():
        if spectra.patches:
            written.append(folder / f"{file_stem(scan)}_noise_power.png")
            write_noise_power(scan, spectra, written[-1])
    return written


def rows_as_csv(rows: list[Row]) -> str:
    """One line a slice and method, full precision; empty where there was nothing to measure."""
    return _csv(
        [field.name for field in fields(Row)],
        (["" if isinstance(v, float) and math.isnan(v) else v for v in asdict(row).values()] for row in rows),
    )


def noise_power_as_csv(results: Results) -> str:
    """One line a scan, method and frequency."""
    return _csv(
        ["scan", "method", "cycles_per_mm", "noise_power_hu2_mm2"],
        (
            [scan, method, float(f), float(p)]
            for scan, spectra in results.spectra.items()
            if spectra.patches
            for method, curve in spectra.power.items()
            for f, p in zip(spectra.frequency, curve, strict=True)
        ),
    )


def as_record(results: Results, settings: dict[str, Any]) -> dict[str, Any]:
    """Everything but the single slices, for the JSON; NaN where there was nothing to measure."""
    return {
        "software": {"name": "faithful-imaging", "version": __version__, "python": platform.python_version()},
        "settings": settings,
        "bootstrap": {"draws": DRAWS, "seed": 0, "interval": "2.5 to 97.5 %, percentile"},
        "scans": {scan: _scan(results, scan) for scan in dict.fromkeys(row.scan for row in results.rows)},
        "all": _summary(results.rows),
    }


def _scan(results: Results, scan: str) -> dict[str, Any]:
    spectra = results.spectra[scan]
    return _summary([row for row in results.rows if row.scan == scan]) | {
        "contrast_recovery": {
            method: [{f"{diameter:g} mm": ratio for diameter, ratio in one.items()} for one in phantoms]
            for method, phantoms in results.contrast.get(scan, {}).items()
        },
        "noise_power": {
            "patches": spectra.patches,
            "mean_frequency_per_mm": {m: mean_frequency(spectra.frequency, p) for m, p in spectra.power.items()}
            if spectra.patches
            else {},
        },
    }


def _summary(rows: list[Row]) -> dict[str, Any]:
    methods = list(dict.fromkeys(row.method for row in rows))
    first = [row for row in rows if row.method == methods[0]]
    return {
        "slices": len(first),
        "subjects": len({row.subject for row in first}),
        "intervals_over": groups_of([row.subject for row in first])[1],
        "methods": {method: _method([row for row in rows if row.method == method]) for method in methods},
    }


def _method(rows: list[Row]) -> dict[str, Any]:
    scores: dict[str, Any] = {
        name: {"mean": mean(rows, name), "interval_95": mean_interval(rows, name)} for name in SCORES
    }
    return scores | {
        "worst_soft": worst(rows, "soft"),
        "worst_whole": worst(rows, "whole"),
        "std_soft_reduction": reduction(rows, "std_soft"),
        "noise_reduction": reduction(rows, "noise"),
    }


def _csv(header: list[str], lines: Iterable[list[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(lines)
    return text.getvalue()


def _finite(value: Any) -> Any:
    """The same with null in the place of NaN and infinity, which JSON does not know."""
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _named(out: Path, suffix: str) -> Path:
    return out.with_name(out.name + suffix)


def _pictures(out: Path) -> Path:
    return _named(out, "_pictures")
