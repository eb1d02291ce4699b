"""onnxruntime, imported so that it reports to no one: some builds tell their maker of each use."""

from __future__ import annotations

import os
from typing import Any


def quiet_onnxruntime() -> Any:
    """The module. Nothing may leave a hospital's machine, so it is imported here and nowhere else."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read when the library starts, on Linux and macOS
    import onnxruntime

    if hasattr(onnxruntime, "disable_telemetry_events"):
        onnxruntime.disable_telemetry_events()  # on Windows
    return onnxruntime
