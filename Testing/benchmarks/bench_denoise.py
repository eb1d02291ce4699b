"""How fast and how lean is denoising? ``make bench`` prints it; nothing here passes or fails by the clock.

CPU seconds of one thread for a 512x512 slice: each way in a process of its own, taking turns slice by slice, so that
ratios come from one run under one load. Then how far our run of the papers' generator is from theirs, the memory of a
whole volume, and the time that ``import inference_core`` takes. Synthetic
slices: the time does not depend on what is in them.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

MODEL = "low-dose-ct"
SIZE = 512
VOLUME_SLICES = 300
HEAVY = ("torch", "onnxruntime", "SimpleITK")
MEBIBYTE = 2**20

Way = Callable[[np.ndarray], object]


def make_slice(seed: int) -> np.ndarray:
    """A body of ellipses with soft edges and 60 HU of noise; (SIZE, SIZE) int16 HU."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j]
    image = np.full((SIZE, SIZE), -1000.0)

    def add(centre_y: float, centre_x: float, radius_y: float, radius_x: float, hu: float) -> None:
        distance = np.hypot((y - centre_y) / radius_y, (x - centre_x) / radius_x)
        inside = 1 / (1 + np.exp(np.clip((distance - 1) * 60, -50, 50)))
        image[...] += inside * (hu - image)

    add(0, 0, 0.65, 0.9, -90)  # fat
    add(0, 0, 0.58, 0.82, 45)  # muscle
    for side in (-1, 1):
        add(-0.05, side * 0.42, 0.4, 0.3, -850)  # lung
    add(0.42, 0, 0.12, 0.1, 500)  # spine
    for _ in range(12):
        add(*rng.uniform(-0.45, 0.45, 2), *rng.uniform(0.02, 0.12, 2), rng.uniform(0, 120))
    return np.maximum(np.rint(image + rng.normal(0, 60, image.shape)), -1024).astype(np.int16)


def papers() -> Way:
    """The papers' path, as it is."""
    import torch
    from papers_path import denoise_slice, make_generator

    torch.set_num_threads(1)
    generator = make_generator()
    return lambda image: denoise_slice(image, generator)


def papers_keeping_memory() -> Way:
    """The same with glibc told to keep freed memory: its large tensors then cost no page faults."""
    libc = ctypes.CDLL(None)
    trim_threshold, top_pad, mmap_threshold = -1, -2, -3  # of mallopt(3)
    for option, value in ((mmap_threshold, 2**31 - 1), (trim_threshold, 2**31 - 1), (top_pad, 256 * MEBIBYTE)):
        if not libc.mallopt(option, value):
            raise RuntimeError("mallopt refused.")
    return papers()


def ours(engine_name: str, model: str = MODEL) -> Way:
    """A model through the pipeline that users run: the default one, or another by its id."""
    from inference_core.denoiser.pipeline import denoise_volume
    from inference_core.image.volume import Volume
    from inference_core.models.engines import open_engine
    from inference_core.models.registry import find_model

    card = find_model(model, "denoise-ct")
    engine = open_engine(card, engine_name)
    return lambda image: denoise_volume(Volume(image.reshape(-1, SIZE, SIZE)), card, engine, threads=1)[0].voxels


def ours_onnxruntime() -> Way:
    return ours("onnxruntime")


def ours_torch() -> Way:
    return ours("torch")


def papers_generator(engine_name: str) -> Way:
    """The papers' generator, weights and all, imported as users import its checkpoints."""
    import torch
    from papers_path import make_generator

    from inference_core.cli import main

    names = {"first": "conv_first", "mid": "conv_mid", "last": "conv_last"}
    state = {}
    for name, value in make_generator().state_dict().items():
        layer, _, rest = name.partition(".")
        if layer == "block":  # one block, listed three times
            state |= {f"rrdb.layers.{k}.{rest.replace('convs', 'nets', 1)}": value for k in range(3)}
        else:
            state[f"{names[layer]}.{rest}"] = value
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(sys.stderr):
        os.environ["FAITHFUL_IMAGING_MODELS"] = folder
        checkpoint = Path(folder) / "genA2B.pth"
        torch.save(state, checkpoint)
        main(["models", "import", str(checkpoint), "--from", "dml_ct"])
        return ours(engine_name, "dml-ct")


def papers_generator_torch() -> Way:
    return papers_generator("torch")


def papers_generator_onnxruntime() -> Way:
    return papers_generator("onnxruntime")


WAYS = {
    "papers' path": papers,
    "papers' path, freed memory kept": papers_keeping_memory,
    "papers' generator imported, torch": papers_generator_torch,
    "papers' generator imported, onnxruntime": papers_generator_onnxruntime,
    f"{MODEL}, torch": ours_torch,
    f"{MODEL}, onnxruntime (default)": ours_onnxruntime,
}


