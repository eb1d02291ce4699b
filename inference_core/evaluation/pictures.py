"""Pictures of a table: per scan one slice as every method left it, and the noise spectra."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from inference_core.evaluation.noise_spectra import Spectra
from inference_core.evaluation.plot import write_curves
from inference_core.evaluation.run import Example
from inference_core.image.picture import Panel, upright, write_panels
from inference_core.image.windows import WINDOWS
from inference_core.image.writing import write_aside

COLUMNS = 4
BONE = 250.0  # HU
BODY = -300.0  # HU
BONE_SHARE = 0.15  # of the body; a slice with more is shown in a bone window


def write_strip(example: Example, path: Path) -> None:
    """Write the reference (where there is one), the low-dose slice and every output, all in one window.

    Raises
    ------
    UserError
        ``write-failed``.
    """
    low, reference = example.pair.low, example.pair.reference
    images = {} if reference is None else {"reference": reference.voxels[0]}
    images |= example.outputs
    window = window_for(next(iter(images.values())))
    panels = [Panel(name, upright(image, low), window) for name, image in images.items()]
    write_aside(path, lambda aside: write_panels(panels, aside, COLUMNS))


def window_for(image: NDArray[Any]) -> tuple[float, float]:
    """The window preset that shows a slice: for bone where there is much of it, else for soft tissue."""
    body = image > BODY
    share = float((image > BONE).sum() / max(body.sum(), 1))
    return WINDOWS["temporal bone" if share > BONE_SHARE else "abdomen"]


def write_noise_power(scan: str, spectra: Spectra, path: Path) -> None:
    """Draw the noise power spectra of one scan.

    Raises
    ------
    UserError
        ``write-failed``.
    """

    def draw(aside: Path) -> None:
        write_curves(spectra.frequency, spectra.power, aside, f"Noise power, {scan}", "cycles / mm", "HU^2 mm^2")

    write_aside(path, draw)


def file_stem(scan: str) -> str:
    """A scan's name as a file name."""
    return re.sub(r"[^\w.-]+", "_", scan).strip("_") or "scan"
