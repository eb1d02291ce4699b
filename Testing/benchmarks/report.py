"""Write docs/benchmarks.md and its picture: every benchmark, one after another. ``make bench`` calls it.

python Testing/benchmarks/report.py [--low QUARTER --full FULL] [--model CARD ...] [--only denoise volume ...]
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from collections.abc import Callable
from pathlib import Path

import bench_colon
import bench_denoise
import bench_frames
import bench_install
import bench_volume
from machine import load, machine

ROOT = Path(__file__).resolve().parents[2]
PAGE, PICTURE = ROOT / "docs/benchmarks.md", ROOT / "docs/pictures/benchmarks-pareto.png"
TITLES = {
    "denoise": "Denoising: quality, time and memory",
    "volume": "A whole CT, as a user denoises it",
    "colon": "Colon simulation: frames",
    "frames": "Endoscopy frames: translation and segmentation",
    "batch": "Batches",
    "install": "Import and installation",
}
OTHERS_AT_WORK = 0.5
"""Load average before the first benchmark from which other work on the machine is told of."""


def sections(low: Path | None, full: Path | None, model: list[str], only: list[str]) -> tuple[str, dict[str, str]]:
    """The headline and each section, by name."""
    headline = ""

    def denoise() -> str:
        nonlocal headline
        headline, text = bench_denoise.section(low, full, model, picture=PICTURE)
        return f"![PSNR over CPU seconds]({PICTURE.relative_to(PAGE.parent)})\n\n{text}"

    run: dict[str, Callable[[], str]] = {"denoise": denoise, "volume": bench_volume.section}
    run |= {"colon": bench_colon.section, "frames": bench_frames.section, "install": bench_install.section}
    if importlib.util.find_spec("bench_batch") and (batch := _batch_section()):
        run["batch"] = batch
    found = {}
    for name in TITLES:
        if name in run and name in only:
            begun = time.perf_counter()
            print(f"{name} ...", file=sys.stderr, flush=True)
            found[name] = run[name]()
            print(f"{name}: {time.perf_counter() - begun:.0f} s", file=sys.stderr, flush=True)
    return headline, found


def _batch_section() -> Callable[[], str] | None:
    import bench_batch

    return getattr(bench_batch, "section", None)


def main() -> None:
    """Run the benchmarks and write the page; with --only, print those sections and write no page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    bench_denoise.add_arguments(parser)
    parser.add_argument("--only", nargs="+", choices=TITLES, help="print these sections and write no page")
    given = parser.parse_args()
    begun, busy = time.time(), load()
    headline, found = sections(given.low, given.full, given.model, given.only or [*TITLES])
    parts = [f"## {TITLES[name]}\n\n{text}" for name, text in found.items()]
    if given.only:
        print("\n".join([headline, *parts]))
        return
    minutes = (time.time() - begun) / 60
    quiet = busy.replace(".", "").isdigit() and float(busy) < OTHERS_AT_WORK
    said = "the machine was quiet" if quiet else f"**other work was running** (load average before: {busy})"
    head = (
        "# Benchmarks\n\n"
        "Written by `make bench`; nothing here is written by hand. Times are of one machine: look at ratios, which come"
        " from one run with all ways taking turns.\n\n"
        f"{headline}\n{machine()}* {time.strftime('%Y-%m-%d', time.gmtime(begun))}, {minutes:.0f} minutes; {said}\n"
    )
    PAGE.write_text("\n".join([head, *parts]), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}", file=sys.stderr)


if __name__ == "__main__":
    main()
