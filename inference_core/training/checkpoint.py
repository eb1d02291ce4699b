"""Checkpoints: all that a run needs to go on to the bit, each one whole or not there.

``RUN/checkpoints/step-00002000/`` holds ``shared.safetensors`` (what all processes have alike: weights, optimisers,
schedules, averages, scores) and ``process-0.safetensors``, ... (what each has for itself: random numbers, image
pools). A folder is written under another name and renamed, so a killed run leaves the last whole one. Tensors lie in
safetensors, all else as JSON in its header: nothing is pickled.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import torch

from inference_core.errors import UserError

KEPT = 2  # the newest ones; more than one, should a disk fill up while the next is written


def write_state(path: Path, state: Any) -> None:
    """Nested dicts, lists and tuples of tensors, numbers, strings, booleans and None, as one safetensors file.

    Parameters
    ----------
    path : Path
    state : Any
        Keys of dicts may be strings or integers.

    Raises
    ------
    TypeError
        Where something else is in it.
    """
    from safetensors.torch import save_file

    tensors: dict[str, torch.Tensor] = {}
    text = json.dumps(_pack(state, tensors))
    save_file(tensors, path, metadata={"state": text})


def read_state(path: Path) -> Any:
    """What :func:`write_state` wrote, tensors on the CPU.

    Raises
    ------
    UserError
        ``bad-checkpoint``.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return _unpack(json.loads(file.metadata()["state"]), file)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise UserError("bad-checkpoint", f"{path} is damaged.", "Remove its folder; the one before serves.") from error


def write_checkpoint(run: Path, step: int, shared: Any, own: Any, rank: int = 0, barrier: Any = None) -> None:
    """Write this process's part; once all have, the first renames the folder and removes older ones.

    Parameters
    ----------
    run : Path
        Folder of the run.
    step : int
        Steps done.
    shared, own : Any
        As for :func:`write_state`; ``shared`` is written by rank 0 only.
    rank : int
    barrier : callable, optional
        Waits for the other processes.
    """
    barrier = barrier or (lambda: None)
    final = run / "checkpoints" / f"step-{step:08d}"
    partial = final.with_suffix(".partial")
    if rank == 0:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        write_state(partial / "shared.safetensors", shared)
    barrier()
    write_state(partial / f"process-{rank}.safetensors", own)
    barrier()
    if rank == 0:
        shutil.rmtree(final, ignore_errors=True)
        partial.rename(final)
        for old in _finished(run)[:-KEPT]:
            shutil.rmtree(old)
    barrier()


def checkpoints(run: Path) -> list[Path]:
    """Folders of the whole checkpoints of a run, the newest first."""
    return _finished(run)[::-1]


def newest_checkpoint(run: Path) -> Path | None:
    """The first of :func:`checkpoints`; None where there is none."""
    return next(iter(checkpoints(run)), None)


def step_of(checkpoint: Path) -> int:
    """Steps done at a checkpoint."""
    return int(checkpoint.name.removeprefix("step-"))


def _finished(run: Path) -> list[Path]:
    folder = run / "checkpoints"
    found = folder.iterdir() if folder.is_dir() else []
    return sorted(path for path in found if re.fullmatch(r"step-\d{8,}", path.name))


def _pack(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """JSON for a value; tensors go into ``tensors`` and leave their name."""
    if isinstance(value, torch.Tensor):
        name = str(len(tensors))
        tensors[name] = value.detach().cpu().contiguous().clone()  # a copy: safetensors refuses shared memory
        return {"tensor": name}
    if isinstance(value, dict):
        if not all(isinstance(key, (str, int)) for key in value):
            raise TypeError("Keys of a state are strings or integers.")
        return {"dict": [[key, _pack(item, tensors)] for key, item in value.items()]}
    if isinstance(value, (list, tuple)):
        return {type(value).__name__: [_pack(item, tensors) for item in value]}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"A state holds tensors, numbers and strings, not {type(value).__name__}.")


def _unpack(value: Any, file: Any) -> Any:
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "tensor":
        return file.get_tensor(content).clone()  # its own memory: the file may be removed while it is used
    if kind == "dict":
        return {key: _unpack(item, file) for key, item in content}
    items = [_unpack(item, file) for item in content]
    return tuple(items) if kind == "tuple" else items
