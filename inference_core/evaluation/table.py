"""Results as Markdown: per scan a table of quality, of CT numbers and noise, of small details, of noise spectra.

Each scan has tables of its own, because kernels differ by more than methods do. Means over slices; of the time, the
median. A column that nothing was measured for is left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import median, stdev

import numpy as np

from inference_core.evaluation.bootstrap import groups_of, interval
from inference_core.evaluation.noise_spectra import Spectra, mean_frequency
from inference_core.evaluation.run import Results
from inference_core.evaluation.scores import Row

NOTHING = "-"
FREQUENCIES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)  # cycles a millimetre; those below Nyquist are shown
Cell = Callable[[list[Row]], str]


def tables(results: Results) -> str:
    """All tables."""
    parts = []
    for scan in dict.fromkeys(row.scan for row in results.rows):
        rows = [row for row in results.rows if row.scan == scan]
        parts += [_heading(scan, rows), *_scores(rows)]
        parts.append(_contrast(results.contrast.get(scan, {})))
        parts.append(_noise_power(results.spectra[scan]))
    if len({row.scan for row in results.rows}) > 1:
        parts += [_heading("All scans", results.rows), *_scores(results.rows)]
    return "\n".join(part for part in parts if part)


def mean(rows: list[Row], name: str) -> float:
    """Mean of a score over slices; NaN ones are left out."""
    values = _values(rows, name)
    return sum(values) / len(values) if values else math.nan


def mean_interval(rows: list[Row], name: str) -> tuple[float, float]:
    """Its 95 % interval by the bootstrap; see :mod:`inference_core.evaluation.bootstrap`."""
    groups, _ = groups_of([row.subject for row in rows])
    return interval([getattr(row, name) for row in rows], groups)


def worst(rows: list[Row], name: str) -> float:
    """Largest magnitude of a score in any slice."""
    return max((abs(value) for value in _values(rows, name)), default=math.nan)


def reduction(rows: list[Row], name: str) -> float:
    """1 - after / before of ``noise`` or ``std_soft``, both averaged over slices; NaN where there is nothing."""
    before = mean(rows, f"{name}_before")
    return 1 - mean(rows, name) / before if before else math.nan


def _heading(scan: str, rows: list[Row]) -> str:
    slices = len({(row.name, row.slice) for row in rows})
    subjects = len({row.subject for row in rows})
    one_method = [row for row in rows if row.method == rows[0].method]
    _, drawn = groups_of([row.subject for row in one_method])
    return (
        f"### {scan} ({slices} slice{'s'[: slices > 1]} of {subjects} subject{'s'[: subjects > 1]};"
        f" 95 % intervals over {drawn})\n"
    )


def _scores(rows: list[Row]) -> list[str]:
    quality: dict[str, Cell] = {
        "PSNR dB": lambda of: _number(mean(of, "psnr"), ".2f"),
        "gain dB [95 %]": lambda of: _with_interval(of, "gain"),
        "SSIM": lambda of: _number(mean(of, "ssim"), ".4f"),
        "PSNR slice-max dB": lambda of: _number(mean(of, "psnr_slice_max"), ".2f"),
        "SSIM slice-max": lambda of: _number(mean(of, "ssim_slice_max"), ".4f"),
        "edges": lambda of: _number(mean(of, "edge_ratio"), ".3f"),
    }
    numbers: dict[str, Cell] = {
        "shift soft [95 %] HU": lambda of: _with_interval(of, "soft"),
        "air": lambda of: _number(mean(of, "air"), "+.2f"),
        "bone": lambda of: _number(mean(of, "bone"), "+.2f"),
        "worst soft": lambda of: _number(worst(of, "soft"), ".2f"),
        "worst whole": lambda of: _number(worst(of, "whole"), ".3f"),
        "std soft HU": lambda of: _number(mean(of, "std_soft"), ".1f"),
        "lower by": lambda of: _number(reduction(of, "std_soft"), ".0%"),
        "noise HU": lambda of: _number(mean(of, "noise"), ".1f"),
        "noise lower by": lambda of: _number(reduction(of, "noise"), ".0%"),
        "CPU s": lambda of: _number(median(row.cpu_seconds for row in of), ".3f"),
    }
    return [_table(rows, quality), _table(rows, numbers)]


def _table(rows: list[Row], columns: dict[str, Cell]) -> str:
    methods = list(dict.fromkeys(row.method for row in rows))
    by_method = {method: [row for row in rows if row.method == method] for method in methods}
    cells = {title: [cell(of) for of in by_method.values()] for title, cell in columns.items()}
    shown = {title: column for title, column in cells.items() if any(cell != NOTHING for cell in column)}
    return markdown({"method": methods} | shown) if shown else ""


def _contrast(by_method: dict[str, list[dict[float, float]]]) -> str:
    if not by_method:
        return ""
    diameters = sorted({diameter for phantoms in by_method.values() for one in phantoms for diameter in one})
    columns = {
        f"{diameter:g} mm": [
            _mean_and_spread([one[diameter] for one in phantoms if diameter in one]) for phantoms in by_method.values()
        ]
        for diameter in diameters
    }
    phantoms = max(map(len, by_method.values()))
    spread = f"; ± standard deviation over the {phantoms} phantoms" if phantoms > 1 else ""
    title = f"Contrast of small spheres, of the truth's, by diameter{spread}:\n"
    return f"{title}\n{markdown({'method': list(by_method)} | columns)}"


def _mean_and_spread(values: list[float]) -> str:
    average = sum(values) / len(values)
    return f"{average:.2f}" + (f" ± {stdev(values):.2f}" if len(values) > 1 else "")


def _noise_power(spectra: Spectra) -> str:
    if not spectra.patches:
        return ""
    frequency, power = spectra.frequency, spectra.power
    shown = [f for f in FREQUENCIES if f <= frequency[-1]]
    columns = {
        f"{f:g} /mm": [_number(float(np.interp(f, frequency, curve)), ".0f") for curve in power.values()] for f in shown
    }
    columns["mean frequency /mm"] = [_number(mean_frequency(frequency, curve), ".3f") for curve in power.values()]
    title = f"Noise power, HU^2 mm^2, in {spectra.patches} soft-tissue patch{'es'[: 2 * (spectra.patches > 1)]}:\n"
    return f"{title}\n{markdown({'method': list(power)} | columns)}"


def markdown(columns: dict[str, list[str]]) -> str:
    """Columns of text as a Markdown table."""
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    lines += [f"| {' | '.join(line)} |" for line in zip(*columns.values(), strict=True)]
    return "\n".join(lines) + "\n"


def _with_interval(rows: list[Row], name: str) -> str:
    low, high = mean_interval(rows, name)
    text = _number(mean(rows, name), "+.2f")
    return text if math.isnan(low) or low == high else f"{text} [{low:+.2f}, {high:+.2f}]"


def _number(value: float, form: str) -> str:
    return NOTHING if math.isnan(value) else format(value, form)


def _values(rows: list[Row], name: str) -> list[float]:
    return [value for row in rows if not math.isnan(value := getattr(row, name))]
