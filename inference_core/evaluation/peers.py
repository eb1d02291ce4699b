"""Classical filters and BM3D as methods of a table, each tuned on one slice that is not scored."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_core.evaluation.filters import BM3D, FILTERS, Filter, tune
from inference_core.evaluation.networks import Denoiser
from inference_core.extras import need
from inference_core.image.volume import Volume

FloatArray = NDArray[np.float32]

BM3D_NOTE = (
    "BM3D is the Python package bm3d of Tampere University (Mäkinen, Azzari, Foi, IEEE Trans. Image Process. 29, 2020),"
    " in its mode for white noise. Its licence allows use for non-commercial purposes only."
)


def check_peers(filters: bool, bm3d: bool) -> None:
    """Find out whether the packages are there, before time is spent.

    Raises
    ------
    UserError
        ``missing-package``.
    """
    if filters:
        need("skimage", "train", "Non-local means")
    if bm3d:
        need("bm3d", "bench", "BM3D")


def tuned_peers(
    low: NDArray[Any], reference: NDArray[Any], filters: bool, bm3d: bool
) -> tuple[dict[str, Denoiser], dict[str, dict[str, Any]]]:
    """The peers, each with the strength of its grid that gives the highest PSNR on one slice.

    Parameters
    ----------
    low, reference : (H, W) arrays
        HU; the slice to tune on.
    filters, bm3d : bool
        Which peers.

    Returns
    -------
    Denoisers by name and strength, and a record of each.
    """
    peers = (FILTERS if filters else {}) | ({"BM3D": BM3D} if bm3d else {})
    denoisers: dict[str, Denoiser] = {}
    records: dict[str, dict[str, Any]] = {}
    for name, peer in peers.items():
        strength = tune(peer, low, reference)
        denoisers[f"{name} {strength:g}"] = slice_by_slice(peer, strength)
        records[f"{name} {strength:g}"] = {"strength": strength, "tried": list(peer.strengths)}
    return denoisers, records


def slice_by_slice(peer: Filter, strength: float) -> Denoiser:
    """A filter of slices as a denoiser of volumes."""
    run = rounded(partial(peer.run, strength=strength))

    def denoise(volume: Volume) -> NDArray[Any]:
        return np.stack([run(image) for image in volume.voxels])

    return denoise


def rounded(run: Callable[[FloatArray], FloatArray]) -> Callable[[NDArray[np.int16]], NDArray[np.int16]]:
    """A filter on float32 HU as one on int16 HU."""
    return lambda image: np.rint(run(image.astype(np.float32))).astype(np.int16)
