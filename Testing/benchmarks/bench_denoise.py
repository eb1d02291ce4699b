"""How good, fast and lean is denoising, beside the papers' path and classical filters? ``make bench`` writes it.

On the same slices, in one run: each way in a process of its own, one thread, taking turns slice by slice, so that
ratios come from one run under one load. Slices are those of a phantom that anyone can make; with --low and --full,
folders of real pairs as ``inference-core evaluate denoiser`` takes them, also those. Nothing here passes or fails by
the clock.

    python Testing/benchmarks/bench_denoise.py [--low QUARTER --full FULL] [--model CARD ...]
"""

from __future__ import annotations

import argparse
import statistics
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from made_slices import phantom
from pareto import Point, write_pareto
from processes import MEBIBYTE, Server, open_all, start
from ways import NOISE, PAPERS, PAPERS_TUNED, Way, all_ways, papers_generator

from inference_core.evaluation.pairs import Pair, find_pairs, read_pair
from inference_core.evaluation.scores import Row, score_slice
from inference_core.evaluation.table import markdown, mean, reduction, worst
from inference_core.image.volume import Volume

SEEDS, TUNING_SEED, SLICES = (11, 12), 10_000, 2  # never trained on
ROUNDS = 12
OF_SLOW = 2  # slices of each scan
MOST_OF_A_SCAN = 4  # of real pairs
LOW_DOSE = "low dose"
TIMES_NOTE = """\
CPU seconds of one thread for a 512x512 slice, median and range; memory: resident, above what the way holds when it is
open. The papers' weights are random here, so their speed is compared and not their quality; "freed memory kept" is
their path with glibc told not to give freed memory back after each operation, the fairer of the two comparisons. By
torch a network is run once, whichever models have it. onnxruntime cannot be limited to AVX2: not run.
"""
QUALITY_NOTE = """\
Quality: definitions in [denoiser.md](denoiser.md). Filters are tuned for PSNR on one more slice of the scan (of the
phantom: of another head), which is not scored. No bundled model was trained on these heads.
"""
SEEN_NOTE = """\
The bundled models may have been trained on full-dose slices of these patients (their cards say it); for networks
trained without the patient that is scored see [denoiser.md](denoiser.md).
"""


@dataclass(frozen=True)
class Scan:
    """Slices of one kind, and one more to tune filters on; volumes of one slice."""

    name: str
    tuning: Pair
    pairs: tuple[Pair, ...]


def made_scan() -> Scan:
    """The phantom's."""
    pairs = [one for seed in SEEDS for one in _slices(phantom(seed, SLICES))]
    return Scan(pairs[0].scan, phantom(TUNING_SEED, 1), tuple(pairs))


def real_scans(low: Path, full: Path) -> list[Scan]:
    """Of each scan (the files' names up to the last _) the first slice to tune on, and at most four more."""
    scans = []
    for name, files in groupby(find_pairs(low, full), key=lambda one: one.prefix):
        first, *others = [one for file in list(files)[: MOST_OF_A_SCAN + 1] for one in _slices(read_pair(file))]
        if others:
            scans.append(Scan(name, first, tuple(others[:MOST_OF_A_SCAN])))
    return scans


def _slices(pair: Pair) -> list[Pair]:
    def cut(volume: Volume, k: int) -> Volume:
        return volume.with_voxels(np.ascontiguousarray(volume.voxels[k : k + 1]))

    return [Pair(f"{pair.name}-{k}", pair.scan, pair.subject, cut(pair.low, k), cut(pair.reference, k))
            for k in range(len(pair.low.voxels))]  # fmt: skip


@dataclass
class Measured:
    """What a run gave.

    Attributes
    ----------
    servers : dict of Server
        By way: times and memory.
    rows : dict of list of Row
        By scan: scores of each method on each slice.
    strengths : dict
        By scan and way: the strength of a filter, in words.
    """

    servers: dict[str, Server]
    rows: dict[str, list[Row]]
    strengths: dict[tuple[str, str], str]


