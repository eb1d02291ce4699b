"""Run a model's network: onnxruntime on the CPU, or torch on the CPU, CUDA or MPS.

Both take and give float32 arrays; their outputs agree within 0.01 HU. onnxruntime is what ``auto`` chooses on the CPU,
with or without torch: it starts in a tenth of torch's time.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_core.errors import UserError
from inference_core.models.card import ModelCard
from inference_core.models.quiet_onnxruntime import quiet_onnxruntime

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class Engine:
    """A network ready to run.

    Attributes
    ----------
    name, device : str
        ``"onnxruntime"`` or ``"torch"``, and where it runs.
    run : callable
        (N, channels, H, W) float32 in network units to the same; safe to call from several threads. Raises MemoryError
        where the device has too little memory.
    """

    name: str
    device: str
    run: Callable[[FloatArray], FloatArray]


def open_engine(card: ModelCard, name: str = "auto", device: str = "auto") -> Engine:
    """Load a model's weights into an engine.

    Parameters
    ----------
    card : Card
    name : str
        ``auto``, ``onnxruntime`` or ``torch``.
    device : str
        ``auto`` (the CPU), ``cpu``, ``cuda``, ``cuda:N`` or ``mps``; all but the CPU need torch.

    Raises
    ------
    UserError
        Where the engine is not installed, the device is not there, or the weights are not the card's.
    """
    if name not in ("auto", "onnxruntime", "torch"):
        raise UserError("no-such-engine", f"There is no engine {name!r}.", "Choose auto, onnxruntime or torch.")
    on_cpu = device in ("auto", "cpu")
    if name == "auto":
        torch_only = importlib.util.find_spec("torch") and not importlib.util.find_spec("onnxruntime")
        name = "onnxruntime" if on_cpu and not torch_only else "torch"
    if name == "torch":
        return _open_torch(card, "cpu" if device == "auto" else device)
    if not on_cpu:
        raise UserError("no-such-device", f"onnxruntime runs on the CPU, not on {device}.", "Choose the engine torch.")
    return _open_onnxruntime(card)


def _open_onnxruntime(card: ModelCard) -> Engine:
    _need("onnxruntime", "pip install onnxruntime")
    onnxruntime = quiet_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # slices run in parallel instead
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(card.file("onnx").read_bytes(), options, providers=["CPUExecutionProvider"])
    feed = session.get_inputs()[0].name

    def run(x: FloatArray) -> FloatArray:
        try:
            output: FloatArray = session.run(None, {feed: x})[0]
        except Exception as error:
            raise _memory_error(error) from error
        return output

    return Engine("onnxruntime", "cpu", run)


def _open_torch(card: ModelCard, device: str) -> Engine:
    _need("torch", "pip install 'faithful-imaging[torch]' (in Slicer: the PyTorch extension)")
    import torch

    from inference_core.models.networks import load_network

    place = _torch_device(device)
    torch.set_num_threads(1)  # slices run in parallel instead
    network = load_network(card).to(device=place, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def run(x: FloatArray) -> FloatArray:
        try:
            with torch.inference_mode():
                y = network(torch.from_numpy(x).to(place).contiguous(memory_format=torch.channels_last))
                output: FloatArray = y.contiguous().cpu().numpy()
        except RuntimeError as error:
            raise _memory_error(error) from error
        return output

    return Engine("torch", str(place), run)


def _torch_device(device: str) -> Any:
    import torch

    try:
        place = torch.device(device)
    except RuntimeError as error:
        raise UserError("no-such-device", f"{device!r} is not a device.", "Choose cpu, cuda, cuda:N or mps.") from error
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available() and (place.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }.get(place.type, False)
    if not there:
        raise UserError("no-such-device", f"The device {device} is not available here.", "Choose the device cpu.")
    return place


def _memory_error(error: Exception) -> Exception:
    """``error`` as a MemoryError where it says that memory ran out, else as it is."""
    text = str(error).lower()
    if any(sign in text for sign in ("out of memory", "allocate", "bad_alloc", "bad allocation")):
        return MemoryError(str(error))
    return error


def _need(package: str, command: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise UserError("missing-package", f"The package {package} is not installed.", f"Install it: {command}.")
