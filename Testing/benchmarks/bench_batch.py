"""How fast is a batch, and how much memory does it take? Prints it; nothing here passes or fails by the clock.

    python Testing/benchmarks/bench_batch.py [tree] [memory] [scaling]

``tree``: the time to sort 10,000 DICOM files and 2,000 others, with warm caches. ``memory``:
resident memory of the one worker and of the process that leads, over 300 small studies. ``scaling``: studies a minute
with 1 and 2 workers, taking turns, and what the leading process spends on a study. Without a name: all three.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "core"))
import made_series
from made_studies import write_study

PATIENTS, SERIES, SLICES, JUNK = 100, 2, 50, 20  # 10,000 DICOM files, 2,000 others
SMALL = 320
STUDIES, STUDY_SLICES, STUDY_SIDE = 16, 8, 256
TURNS = 3
MEBIBYTE = 2**20


def main() -> None:
    """Print what was asked for."""
    asked = sys.argv[1:] or ["tree", "memory", "scaling"]
    for name, bench in (("tree", tree), ("memory", memory), ("scaling", scaling)):
        if name in asked:
            with tempfile.TemporaryDirectory() as folder:
                bench(Path(folder))


def tree(folder: Path) -> None:
    """Sort an archive."""
    from inference_core.batch.studies import find_studies

    make_tree(folder)
    seconds = []
    for _ in range(TURNS):
        begun = time.perf_counter()
        studies = find_studies(folder)
        seconds.append(time.perf_counter() - begun)
    files = sum(len(study.files) for study in studies)
    print(
        f"sorting {files} DICOM files ({PATIENTS * JUNK} others among them) into {len(studies)} series:"
        f" {min(seconds):.1f} s warm (of {TURNS}: {', '.join(f'{value:.1f}' for value in seconds)})",
        flush=True,
    )


def make_tree(folder: Path) -> None:
    """Slices of 128x128 with the headers of a made CT, below a folder a patient; every other file is no DICOM."""
    from pydicom.uid import generate_uid

    plane = made_series.stored_ct(1, 128, 128)[0]
    for patient in range(PATIENTS):
        home = folder / f"patient {patient:03d}" / "study"
        for series in range(SERIES):
            home.joinpath(str(series)).mkdir(parents=True)
            header = made_series._header(0, plane, generate_uid(), 0.0)
            for k in range(SLICES):
                header.SOPInstanceUID, header.ImagePositionPatient = generate_uid(), [0, 0, 3.0 * k]
                name = f"{k:04d}.dcm" if series else str(header.SOPInstanceUID)
                header.save_as(home / str(series) / name, enforce_file_format=True)
        for k in range(JUNK):
            (home / f"note {k}.txt").write_bytes(b"no DICOM " * 200)


def memory(folder: Path) -> None:
    """Resident memory early and late."""
    import psutil

    for number in range(SMALL):
        write_study(folder / "studies" / f"{number:03d}.nrrd", number)
    worker_mib: list[float] = []
    leader_mib: list[float] = []

    def look(kind: str, **told: Any) -> None:
        if kind == "study":
            (worker,) = workers()
            worker_mib.append(worker.memory_info().rss / MEBIBYTE)
            leader_mib.append(psutil.Process().memory_info().rss / MEBIBYTE)

    run(folder, 1, look)
    for who, mib in (("worker", worker_mib), ("leading process", leader_mib)):
        places = [19, len(mib) // 2, len(mib) - 1]
        told = ", ".join(f"{statistics.median(mib[k - 9 : k + 1]):.0f} MiB after {k + 1}" for k in places)
        print(f"resident memory of the {who}: {told} studies", flush=True)


def scaling(folder: Path) -> None:
    """Studies a minute."""
    for number in range(STUDIES):
        write_study(folder / "studies" / f"{number:02d}.nrrd", number, STUDY_SLICES, STUDY_SIDE)
    rates: dict[int, list[float]] = {1: [], 2: []}
    for turn in range(TURNS):
        for count in rates if turn % 2 == 0 else reversed(rates):
            times: list[float] = []
            run(folder, count, lambda kind, times=times, **told: kind == "study" and times.append(time.perf_counter()))
            # From the first result of each worker on: processes start once a batch, however long that is.
            rates[count].append(60 * (len(times) - count) / (times[-1] - times[count - 1]))
    for count, found in rates.items():
        told = ", ".join(f"{rate:.1f}" for rate in found)
        print(
            f"{count} worker{'s' * (count > 1)}: {statistics.median(found):.1f} studies of"
            f" {STUDY_SLICES}x{STUDY_SIDE}x{STUDY_SIDE} a minute (median of {told})"
        )
    ratio = statistics.median(rates[2]) / statistics.median(rates[1])
    print(f"2 workers against 1: {ratio:.2f} times as many; load of the machine {os.getloadavg()[0]:.1f}", flush=True)
    lead(folder)


def lead(folder: Path) -> None:
    """CPU time that the leading process spends on a study: found, submitted, booked, shown; its end and start aside."""
    small = folder / "small"
    for number in range(SMALL // 2):
        write_study(small / "studies" / f"{number:03d}.nrrd", number)
    spent: list[float] = []
    run(small, 1, lambda kind, **told: kind == "study" and spent.append(time.process_time()))
    begun = len(spent) // 4
    milliseconds = 1000 * (spent[-1] - spent[begun]) / (len(spent) - 1 - begun)
    print(
        f"the leading process: {milliseconds:.1f} ms of CPU a study, scheduler included, so at most"
        f" {60_000 / milliseconds:.0f} studies a minute",
        flush=True,
    )


def run(folder: Path, count: int, emit: Callable[..., Any]) -> None:
    """A batch into a new folder, on ``count`` processes of this machine."""
    from inference_core.batch.recipe import Recipe
    from inference_core.batch.run import run_batch

    with tempfile.TemporaryDirectory(dir=folder) as out:
        entries = run_batch(folder / "studies", Path(out), Recipe(), None, count, emit)
    if any(entry["status"] != "done" for entry in entries):
        raise SystemExit(f"Not all was done: {entries}")


def workers() -> list[Any]:
    """The processes of a batch that works now."""
    import psutil

    return [child for child in psutil.Process().children(recursive=True) if "spawn_main" in " ".join(child.cmdline())]


if __name__ == "__main__":
    main()
