"""Offline bundles, made of tiny wheels in a folder that pip is told to take for its index; no network."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from inference_core.bundle import make
from inference_core.bundle.make import make_bundle
from inference_core.bundle.platforms import EXAMPLES, family, platform_tags, this_platform, this_python
from inference_core.bundle.sealed import check_fits, open_bundle
from inference_core.client import Worker
from inference_core.errors import Cancelled, UserError

ROOT = Path(__file__).parents[2]


def wheel(folder: Path, name: str, version: str, tag: str, needs: str = "") -> Path:
    """A wheel with one module that holds nothing."""
    file = folder / f"{name}-{version}-{tag}.whl"
    info = f"{name}-{version}.dist-info"
    needed = f"Requires-Dist: {needs}\n" if needs else ""
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(f"{name}.py", "")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needed}")
        archive.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {tag}\n")
        archive.writestr(f"{info}/RECORD", "")
    return file


def no_other_index(monkeypatch) -> None:
    """Forget what this machine's pip knows besides the index that a test sets."""
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)


@pytest.fixture
def index(tmp_path, monkeypatch):
    """Packages for Windows and for Linux; one of them needs a third."""
    folder = tmp_path / "index"
    folder.mkdir()
    for tag in ("cp312-cp312-win_amd64", "cp312-cp312-manylinux_2_27_x86_64", "cp311-cp311-manylinux_2_17_x86_64"):
        wheel(folder, "onnxruntime", "1.32.0", tag, needs="flatbuffers")
        wheel(folder, "pywavelets", "1.10.0", tag)
    wheel(folder, "flatbuffers", "25.1", "py2.py3-none-any")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def bundle(index, tmp_path):
    made = tmp_path / "bundle"
    make_bundle(made, "win_amd64", "3.12", say=lambda line: None)
    return made


def test_a_bundle_holds_the_wheels_of_its_platform_and_what_they_need(index, tmp_path):
    report = make_bundle(tmp_path / "bundle", "win_amd64", "3.12", say=lambda line: None)
    names = {file.name for file in (tmp_path / "bundle").iterdir()}
    assert names == {
        "onnxruntime-1.32.0-cp312-cp312-win_amd64.whl", "pywavelets-1.10.0-cp312-cp312-win_amd64.whl",
        "flatbuffers-25.1-py2.py3-none-any.whl", "SHA256SUMS", "INSTALL.txt", "bundle.json",
    }  # fmt: skip
    assert report["packages"] == 3
    opened = open_bundle(tmp_path / "bundle")
    assert (opened.platform, opened.python) == ("win_amd64", "3.12")
    assert {path.name for path in tmp_path.iterdir()} == {"index", "bundle"}


def test_sha256sum_agrees(bundle):
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=bundle, check=True, capture_output=True)


def test_pip_installs_from_a_bundle_without_an_index(index, tmp_path, monkeypatch):
    make_bundle(tmp_path / "bundle", "manylinux_2_28_x86_64", "3.11", say=lambda line: None)
    monkeypatch.delenv("PIP_FIND_LINKS")
    command = [sys.executable, "-m", "pip", "install", "--no-index", "--find-links", tmp_path / "bundle", "--target",
               tmp_path / "site", "--platform", "manylinux_2_28_x86_64", "--platform", "manylinux_2_17_x86_64",
               "--python-version", "3.11", "--only-binary=:all:"]  # fmt: skip
    subprocess.run([*command, *open_bundle(tmp_path / "bundle").requirements], check=True, capture_output=True)
    assert {path.name for path in (tmp_path / "site").glob("*.py")} == {
        "onnxruntime.py", "pywavelets.py", "flatbuffers.py"
    }  # fmt: skip


def test_an_older_linux_gets_no_wheel_for_a_newer_one(index, tmp_path):
    with pytest.raises(UserError, match="onnxruntime") as refused:
        make_bundle(tmp_path / "bundle", "manylinux_2_17_x86_64", "3.12", say=lambda line: None)
    assert refused.value.code == "no-wheel"
    assert "--python" in refused.value.remedy
    assert {path.name for path in tmp_path.iterdir()} == {"index"}


