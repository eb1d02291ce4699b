"""Packages that a plain installation does not bring: asked for in one place, with the remedy."""

from __future__ import annotations

import importlib.util

from inference_core.errors import UserError


def need(module: str, extra: str, what: str) -> None:
    """Refuse to start ``what`` without a package.

    Parameters
    ----------
    module : str
        Its import name.
    extra : str
        The extra of this project that installs it.
    what : str
        For the message: what needs it.

    Raises
    ------
    UserError
        ``missing-package``.
    """
    if importlib.util.find_spec(module) is None:
        raise UserError(
            "missing-package",
            f"{what} needs the Python package {module}, which is not installed.",
            f"Install it: pip install 'faithful-imaging[{extra}]'",
        )
