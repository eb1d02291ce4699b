"""Every command of the README runs, in its order, on made inputs of the names it uses.

Read are the ```bash blocks. Not run: `make` targets (they have to be in the Makefile), getting the source (`git`, `cd`)
and blocks marked ```bash not-run.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from checkout import ROOT

sys.path.append(str(ROOT / "Testing" / "core"))

from made_series import write_series

from inference_core.image.volume import Volume
from inference_core.image.writing import write_volume

MINUTES = 5
ELSEWHERE = ("make", "git", "cd")


def commands(text: str) -> list[str]:
    """The commands in a Markdown text's ```bash blocks, continued lines joined."""
    found = []
    for mark, block in re.findall(r"^```(?:bash|sh)\b([^\n]*)\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL):
        if mark.strip() != "not-run":
            lines = (line.strip() for line in block.replace("\\\n", " ").splitlines())
            found += [line for line in lines if line and not line.startswith("#")]
    return found


README = ROOT / "README.md"
COMMANDS = commands(README.read_text(encoding="utf-8")) if README.is_file() else []
RUN = [command for command in COMMANDS if command.split()[0] not in ELSEWHERE]


@pytest.fixture(scope="module")
def user_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout's folder after `make setup`, with a user's files in it."""
    folder = tmp_path_factory.mktemp("readme")
    launchers = folder / ".venv/bin"
    launchers.mkdir(parents=True)
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    for name, entry in scripts.items():
        module, function = entry.split(":")
        write_launcher(launchers / name, "-c", f"from {module} import {function}; {function}()")
    write_launcher(launchers / "python")
    make_inputs(folder)
    return folder


def write_launcher(file: Path, *arguments: str) -> None:
    command = shlex.join([sys.executable, *arguments])
    file.write_text(f'#!/bin/sh\nexec {command} "$@"\n', encoding="utf-8")
    file.chmod(0o755)


def make_inputs(folder: Path) -> None:
    """The files that the README's commands read."""
    rng = np.random.default_rng(0)
    voxels = np.full((4, 96, 96), -1000.0)
    voxels[:, 16:80, 16:80] = 40
    voxels[:, 30:50, 30:50] = 900
    noisy = np.rint(voxels + 60 * rng.standard_normal(voxels.shape)).astype(np.int16)
    write_volume(Volume(noisy, spacing=(0.5, 0.5, 1.0), modality="CT"), folder / "CT.nrrd")
    write_series(folder / "SERIES_FOLDER", noisy.astype(int) + 2048, RescaleIntercept=-2048)


def test_the_readme_has_commands_to_run() -> None:
    assert RUN


def test_the_readmes_make_targets_exist() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    named = {word for command in COMMANDS if command.startswith("make ") for word in command.split("#")[0].split()[1:]}
    assert {word for word in named if "=" not in word} - targets == set()


@pytest.mark.parametrize("command", RUN)
def test_command_of_the_readme(command: str, user_folder: Path) -> None:
    path = os.pathsep.join([str(user_folder / ".venv/bin"), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["bash", "-ec", command], cwd=user_folder, env=environment, capture_output=True, text=True,
                          timeout=60 * MINUTES, check=False)  # fmt: skip
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"


def test_commands_are_found_in_blocks() -> None:
    text = (
        "```bash\nmake setup\n# a remark\none --a \\\n  --b\n```\n```bash not-run\ntwo\n```\n"
        "```python\nthree\n```\nfour\n```sh\nfive\n```\n"
    )
    assert [command.split() for command in commands(text)] == [["make", "setup"], ["one", "--a", "--b"], ["five"]]
