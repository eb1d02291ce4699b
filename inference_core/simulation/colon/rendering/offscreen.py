"""An OpenGL window without a display, or a plain word about what is missing."""

from __future__ import annotations

from typing import Any

from inference_core.errors import UserError
from inference_core.extras import need


def open_window(width: int, height: int) -> Any:
    """Open a ``vtkRenderWindow`` that no one sees, with its OpenGL context current.

    On Linux VTK tries a display, then EGL, then OSMesa; where none works, its window would crash the process at the
    first frame. So the context is asked for first.

    Raises
    ------
    UserError
        ``no-opengl``: nothing on this computer draws without a display. ``missing-package``: VTK is not installed.
    """
    need("vtkmodules", "colon", "Rendering a colon")
    import vtkmodules.vtkRenderingOpenGL2  # noqa: F401  # registers the OpenGL classes
    from vtkmodules.vtkCommonCore import vtkLogger, vtkObject
    from vtkmodules.vtkRenderingCore import vtkRenderWindow

    # VTK warns on standard error about each kind of window that it tries in vain.
    verbosity, warnings = vtkLogger.GetCurrentVerbosityCutoff(), vtkObject.GetGlobalWarningDisplay()
    vtkLogger.SetStderrVerbosity(vtkLogger.VERBOSITY_OFF)
    vtkObject.GlobalWarningDisplayOff()
    try:
        window = vtkRenderWindow()
        window.SetOffScreenRendering(True)
        window.SetMultiSamples(0)  # a pixel shows one face, not a mixture
        window.SetAlphaBitPlanes(True)
        window.SetSize(width, height)
        window.Initialize()
        usable = window.IsCurrent()
    finally:
        vtkLogger.SetStderrVerbosity(verbosity)
        vtkObject.SetGlobalWarningDisplay(warnings)
    if not usable:
        raise UserError(
            "no-opengl",
            "The colon cannot be drawn: no OpenGL that works without a display was found (neither EGL nor OSMesa).",
            "On Debian or Ubuntu: apt install libegl1 libgl1-mesa-dri (or libosmesa6).",
        )
    return window
