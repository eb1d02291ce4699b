"""Odd file names, links, language settings and two runs at once.

python Testing/reliability/odd_names.py [part ...]      (names, links, languages, twice)
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import time
import unicodedata
from collections.abc import Callable
from pathlib import Path

from real_commands import Run, Tally, ended, made_inputs, run, state, voxels_of, words

NAMES = {
    "spaces": "my  scan 1 ",
    "quotes": 'it\'s "the" `one`',
    "shell": "$(id);&|<>*?[a]{b}~#!",
    "a newline": "first\nsecond",
    "a tab and a bell": "a\tb\a",
    "NFC": unicodedata.normalize("NFC", "Schädel é"),
    "NFD": unicodedata.normalize("NFD", "Schädel é"),
    "emoji": "🩻👩‍⚕️",
    "right to left": "\u202eאבג",
    "Turkish": "İIıi",  # noqa: RUF001
    "a dash first": "./-rf",
    "percent": "%d%s%n%05d",
    "a backslash": "a\\b\\u0000",
    "dots": "...",
    "a device": "CON",
    "no UTF-8": os.fsdecode(b"scan-\xff\xfe"),
    "half a pair": os.fsdecode(b"\xed\xa0\x80"),
    "200 characters": "n" * 200,
    "235 characters": "n" * 235,
    "249 characters": "n" * 249,
    "250 characters": "n" * 250,
    "120 of two bytes": "ä" * 120,
    "256 characters": "n" * 256,
}
FORMATS = (".nrrd", ".nhdr", "")  # the last: a DICOM series, from one


def names(inputs: Path, work: Path) -> Tally:
    """The input, the output, and the folder of both, each with each name."""
    tally = Tally("odd names")
    right = {}
    for suffix in FORMATS:
        made = work / f"right{suffix}"
        run("denoise", inputs / (f"ct{suffix}" if suffix else "series"), made)
        right[suffix] = voxels_of(made)
    for (kind, name), suffix in itertools.product(NAMES.items(), FORMATS):
        for where in ("input", "output", "folder"):
            folder = work / "names"
            shutil.rmtree(folder, ignore_errors=True)
            own = folder / "own" / name if where == "folder" else folder / "own"
            read = folder / "read" / name if where == "folder" else folder / "read"
            source = read / f"{name if where == 'input' else 'ct'}{suffix}"
            try:
                own.mkdir(parents=True)
                read.mkdir(parents=True)
                _copied(inputs, source, suffix)
            except OSError:  # the disk does not take such a name
                continue
            made = own / f"{name if where == 'output' else 'out'}{suffix}"
            kept = state(read)
            result = run("denoise", source, made)
            problems = ended(result, own, kept, read, result.status != 0 or _is_right(made, right[suffix]))
            tally.note("done" if result.status == 0 else "refused with a remedy", problems,
                       f"{kind}, {where}, {suffix or 'DICOM'}", result.said)  # fmt: skip
    return tally


def _is_right(path: Path, right: str) -> bool:
    try:
        return voxels_of(path) == right
    except Exception:
        return False


def _copied(inputs: Path, to: Path, suffix: str) -> None:
    if not suffix:
        shutil.copytree(inputs / "series", to)
        return
    source = inputs / ("ct.mha" if suffix == ".nii.gz" else f"ct{suffix}")
    to = to.with_name(to.name.removesuffix(suffix) + source.suffix) if suffix == ".nii.gz" else to
    shutil.copy(source, to)
    if suffix == ".nhdr":
        shutil.copy(source.with_suffix(".raw"), to.parent)


def links(inputs: Path, work: Path) -> Tally:
    """Links as input and output, and in the tree of a batch."""
    tally = Tally("links")
    folder, read = work / "links", work / "links-read"
    cases: dict[str, Callable[[], tuple[list[object], str]]] = {
        "input a link": lambda: (["denoise", _link(read / "l.nrrd", read / "ct.nrrd"), folder / "out.nrrd"], "done"),
        "input a link to a link": lambda: (
            ["denoise", _link(read / "m.nrrd", _link(read / "l.nrrd", read / "ct.nrrd")), folder / "out.nrrd"], "done"),
        "input a link to a series": lambda: (["denoise", _link(read / "l", read / "series"), folder / "out"], "done"),
        "input a dangling link": lambda: (["denoise", _link(read / "l.nrrd", "nothing"), folder / "o.nrrd"], "refused"),
        "input a loop": lambda: (["denoise", _link(read / "l.nrrd", "l.nrrd"), folder / "out.nrrd"], "refused"),
        "input below a loop": lambda: (["denoise", _link(read / "l", "l") / "ct.nrrd", folder / "o.nrrd"], "refused"),
        "output a link to a file": lambda: (
            ["denoise", read / "ct.nrrd", _link(folder / "out.nrrd", read / "ct.mha")], "refused"),
        "output a dangling link": lambda: (
            ["denoise", read / "ct.nrrd", _link(folder / "out.nrrd", folder / "nothing.nrrd")], "refused"),
        "output a link to the input": lambda: (
            ["denoise", read / "ct.nrrd", _link(folder / "out.nrrd", read / "ct.nrrd")], "refused"),
        "output a loop": lambda: (["denoise", read / "ct.nrrd", _link(folder / "o.nrrd", "o.nrrd")], "refused"),
        "output below a loop": lambda: (["denoise", read / "ct.nrrd", _link(folder / "l", "l") / "o.nrrd"], "refused"),
        "output's folder a link": lambda: (
            ["denoise", read / "ct.nrrd", _link(folder / "l", _made(folder / "real")) / "out.nrrd"], "done"),
        "output's folder a link into the input": lambda: (
            ["denoise", read / "series", _link(folder / "l", read / "series") / "out.nrrd"], "refused"),
        "the picture a link to the input": lambda: (
            ["denoise", read / "ct.nrrd", _beside(folder / "o.nrrd", "_comparison.png", read / "ct.nrrd")], "refused"),
        "the report a link": lambda: (
            ["denoise", read / "ct.nrrd", _beside(folder / "out.nrrd", "_report.json", read / "ct.mha")], "refused"),
        "a series' folder a link": lambda: (
            ["denoise", read / "series", _link(folder / "l", _made(folder / "real"))], "refused"),
        "a hard link to the input": lambda: (["denoise", read / "ct.nrrd", _hard(folder, read / "ct.nrrd")], "either"),
        "a loop in a batch's tree": lambda: (
            ["batch", _tree(read, {"l": "l", "up": ".."}), folder / "out", "--workers", "1"], "done"),
        "a dangling link in a batch's tree": lambda: (
            ["batch", _tree(read, {"l.nrrd": "nothing"}), folder / "out", "--workers", "1"], "named"),
        "a linked study in a batch's tree": lambda: (
            ["batch", _tree(read, {"l.nrrd": read / "ct.nrrd"}), folder / "out", "--workers", "1"], "done"),
        "a pipe as input": lambda: (["denoise", _pipe(read / "p.nrrd"), folder / "out.nrrd"], "refused"),
        "a pipe in a series": lambda: (["denoise", _pipe(read / "series" / "p").parent, folder / "out"], "done"),
        "a device as input": lambda: (["denoise", "/dev/zero", folder / "out.nrrd"], "refused"),
        "a device as output": lambda: (["denoise", read / "ct.nrrd", "/dev/null"], "refused"),
    }  # fmt: skip
    for name, prepare in cases.items():
        for gone in (folder, read):
            shutil.rmtree(gone, ignore_errors=True)
        folder.mkdir()
        shutil.copytree(inputs, read)
        arguments, wanted = prepare()
        kept, there = state(read), {path: os.readlink(path) for path in folder.rglob("*") if path.is_symlink()}
        result = run(*arguments)
        problems = ended(result, folder, kept, read, True)
        if wanted == "named":  # the batch goes on without it, and says so
            problems = [] if result.status == 1 and "\nl.nrrd: " in result.said else ["it is not named"]
        elif wanted != "either" and (result.status == 0) != (wanted == "done"):
            problems.append(f"it should be {wanted}")
        if any(not path.is_symlink() or os.readlink(path) != to for path, to in there.items()):
            problems.append("a link was changed")
        tally.note("done" if result.status == 0 else "refused with a remedy", problems, name, result.said)
    return tally


def _link(path: Path, to: object) -> Path:
    path.symlink_to(str(to))
    return path


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _beside(output: Path, ending: str, to: Path) -> Path:
    _link(output.with_name(output.stem + ending), to)
    return output


def _hard(folder: Path, to: Path) -> Path:
    os.link(to, folder / "out.nrrd")
    return folder / "out.nrrd"


def _tree(read: Path, made: dict[str, object]) -> Path:
    for name, to in made.items():
        _link(read / "studies" / name, to)
    return read / "studies"


def _pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


def languages(inputs: Path, work: Path) -> Tally:
    """Each command's tables under other language settings; Turkish and German ones are built for this."""
    tally = Tally("languages")
    built = work / "locales"
    built.mkdir()
    settings: list[dict[str, str]] = [
        {"LC_ALL": "C"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"LC_ALL": "C.UTF-8", "PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "no_SUCH"},
        {"LANG": "", "LANGUAGE": ""},
    ]
    for name, code in (("tr_TR", "UTF-8"), ("de_DE", "UTF-8"), ("tr_TR", "ISO-8859-9"), ("ja_JP", "EUC-JP")):
        to = built / f"{name}.{code}"
        if (
            shutil.which("localedef")
            and not subprocess.run(
                ["localedef", "-i", name, "-f", code, str(to)], capture_output=True, check=False
            ).returncode
        ):
            settings.append({"LOCPATH": str(built), "LC_ALL": f"{name}.{code}"})
            settings.append({"LOCPATH": str(built), "LC_ALL": f"{name}.{code}", "PYTHONUTF8": "0"})
        else:
            print(f"  {name}.{code} cannot be made here.")
    right = None
    for said in settings:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG"))}
        for name, suffix in (("plain", ".nrrd"), ("Schädel İ", ".nii.gz"), ("Schädel", "")):
            folder = work / "languages"
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            source = folder.parent / f"read-{name}" / (f"{name}.nrrd" if suffix else name)
            if not source.exists():
                source.parent.mkdir()
                _copied(inputs, source, ".nrrd" if suffix else "")
            kept = state(source.parent)
            made = folder / f"{name}{suffix}"
            result = run("denoise", source, made, env={**environment, **said})
            problems = ended(result, folder, kept, source.parent, result.status != 0 or made.exists())
            if result.status == 0 and suffix:
                right = right or voxels_of(made)
                problems += ["other voxels"] * (voxels_of(made) != right)
            elif result.status and not ("PYTHONUTF8" in said and not name.isascii()):  # the system knows ASCII only
                problems.append("not done")
            tally.note(
                "done" if result.status == 0 else "refused with a remedy",
                problems,
                f"{said} {name}{suffix}",
                result.said,
            )
    return tally


def twice(inputs: Path, work: Path) -> Tally:
    """The same command twice at the same time, on one output."""
    tally = Tally("two at once")
    for suffix, turn in itertools.product((".nrrd", ".nhdr", ".nii.gz", "", "batch", "frames"), range(5)):
        out = work / f"twice-{suffix}-{turn}"
        out.mkdir()
        source = inputs / ("ct.nrrd" if suffix else "series")
        command: list[object] = ["denoise", source, out / f"out{suffix}"]
        if suffix == "batch":
            command = ["batch", inputs / "studies", out / "out", "--workers", "1"]
        if suffix == "frames":
            command = ["translate", inputs / "frames", out / "out", "--model", "plain-to-mucosa"]
        kept = state(inputs)
        both = [
            subprocess.Popen(
                words(*command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
            for _ in range(2)
        ]
        runs = []
        for process in both:
            said = process.communicate()[0].decode("utf-8", "replace")
            runs.append(Run(process.returncode, said))
        problems = [text for one in runs for text in ended(one, out, kept, inputs, True)]
        if all(one.status for one in runs):
            problems.append("neither gave a result")
        done = sum(one.status == 0 for one in runs)
        tally.note(f"with {done} of 2 done", problems, f"{suffix or 'DICOM'} {turn}", "\n".join(r.said for r in runs))
    return tally


def main() -> int:
    """Try all parts, or those that are named; fail where something is against the rule."""
    wrong = 0
    with tempfile.TemporaryDirectory() as text:
        work = Path(text)
        inputs = work / "inputs"
        inputs.mkdir()
        made_inputs(inputs)
        for part in (links, languages, twice, names):
            if sys.argv[1:] and part.__name__ not in sys.argv[1:]:
                continue
            begun = time.perf_counter()
            tally = part(inputs, work)
            wrong += tally.wrong
            print(f"{tally.line()}; {time.perf_counter() - begun:.0f} s", flush=True)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
