"""How long does an import take, and how large is an installation? ``make bench`` writes it."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
from importlib.metadata import distribution
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "Testing/packaging"))

from pins import RUN_TIME, groups, installed_packages  # noqa: E402

from inference_core.evaluation.table import markdown  # noqa: E402

HEAVY = ("torch", "onnxruntime", "SimpleITK")
SHOWN = ("torch", "train", "colon", "video", "batch")
TIMES = 7
MEGABYTE = 1e6


def import_seconds(module: str) -> tuple[float, list[str]]:
    """Median CPU seconds of an import in a fresh interpreter, and the heavy packages that it loads."""
    program = (
        f"import sys, time; started = time.process_time(); import {module}; print(time.process_time() - started); "
        f"print(*[name for name in {HEAVY} if name in sys.modules])"
    )
    answers = [
        subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.splitlines()
        for _ in range(TIMES)
    ]
    return statistics.median(float(answer[0]) for answer in answers), answers[0][1].split()


def wheel_bytes() -> int:
    """Size of the project's own wheel, built from a copy, without a network."""
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name, "source")
        copy.mkdir()
        for file in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(ROOT / file, copy)
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "inference_core", copy / "inference_core", ignore=ignored)
        command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-index", "--no-build-isolation"]
        subprocess.run([*command, "-w", name, str(copy)], check=True, capture_output=True)
        (wheel,) = Path(name).glob("*.whl")
        return wheel.stat().st_size


def installed_bytes(package: str) -> int:
    """Size of a package's files on this disk, byte code included."""
    found = distribution(package)
    paths = {Path(str(found.locate_file(file))) for file in found.files or []}
    return sum(path.stat().st_size for path in paths if path.is_file())


def section() -> str:
    """The section on import and installation."""
    lines = []
    for module in ("inference_core", "inference_core.cli"):
        seconds, loaded = import_seconds(module)
        lines.append(
            f"* `import {module}`: {1000 * seconds:.0f} ms CPU;"
            f" loads {', '.join(loaded) or 'none'} of {', '.join(HEAVY)}"
        )
    by_group = {group: set(installed_packages(groups()[group])) for group in (RUN_TIME, *SHOWN)}
    sizes = {name: installed_bytes(name) for name in set().union(*by_group.values())}
    further = {group: names - by_group[RUN_TIME] if group != RUN_TIME else names for group, names in by_group.items()}
    columns = {
        "what": [group if group == RUN_TIME else f"`[{group}]` adds" for group in by_group],
        "packages": [str(len(names)) for names in further.values()],
        "MB on disk": [f"{sum(sizes[name] for name in names) / MEGABYTE:.0f}" for names in further.values()],
        "largest": [
            ", ".join(f"{name} {sizes[name] / MEGABYTE:.0f}" for name in sorted(names, key=lambda one: -sizes[one])[:3])
            for names in further.values()
        ],
    }
    lines.append(f"* the wheel, all models included: {wheel_bytes() / MEGABYTE:.1f} MB\n")
    return "\n".join(lines) + "\n" + markdown(columns)


if __name__ == "__main__":
    print(section())
