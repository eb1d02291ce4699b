"""What do a translated frame, a segmented one and a segmented video cost? ``make bench`` writes it.

CPU milliseconds of all threads for a frame of 256x256, without files: each model for frames by onnxruntime and by
torch, taking turns, and by how much the two differ. Then ``segment-folds`` on a video, as a user runs it: frames a
second by the wall clock, files and overlay included, CPU time, and the memory early and late.

    python Testing/benchmarks/bench_frames.py [--frames 5000]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from inference_core.evaluation.table import markdown
from inference_core.models.card import FrameCard
from inference_core.models.engines import open_engine
from inference_core.models.registry import list_models
from inference_core.segmenter.segment import segment_frame
from inference_core.simulation.colon.procedural.haustral_colon import colon_shape, haustral_colon
from inference_core.simulation.colon.rendering.appearance import load_appearance
from inference_core.simulation.colon.rendering.camera import endoscope_camera
from inference_core.simulation.colon.rendering.render import FrameRenderer
from inference_core.translator.translate import translate

SEED, SIZE, FRAMES, RATE = 1, 256, 50, 50
BLOCKS = 5  # of frames, in which ways take turns
MAIN = "import sys; from inference_core.cli import main; sys.exit(main())"  # of the command inference-core


def flight(count: int) -> list[np.ndarray]:
    """Frames of a made colon along its axis, (SIZE, SIZE, 3) uint8."""
    axis = colon_shape(SEED).axis
    made = []
    with FrameRenderer(haustral_colon(SEED), endoscope_camera(SIZE), load_appearance("mucosa")) as renderer:
        for k in np.linspace(40, len(axis) - 120, count).astype(int):
            z = axis[k + 60] - axis[k]
            z /= np.linalg.norm(z)
            x = np.cross(z, [0.3, 0.5, 0.8])
            x /= np.linalg.norm(x)
            pose = np.eye(4)
            pose[:3] = np.stack([x, np.cross(z, x), z, axis[k]], axis=1)
            made.append(renderer.picture(pose, 0))
    return made


def bench_models(frames: list[np.ndarray]) -> str:
    """What a frame costs by each model and engine, and how far the engines are apart, as a table."""
    columns: dict[str, list[str]] = {
        name: [] for name in ("model", "task", "onnxruntime, CPU ms", "torch, CPU ms", "apart at most / mean, of 255")
    }
    for card in [*list_models("translate-frames"), *list_models("segment-folds")]:
        if not isinstance(card, FrameCard):
            continue
        engines = {name: open_engine(card, name, "cpu") for name in ("onnxruntime", "torch")}
        spent, given = dict.fromkeys(engines, 0.0), {name: [] for name in engines}
        for block in np.array_split(np.arange(len(frames)), BLOCKS):
            for name, engine in engines.items():
                begun = time.process_time()
                for k in block:
                    if card.task == "translate-frames":
                        given[name].append(translate(frames[k], card, engine).astype(float))
                    else:
                        given[name].append(segment_frame(frames[k], card, engine).fold * 255)
                spent[name] += time.process_time() - begun
        one, other = (np.array(values) for values in given.values())
        apart = np.abs(one - other)
        milliseconds = [f"{1000 * seconds / len(frames):.0f}" for seconds in spent.values()]
        cells = [card.id, card.task, *milliseconds, f"{apart.max():.0f} / {apart.mean():.3f}"]
        for column, cell in zip(columns.values(), cells, strict=True):
            column.append(cell)
    return markdown(columns)


def write_video(path: Path, frames: list[np.ndarray], count: int) -> None:
    """There and back through the frames, over and over."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width = stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        for k in range(count):
            index = k % (2 * len(frames) - 2)
            picture = frames[min(index, 2 * len(frames) - 2 - index)]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def bench_video(frames: list[np.ndarray], count: int) -> str:
    """Speed and memory of ``segment-folds`` on a video of ``count`` frames, by each bundled segmenter, in words."""
    lines = []
    for card in list_models("segment-folds"):
        with tempfile.TemporaryDirectory() as folder:
            video, out = Path(folder, "video.mp4"), Path(folder, "out")
            write_video(video, frames, count)
            begun = time.perf_counter()
            command = [sys.executable, "-c", MAIN, "segment-folds", str(video), str(out), "--model", card.id]
            child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            memory = []
            while child.poll() is None:
                memory.append((_frames_done(out), *_memory_and_cpu(child.pid)))
                time.sleep(1)
            seconds = time.perf_counter() - begun
            if child.returncode:
                raise RuntimeError(f"segment-folds ended with {child.returncode}")
        cpu = max(entry[2] for entry in memory)
        tenth = [entry[1] for entry in memory if count / 10 <= entry[0] < count / 5] or [memory[0][1]]
        late = [entry[1] for entry in memory if entry[0] >= 0.8 * count] or [memory[-1][1]]
        lines.append(
            f"* `segment-folds` with {card.id}, a video of {count} frames in {seconds:.0f} s, {count / seconds:.1f} a"
            f" second, {1000 * cpu / count:.0f} CPU ms a frame, files and overlay included;"
            f" memory {max(tenth):.0f} MB early, {max(late):.0f} MB late"
        )
    return "\n".join(lines) + "\n"


def _frames_done(out: Path) -> int:
    masks = out / "masks"
    return sum(1 for _ in masks.iterdir()) if masks.is_dir() else 0


def _memory_and_cpu(root: int) -> tuple[float, float]:
    """MB and CPU seconds of a process and its children, from Linux's /proc."""
    memory, cpu = 0.0, 0.0
    for pid in [root, *_children(root)]:
        try:
            status = Path(f"/proc/{pid}/status").read_text()
            times = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue  # it has ended
        memory += sum(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1000
        cpu += (int(times[11]) + int(times[12])) / 100
    return memory, cpu


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, task.read_text().split()):
            found += [child, *_children(child)]
    return found


def section(count: int = 400) -> str:
    """The section on endoscopy frames; ``count`` frames of the video."""
    shown = flight(FRAMES)
    head = f"CPU milliseconds of all threads for a frame of {SIZE}x{SIZE}, mean of {FRAMES}, engines taking turns:\n"
    return "\n".join([head, bench_models(shown), bench_video(shown, count)])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=1000, help="of the video")
    print(section(parser.parse_args().frames))
