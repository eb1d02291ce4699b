r"""Made full-dose slices to train on where provenance must be clean: no patient, only the head phantom.

    python -m inference_core.training.phantom_slices runs/phantom
    python -m inference_core.training.recipes.supervised_ct --slices runs/phantom \
        --out runs/ct-sharp-phantom.safetensors --draws 16
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from inference_core.image.writing import write_volume
from inference_core.simulation.temporal_bone import PHOTONS, temporal_bone

FULL_DOSE = 40 * PHOTONS
STEP = 4  # neighbours are nearly alike


def phantom_slices(folder: Path, heads: int = 6, first_seed: int = 100) -> None:
    """Write every fourth slice of some heads at full dose, one file each.

    Parameters
    ----------
    folder : Path
        Made if missing; files are named as the recipe expects (``HEAD<seed>_sharp_<slice>.nrrd``).
    heads : int
    first_seed : int
        Far from the seeds that samples are made with.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(first_seed, first_seed + heads):
        volume = temporal_bone(seed, photons=FULL_DOSE).volume
        for k in range(0, len(volume.voxels), STEP):
            write_volume(replace(volume, voxels=volume.voxels[k : k + 1]), folder / f"HEAD{seed}_sharp_{k:03d}.nrrd")
        print(f"head {seed}", flush=True)


if __name__ == "__main__":
    from jsonargparse import auto_cli

    auto_cli(phantom_slices)
