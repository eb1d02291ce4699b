"""No command talks to the network: each runs as a user types it, in a process from which nothing can leave.

Python's ways out are errors there and written down (no_network/sitecustomize.py). Where the system allows a namespace
of its own (Linux, as a rule), the kernel counts what native libraries try, too (no_network/alone.py).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from made_frames import write_dataset, write_real
from made_studies import write_study

ROOT = Path(__file__).parents[2]
GUARD = Path(__file__).parent / "no_network"
ALONE = ("unshare", "--map-root-user", "--net", sys.executable, str(GUARD / "alone.py"))
MAIN = "from inference_core.cli import main; main()"
SILENT = ("CI", "ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS", "GITHUB_ACTIONS", "HF_HUB_OFFLINE")
"""Variables that keep libraries silent in tests: taken away, as they are not set on a user's machine."""


def namespaces() -> bool:
    if not shutil.which("unshare"):
        return False
    return subprocess.run([*ALONE, os.devnull, "true"], capture_output=True, check=False).returncode == 0


IN_NAMESPACE = namespaces()


def run(folder: Path, *command: object) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """A process that must not get out; and what tried to, in words."""
    environment = {name: value for name, value in os.environ.items() if name not in SILENT}
    path = os.pathsep.join([str(GUARD), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    tried, counted = folder / "tried.txt", folder / "counted.json"
    environment |= {"PYTHONPATH": path, "NETWORK_TRIED": str(tried), "HOME": str(folder)}
    alone = [*ALONE, str(counted)] if IN_NAMESPACE else []
    done = subprocess.run(
        [*alone, sys.executable, *map(str, command)], cwd=folder, env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    found = tried.read_text(encoding="utf-8").splitlines() if tried.exists() else []
    if IN_NAMESPACE:
        found += [f"{number} {name}" for name, number in json.loads(counted.read_text()).items() if number]
    return done, found


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> Path:
    """A user's files; only read."""
    folder = tmp_path_factory.mktemp("inputs")
    for number in range(2):
        write_study(folder / "studies" / f"{number}.nrrd", number)
    shutil.copy(folder / "studies/0.nrrd", folder / "CT.nrrd")
    roi = {"name": "soft", "shape": "sphere", "center": [20, 20, 2], "radius": 4}
    (folder / "rois.json").write_text(json.dumps({"coordinateSystem": "LPS", "rois": [roi]}))
    write_dataset(folder / "frames", frames=2, size=64)
    write_real(folder / "real", frames=2)
    return folder


COMMANDS = {
    "denoise": ("denoise", "{inputs}/CT.nrrd", "out.nrrd"),
    "denoise-torch": ("denoise", "{inputs}/CT.nrrd", "out.nrrd", "--engine", "torch"),
    "measure": ("measure", "{inputs}/CT.nrrd", "--roi", "{inputs}/rois.json"),
    "sample": ("sample", "colon", "colon.vtp"),
    "models": ("models",),
    "simulate-dose": ("simulate-dose", "{inputs}/CT.nrrd", "low.nrrd", "--dose", "0.5"),
    "batch": ("batch", "{inputs}/studies", "out", "--workers", "1"),
    "simulate-colon": ("simulate-colon", "{colon}", "out", "--frames", "2", "--size", "32"),
    "translate": ("translate", "{inputs}/frames", "out", "--model", "plain-to-mucosa"),
    "segment-folds": ("segment-folds", "{inputs}/real", "out", "--model", "colon-folds"),
}
NEEDS = {"denoise-torch": "torch", "sample": "vtkmodules", "simulate-colon": "vtkmodules", "batch": "distributed"}


@pytest.fixture(scope="module")
def colon(tmp_path_factory) -> Path:
    pytest.importorskip("vtkmodules")
    from made_colon_scene import labelled_tube

    from inference_core.simulation.colon.mesh.surface_files import write_surface

    path = tmp_path_factory.mktemp("colon") / "colon.vtp"
    write_surface(labelled_tube(), path)
    return path


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_does_its_work_and_nothing_tries_to_leave(name, inputs, tmp_path, request):
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    places = {"inputs": inputs}
    if "{colon}" in COMMANDS[name]:
        places["colon"] = request.getfixturevalue("colon")
    done, tried = run(tmp_path, "-c", MAIN, *(word.format(**places) for word in COMMANDS[name]))
    assert done.returncode == 0, done.stdout + done.stderr
    assert tried == []


WAYS_OUT = {
    "connect": "import socket; socket.create_connection(('192.0.2.1', 80), 1)",
    "lookup": "import socket; socket.getaddrinfo('example.org', 80)",
    "swallowed": "import socket, contextlib\nwith contextlib.suppress(OSError): socket.gethostbyname('example.org')",
}


@pytest.mark.parametrize("way", WAYS_OUT)
def test_the_guard_sees_python_try(way, tmp_path):
    done, tried = run(tmp_path, "-c", WAYS_OUT[way])
    assert tried
    assert (done.returncode == 0) == (way == "swallowed")


@pytest.mark.skipif(not IN_NAMESPACE, reason="needs a network namespace")
@pytest.mark.parametrize("domain", ["AF_INET", "AF_INET6"])
def test_the_guard_sees_native_code_try(domain, tmp_path):
    """By the C library itself, which Python's hook does not see."""
    address = {
        "AF_INET": "struct.pack('=H', socket.AF_INET) + struct.pack('!H', 80) + bytes([192, 0, 2, 1]) + bytes(8)",
        "AF_INET6": "struct.pack('=H', socket.AF_INET6) + struct.pack('!HI', 80, 0) + b'\\x20\\x01\\x0d\\xb8'"
        " + bytes(11) + b'\\x01' + bytes(4)",
    }[domain]
    code = (
        f"import ctypes, socket, struct\nto = {address}\n"
        f"libc = ctypes.CDLL(None)\nfd = libc.socket(socket.{domain}, socket.SOCK_STREAM, 0)\n"
        "assert libc.connect(fd, to, len(to)) == -1\n"
    )
    done, tried = run(tmp_path, "-c", code)
    assert done.returncode == 0, done.stderr
    assert tried == [f"1 IPv{'4' if domain == 'AF_INET' else '6'} without a route"]


def test_a_worker_of_this_machine_may_be_talked_to(tmp_path):
    code = (
        "import socket\nwith socket.create_server(('127.0.0.1', 0)) as one:\n"
        "    socket.create_connection(one.getsockname()).close()\n"
    )
    done, tried = run(tmp_path, "-c", code)
    assert (done.returncode, tried) == (0, []), done.stderr
