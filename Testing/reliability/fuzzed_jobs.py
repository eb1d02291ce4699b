"""Damaged messages to the worker, as fuzz_readers.py gives them: broken lines, and whole ones with odd values."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from fuzz_readers import Reader

ODD_VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2**31, 2**63, 10**30, 1e308, -1e-308, -0.0, float("nan"), float("inf"),
    "", ".", "/dev/null", "\0", "a\0b", "\ud800", "\u202e", "%s%n", "n" * 5000, "../" * 50 + "nowhere/x",
    "cpu", "cuda:99999999999999999999", "auto", "train",
    [], [None], [[]], [1, 2, 3], ["a"] * 1000, {}, {"": {}}, {"a": [1e308]},
)  # fmt: skip


def job_readers(folder: Path) -> dict[str, Reader]:
    """Messages of all kinds of jobs but bundle, which calls pip."""
    from fuzz_readers import Reader, damaged
    from made_frames import write_dataset
    from made_studies import write_study

    from inference_core import worker
    from inference_core.errors import UserError

    write_study(folder / "job-ct.nrrd", 1)
    write_study(folder / "job-ct2.nrrd", 2)
    write_dataset(folder / "job-frames", frames=2, size=32)
    out = folder / "job-out"
    ct, missing = str(folder / "job-ct.nrrd"), str(folder / "missing.ply")
    jobs: list[dict[str, Any]] = [
        {"job": "denoise", "input": ct, "output": str(out / "o.nrrd"), "model": "low-dose-ct-phantom", "strength": 1.0,
         "series": None, "rois": [], "roi_transform": None, "engine": "auto", "device": "auto", "threads": 1,
         "again": None, "picture": str(out / "p.png"), "report": str(out / "r.json"), "modality": "CT"},
        {"job": "check", "input": ct, "output": str(folder / "job-ct2.nrrd"), "model": "low-dose-ct", "strength": 0.5},
        {"job": "structure", "before": ct, "after": str(folder / "job-ct2.nrrd"), "output": str(out / "o.nrrd")},
        {"job": "simulate-colon", "input": missing, "output": str(out / "s"), "frames": 1, "size": 32, "seed": 1,
         "appearance": "plain", "camera": "pinhole", "split": "train", "start": [0, 0, 0], "end": None, "path": None,
         "direction": "withdrawal", "speed_mm_s": 20.0, "look_ahead_mm": 30.0, "jitter": 1.0, "label": None,
         "depth_float": False, "attribution": "me", "benchmark": False},
        {"job": "label-folds", "input": missing, "output": str(out / "f.vtp"), "label": None, "method": "relief"},
        {"job": "colon-lumen", "input": ct, "output": str(out / "l.vtp"), "seeds": [[20, 20, 2]], "threshold": -800},
        {"job": "colon-path", "input": missing, "output": str(out / "c.vtp"), "start": [0, 0, 0], "end": [1, 1, 1],
         "label": None},
        {"job": "colon-coverage", "input": str(folder / "job-frames"), "output": str(out / "c.vtp")},
        {"job": "translate", "input": str(folder / "job-frames"), "output": str(out / "t"), "model": "plain-to-mucosa",
         "engine": "auto", "device": "auto", "limit": 1.0},
        {"job": "segment-folds", "input": str(folder / "job-frames" / "rgb"), "output": str(out / "m"),
         "model": "colon-folds", "device": "auto", "overlay": True},
    ]  # fmt: skip
    wholes = []
    for job in jobs:
        wholes.append(folder / f"{job['job']}.json")
        wholes[-1].write_text(json.dumps(job) + "\n", encoding="utf-8")

    def asked(path: Path) -> object:
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        os.chdir(out)  # where "" and "." lead
        said: list[dict[str, Any]] = []
        line = path.read_bytes().decode("utf-8", "replace").split("\n")[0]  # as main reads it
        status = worker.answer(line, lambda kind, **fields: said.append({"type": kind, **fields}), lambda: False)
        last = json.loads(json.dumps(said[-1]))
        scratch = [file.name for file in out.rglob(".faithful-imaging-*")]
        if scratch:
            raise AssertionError(f"scratch is left: {scratch}")
        if status == 0 and last["type"] == "result":
            return last
        if last["type"] != "error" or last["code"] == "internal":
            raise AssertionError(f"{last}")
        raise UserError(last["code"], last["message"], last["remedy"])

    return {
        "messages, damaged": Reader(wholes, asked, damaged),
        "messages, odd values": Reader(wholes, asked, with_odd_values),
    }


def with_odd_values(random: np.random.Generator, whole: bytes) -> bytes:
    """A message in which one to three fields have other values, are gone, or are new."""
    job = json.loads(whole)
    for _ in range(random.integers(1, 4)):
        names = [name for name in job if name != "job"] or ["input"]
        name = names[random.integers(len(names))]
        kind = random.integers(20)
        if kind == 0:
            job.pop(name, None)
        elif kind == 1:
            job["new"] = ODD_VALUES[random.integers(len(ODD_VALUES))]
        elif kind == 2:
            job["job"] = ODD_VALUES[random.integers(len(ODD_VALUES))]
        else:
            job[name] = ODD_VALUES[random.integers(len(ODD_VALUES))]
    if job.get("benchmark") is True:  # minutes of right work
        job["benchmark"] = "true"
    return json.dumps(job).encode() + b"\n"
