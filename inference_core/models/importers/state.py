"""Read a state dictionary that others saved with torch, and compare it with what it should hold."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inference_core.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

PREFIX = "module."  # of every key where DataParallel was saved with the network
REMEDY = "Give a checkpoint of the network as the original code saves it (torch.save of its state_dict)."
SHOWN = 5  # names in a message


def read_state_dict(path: Path, part: str | None = None) -> dict[str, Tensor]:
    """Names and tensors (float32, on the CPU) of a file; nothing but tensors is unpickled.

    The file holds the state dictionary, or one such dictionary among other things; of several, ``part`` names the one
    that is meant.

    Raises
    ------
    UserError
        ``no-such-file``, ``bad-checkpoint``.
    """
    import pickle

    import torch

    if path.is_dir():
        raise UserError("no-such-file", f"{path} is a folder.", "Give the checkpoint file in it.")
    if not path.is_file():
        raise UserError("no-such-file", f"There is no file {path}.", "Check its name.")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            "bad-checkpoint",
            f"{path} holds more than weights (pickled objects could run code), or is damaged; it was not opened.",
            REMEDY,
        ) from error
    except (RuntimeError, EOFError, ValueError, KeyError, OSError) as error:
        raise UserError("bad-checkpoint", f"{path} is damaged or no checkpoint of torch.", REMEDY) from error
    if part and isinstance(state, dict) and part in state:
        state = state[part]
    state = _only_state(state, path)
    odd = [str(name) for name, value in state.items() if not _is_plain(value)]
    if odd:
        raise UserError("bad-checkpoint", f"{path} holds other than real, dense numbers in {_listed(odd)}.", REMEDY)
    state = {str(name): value.float() for name, value in state.items()}
    bad = [name for name, value in state.items() if not (value.numel() and value.isfinite().all())]
    if bad:
        raise UserError("bad-checkpoint", f"{path} has no numbers, or not only numbers, in {_listed(bad)}.", REMEDY)
    if all(name.startswith(PREFIX) for name in state):
        state = {name.removeprefix(PREFIX): value for name, value in state.items()}
    return state


def check_state(state: dict[str, Tensor], shapes: dict[str, tuple[int, ...]], path: Path) -> None:
    """Refuse a state that has not exactly these names and shapes; those that differ are named (the first of many).

    Raises
    ------
    UserError
        ``bad-checkpoint``.
    """
    wrong = [
        f"{name} is {tuple(state[name].shape)}, not {shape}"
        for name, shape in shapes.items()
        if name in state and tuple(state[name].shape) != shape
    ]
    said = {
        "missing": [name for name in shapes if name not in state],
        "not known": [name for name in state if name not in shapes],
        "of another shape": wrong,
    }
    differ = "; ".join(f"{what}: {_listed(names)}" for what, names in said.items() if names)
    if differ:
        raise UserError("bad-checkpoint", f"{path} is not what this importer reads. Keys {differ}.", REMEDY)


def side(state: dict[str, Tensor], name: str, axis: int, usual: int) -> int:
    """One side of a tensor; ``usual`` where it is not there, so that the comparison names it."""
    value = state.get(name)
    return usual if value is None or value.ndim <= axis else int(value.shape[axis])


def count(state: dict[str, Tensor], before: str, usual: int) -> int:
    """How many numbers follow ``before`` in names; ``usual`` where none does."""
    numbers = {name.removeprefix(before).split(".")[0] for name in state if name.startswith(before)}
    return len(numbers) or usual


def _only_state(content: Any, path: Path) -> dict[str, Tensor]:
    """What was loaded, or the one dictionary of tensors in it."""
    if _is_state(content):
        return dict(content)
    inner = {str(key): one for key, one in content.items() if _is_state(one)} if isinstance(content, dict) else {}
    if len(inner) == 1:
        return dict(next(iter(inner.values())))
    if inner:
        raise UserError(
            "bad-checkpoint", f"{path} holds several dictionaries of weights: {_listed([*inner])}.",
            f"Save the network's alone: torch.save(torch.load(FILE, weights_only=True)[{next(iter(inner))!r}], NEW).",
        )  # fmt: skip
    raise UserError("bad-checkpoint", f"{path} is no dictionary of names and weights.", REMEDY)


def _is_state(content: Any) -> bool:
    import torch

    return isinstance(content, dict) and bool(content) and all(isinstance(v, torch.Tensor) for v in content.values())


def _is_plain(value: Tensor) -> bool:
    import torch

    return value.layout == torch.strided and not (value.is_complex() or value.is_quantized)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
