"""Files that may not be read, places that may not be written to, no home, and a machine on which all is read-only.

    python Testing/reliability/no_rights.py

Runs the commands as a user without a name or rights (needs root, setpriv and unshare; says so where they are not).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from real_commands import Tally, ended, made_inputs, not_whole, run, scratch_in, state

NOBODY = 54321  # a user that no machine knows
PLAIN = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
# In mounts of its own, a Python below a closed folder (root's home) is shown to all.
OPEN_PYTHON = (
    'set -e; mount --make-rprivate /; mount --bind "$PYTHON" "$HOLD"; mount -t tmpfs -o mode=755 tmpfs "$CLOSED";'
    ' mkdir -p "$PYTHON"; mount --bind "$HOLD" "$PYTHON"; '
)
READ_ONLY = 'mount -t tmpfs tmpfs "$OUT"; chmod 777 "$OUT"; mount --bind / /; mount -o remount,bind,ro /; '
KEEP = '; status=$?; cp -a "$OUT/." "$KEPT"; exit $status'


def closed_above(path: Path) -> Path | None:
    """The topmost folder above a path that others may not enter."""
    return next((folder for folder in reversed(path.parents) if not folder.stat().st_mode & 0o001), None)


def shell(script: str, environment: dict[str, str], arguments: list[object], cwd: Path) -> object:
    """Run a command as the nameless user, in mounts of its own that a script prepares."""
    closed = closed_above(Path(sys.base_prefix))
    values = dict(environment)
    if closed:
        values |= {"PYTHON": sys.base_prefix, "CLOSED": str(closed), "HOLD": str(cwd / "hold")}
        (cwd / "hold").mkdir(exist_ok=True)
        script = OPEN_PYTHON + script
    before = ("unshare", "--mount", "bash", "-c", script, "bash", *PLAIN)
    return run(*arguments, before=before, env=values, cwd="/")


def cases(read: Path, out: Path) -> dict[str, tuple[list[object], Callable[[], object], str]]:
    """Command, what is done first, and how it should end."""
    ct, series, made = read / "ct.nrrd", read / "series", out / "out.nrrd"
    first = sorted(series.iterdir())[1]
    plain: list[object] = ["denoise", ct, made]
    return {
        "all may be done": (plain, lambda: None, "done"),
        "the input may not be read": (plain, lambda: ct.chmod(0), "refused"),
        "the voxels beside it may not": (["denoise", read / "ct.nhdr", made],
                                         lambda: (read / "ct.raw").chmod(0), "refused"),
        "its folder may not be entered": (plain, lambda: read.chmod(0), "refused"),
        "a slice may not be read": (["denoise", series, made], lambda: first.chmod(0), "refused"),
        "the series' folder may not be listed": (["denoise", series, made], lambda: series.chmod(0o311), "refused"),
        "the output's folder is read-only": (plain, lambda: out.chmod(0o555), "refused"),
        "the output is there, read-only": (plain, lambda: (made.write_bytes(b"mine"), made.chmod(0o444)), "refused"),
        "the picture is there, read-only": (
            plain, lambda: ((out / "out_comparison.png").write_bytes(b"mine"),
                            (out / "out_comparison.png").chmod(0o444)), "refused"),
        "a series into a read-only folder": (["denoise", series, out / "s"], lambda: out.chmod(0o555), "refused"),
        "a batch into a read-only folder": (["batch", read / "studies", out], lambda: out.chmod(0o555), "refused"),
        "a batch with a study that may not be read": (
            ["batch", read / "studies", out, "--workers", "1"],
            lambda: (read / "studies" / "ct1.nrrd").chmod(0), "named"),
        "a ROI file may not be read": (
            [*plain, "--roi", read / "ct.mha"], lambda: (read / "ct.mha").chmod(0), "refused"),
        "a model may not be read": (
            [*plain, "--model", read / "model.json"],
            lambda: ((read / "model.json").write_text("{}"), (read / "model.json").chmod(0)), "refused"),
        "translate into a read-only folder": (
            ["translate", read / "frames", out / "t", "--model", "plain-to-mucosa"],
            lambda: out.chmod(0o555), "refused"),
        "segment-folds into a read-only folder": (
            ["segment-folds", read / "frames" / "rgb", out / "t", "--model", "colon-folds"],
            lambda: out.chmod(0o555), "refused"),
        "segment-folds with a picture that may not be read": (
            ["segment-folds", read / "frames" / "rgb", out / "t", "--model", "colon-folds"],
            lambda: (read / "frames" / "rgb" / "000001.png").chmod(0), "done"),
        "simulate-colon into a read-only folder": (
            ["simulate-colon", read / "tube.ply", out / "t", "--frames", "2", "--size", "64"],
            lambda: out.chmod(0o555), "refused"),
        "simulate-colon, a surface that may not be read": (
            ["simulate-colon", read / "tube.ply", out / "t", "--frames", "2", "--size", "64"],
            lambda: (read / "tube.ply").chmod(0), "refused"),
        "a model is added without a home": (
            ["models", "--add", read / "model.json"], lambda: (read / "model.json").write_text("{}"), "refused"),
    }  # fmt: skip


def rights(inputs: Path, work: Path) -> Tally:
    """Each case as the nameless user."""
    tally = Tally("without rights")
    read, out = work / "read", work / "out"
    shutil.copytree(inputs, read)
    for name, (_, _, wanted) in cases(read, out).items():
        for gone in (read, out):
            shutil.rmtree(gone, ignore_errors=True)
        shutil.copytree(inputs, read)
        out.mkdir(mode=0o777)
        out.chmod(0o777)
        arguments, prepare, _ = cases(read, out)[name]
        prepare()
        kept, there = state(read), state(out)
        result = shell('exec "$@"', {"PATH": os.environ["PATH"]}, arguments, work)
        read.chmod(0o755)
        problems = ended(result, out, kept, read, True)
        if wanted == "named":
            problems = [] if result.status == 1 and "ct1.nrrd: " in result.said else ["it is not named"]
        elif (result.status == 0) != (wanted == "done"):
            problems.append(f"it should be {wanted}")
        if wanted == "refused":
            problems = [text for text in problems if not text.startswith("half a file")]  # that are "mine"
            problems += ["something was written"] * (state(out) != there)
        tally.note("done" if result.status == 0 else "refused with a remedy", problems, name, result.said)
    return tally


def read_only(inputs: Path, work: Path) -> Tally:
    """All is read-only but the folder for results: package, home, temporary folders."""
    tally = Tally("a read-only machine")
    out, kept_out = work / "place", work / "kept"
    out.mkdir(mode=0o777)
    out.chmod(0o777)
    commands: dict[str, list[object]] = {
        "denoise": ["denoise", inputs / "ct.nrrd", out / "out.nrrd"],
        "denoise of a series": ["denoise", inputs / "series", out / "series"],
        "translate": ["translate", inputs / "frames", out / "frames", "--model", "plain-to-mucosa"],
        "segment-folds": ["segment-folds", inputs / "frames" / "rgb", out / "folds", "--model", "colon-folds"],
        "simulate-colon": ["simulate-colon", inputs / "tube.ply", out / "sim", "--frames", "2", "--size", "64"],
        "batch": ["batch", inputs / "studies", out / "batch", "--workers", "1"],
        "denoise without a place": ["denoise", inputs / "ct.nrrd", work / "out.nrrd"],
    }
    for name, arguments in commands.items():
        for home in ("no home", "a read-only home"):
            shutil.rmtree(kept_out, ignore_errors=True)
            kept_out.mkdir()
            environment = {"PATH": os.environ["PATH"], "OUT": str(out), "KEPT": str(kept_out)}
            if home != "no home":
                environment["HOME"] = str(work)
            # The copy is made by root, through a mount that was bound before all became read-only.
            script = 'mount --bind "$KEPT" "$KEPT"; ' + READ_ONLY + '"$@"' + KEEP
            kept = state(inputs)
            result = shell(script, environment, arguments, work)
            wanted = not name.endswith("without a place")
            problems = [f"half a file: {file}" for file in not_whole(kept_out)]
            problems += [f"scratch is left: {scratch_in(kept_out)}"] * bool(scratch_in(kept_out))
            problems += ["what is read was changed"] * (state(inputs) != kept)
            if (result.status == 0) != wanted or (wanted and not state(kept_out)):
                problems.append(f"it should be {'done' if wanted else 'refused'}")
            if not wanted and not result.refused_plainly:
                problems.append("no plain error")
            tally.note("done" if result.status == 0 else "refused with a remedy", problems, f"{name}, {home}",
                       result.said)  # fmt: skip
    return tally


def main() -> int:
    """Try all; fail where something is against the rule."""
    test = subprocess.run(
        ["unshare", "--mount", "setpriv", "--reuid=1", "--clear-groups", "true"], capture_output=True, check=False
    ) if shutil.which("unshare") and shutil.which("setpriv") else None  # fmt: skip
    if test is None or test.returncode:
        print("without rights: not tried, for it takes root, setpriv and unshare to become another user.")
        return 0
    wrong = 0
    with tempfile.TemporaryDirectory() as text:
        work = Path(text)
        work.chmod(0o755)
        inputs = work / "inputs"
        inputs.mkdir()
        made_inputs(inputs)
        for part in (rights, read_only):
            begun = time.perf_counter()
            tally = part(inputs, work)
            wrong += tally.wrong
            print(f"{tally.line()}; {time.perf_counter() - begun:.0f} s", flush=True)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