def test_the_module_installs_what_a_bundle_holds():
    text = (ROOT / "LowDoseDenoise/Resources/requirements.txt").read_text(encoding="utf-8")
    assert [line for line in text.splitlines() if not line.startswith("#")] == make.REQUIREMENTS


@pytest.mark.parametrize("change", ["changed", "missing", "smuggled in"])
def test_a_bundle_that_is_not_as_it_was_made_is_refused(bundle, change):
    wheel_file = bundle / "flatbuffers-25.1-py2.py3-none-any.whl"
    if change == "changed":
        wheel_file.write_bytes(wheel_file.read_bytes() + b" ")
    elif change == "missing":
        wheel_file.unlink()
    else:
        wheel_file = wheel(bundle, "numpy", "9.9", "py3-none-any")
    with pytest.raises(UserError, match=wheel_file.name) as refused:
        open_bundle(bundle)
    assert refused.value.code == "checksum"


def test_what_a_bundle_is_for_cannot_be_changed_unseen(bundle):
    content = json.loads((bundle / "bundle.json").read_text())
    content["requirements"] = ["something-else"]
    (bundle / "bundle.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"bundle\.json"):
        open_bundle(bundle)


def test_checksums_name_files_of_the_folder_only(bundle):
    sums = bundle / "SHA256SUMS"
    sums.write_text(sums.read_text().replace("  flatbuffers", "  ../flatbuffers"))
    with pytest.raises(UserError) as refused:
        open_bundle(bundle)
    assert refused.value.code == "no-bundle"


def test_a_folder_without_a_bundle_is_refused_with_the_remedy(tmp_path):
    with pytest.raises(UserError, match="no offline bundle") as refused:
        open_bundle(tmp_path)
    assert "inference-core bundle" in refused.value.remedy


def test_a_bundle_for_another_computer_is_refused(bundle):
    if (family("win_amd64"), "3.12") == (family(this_platform()), this_python()):
        pytest.skip("this is that computer")
    with pytest.raises(UserError, match="win_amd64") as refused:
        check_fits(open_bundle(bundle))
    assert f"--platform {this_platform()} --python {this_python()}" in refused.value.remedy


@pytest.mark.parametrize("platform", EXAMPLES)
def test_pip_knows_the_platforms(platform):
    assert platform_tags(platform)[0] == platform
    assert family(platform)


def test_linux_takes_wheels_by_their_old_names():
    tags = platform_tags("manylinux_2_28_x86_64")
    assert {"manylinux_2_17_x86_64", "manylinux2014_x86_64", "manylinux1_x86_64"} < set(tags)
    assert "manylinux_2_34_x86_64" not in tags


@pytest.mark.parametrize("platform", ["windows", "win32", "macosx_arm64", "manylinux_2_28", "linux_x86_64", ""])
def test_an_unknown_platform_is_refused_with_the_known_ones(tmp_path, platform):
    with pytest.raises(UserError) as refused:
        platform_tags(platform)
    assert "win_amd64" in refused.value.remedy


def test_torch_is_gathered_only_on_a_computer_like_the_one_it_is_for(tmp_path):
    other = "win_amd64" if sys.platform != "win32" else "macosx_14_0_arm64"
    with pytest.raises(UserError, match="PyTorch") as refused:
        make_bundle(tmp_path / "bundle", other, "3.12", torch=True)
    assert refused.value.code == "torch-elsewhere"


def test_a_folder_with_something_in_it_is_left_alone(index, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="mine") as refused:
        make_bundle(tmp_path / "mine", "win_amd64", "3.12")
    assert refused.value.code == "folder"
    assert [file.name for file in (tmp_path / "mine").iterdir()] == ["notes.txt"]


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that nobody can write to")
def test_a_folder_that_cannot_be_written_is_said_with_the_remedy(index):
    with pytest.raises(UserError, match="could not be written") as refused:
        make_bundle(Path("/proc/bundle"), "win_amd64", "3.12")
    assert "space" in refused.value.remedy


def test_an_empty_folder_is_filled(index, tmp_path):
    (tmp_path / "empty").mkdir()
    make_bundle(tmp_path / "empty", "win_amd64", "3.12", say=lambda line: None)
    assert open_bundle(tmp_path / "empty").python == "3.12"


def test_without_a_network_the_remedy_is_said(tmp_path, monkeypatch):
    for name, value in {
        "PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": "http://someone:secret@127.0.0.1:9/simple", "PIP_RETRIES": "1",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    no_other_index(monkeypatch)
    said = []
    with pytest.raises(UserError) as refused:
        make_bundle(tmp_path / "bundle", "win_amd64", "3.12", say=said.append)
    assert refused.value.code == "no-network"
    assert "PIP_PROXY" in refused.value.remedy
    assert "secret" not in "".join([*said, str(refused.value)])
    assert list(tmp_path.iterdir()) == []


def test_pip_goes_through_the_proxy_it_is_told_of(tmp_path, monkeypatch):
    asked = []

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
        monkeypatch.setenv("PIP_INDEX_URL", "http://index.invalid/simple")
        monkeypatch.setenv("PIP_TRUSTED_HOST", "index.invalid")
        for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):  # of this machine
            monkeypatch.delenv(name, raising=False)
            monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.setenv("PIP_PROXY", f"http://127.0.0.1:{server.server_port}")
        no_other_index(monkeypatch)
        with pytest.raises(UserError):
            make_bundle(tmp_path / "bundle", "win_amd64", "3.12", say=lambda line: None)
        server.shutdown()
    assert asked[0] == "http://index.invalid/simple/onnxruntime/"


def test_a_cancelled_bundle_leaves_nothing(index, tmp_path):
    with pytest.raises(Cancelled):
        make_bundle(tmp_path / "bundle", "win_amd64", "3.12", cancelled=lambda: True)
    assert {path.name for path in tmp_path.iterdir()} == {"index"}


def slow_index(monkeypatch):
    """An index that never answers."""
    import socket

    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    server.listen(8)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.getsockname()[1]}/simple")
    no_other_index(monkeypatch)
    return server


