"""A batch on a Dask scheduler that is killed three times under it, its workers with it; each comes back.

    python Testing/reliability/batch_scheduler.py [studies]

Prints what came of it, and fails where a study is lost or done twice, or half a file lies about.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "core"))
from made_cluster import booked, free_port, start_batch, start_scheduler, start_worker, wait_until
from made_studies import write_study

KILLS = 3
LONG_S = 600  # for what waits on processes that start; a busy machine takes its time


def main() -> int:
    """Make the studies, run, kill, start again, check."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    with tempfile.TemporaryDirectory() as folder:
        studies, out, port = Path(folder, "studies"), Path(folder, "out"), free_port()
        for number in range(count):
            write_study(studies / f"{number:03d}.nrrd", number)
        begun = time.perf_counter()
        batch = start_batch(studies, out, port)
        cluster = [start_scheduler(port), start_worker(port), start_worker(port)]
        try:
            for kill in range(1, KILLS + 1):
                wait_until(lambda kill=kill: len(booked(out)) >= kill * count // (KILLS + 1), batch, LONG_S)
                for process in cluster:
                    process.kill()
                    process.wait()
                print(f"killed the scheduler and its workers after {len(booked(out))} studies", flush=True)
                cluster = [start_scheduler(port), start_worker(port), start_worker(port)]
            text, told = batch.communicate(timeout=LONG_S)
        finally:
            batch.kill()
            for process in cluster:
                process.kill()
        return check(out, count, batch.returncode, text + told, time.perf_counter() - begun)


def check(out: Path, count: int, status: int, told: str, seconds: float) -> int:
    """Compare what is there with what must be."""
    entries = booked(out)
    done = {entry["name"] for entry in entries if entry["status"] == "done"}
    results = {path.name for path in out.glob("*.nrrd")}
    strays = [path.name for path in out.iterdir() if path.name.startswith(".")]
    right = results == {entry["output"] for entry in entries} and all((out / name).stat().st_size for name in results)
    print(
        f"{len(done)} of {count} studies done, {len(entries) - len(done)} twice or not, {len(results)} results,"
        f" {len(strays)} strays, exit status {status}, {seconds:.0f} s"
    )
    if not (len(done) == len(entries) == count and right and not strays and status == 0):
        print(told)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
