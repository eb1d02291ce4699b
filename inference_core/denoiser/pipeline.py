"""Denoise a CT volume slice by slice: split, network on the high band, residual off the low band, add, round.

high = x - low(x)                    the network never sees the low band
r    = network(high)
r'   = r - Q_h r Q_w^T               nor can it move it, nor anything coarser than the card's kept level
full = x + r'                        rounded to the voxel type; padding and metal stay as they were
out  = x + strength (full - x)       rounded again

Networks of the papers may differ in each step, as their cards say: some see the whole slice, some give the image (then
r = network(high) - high), and none of them is projected (r' = r).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_core.denoiser.blend import blend, difference
from inference_core.denoiser.guard import METAL
from inference_core.denoiser.tiles import MemoryLadder
from inference_core.denoiser.wavelet import low_band, remove_low_band, remove_low_band_within
from inference_core.errors import Cancelled, UserError
from inference_core.image.padding import padding_mask
from inference_core.image.volume import Volume
from inference_core.models.card import Card
from inference_core.models.engines import Engine

AIR = -1024.0  # what the network sees in the place of padding
FEEDERS = 3  # threads that prepare and finish batches while a GPU computes one; each holds memory there
FLOOR = -2048.0  # HU; no noise of a usable CT reaches below


@dataclass(frozen=True)
class DenoiseReport:
    """What a run did.

    Attributes
    ----------
    slices, constant_slices : int
        Slices in all, and those left as they were for holding one value only.
    padding_voxels : int
        Voxels left as they were for being padding.
    low_band_change : float
        Largest change of the low band in any pixel, HU: what rounding and restored padding did to it.
    tile : int or None
        Pixels a side of the tiles, where the memory did not suffice for whole slices.
    threads : int
    seconds : float
        Wall clock.
    """

    slices: int
    constant_slices: int
    padding_voxels: int
    low_band_change: float
    tile: int | None
    threads: int
    seconds: float


def denoise_volume(
    volume: Volume,
    card: Card,
    engine: Engine,
    strength: float = 1.0,
    threads: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> tuple[Volume, DenoiseReport]:
    """Denoise every slice.

    Parameters
    ----------
    volume : Volume
        Passed by :func:`inference_core.denoiser.guard.check_ct`. It is not changed.
    card, engine
        The model, and what runs it.
    strength : float
        0 (the input, to the bit) to 1.
    threads : int, optional
        Batches of slices worked on at a time; default: one a core, for a GPU three.
    progress : callable
        Called with (slices done, slices in all), from the calling thread.
    cancelled : callable
        Asked before each batch of slices, and five times a second.

    Returns
    -------
    Volume of the same type and geometry, and the report.

    Raises
    ------
    UserError
        ``strength`` or ``threads`` out of range, ``out-of-memory``.
    Cancelled
    """
    if not 0 <= strength <= 1:
        raise UserError("strength", f"The strength is {strength:g}.", "Choose 0 (unchanged) to 1 (fully denoised).")
    if threads is not None and threads < 1:
        raise UserError("threads", f"{threads} threads cannot work.", "Choose 1 or more.")
    started = time.perf_counter()
    count = len(volume.voxels)
    fitting = available_cores() if engine.batch == 1 else min(FEEDERS, available_cores())
    threads = min(threads or fitting, -(-count // engine.batch))
    network = MemoryLadder(engine.run, card.multiple_of, card.halo, engine.tile, engine.batch > 1)
    output = np.empty_like(volume.voxels)

    def work(first: int) -> list[SliceReport]:
        if cancelled():
            raise Cancelled
        images = volume.voxels[first : first + engine.batch]
        paddings = [padding_mask(image, volume.padding_value, volume.padding_limit) for image in images]
        results = denoise_slices(images, network, card, strength, paddings)
        for index, (result, _) in enumerate(results, first):
            output[index] = result
        return [report for _, report in results]

    reports: list[SliceReport] = []
    with ThreadPoolExecutor(threads, thread_name_prefix="denoise") as pool:
        pending = {pool.submit(work, first) for first in range(0, count, engine.batch)}
        try:
            while pending:
                finished, pending = wait(pending, timeout=0.2, return_when=FIRST_COMPLETED)
                for future in finished:
                    reports.extend(future.result())
                if finished:
                    progress(len(reports), len(output))
                if cancelled():
                    raise Cancelled
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return volume.with_voxels(output), DenoiseReport(
        slices=len(reports),
        constant_slices=sum(report.constant for report in reports),
        padding_voxels=sum(report.padding for report in reports),
        low_band_change=max((report.low_band_change for report in reports), default=0.0),
        tile=network.tile,
        threads=threads,
        seconds=time.perf_counter() - started,
    )


@dataclass(frozen=True)
class SliceReport:
    """What happened to one slice; fields as in :class:`DenoiseReport`."""

    constant: bool
    padding: int
    low_band_change: float


def denoise_slice(
    image: NDArray[Any],
    network: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    card: Card,
    strength: float = 1.0,
    padding: NDArray[np.bool_] | None = None,
) -> tuple[NDArray[Any], SliceReport]:
    """Denoise one slice; see :func:`denoise_slices`."""
    paddings = [np.zeros(image.shape, bool) if padding is None else padding]
    return denoise_slices(image[None], network, card, strength, paddings)[0]


def denoise_slices(
    images: NDArray[Any],
    network: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    card: Card,
    strength: float,
    paddings: list[NDArray[np.bool_]],
) -> list[tuple[NDArray[Any], SliceReport]]:
    """Denoise slices that go through the network together; each comes out as it would alone.

    Parameters
    ----------
    images : (N, H, W) array
        int16 or float32, HU.
    network : callable
        What the network sees, in its units, (n, H, W) float32, to what it gives.
    card : Card
    strength : float
    paddings : list of (H, W) bool arrays
        One a slice.

    Returns
    -------
    list of (H, W) arrays of the input's type, each with its report.
    """
    padded = [int(padding.sum()) for padding in paddings]
    seen = []
    for image, padding, count in zip(images, paddings, padded, strict=True):
        measured = image if not count else image[~padding]
        if strength > 0 and measured.size and measured.min() != measured.max():
            seen.append(np.where(padding, AIR, image) if count else image)
        else:
            seen.append(None)
    given = [image for image in seen if image is not None]
    residuals = iter(slice_residual(np.stack(given), network, card) if given else ())
    results = []
    for image, padding, count, filled in zip(images, paddings, padded, seen, strict=True):
        if filled is None:
            results.append((image.copy(), SliceReport(strength > 0, count, 0.0)))
            continue
        change = _without_low_band(next(residuals), padding | (image > METAL), card)
        full = round_to(change + image, image.dtype)
        output = full if strength == 1 else blend(image, difference(image, full), strength)
        moved = largest_low_band_change(image[None], output[None], card)
        results.append((output, SliceReport(False, count, moved)))
    return results


def largest_low_band_change(before: NDArray[Any], after: NDArray[Any], card: Card) -> float:
    """By how much the low band of any slice moved at most, HU; arrays are [slice, row, column]."""
    moved = (
        low_band(two - one.astype(np.float32), card.wavelet_level, card.wavelet)  # exact for 16-bit integers
        for one, two in zip(before, after, strict=True)
    )
    return max((float(np.abs(change).max()) for change in moved), default=0.0)


def slice_residual(
    image: NDArray[Any], network: Callable[[NDArray[np.float32]], NDArray[np.float32]], card: Card
) -> NDArray[np.float32]:
    """What the network would add to slices, (..., H, W), in HU, before the low band is taken off it."""
    seen = np.clip(image.astype(np.float64), FLOOR, METAL)
    given = (network_input(seen, card.band, card.wavelet_level, card.wavelet) / card.unit_hu).astype(np.float32)
    out = network(given)
    residual = (out - given if card.output == "image" else out) * np.float32(card.unit_hu)
    if not np.isfinite(residual).all():
        raise UserError("not-finite", f"The model {card.id} gave values that are no numbers.", "Choose another model.")
    return residual


def network_input(image: NDArray[np.float64], band: str, level: int, wavelet: str) -> NDArray[np.float64]:
    """What a network sees of a slice, in HU: its high band, or all of it, counted from air."""
    return image + 1000 if band == "whole" else image - low_band(image, level, wavelet)


def _without_low_band(residual: NDArray[np.float32], kept: NDArray[np.bool_], card: Card) -> NDArray[Any]:
    """What is added of a residual: nothing where a pixel is ``kept``, nothing that moves a low band the card keeps."""
    if not card.kept_levels:
        return np.where(kept, np.float32(0), residual)
    if kept.any():
        return remove_low_band_within(residual, ~kept, card.kept_levels, card.wavelet)
    return remove_low_band(residual, card.kept_levels, card.wavelet)


def round_to(values: NDArray[np.float64], dtype: np.dtype[Any]) -> NDArray[Any]:
    """``values`` in a voxel type: integers rounded to nearest, never truncated."""
    if dtype.kind != "i":
        return values.astype(dtype)
    info = np.iinfo(dtype)
    return np.clip(np.rint(values), info.min, info.max).astype(dtype)


def available_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
