"""Commands that are killed at random moments: SIGKILL to the worker, the command or both, SIGTERM, Ctrl-C.

    python Testing/reliability/killed.py [times]

After each: what lies under a final name is whole. Then the same command again, undisturbed: it ends with the right
bytes, and no scratch is left.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from real_commands import LONGEST, Run, Tally, made_inputs, not_whole, run, scratch_in, state, words

WAYS = ("kill both", "kill the worker", "kill the command", "SIGTERM", "Ctrl-C")

# A traceback through our own lines; while Python itself starts, it answers Ctrl-C with one of its own.
OURS = re.compile(r'Traceback(?s:.*)File "[^"]*/inference_core/')


def strike(process: subprocess.Popen[bytes], way: str) -> None:
    """Kill a command in one of the ways."""
    with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
        children = psutil.Process(process.pid).children(recursive=True)
        if way in ("kill both", "kill the command"):
            process.kill()
        if way in ("kill both", "kill the worker"):
            for child in children:
                child.kill()
        if way in ("SIGTERM", "Ctrl-C"):
            os.kill(process.pid, signal.SIGTERM if way == "SIGTERM" else signal.SIGINT)
        # A worker whose starter is gone ends by itself.
        psutil.wait_procs(children, timeout=30)


def killed(arguments: list[object], way: str, after: float) -> Run:
    """Start a command and strike after so many seconds."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(words(*arguments), stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(after)
        if process.poll() is None:
            strike(process, way)
        process.wait(LONGEST)
        said.seek(0)
        return Run(process.returncode, said.read().decode("utf-8", "replace"))


def outputs(folder: Path) -> dict[str, str]:
    """What a command made, without what tells the time; a DICOM series, which gets new UIDs, by its voxels."""
    from real_commands import voxels_of

    found = {name: text for name, text in state(folder).items() if not name.endswith((".json", ".dcm"))}
    return found | {path.name: voxels_of(path) for path in folder.iterdir() if path.is_dir() and path.name == "series"}


def commands(inputs: Path, out: Path) -> dict[str, tuple[list[object], int]]:
    """Each command, and every how many times it is taken."""
    return {
        "denoise to .nrrd": (["denoise", inputs / "ct.nrrd", out / "ct.nrrd"], 1),
        "denoise to .nii.gz": (["denoise", inputs / "ct.nrrd", out / "ct.nii.gz"], 2),
        "denoise to .nhdr": (["denoise", inputs / "ct.nhdr", out / "ct.nhdr"], 2),
        "denoise to a DICOM series": (["denoise", inputs / "series", out / "series"], 2),
        "translate": (["translate", inputs / "frames", out / "frames", "--model", "plain-to-mucosa"], 5),
        "segment-folds": (["segment-folds", inputs / "frames" / "rgb", out / "folds", "--model", "colon-folds"], 5),
        "simulate-colon": (["simulate-colon", inputs / "tube.ply", out / "sim", "--frames", "20", "--size", "64"], 5),
    }


def check(work: Path, times: int) -> list[Tally]:
    """Strike each command many times."""
    inputs = work / "inputs"
    inputs.mkdir()
    made_inputs(inputs)
    kept, chance, tallies = state(inputs), random.Random(1), []  # noqa: S311
    for name, (plain, rarely) in commands(inputs, work / "right").items():
        begun = time.perf_counter()
        (work / "right").mkdir()
        if run(*plain).status:
            raise SystemExit(f"{name} does not run.")
        lasts = time.perf_counter() - begun
        right, tally = outputs(work / "right"), Tally(f"killed, {name}")
        for k in range(times // rarely):
            out = work / f"out-{k}"
            out.mkdir()
            arguments = commands(inputs, out)[name][0]
            way, after = WAYS[k % len(WAYS)], chance.uniform(0, 1.1) * lasts
            first = killed(arguments, way, after)
            where = f"{way} after {after:.3f} s"
            problems = [f"half a file: {file}" for file in not_whole(out)]
            if way == "Ctrl-C" and OURS.search(first.said):
                problems.append("a traceback")
            there = outputs(out)
            done = first.status == 0
            if done and there != right:
                problems.append("status 0 without the result")
            again = run(*arguments)
            if name.endswith("series") and there:  # it wants a new folder, and says so
                if not again.refused_plainly or outputs(out)["series"] != right["series"]:
                    problems.append(f"the next run does not refuse: {again.said[-300:]}")
            elif again.status:
                problems.append(f"the next run fails with status {again.status}: {again.said[-300:]}")
            elif outputs(out) != right:
                problems.append("the next run gives other bytes")
            if scratch_in(out):
                problems.append(f"scratch is left: {scratch_in(out)}")
            if state(inputs) != kept:
                problems.append("what is read was changed")
            ending = "ended before" if done else "struck before a result" if not there else "struck, files there whole"
            tally.note(ending, problems, where, first.said)
            subprocess.run(["rm", "-r", str(out)], check=True)
        subprocess.run(["rm", "-r", str(work / "right")], check=True)
        print(f"{tally.line()}; {time.perf_counter() - begun:.0f} s", flush=True)
        tallies.append(tally)
    return tallies


def main() -> int:
    """Strike; fail where something is against the rule."""
    times = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    with tempfile.TemporaryDirectory() as folder:
        return int(any(tally.wrong for tally in check(Path(folder), times)))


if __name__ == "__main__":
    sys.exit(main())