def serve(way: str, pipe: Connection) -> None:
    """In a process of its own: denoise a slice each time one is asked for, and answer with its CPU seconds."""
    run = WAYS[way]()
    images = [make_slice(seed) for seed in range(3)]
    for image in images:
        run(image)
    pipe.send("ready")
    while (turn := pipe.recv()) is not None:
        started = time.process_time()
        run(images[turn % len(images)])
        pipe.send(time.process_time() - started)


def start(target: Callable[..., None], argument: object) -> Connection:
    """Run ``target(argument, pipe)`` in a fresh process; the other end of the pipe."""
    processes = multiprocessing.get_context("spawn")
    mine, theirs = processes.Pipe()
    processes.Process(target=target, args=(argument, theirs), daemon=True).start()
    theirs.close()
    return mine


def time_slices(rounds: int) -> dict[str, list[float]]:
    pipes = {way: start(serve, way) for way in WAYS}
    for pipe in pipes.values():
        pipe.recv()
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    for turn in range(rounds):
        for way, pipe in pipes.items():
            pipe.send(turn)
            seconds[way].append(pipe.recv())
    for pipe in pipes.values():
        pipe.send(None)
    return seconds


def compare(engine_name: str, pipe: Connection) -> None:
    """In a process of its own: the largest difference of the papers' generator, imported, from their path, HU."""
    import torch
    from papers_path import high_band, make_generator

    run, generator = papers_generator(engine_name), make_generator()
    largest = 0.0
    for seed in range(3):
        image = make_slice(seed).astype(np.float32)  # floats are not rounded on the way out
        x = (image + 1000) / 2000
        high = high_band(x)
        with torch.no_grad():
            y = generator(torch.from_numpy(np.ascontiguousarray(high))[None, None])[0, 0].numpy()
        expected = (x - high + y) * 2000 - 1000
        largest = max(largest, float(np.abs(np.asarray(run(image)) - expected).max()))
    pipe.send(largest)


def peak_memory() -> int:
    """Bytes; of this process, so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def measure_volume(image: np.ndarray, pipe: Connection) -> None:
    """In a process of its own: denoise a whole volume; answer with its extra memory, its peak and its CPU seconds."""
    run = ours_onnxruntime()
    volume = np.empty((VOLUME_SLICES, SIZE, SIZE), np.int16)
    volume[:] = image
    before, started = peak_memory(), time.process_time()
    run(volume)
    peak = peak_memory()
    pipe.send((peak - before - volume.nbytes, peak, time.process_time() - started))


def volume_memory() -> tuple[int, int, float]:
    pipe = start(measure_volume, make_slice(0))
    extra, peak, seconds = pipe.recv()
    return extra, peak, seconds


def import_seconds(times: int = 5) -> float:
    """Median CPU seconds of ``import inference_core`` in a fresh interpreter; fails if that loads a heavy package."""
    program = (
        "import sys, time; started = time.process_time(); import inference_core; print(time.process_time() - started); "
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    seconds = []
    for _ in range(times):
        answer = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
        number, loaded = answer.splitlines()
        if loaded != "[]":
            raise SystemExit(f"import inference_core loads {loaded}: import them where they are used.")
        seconds.append(float(number))
    return statistics.median(seconds)


def main(rounds: int = 15) -> None:
    """Print the tables.

    Parameters
    ----------
    rounds : int
        Slices timed with each way.
    """
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    seconds = time_slices(rounds)
    medians = {way: statistics.median(values) for way, values in seconds.items()}
    first, tuned, *_ = medians.values()
    print(f"CPU seconds for a {SIZE}x{SIZE} slice, one thread, median of {rounds}:\n")
    print("| way | CPU s | range | times faster than the first | than the second |\n|---|---|---|---|---|")
    for way, value in medians.items():
        spread = f"{min(seconds[way]):.4f} to {max(seconds[way]):.4f}"
        print(f"| {way} | {value:.4f} | {spread} | {first / value:.1f} | {tuned / value:.1f} |")

    differences = {engine: start(compare, engine).recv() for engine in ("torch", "onnxruntime")}
    said = ", ".join(f"{value:.4f} ({engine})" for engine, value in differences.items())
    print(f"\nPapers' generator imported, against their path, largest difference before rounding, HU: {said}.")

    extra, peak, total = volume_memory()
    print(
        f"\n{SIZE}x{SIZE}x{VOLUME_SLICES} int16, one thread: {total:.1f} CPU s; peak memory {peak / MEBIBYTE:.0f} MiB,"
        f" {extra / MEBIBYTE:.0f} MiB of it above interpreter, model, input and output."
    )
    print(f"import inference_core: {import_seconds() * 1000:.0f} ms CPU; loads none of {', '.join(HEAVY)}.")


if __name__ == "__main__":
    from jsonargparse import auto_cli

    auto_cli(main, as_positional=False)
