"""The extension as Slicer's users get it: configured and installed by CMake, then used from the installed folder alone.

Slicer's macros are stood in for (slicer_stand_in/), and the tree is used as in Slicer: by a Python that knows nothing
of this checkout.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from checkout import MODULES, ROOT, SHARED, files
from few_packages import SLICER_BRINGS, link_packages, requirements_of

SCRIPTED_MODULES = Path("lib/Slicer-5.x/qt-scripted-modules")
REQUIREMENTS = Path("Resources/requirements.txt")
NOT_INSTALLED = {"CMakeLists.txt", "README.md"}
"""Names of files that serve to build the extension or to read its source."""

DENOISE = """
import sys
from pathlib import Path
import numpy as np
import inference_core
from inference_core.client import run
from inference_core.image.reading import read_volume
from inference_core.image.volume import Volume
from inference_core.image.writing import write_volume

tree, folder, python = sys.argv[1:]
assert Path(inference_core.__file__).is_relative_to(tree), inference_core.__file__
rng = np.random.default_rng(0)
voxels = np.full((3, 64, 64), 40) + 60 * rng.standard_normal((3, 64, 64))
before = Volume(np.rint(voxels).astype(np.int16), spacing=(0.7, 0.7, 1.0), modality="CT")
source, target = Path(folder, "before.nrrd"), Path(folder, "after.nrrd")
write_volume(before, source)
job = {"job": "denoise", "input": str(source), "output": str(target), "threads": 1}
report = run(job, lambda message: None, python)
after = read_volume(target)
print(report["model"]["id"], before.voxels.std(), after.voxels.std(), after.voxels.mean() - before.voxels.mean())
"""


def cmake(*arguments: object) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])
    command = shutil.which("cmake", path=path)
    assert command, "CMake is missing: pip install cmake"
    return subprocess.run([command, *map(str, arguments)], capture_output=True, text=True, check=False)


def install(source: Path, folder: Path) -> Path:
    """Configure and install `source`; the folder of installed modules."""
    build, prefix = folder / "build", folder / "install"
    # No compiler: nothing is compiled, and project() as Slicer's template has it would look for one.
    no_compiler = [f"-DCMAKE_{language}_COMPILER{key}" for language in ("C", "CXX")
                   for key in (f"={sys.executable}", "_FORCED=ON", "_ID_RUN=ON")]  # fmt: skip
    stand_in = Path(__file__).parent / "slicer_stand_in"
    configured = cmake("-S", source, "-B", build, f"-DSlicer_DIR={stand_in}", "-DBUILD_TESTING=ON", *no_compiler)
    assert configured.returncode == 0, configured.stdout + configured.stderr
    installed = cmake("--install", build, "--prefix", prefix)
    assert installed.returncode == 0, installed.stdout + installed.stderr
    return prefix / SCRIPTED_MODULES


def denoise_from(tree: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Denoise a made volume with what a Slicer user has on the path: `tree`, what Slicer brings, the requirements.

    Python runs with -S: without it, the editable installation of this checkout would serve what the tree lacks. The
    interpreter that the worker gets is a launcher, as PythonSlicer is.
    """
    launcher = folder / "PythonSlicer"
    launcher.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "$@"\n', encoding="utf-8")
    launcher.chmod(0o755)
    packages = link_packages(folder / "packages", [*SLICER_BRINGS, *requirements_of(tree / REQUIREMENTS)])
    path = os.pathsep.join([str(tree), str(packages)])
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [str(launcher), "-c", DENOISE, str(tree), str(folder), str(launcher)]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(ROOT, tmp_path_factory.mktemp("extension"))


def test_every_runtime_file_is_installed_and_no_other(installed: Path) -> None:
    found = {file.relative_to(installed).as_posix() for file in installed.rglob("*") if file.is_file()}
    runtime = [file for file in files("inference_core", *SHARED, *MODULES) if file.name not in NOT_INSTALLED]
    # A list: modules share one Resources folder there, and a name that two of them use would be written over.
    expected = [file.relative_to(file.parts[0] if file.parts[0] in MODULES else ".").as_posix() for file in runtime]
    assert sorted(found) == sorted(expected), "each folder's CMakeLists.txt has to list each of its files"


def test_the_installed_package_denoises(installed: Path, tmp_path: Path) -> None:
    done = denoise_from(installed, tmp_path)
    assert done.returncode == 0, done.stderr
    _, before, after, shift = done.stdout.split()
    assert float(after) < 0.7 * float(before)
    assert abs(float(shift)) < 0.5


def test_a_file_that_is_not_installed_is_missed(installed: Path, tmp_path: Path) -> None:
    """Else the tests above would pass on the checkout's own files."""
    tree = tmp_path / "tree"
    shutil.copytree(installed, tree)
    (tree / "inference_core/denoiser/wavelet.py").unlink()
    done = denoise_from(tree, tmp_path)
    assert done.returncode != 0
    assert "inference_core.denoiser.wavelet" in done.stderr


def test_a_requirement_that_is_not_listed_is_missed(installed: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    shutil.copytree(installed, tree)
    requirements = requirements_of(tree / REQUIREMENTS)
    for number, missing in enumerate(requirements):
        others = [line for line in requirements if line != missing]
        (tree / REQUIREMENTS).write_text("\n".join(others), encoding="utf-8")
        (folder := tmp_path / str(number)).mkdir()
        done = denoise_from(tree, folder)
        assert done.returncode != 0, missing
        assert re.search("No module named|not installed", done.stderr), done.stderr


@pytest.mark.parametrize(
    ("listed", "arrives"),
    [("__init__.py nested/part.py", True), ("__init__.py", False), ("__init__.py ../outside/part.py", False)],
)
def test_the_stand_in_takes_files_along_as_slicer_does(tmp_path: Path, listed: str, arrives: bool) -> None:
    source = made_extension(tmp_path, listed)
    tree = install(source, tmp_path)
    assert (tree / "package/__init__.py").is_file()
    assert ("part.py" in {file.name for file in tree.rglob("*")}) == arrives


def test_the_stand_in_refuses_a_listed_file_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"lists 'forgotten\.py'"):
        install(made_extension(tmp_path, "__init__.py forgotten.py"), tmp_path)


def made_extension(folder: Path, listed: str) -> Path:
    """An extension of one package, whose CMakeLists.txt lists these scripts."""
    source = folder / "source"
    for file in ("package/__init__.py", "package/nested/part.py", "outside/part.py"):
        (source / file).parent.mkdir(parents=True, exist_ok=True)
        (source / file).touch()
    (source / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.16...3.19)\nproject(Made)\n"
        "find_package(Slicer REQUIRED)\ninclude(${Slicer_USE_FILE})\nadd_subdirectory(package)\n",
        encoding="utf-8",
    )
    (source / "package/CMakeLists.txt").write_text(
        f"slicerMacroBuildScriptedModule(NAME package SCRIPTS {listed} WITH_SUBDIR)\n", encoding="utf-8"
    )
    return source
