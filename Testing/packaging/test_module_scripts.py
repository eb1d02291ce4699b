"""The modules' Python files load in a bare Slicer, and use no name that only slicer-core has."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from checkout import MODULES, ROOT, SHARED, module_scripts
from few_packages import link_packages
from script_check import OURS, file_scope_imports, foreign_imports, leaked_names, leaks

OWN = {*SHARED, *(name for module in MODULES for name in (module, f"{module}Lib"))}


@pytest.mark.parametrize("file", module_scripts(), ids=str)
def test_module_script(file: Path) -> None:
    script = (ROOT / file).read_text(encoding="utf-8")
    assert leaks(script, leaked_names()) == []
    assert foreign_imports(script, OWN) == []


def test_what_the_modules_import_of_the_package_needs_numpy_alone(tmp_path: Path) -> None:
    """Slicer brings numpy; the rest is installed by the panel, which has to be there for that."""
    scripts = [(ROOT / file).read_text(encoding="utf-8") for file in module_scripts()]
    names = sorted({name for script in scripts for _, name in file_scope_imports(script) if name.split(".")[0] in OURS})
    command = [sys.executable, "-S", "-c", "".join(f"import {name}\n" for name in ("numpy", *names))]
    path = os.pathsep.join([str(ROOT), str(link_packages(tmp_path / "packages", ["numpy"]))])
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_names_of_slicer_util_are_known() -> None:
    assert {"arrayFromVolume", "updateVolumeFromArray", "VTKObservationMixin", "loadUI", "getNode"} <= leaked_names()
    assert not {"util", "app", "mrmlScene", "modules", "vtkMRMLScalarVolumeNode"} & leaked_names()


@pytest.mark.parametrize(
    "script",
    [
        "import slicer\ndef f(v):\n    return slicer.arrayFromVolume(v)",
        "import slicer\nclass A(slicer.VTKObservationMixin):\n    pass",
        "from slicer import getNode",
    ],
)
def test_a_leaked_name_is_found(script: str) -> None:
    assert len(leaks(script, leaked_names())) == 1


def test_names_that_slicer_has_are_no_leak() -> None:
    script = "from slicer import vtkMRMLTableNode\nslicer.util.arrayFromVolume(v)\nslicer.app.testingEnabled()\narray()"
    assert leaks(script, leaked_names()) == []


@pytest.mark.parametrize(
    "script",
    [
        "import onnxruntime as ort",
        "import os, torch.nn",
        "from SimpleITK import ReadImage",
        "try:\n    import pydicom\nexcept ImportError:\n    pydicom = None",
        "try:\n    import os\nexcept ImportError:\n    import pydicom",
        "if True:\n    pass\nelse:\n    import onnxruntime",
        "class A:\n    import torch",
        "with a:\n    from torch import nn",
    ],
)
def test_a_foreign_import_at_file_scope_is_found(script: str) -> None:
    assert len(foreign_imports(script, OWN)) == 1


@pytest.mark.parametrize(
    "script",
    [
        "import os, slicer, vtk, qt, ctk\nfrom slicer.i18n import tr as _\nfrom LowDoseDenoiseLib import logic",
        "from .logic import Logic\nfrom inference_core.client import Worker",
        "def f():\n    import numpy",
        "class A:\n    def f(self):\n        import torch",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import numpy",
    ],
)
def test_other_imports_are_free(script: str) -> None:
    assert foreign_imports(script, OWN) == []
