"""``inference-core demo``: the main job on a made sample, from nothing to the table and the picture."""

from __future__ import annotations

from pathlib import Path


def demo(folder: Path = Path("demo"), seed: int = 0) -> None:
    """Make the temporal-bone sample, denoise it, print its ROI table and CT-number check.

    Args:
        folder: Where to write; made if missing.
        seed: Of the sample.
    """
    from inference_core.cli.denoise import denoise
    from inference_core.cli.sample import sample

    folder.mkdir(parents=True, exist_ok=True)
    source = folder / "temporal-bone.nrrd"
    print("Making the temporal-bone sample ...", flush=True)
    sample("temporal-bone", source, seed)
    print("\nDenoising it ...", flush=True)
    denoise(source, folder / "temporal-bone_denoised.nrrd", roi=[folder / "temporal-bone_rois.mrk.json"])
