"""``inference-core sample``: made data to try the denoiser on, where there is no patient's at hand."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from inference_core.errors import UserError


def sample(name: Literal["temporal-bone"], out: Path, seed: int = 0) -> None:
    """Make a sample volume, its noise-free truth and its ROIs.

    Beside the volume go its truth (NAME_truth) and its ROIs (NAME_rois.mrk.json, 3D Slicer Markups).

    Args:
        name: temporal-bone, a low-dose CT of a head phantom.
        out: Volume file to write (.nrrd, .nhdr, .mha, .mhd, .nii, .nii.gz).
        seed: Of the phantom's variation and of the noise; the same seed gives the same files.
    """
    from inference_core.simulation.temporal_bone import sample_paths, temporal_bone, write_sample

    if seed < 0:
        raise UserError("seed", f"The seed is {seed}.", "Choose 0 or more.")
    sample_paths(out)  # refuses a bad path before the work, not after it
    for path in write_sample(temporal_bone(seed), out):
        print(f"wrote {path}")
