"""``inference-core bundle``: what the Slicer module installs, as files for computers without a network."""

from __future__ import annotations

from pathlib import Path


def bundle(out: Path, platform: str | None = None, python: str | None = None, torch: bool = False) -> None:
    """Gather the packages that LowDoseDenoise needs in Slicer, to install them where there is no network.

    In Slicer: Low-Dose CT Denoising > Installation > Install from folder. pip downloads them: tell it of a proxy or of
    an index of your own as always, by its configuration or its environment variables.

    Args:
        out: Folder to make; it appears when it is whole.
        platform: win_amd64, manylinux_2_28_x86_64, macosx_14_0_arm64, macosx_14_0_x86_64; by default this computer's.
        python: Version of Slicer's Python, 3.12 for Slicer 5.10 to 5.13; by default this Python's.
        torch: With PyTorch as well, which can be several GB.
    """
    from inference_core.bundle.make import make_bundle

    make_bundle(out, platform, python, torch)
