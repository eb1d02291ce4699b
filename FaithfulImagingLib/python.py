"""The interpreter that runs the worker."""

import shutil
import sys


def pythonExecutable() -> str:
    """In the application PythonSlicer, which Slicer puts on the path; else the interpreter that runs this."""
    return shutil.which("PythonSlicer") or sys.executable
