"""The real commands on small made inputs, and what may lie about after one: for the scripts that put faults in its way.

The rule that all of them check: a run ends with its results, or with an error that names a remedy and a status that is
not 0. What lies under a final name is whole. What is read is never changed. Scratch of a killed run is gone after the
next one.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "Testing" / "core"))

CODE = f"import sys; sys.path.insert(0, {str(REPOSITORY)!r}); from inference_core.cli import main; sys.exit(main())"
SCRATCH = ".faithful-imaging-"
LONGEST = 300  # s a command may take, on a busy machine too


@dataclass(frozen=True)
class Run:
    """How a command ended."""

    status: int
    said: str

    @property
    def refused_plainly(self) -> bool:
        """Whether it failed with an error and a remedy, and nothing that speaks of a fault of the program."""
        lines = self.said.strip().splitlines()
        at = next((k for k, line in enumerate(lines) if line.startswith("error: ")), None)
        plain = at is not None and len(lines) > at + 1 and lines[at + 1].strip() != ""
        return self.status > 0 and plain and "Traceback" not in self.said and "fault of the program" not in self.said


def words(*arguments: object) -> list[str]:
    """The command line of ``inference-core``."""
    return [sys.executable, "-c", CODE, *map(os.fsdecode, map(_word, arguments))]


def _word(argument: object) -> str | bytes | Path:
    return argument if isinstance(argument, (str, bytes, Path)) else str(argument)


def run(*arguments: object, before: tuple[str, ...] = (), **options: object) -> Run:
    """Run ``inference-core`` to its end; ``before`` stands in front of it (setpriv, unshare)."""
    try:
        done = subprocess.run(
            [*before, *words(*arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=LONGEST,
            **options,  # type: ignore[call-overload]
        )
    except subprocess.TimeoutExpired:
        return Run(-1, f"It took more than {LONGEST} s.")
    return Run(done.returncode, done.stdout.decode("utf-8", "replace"))


def made_inputs(folder: Path) -> dict[str, Path]:
    """A CT in each kind of file, a DICOM series, frames of a colon, and a colon's surface."""
    from made_frames import write_dataset
    from made_ringed_tube import ringed_tube
    from made_series import stored_ct, write_series
    from made_studies import write_study

    from inference_core.simulation.colon.mesh.surface_files import write_surface

    for suffix in (".nrrd", ".nhdr", ".mha"):
        write_study(folder / f"ct{suffix}", 1)
    write_series(folder / "series", stored_ct(3))
    for k in range(3):
        write_study(folder / "studies" / f"ct{k}.nrrd", k)
    write_dataset(folder / "frames", frames=3, size=64)
    write_surface(ringed_tube(), folder / "tube.ply")
    return {path.name: path for path in folder.iterdir()}


def state(folder: Path) -> dict[str, str]:
    """Every file below a folder with the hash of what is in it, and where links lead."""
    found = {}
    for where, _, names in os.walk(folder):
        for name in names:
            path = Path(where, name)
            key = os.fsdecode(os.path.relpath(path, folder))
            if path.is_symlink():
                found[key] = f"link to {os.readlink(path)}"
            elif path.is_file():
                found[key] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def scratch_in(folder: Path) -> list[str]:
    """Scratch below a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob(f"{SCRATCH}*"))


def voxels_of(path: Path) -> str:
    """Hash of a volume's or a series' voxels; raises where it is not whole."""
    from inference_core.image.reading import read_volume

    return hashlib.sha256(read_volume(path).voxels.tobytes()).hexdigest()


def not_whole(folder: Path) -> list[str]:
    """Files under final names that are not whole: volumes, series, pictures and JSON."""
    from PIL import Image

    from inference_core.image.reading import volume_suffix

    wrong = []
    for path in sorted(folder.rglob("*")):
        if SCRATCH in str(path) or path.is_symlink() or not path.is_file():
            continue
        try:
            if volume_suffix(path) or path.suffix == ".dcm":
                voxels_of(path)
            elif path.suffix == ".png":
                with Image.open(path) as image:
                    np.array(image)
            elif path.suffix == ".json":
                json.loads(path.read_text(encoding="utf-8"))
        except Exception as error:
            wrong.append(f"{path.name}: {type(error).__name__} {error}")
    return wrong


class Tally:
    """What happened in many runs of one kind; what may not happen is printed and counted as wrong."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.counts: Counter[str] = Counter()
        self.wrong = 0

    def note(self, what: str, problems: list[str], where: str, said: str = "") -> None:
        """Book one run."""
        if problems:
            self.wrong += 1
            print(f"  WRONG {self.name}, {where}: {'; '.join(problems)}\n    {said.strip()[-700:]!r}", flush=True)
        else:
            self.counts[what] += 1

    def line(self) -> str:
        """For the table."""
        said = ", ".join(f"{count} {what}" for what, count in sorted(self.counts.items()))
        return f"{self.name}: {self.wrong + sum(self.counts.values())} runs: {said}; {self.wrong} wrong"


def ended(run: Run, folder: Path, kept: dict[str, str], read: Path, whole: bool) -> list[str]:
    """What is against the rule after a run that was not killed.

    Parameters
    ----------
    run : Run
    folder : Path
        Where it was to write.
    kept : dict
        The :func:`state` of ``read`` before.
    read : Path
        What it reads.
    whole : bool
        Whether all of its results are there.
    """
    problems = [f"half a file: {name}" for name in not_whole(folder)]
    if state(read) != kept:
        problems.append("what is read was changed")
    if scratch_in(folder):
        problems.append(f"scratch is left: {scratch_in(folder)}")
    if run.status == 0 and not whole:
        problems.append("status 0 without the result")
    if run.status != 0 and not run.refused_plainly:
        problems.append(f"status {run.status} without a plain error and a remedy")
    return problems