def measure(ways: list[Way], scans: list[Scan], rounds: int) -> Measured:
    """Run every way on every slice, and on until it has been timed ``rounds`` times."""
    servers = open_all(ways)
    ways = [way for way in ways if not servers[way.name].refused]
    rows: dict[str, list[Row]] = {}
    strengths = {}
    for scan in scans:
        for way in ways:
            if way.scored and (said := servers[way.name].tune(scan.tuning.low, scan.tuning.reference)):
                strengths[scan.name, way.name] = said
            if not way.slow:
                servers[way.name].run(scan.tuning.low, timed=False)  # the first time costs more
        rows[scan.name] = []
        turns = max(len(scan.pairs), rounds if scan is scans[0] else 0)
        for turn in range(turns):
            pair = scan.pairs[turn % len(scan.pairs)]
            outputs = {LOW_DOSE: pair.low.voxels}
            for way in ways:
                if not way.slow or turn < OF_SLOW:
                    output = servers[way.name].run(pair.low)
                    if way.scored and turn < len(scan.pairs):
                        outputs[way.name] = output[None]
            if turn < len(scan.pairs):
                rows[scan.name] += score_slice(pair, 0, outputs, dict.fromkeys(outputs, 0.0))
    for way in ways:
        servers[way.name].end()
    return Measured(servers, rows, strengths)


def quality_table(measured: Measured, scan: str) -> str:
    """Quality of all methods on one scan."""
    rows = measured.rows[scan]
    methods = list(dict.fromkeys(row.method for row in rows))
    by = {method: [row for row in rows if row.method == method] for method in methods}
    medians = {name: statistics.median(one.seconds) for name, one in measured.servers.items() if one.seconds}
    seen = {row.name for row in by[methods[-1]]} if methods else set()
    columns = {
        "method": [f"{name} {measured.strengths.get((scan, name), '')}".strip() for name in methods],
        "PSNR dB": [f"{mean(of, 'psnr'):.2f}" for of in by.values()],
        "gain dB": [f"{mean(of, 'gain'):+.2f}" for of in by.values()],
        "SSIM": [f"{mean(of, 'ssim'):.4f}" for of in by.values()],
        "edges": [f"{mean(of, 'edge_ratio'):.3f}" for of in by.values()],
        "shift soft / air / bone HU": [
            " / ".join(f"{mean(of, tissue):+.2f}" for tissue in ("soft", "air", "bone")) for of in by.values()
        ],
        "worst soft": [f"{worst(of, 'soft'):.2f}" for of in by.values()],
        "noise lower by": [f"{reduction(of, 'noise'):.0%}" for of in by.values()],
        "CPU s": [f"{medians[name]:.4f}" if name in medians else "0" for name in methods],
    }
    fewer = f"; BM3D on {len(seen)} of them" if len(seen) < len(by[LOW_DOSE]) else ""
    return f"### {scan} ({len(by[LOW_DOSE])} slices{fewer})\n\n{markdown(columns)}"


def speed_table(servers: dict[str, Server]) -> str:
    """Times and memory of all ways."""
    medians = {name: statistics.median(one.seconds) for name, one in servers.items() if one.seconds}
    columns: dict[str, list[str]] = {name: [] for name in (
        "way", "CPU s a slice", "range", "times faster than the papers' path", "than the same, memory kept",
        "peak memory above loaded, MiB", "loaded, MiB")}  # fmt: skip
    refused: dict[str, str] = {}
    for name, one in servers.items():
        if one.refused:
            kind = "any network, torch, GPU" if name.endswith("GPU") else name
            if kind in refused:
                continue
            refused[kind] = one.refused
            cells = [kind, f"not run: {one.refused}", *["-"] * 5]
        else:
            cells = [
                name,
                f"{medians[name]:.4f}",
                f"{min(one.seconds):.4f} to {max(one.seconds):.4f}",
                f"{medians[PAPERS] / medians[name]:.2f}",
                f"{medians[PAPERS_TUNED] / medians[name]:.2f}",
                f"{(one.peak - one.loaded) / MEBIBYTE:.0f}",
                f"{one.loaded / MEBIBYTE:.0f}",
            ]
            if name.endswith("GPU"):
                cells[1] += f" (wall {statistics.median(one.wall):.4f})"
        for column, cell in zip(columns.values(), cells, strict=True):
            column.append(cell)
    return markdown(columns)


