"""A batch of 200 studies, 5 of them bad, that is hit three times: two workers and the batch itself are killed.

    python Testing/reliability/batch_of_200.py [studies]

Prints what came of it, and fails where a right result is missing, a wrong one is there, or half a file lies about.
"""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "core"))
from made_studies import write_bad_studies, write_study


def main() -> int:
    """Make the studies, run, kill, run again, check."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    with tempfile.TemporaryDirectory() as folder:
        studies, out = Path(folder, "studies"), Path(folder, "out")
        bad = {f"bad/{name}" for name in write_bad_studies(studies / "bad")}
        good = count - len(bad)
        for number in range(good):
            write_study(studies / f"ward {number % 7}" / f"CT \u00e4 {number:03d}.nrrd", number)
        begun = time.perf_counter()
        first = start(studies, out)
        for part in (0.2, 0.4):
            wait_for(out, int(part * count), first)
            victim = workers_of(first.pid)[0]
            os.kill(victim, signal.SIGKILL)
            print(f"killed worker {victim} after {booked(out)} studies")
        wait_for(out, int(0.6 * count), first)
        workers = workers_of(first.pid)
        first.kill()  # the process that leads; its workers are to end by themselves
        first.wait()
        print(f"killed the batch after {booked(out)} studies")
        ended_s = seconds_until_gone(workers)
        print(f"its workers ended {ended_s:.1f} s later")
        second = start(studies, out)
        output, _ = second.communicate()
        print(output.strip())
        seconds = time.perf_counter() - begun
        return check(studies, out, good, bad, second.returncode, seconds)


def start(studies: Path, out: Path) -> subprocess.Popen[str]:
    """The command, in a process group of its own."""
    code = "import sys; from inference_core.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "batch", str(studies), str(out), "--workers", "2"]
    said = Path(out.parent, "said").open("w")  # noqa: SIM115 - the process keeps it
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, text=True, start_new_session=True)


def booked(out: Path) -> int:
    """How many studies the ledger holds."""
    ledger = out / "ledger.jsonl"
    return ledger.read_bytes().count(b"\n") if ledger.exists() else 0


def wait_for(out: Path, count: int, batch: subprocess.Popen[str]) -> None:
    """Until so many studies are booked."""
    while booked(out) < count:
        if batch.poll() is not None:
            told = Path(out.parent, "said").read_text()
            raise SystemExit(f"The batch ended by itself after {booked(out)} studies:\n{told}")
        time.sleep(0.05)


def workers_of(pid: int) -> list[int]:
    """Processes that work for the batch: the descendants that have no children of their own."""
    import psutil

    return [
        child.pid for child in psutil.Process(pid).children(recursive=True) if "spawn_main" in " ".join(child.cmdline())
    ]


def seconds_until_gone(processes: list[int]) -> float:
    """Until none of these processes is left."""
    import psutil

    begun = time.perf_counter()
    while any(map(psutil.pid_exists, processes)):
        if time.perf_counter() - begun > 60:
            raise SystemExit("The workers of a batch that was killed live on.")
        time.sleep(0.05)
    return time.perf_counter() - begun


def check(studies: Path, out: Path, good: int, bad: set[str], status: int, seconds: float) -> int:
    """Compare what is there with what must be."""
    import SimpleITK as sitk

    with (out / "summary.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = {row["path"]: row for row in csv.DictReader(file)}
    done = {path for path, row in rows.items() if row["status"] == "done"}
    refused = {path for path, row in rows.items() if row["status"] == "refused" and row["message"] and row["remedy"]}
    right = 0
    for path in done:
        before = sitk.GetArrayFromImage(sitk.ReadImage(str(studies / path))).astype(float)
        after = sitk.GetArrayFromImage(sitk.ReadImage(str(out / rows[path]["output"]))).astype(float)
        right += after.shape == before.shape and 0 < np.abs(after - before).mean() < 60
    names = [json.loads(line)["name"] for line in (out / "ledger.jsonl").read_text(encoding="utf-8").splitlines()]
    twice = len(names) - len(set(names))
    own = {"ledger.jsonl", "summary.csv", "summary.html"}
    expected = {rows[path]["output"] for path in done}
    expected |= {f"{name.removesuffix('.nrrd')}_report.json" for name in expected}
    strays = {path.name for path in out.iterdir()} - own - expected
    print(
        f"{right} right results, {len(refused)} named refusals, {len(strays)} strays, {twice} refused ones tried again,"
        f" exit status {status}, {seconds:.0f} s"
    )
    return int(not (right == good and refused == bad and not strays and status == 1))


if __name__ == "__main__":
    sys.exit(main())