def downloading(folder: Path) -> None:
    """Wait until a bundle is being made in a folder."""
    end = time.monotonic() + 30
    while not list(folder.glob(".faithful-imaging-*/bundle")):
        assert time.monotonic() < end
        time.sleep(0.05)


def test_the_worker_makes_bundles_and_stops_when_told(tmp_path, monkeypatch):
    with slow_index(monkeypatch):
        worker = Worker({"job": "bundle", "output": str(tmp_path / "bundle")})
        downloading(tmp_path)
        worker.cancel()
        assert worker.wait_ended(timeout=20)
    assert worker.messages()[-1]["code"] == "cancelled"
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_leaves_nothing(tmp_path, monkeypatch):
    with slow_index(monkeypatch):
        command = [sys.executable, "-c", "from inference_core.cli import main; main()", "bundle", tmp_path / "bundle"]
        process = subprocess.Popen([*command, "--platform", "win_amd64", "--python", "3.10"], stderr=subprocess.PIPE,
                                   env={**os.environ, "PYTHONPATH": str(ROOT)}, text=True)  # fmt: skip
        downloading(tmp_path)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "nothing was written" in said
    assert list(tmp_path.iterdir()) == []


def test_the_command(index, tmp_path):
    wheel(index, "onnxruntime", "1.20.0", "cp310-cp310-win_amd64")
    wheel(index, "pywavelets", "1.5.0", "cp310-cp310-win_amd64")
    command = [sys.executable, "-c", "from inference_core.cli import main; main()", "bundle"]
    arguments = ["--platform", "win_amd64", "--python", "3.10", str(tmp_path / "bundle")]
    done = subprocess.run([*command, *arguments], env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True,
                          text=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "2 packages" in done.stdout
    assert open_bundle(tmp_path / "bundle").python == "3.10"
    text = (tmp_path / "bundle" / "INSTALL.txt").read_text()
    assert "Python 3.10" in text
    assert "pip_install" in text
