"""Commands with too little memory, from hardly any to enough: RLIMIT_AS at many values.

    python Testing/reliability/little_memory.py [values]

Below what Python itself needs to start nothing can be said plainly; from there on each run must end with its result or
with an error that names a remedy.
"""

from __future__ import annotations

import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from real_commands import Tally, ended, made_inputs, run, state, voxels_of

LOW, HIGH = 20, 3000  # MB of addresses, of which libraries take more than they use


def check(work: Path, values: int) -> list[Tally]:
    """Each command with ever more memory, the steps smaller where less is there."""
    inputs, out = work / "inputs", work / "out"
    inputs.mkdir()
    made_inputs(inputs)
    run("denoise", inputs / "ct.nrrd", work / "right.nrrd")
    right, kept, tallies = voxels_of(work / "right.nrrd"), state(inputs), []
    commands: dict[str, tuple[list[object], int]] = {
        "denoise": (["denoise", inputs / "ct.nrrd", out / "ct.nrrd"], 1),
        "denoise of a series": (["denoise", inputs / "series", out / "series"], 2),
        "translate": (["translate", inputs / "frames", out / "frames", "--model", "plain-to-mucosa"], 4),
        "segment-folds": (["segment-folds", inputs / "frames" / "rgb", out / "folds", "--model", "colon-folds"], 4),
        "simulate-colon": (["simulate-colon", inputs / "tube.ply", out / "sim", "--frames", "2", "--size", "64"], 4),
    }
    for name, (arguments, rarely) in commands.items():
        begun, tally = time.perf_counter(), Tally(f"little memory, {name}")
        for megabytes in np.geomspace(LOW, HIGH, values // rarely):
            shutil.rmtree(out, ignore_errors=True)
            out.mkdir()
            most = int(megabytes * 1e6)
            result = run(*arguments, preexec_fn=lambda most=most: resource.setrlimit(resource.RLIMIT_AS, (most, most)))
            problems = ended(result, out, kept, inputs, True)
            if result.status == 0 and name == "denoise" and voxels_of(out / "ct.nrrd") != right:
                problems.append("other voxels")
            what = "done" if result.status == 0 else "refused with a remedy"
            by_python = "Traceback" in result.said and "inference_core/worker" not in result.said
            starved = by_python or result.said.startswith("OpenBLAS error")
            if problems == [f"status {result.status} without a plain error and a remedy"] and (
                starved or result.status < 0 or result.status == 127
            ):
                problems, what = [], "ended by Python or the system before the program began"
            tally.note(what, problems, f"{megabytes:.0f} MB", result.said)
        print(f"{tally.line()}; {time.perf_counter() - begun:.0f} s", flush=True)
        tallies.append(tally)
    return tallies


def main() -> int:
    """Check; fail where something is against the rule."""
    with tempfile.TemporaryDirectory() as folder:
        return int(any(tally.wrong for tally in check(Path(folder), int(sys.argv[1]) if sys.argv[1:] else 60)))


if __name__ == "__main__":
    sys.exit(main())
