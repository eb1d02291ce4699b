"""What does a whole CT cost as a user denoises it? ``make bench`` writes it.

512x512x300 through the command ``inference-core denoise``: start of the processes, reading, checks, the network,
writing an uncompressed NRRD, picture and report; on all cores. Then in one process and one thread, for the memory.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from machine import cores
from made_slices import phantom
from processes import MEBIBYTE, changed_environment, forget_peak, memory, peak_memory, start
from ways import NOISE, ONE_THREAD

from inference_core.image.volume import Volume
from inference_core.image.writing import write_volume

SLICES, MADE, SEED = 300, 6, 13
MAIN = "import sys; from inference_core.cli import main; sys.exit(main())"  # of the command inference-core
RUNS = 3


def made_volume() -> Volume:
    """A few made slices, over and over."""
    low = phantom(SEED, MADE).low
    return Volume(
        np.ascontiguousarray(np.resize(low.voxels, (SLICES, *low.voxels.shape[1:]))), low.spacing, modality="CT"
    )


def run_command(source: Path, folder: Path) -> tuple[float, float, int]:
    """Denoise by the command; wall and CPU seconds of all its processes, and the largest process's peak in bytes."""
    begun = time.perf_counter()
    command = [sys.executable, "-c", MAIN, "denoise", str(source), str(folder / "out.nrrd")]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    wall = time.perf_counter() - begun
    if status:
        raise RuntimeError(f"inference-core denoise ended with {status}")
    return wall, used.ru_utime + used.ru_stime, used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def run_commands(folder: Path, pipe: Connection) -> None:
    """In a process of its own, a small one: on Linux what a process starts is said to have held what itself held."""
    pipe.send([run_command(folder / "in.nrrd", folder) for _ in range(RUNS)])


def in_one_process(volume: Volume, pipe: Connection) -> None:
    """In a process of its own, one thread: CPU seconds, peak, and what of it is not model, input or output; bytes."""
    from inference_core.denoiser.pipeline import denoise_volume
    from inference_core.models.engines import open_engine
    from inference_core.models.registry import suggest_denoiser

    card = suggest_denoiser("CT", None, NOISE)[0]
    engine = open_engine(card)
    denoise_volume(volume.with_voxels(volume.voxels[:1]), card, engine, threads=1)
    forget_peak()
    before, begun = memory(), time.process_time()
    denoise_volume(volume, card, engine, threads=1)
    peak = peak_memory()
    pipe.send((time.process_time() - begun, peak, peak - before - volume.voxels.nbytes, card.id))


def section() -> str:
    """The section on whole volumes."""
    volume = made_volume()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_volume(volume, folder / "in.nrrd")
        runs = start(run_commands, folder).recv()
    wall, cpu, peak = (statistics.median(values) for values in zip(*runs, strict=True))
    with changed_environment(ONE_THREAD):
        pipe = start(in_one_process, volume)
        seconds, alone, extra, model = pipe.recv()
    shape = "x".join(map(str, reversed(volume.voxels.shape)))
    walls = f"{min(run[0] for run in runs):.1f} to {max(run[0] for run in runs):.1f}"
    one, above = alone / MEBIBYTE, extra / MEBIBYTE
    return (
        f"{shape} int16, `inference-core denoise in.nrrd out.nrrd` (model {model}, uncompressed NRRD in and out),"
        f" median of {RUNS}: **{wall:.1f} s wall** ({walls}), {cpu:.1f} CPU s on {cores()} cores; the largest process"
        f" held {peak / MEBIBYTE:.0f} MiB.\n\n"
        f"In one process, one thread, without files: {seconds:.1f} CPU s; peak {one:.0f} MiB, {above:.0f} MiB of it"
        " above interpreter, model, input and output.\n"
    )


if __name__ == "__main__":
    print(section())
