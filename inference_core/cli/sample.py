"""``inference-core sample``: made data to try things on, where there is no patient's at hand."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Literal

from inference_core.errors import UserError


def sample(name: Literal["temporal-bone", "colon"], out: Path, seed: int = 0) -> None:
    """Make a sample volume, its noise-free truth and its ROIs; or a colon's surface with the truth of its folds.

    Beside the volume go its truth (NAME_truth) and its ROIs (NAME_rois.mrk.json, 3D Slicer Markups). The colon's file
    holds its truth: the point arrays fold_score (0.5 at a fold's border) and fold_instance (0 off the folds).

    Args:
        name: temporal-bone, a low-dose CT of a head phantom; or colon, a procedural haustral colon.
        out: Volume file to write (.nrrd, .nhdr, .mha, .mhd, .nii, .nii.gz); for the colon .vtp (or .ply, .vtk).
        seed: Of the phantom's variation and of the noise; the same seed gives the same files.
    """
    from inference_core.simulation.temporal_bone import sample_paths, temporal_bone, write_sample

    if seed < 0:
        raise UserError("seed", f"The seed is {seed}.", "Choose 0 or more.")
    if name == "colon":
        _sample_colon(out, seed)
        return
    sample_paths(out)  # refuses a bad path before the work, not after it
    for path in write_sample(temporal_bone(seed), out):
        print(f"wrote {path}")


def _sample_colon(out: Path, seed: int) -> None:
    from inference_core.image.writing import check_folder
    from inference_core.simulation.colon.dataset.scene import EXACT, MADE
    from inference_core.simulation.colon.mesh.surface_files import write_surface
    from inference_core.simulation.colon.procedural.haustral_colon import haustral_colon

    if out.suffix.lower() not in (".vtp", ".vtk", ".ply"):  # those that hold point arrays
        raise UserError("surface-format", f"{out} cannot hold the truth.", "Give a name that ends in .vtp.")
    check_folder(out)
    print(f"making a colon, seed {seed} ...", file=sys.stderr)
    surface = replace(haustral_colon(seed), notes={"attribution": MADE, "fold_labels": EXACT})
    write_surface(surface, out)
    folds = len(set(surface.point_arrays["fold_instance"].tolist()) - {0})
    print(f"{len(surface.vertices)} vertices, {len(surface.faces)} triangles, {folds} folds")
    print(f"wrote {out}")