def headline(measured: Measured) -> str:
    """How many times faster the default model is than the papers' path."""
    from inference_core.models.registry import list_models, suggest_denoiser

    servers = measured.servers
    medians = {name: statistics.median(one.seconds) for name, one in servers.items() if one.seconds}
    default = suggest_denoiser("CT", None, NOISE)[0].id
    lines = []
    for card in list_models("denoise-ct"):
        name = f"{card.id}, onnxruntime"
        if name in medians:
            said = " (the default for these slices)" if card.id == default else ""
            lines.append(
                f"* **{card.id}**{said}: **{medians[PAPERS] / medians[name]:.1f} times faster** than the papers' path"
                f" as written, **{medians[PAPERS_TUNED] / medians[name]:.1f} times** than it with its allocator tuned."
            )
    return "\n".join(lines) + "\n"


def generator_differences() -> str:
    """How far the papers' generator, imported, is from their path."""
    found = {how: start(_compare, how).recv() for how in (("torch",), ("torch", "bfloat16"), ("onnxruntime",))}
    said = ", ".join(f"{value:.4f} ({', '.join(how)})" for how, value in found.items())
    return f"Papers' generator imported, against their path, largest difference before rounding, HU: {said}.\n"


def _compare(how: tuple[str, ...], pipe) -> None:
    import torch
    from papers_path import high_band, make_generator

    (run, _), generator = papers_generator(*how), make_generator()
    low = phantom(SEEDS[0], 1).low
    image = low.voxels[0].astype(np.float32)  # floats are not rounded on the way out
    x = (image + 1000) / 2000
    high = high_band(x)
    with torch.no_grad():
        y = generator(torch.from_numpy(np.ascontiguousarray(high))[None, None])[0, 0].numpy()
    expected = (x - high + y) * 2000 - 1000
    output = run(Volume(image[None], low.spacing))
    pipe.send(float(np.abs(output - expected).max()))


def section(
    low: Path | None = None,
    full: Path | None = None,
    further: list[str] | None = None,
    rounds: int = ROUNDS,
    picture: Path | None = None,
) -> tuple[str, str]:
    """The headline, and the section on denoising; with a picture, quality over time is drawn there."""
    scans = [made_scan(), *(real_scans(low, full) if low and full else [])]
    ways = all_ways(further or [])
    measured = measure(ways, scans, rounds)
    if picture:
        write_pareto(_points(measured, scans[0].name), _papers_seconds(measured.servers), picture)
    parts = [
        TIMES_NOTE,
        speed_table(measured.servers),
        generator_differences(),
        QUALITY_NOTE,
        *(quality_table(measured, scan.name) for scan in scans),
    ]
    if len(scans) > 1:
        parts.append(SEEN_NOTE)
    return headline(measured), "\n".join(parts)


def _papers_seconds(servers: dict[str, Server]) -> dict[str, float]:
    return {name: statistics.median(servers[name].seconds) for name in (PAPERS, PAPERS_TUNED)}


def _points(measured: Measured, scan: str) -> list[Point]:
    rows = measured.rows[scan]
    points = []
    for name in dict.fromkeys(row.method for row in rows if row.method != LOW_DOSE):
        of = [row for row in rows if row.method == name]
        ours = name.endswith(", onnxruntime")
        shown = name.removesuffix(", onnxruntime")
        points.append(Point(shown, statistics.median(measured.servers[name].seconds), mean(of, "psnr"), ours))
    return points


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_arguments(parser)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="slices that each way is timed on at least")
    given = parser.parse_args()
    print("\n".join(section(given.low, given.full, given.model, given.rounds)))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to compare on and with."""
    parser.add_argument("--low", type=Path, help="folder of quarter-dose files, to score on real pairs too")
    parser.add_argument("--full", type=Path, help="folder of full-dose files of the same names")
    parser.add_argument("--model", nargs="+", default=[], help="ids or cards of further denoisers")


if __name__ == "__main__":
    main()
