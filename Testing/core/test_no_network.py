"""Denoising talks to no one: no socket is opened, and nothing is left by which a machine could be told from others."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from inference_core.image.writing import write_volume

ROOT = Path(__file__).parents[2]
DENOISE = """
import sys

def watch(event, arguments):
    if event.startswith("socket.") and event != "socket.gethostname":
        raise RuntimeError(f"network: {event}")

sys.addaudithook(watch)
from inference_core.denoiser.job import DenoiseJob, run
run(DenoiseJob(sys.argv[1], sys.argv[2]), lambda kind, **fields: None, lambda: False)
"""


def denoise(scan: Path, home: Path) -> subprocess.CompletedProcess[str]:
    """Denoise in a new home, as on a user's machine: variables that keep engines silent in tests are taken away."""
    silent = ("CI", "ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS", "XDG_CACHE_HOME", "GITHUB_ACTIONS")
    environment = {name: value for name, value in os.environ.items() if name not in silent}
    environment |= {"HOME": str(home), "USERPROFILE": str(home), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", DENOISE, str(scan), str(scan.with_name("out.nrrd"))]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def scan(ct, tmp_path):
    write_volume(ct, tmp_path / "CT.nrrd")
    return tmp_path / "CT.nrrd"


def test_denoising_opens_no_socket_and_leaves_no_identifier(scan, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    done = denoise(scan, home)
    assert done.returncode == 0, done.stderr
    assert scan.with_name("out.nrrd").is_file()
    assert list(home.rglob("*")) == []


def test_no_part_that_runs_imports_a_network_module():
    import ast

    network = {"socket", "http", "urllib", "ftplib", "smtplib", "requests", "httpx", "aiohttp", "xmlrpc", "ssl"}
    found = []
    for folder in ("inference_core", "LowDoseDenoise"):
        for file in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
                found += [f"{file.name}: {name}" for name in names if name.split(".")[0] in network]
    assert found == []
