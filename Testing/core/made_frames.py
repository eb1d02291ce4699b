"""Made endoscopy frames for tests: a simulated dataset as simulate-colon writes it, and a folder of "real" ones."""

from __future__ import annotations

import json

import numpy as np
from PIL import Image

DEPTH_STEPS = 200


def made_scene(size: int, seed: int):
    """A lit tube with a ring fold: rgb (uint8), depth (float32 mm), fold instances (int32)."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:size, :size] / (size - 1) - 0.5
    middle = rng.uniform(-0.15, 0.15, 2)
    off = np.hypot(rows - middle[0], columns - middle[1])
    depth = 12 / np.maximum(off, 0.08)
    ring = np.abs(off - rng.uniform(0.2, 0.35)) < 0.04
    depth = np.where(ring, 0.8 * depth, depth).astype(np.float32)
    light = np.clip(1.2 * (20 / depth) ** 0.7, 0, 1)
    rgb = 255 * light[..., None] * np.array([0.85, 0.6, 0.5]) + rng.normal(0, 2, (size, size, 3))
    return np.clip(rgb, 0, 255).astype(np.uint8), depth, ring.astype(np.int32)


def write_dataset(folder, split="train", frames=4, size=48, seed=0, border=0):
    """As simulate-colon writes it; the outer ``border`` pixels lie behind a black frame."""
    for kind in ("rgb", "depth", "mask", "instances"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    visible = np.zeros((size, size), np.uint8)
    visible[border : size - border, border : size - border] = 255
    Image.fromarray(visible).save(folder / "visible.png")
    for k in range(frames):
        rgb, depth, instances = made_scene(size, 100 * seed + k)
        files = {
            "rgb": np.where(visible[..., None] > 0, rgb, 0).astype(np.uint8),
            "depth": np.rint(depth * DEPTH_STEPS).astype(np.uint16),
            "mask": (255 * (instances > 0)).astype(np.uint8),
            "instances": instances.astype(np.uint16),
        }
        for kind, pixels in files.items():
            Image.fromarray(pixels).save(folder / kind / f"{k:06d}.png")
    camera = {"fx": size / 2, "fy": size / 2, "cx": size / 2, "cy": size / 2, "model": "pinhole"}
    poses = [{"camera_to_world": np.eye(4).tolist(), "time_s": 0.02 * k} for k in range(frames)]
    (folder / "cameras.json").write_text(json.dumps({"camera": camera, "frames": poses}))
    card = {
        "complete": True,
        "split": split,
        "settings": {"frames": frames, "size": size, "appearance": "plain"},
        "mesh": {"sha256": f"{seed:064d}"},
    }
    (folder / "dataset.json").write_text(json.dumps(card))
    return folder


def made_real(size: int, seed: int):
    """A frame in another look: red, grainy, behind a black octagon."""
    rgb, _, _ = made_scene(size, 1000 + seed)
    rng = np.random.default_rng(seed)
    look = rgb[..., [0, 2, 1]] * np.array([1.0, 0.7, 0.6]) + 40 + rng.normal(0, 8, rgb.shape)
    rows, columns = np.abs(np.mgrid[:size, :size] - (size - 1) / 2)
    octagon = rows + columns < 0.72 * size
    return (np.clip(look, 30, 255) * octagon[..., None]).astype(np.uint8)


def write_real(folder, frames=6, size=64):
    folder.mkdir(parents=True, exist_ok=True)
    for k in range(frames):
        Image.fromarray(made_real(size, k)).save(folder / f"frame-{k}.png")
    return folder
