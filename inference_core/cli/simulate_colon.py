"""``inference-core simulate-colon``: a colon's surface in, labelled endoscopy frames out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from inference_core.cli.points import point
from inference_core.cli.progress import run_under_bar
from inference_core.errors import UserError

FLAGS = ("--benchmark", "--depth_float")
BENCHMARK_FRAMES, FRAMES = 280, 1400


def simulate_colon(
    out: Path,
    colon: Path | None = None,
    frames: int | None = None,
    size: int = 256,
    seed: int = 1,
    appearance: Literal["plain", "mucosa", "nbi"] = "plain",
    camera: Literal["pinhole", "fisheye"] = "pinhole",
    split: Literal["train", "validation", "test"] = "train",
    start: str | None = None,
    end: str | None = None,
    path: Path | None = None,
    direction: Literal["withdrawal", "insertion"] = "withdrawal",
    speed: float = 20.0,
    look_ahead: float = 30.0,
    jitter: float = 1.0,
    label: int | None = None,
    depth_float: bool = False,
    attribution: str | None = None,
    benchmark: bool = False,
) -> None:
    """Film a colon from inside (simulate-colon COLON OUT): RGB, depth, fold mask and instances of each frame, cameras.

    The same command goes on with a run that was stopped, and gives the same bytes.

    Args:
        out: Folder to write: new, empty, or of the same run stopped earlier.
        colon: Surface (.ply, .stl, .obj, .vtk, .vtp; mm), label map or segmentation; stands before OUT.
        frames: By default 1400; in a benchmark, of each colon, 280.
        size: Pixels of width and height.
        seed: Of the hand's movements and the picture's noise; the same seed gives the same bytes.
        appearance: plain (the simulator's look), mucosa (like colonoscopy) or nbi (narrow band imaging).
        camera: pinhole (90 degrees across) or fisheye (140 degrees over the diagonal).
        split: What this colon is for; all its frames go there.
        start: x,y,z in mm, LPS: where the endoscope enters (rectum). By default found.
        end: x,y,z in mm, LPS: where it turns (caecum).
        path: A path to fly instead of the centreline that would be found: a curve of 3D Slicer (.mrk.json) or a
            centreline (.vtp), from the rectum to the caecum.
        direction: withdrawal (backwards from end to start) or insertion; the view is towards the caecum.
        speed: mm/s along the path; the nearest that a 50 Hz camera allows.
        look_ahead: mm along the path to where the camera looks.
        jitter: 0 (exactly on the axis) to 3; 1 is a hand.
        label: Number of the lumen in a label map.
        depth_float: Write depth as float32 (.npy) as well.
        attribution: Whose colon it is and its licence; stands in dataset.json.
        benchmark: Write five procedural colons in two appearances (train, validation, test); COLON, where given, is
            one more test colon.
    """
    report = run_under_bar(
        {
            "job": "simulate-colon",
            "input": os.path.abspath(colon) if colon else None,
            "output": os.path.abspath(out),
            "frames": frames if frames is not None else BENCHMARK_FRAMES if benchmark else FRAMES,
            "size": size,
            "seed": seed,
            "appearance": appearance,
            "camera": camera,
            "split": split,
            "start": point("start", start),
            "end": point("end", end),
            "path": os.path.abspath(path) if path else None,
            "direction": direction,
            "speed_mm_s": speed,
            "look_ahead_mm": look_ahead,
            "jitter": jitter,
            "label": label,
            "depth_float": depth_float,
            "attribution": attribution,
            "benchmark": benchmark,
        }
    )
    for made in report.get("datasets", [report]):
        before = made["frames"] - made["made"]
        print(
            f"{made['output']}: {made['frames']} frames of a {made['length_mm'] / 10:.0f} cm path,"
            f" {made['seconds_of_film']:g} s of film, {made['folds']} folds"
            + (f"; {before} were there already" if before else "")
            + f"; {made['time_s']:.0f} s"
        )
    if "labels" in report:
        print(f"fold labels {report['labels']}")
    print(f"wrote {report['output']}")


def spell_paths(arguments: list[str]) -> list[str]:
    """``COLON OUT`` in any place as jsonargparse reads them: ``OUT --colon=COLON``; flags as ``--flag=true``.

    Parameters
    ----------
    arguments : list of str
        The command and what follows it.

    Raises
    ------
    UserError
        ``paths`` for more than two.
    """
    paths: list[str] = []
    options: list[str] = []
    waiting = list(arguments[1:])
    while waiting:
        word = waiting.pop(0)
        if not word.startswith("-"):
            paths.append(word)
            continue
        name = word.split("=")[0].replace("-", "_").replace("__", "--", 1)
        if word in ("-h", "--help") or "=" in word:
            options.append(word)
        elif name in FLAGS:
            options.append(f"{name}={waiting.pop(0) if waiting[:1] in (['true'], ['false']) else 'true'}")
        else:  # joined, for a value may begin with a minus: --start -10,20,30
            options.append(f"{word}={waiting.pop(0)}" if waiting else word)
    if len(paths) > 2:
        raise UserError("paths", f"{' '.join(paths)} are {len(paths)} paths.", "Give COLON and OUT.")
    if len(paths) == 2:
        options.append(f"--colon={paths[0]}")
    return [arguments[0], *paths[-1:], *options]
