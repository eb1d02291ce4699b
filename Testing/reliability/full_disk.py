"""Commands that write to a disk with too little room, from none to enough: a small tmpfs, filled up to so many bytes.

    python Testing/reliability/full_disk.py

Needs the right to mount (root); where that is not given it says so and ends with status 0.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from real_commands import Run, Tally, ended, made_inputs, run, state, voxels_of

PAGE = 4096
SIZE = 4 << 20


@contextmanager
def small_disk(at: Path, files: int = 1000) -> Iterator[Path]:
    """A disk of :data:`SIZE` bytes that holds so many files.

    Raises
    ------
    OSError
        Where mounting is not allowed.
    """
    at.mkdir(exist_ok=True)
    options = f"size={SIZE},nr_inodes={files}"
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(at)], capture_output=True, check=False)
    if done.returncode:
        raise OSError(done.stderr.decode().strip())
    try:
        yield at
    finally:
        subprocess.run(["umount", "--lazy", str(at)], check=True)


def leave(disk: Path, room: int) -> None:
    """Fill a disk but for so many bytes."""
    there = os.statvfs(disk)
    with (disk / "filling").open("wb") as file:
        file.write(b"\0" * (there.f_bavail * there.f_frsize - room))


def commands(inputs: Path, disk: Path) -> dict[str, tuple[list[object], Callable[[], bool], range]]:
    """Each command with whether its result is whole, and how many pages of room are tried."""
    ct, out = inputs / "ct.nrrd", disk / "out"
    found: dict[str, tuple[list[object], Callable[[], bool], range]] = {}
    right = {}
    for name, given, made in (("volume", ct, "right.nrrd"), ("series", inputs / "series", "right")):
        run("denoise", given, inputs.parent / made)
        right[name] = voxels_of(inputs.parent / made)

    def denoised(path: Path, kind: str) -> Callable[[], bool]:
        sides = [path.with_name(f"out{end}") for end in ("_comparison.png", "_report.json")]
        return lambda: all(side.exists() for side in sides) and voxels_of(path) == right[kind]

    for suffix, step in ((".nrrd", 2), (".nii.gz", 6), (".mha", 6), (".nhdr", 6), (".mhd", 6), (".nii", 6)):
        made = out.with_name(f"out{suffix}")
        found[f"denoise to {suffix}"] = (["denoise", ct, made], denoised(made, "volume"), range(0, 46, step))
    found["denoise to a DICOM series"] = (
        ["denoise", inputs / "series", out], denoised(out, "series"), range(0, 46, 5))  # fmt: skip
    found["batch"] = (
        ["batch", inputs / "studies", out, "--workers", "1"],
        lambda: (out / "summary.html").exists() and len(list(out.glob("*.nrrd"))) == 3,
        range(0, 81, 16),
    )
    found["translate"] = (
        ["translate", inputs / "frames", out, "--model", "plain-to-mucosa"],
        lambda: '"complete": true' in (out / "dataset.json").read_text(),
        range(0, 121, 24),
    )
    found["segment-folds"] = (
        ["segment-folds", inputs / "frames" / "rgb", out, "--model", "colon-folds"],
        lambda: '"complete": true' in (out / "segmentation.json").read_text(),
        range(0, 61, 12),
    )
    found["simulate-colon"] = (
        ["simulate-colon", inputs / "tube.ply", out, "--frames", "2", "--size", "64"],
        lambda: '"complete": true' in (out / "dataset.json").read_text(),
        range(0, 401, 80),
    )
    return found


def tried(
    tally: Tally, arguments: list[object], whole: Callable[[], bool], disk: Path, inputs: Path, where: str
) -> Run:
    """One run on a disk that is as it is."""
    kept = state(inputs)
    result = run(*arguments)
    problems = ended(result, disk, kept, inputs, result.status != 0 or whole())
    if arguments[0] == "batch" and result.status == 1 and "refused" in result.said:  # it names each study instead
        problems = [text for text in problems if "plain error" not in text]
    tally.note("done" if result.status == 0 else "refused with a remedy", problems, where, result.said)
    return result


def check(work: Path) -> list[Tally]:
    """All commands, on disks with ever more room; then once more with enough, on what the last failure left."""
    inputs, disk = work / "inputs", work / "disk"
    inputs.mkdir()
    made_inputs(inputs)
    tallies = []
    for name, (arguments, whole, pages) in commands(inputs, disk).items():
        if sys.argv[1:] and not any(word in name for word in sys.argv[1:]):
            continue
        begun, tally = time.perf_counter(), Tally(f"full disk, {name}")
        for page in pages:
            with small_disk(disk):
                leave(disk, page * PAGE)
                failed = tried(tally, arguments, whole, disk, inputs, f"{page * PAGE} bytes of room").status != 0
                if failed:
                    (disk / "filling").unlink()
                    tried(tally, arguments, whole, disk, inputs, f"again after {page * PAGE} bytes of room")
        for files in range(2, 9):
            with small_disk(disk, files):
                tried(tally, arguments, whole, disk, inputs, f"a disk for {files} files")
        print(f"{tally.line()}; {time.perf_counter() - begun:.0f} s", flush=True)
        tallies.append(tally)
    return tallies


def main() -> int:
    """Check; fail where something is against the rule."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # and the disk is unmounted
    with tempfile.TemporaryDirectory() as text:
        try:
            with small_disk(Path(text, "disk")):
                pass
        except OSError as error:
            print(f"full disk: not tried, for mounting a small disk is not allowed here ({error}).")
            return 0
        return int(any(tally.wrong for tally in check(Path(text))))


if __name__ == "__main__":
    sys.exit(main())
