"""Run a model's network: onnxruntime on the CPU, or torch on the CPU, CUDA or MPS.

Both take and give float32 arrays; their outputs agree within 0.01 HU. onnxruntime is what ``auto`` chooses on the CPU,
with or without torch: it starts in a tenth of torch's time.

``bfloat16`` is for the papers' generator alone, whose dense blocks may compute in it: half a HU at most, nearly twice
the speed of float32, where the processor has instructions for it. The other networks are fast enough without.
"""

from __future__ import annotations

import importlib.util
import os
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
    precision : str
        ``"float32"``, or ``"bfloat16"`` where branches of the network compute in that.
    batch : int
        Slices a call that serve the device best.
    tile : int or None
        Pixels a side of the tiles that serve it best; None: whole slices.
    """

    name: str
    device: str
    run: Callable[[FloatArray], FloatArray]
    precision: str = "float32"
    batch: int = 1
    tile: int | None = None


GPU_BATCH = 8  # slices a call on a GPU, which one slice does not fill
PAGED_TILE = 256  # pixels; keeps a wide network's features below the size at which an allocator maps each anew
PRECISIONS = ("float32", "bfloat16")
WIDE = "rrdb_sn"  # the papers' generator: its layers take over 32 MiB a slice, its branches may be bfloat16


def open_engine(card: ModelCard, name: str = "auto", device: str = "auto", precision: str = "float32") -> Engine:
    """Load a model's weights into an engine.

    Parameters
    ----------
    card : ModelCard
    name : str
        ``auto``, ``onnxruntime`` or ``torch``.
    device : str
        ``auto`` (the CPU), ``cpu``, ``cuda``, ``cuda:N`` or ``mps``; all but the CPU need torch.
    precision : str
        ``float32`` or ``bfloat16``; the latter needs torch.

    Raises
    ------
    UserError
        Where the engine is not installed, the device is not there, the weights are not the card's, or network or
        device have no bfloat16.
    """
    if precision not in PRECISIONS:
        raise UserError("no-such-precision", f"There is no precision {precision!r}.", "Choose float32 or bfloat16.")
    if precision == "bfloat16" and card.architecture != WIDE:
        raise UserError(
            "no-bfloat16",
            f"The network of {card.id} ({card.architecture}) computes in float32 only.",
            "Leave the precision out.",
        )
    if name not in ("auto", "onnxruntime", "torch"):
        raise UserError("no-such-engine", f"There is no engine {name!r}.", "Choose auto, onnxruntime or torch.")
    on_cpu = device in ("auto", "cpu")
    if name == "auto" and precision == "bfloat16":
        name = "torch"
    if name == "auto":
        torch_only = importlib.util.find_spec("torch") and not importlib.util.find_spec("onnxruntime")
        name = "onnxruntime" if on_cpu and not torch_only else "torch"
    if name == "torch":
        return _open_torch(card, "cpu" if device == "auto" else device, precision)
    if precision != "float32":
        raise UserError("no-bfloat16", "onnxruntime computes in float32.", "Choose the engine torch for bfloat16.")
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
    # Weights in a further file would come in past the card's sha256, from wherever the process was started.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", os.devnull)
    weights = card.file("onnx").read_bytes()
    try:
        session = onnxruntime.InferenceSession(weights, options, providers=["CPUExecutionProvider"])
        feed = session.get_inputs()[0].name
    except Exception as error:
        raise _told(card, error) from error

    def run(x: FloatArray) -> FloatArray:
        try:
            output: FloatArray = session.run(None, {feed: x})[0]
        except Exception as error:
            raise _told(card, error) from error
        return output

    return Engine("onnxruntime", "cpu", run)


def _open_torch(card: ModelCard, device: str, precision: str) -> Engine:
    _need("torch", "pip install 'faithful-imaging[torch]' (in Slicer: the PyTorch extension)")
    import torch

    from inference_core.models.allocator import keep_freed_memory
    from inference_core.models.networks import load_network

    place = _torch_device(device)
    torch.set_num_threads(1)  # slices run in parallel instead
    torch.backends.cudnn.allow_tf32 = False  # its 10 bits would show in CT numbers
    try:
        network = load_network(card)
    except UserError:
        raise
    except Exception as error:
        raise _told(card, error) from error
    if precision == "bfloat16":
        _check_bfloat16(place)
        network.compute_branches_in_bfloat16()  # type: ignore[operator]
    network = network.to(device=place, memory_format=torch.channels_last)  # type: ignore[call-overload]
    pages = place.type == "cpu" and card.architecture == WIDE and not keep_freed_memory()

    def run(x: FloatArray) -> FloatArray:
        try:
            with torch.inference_mode():
                y = network(torch.from_numpy(x).to(place).contiguous(memory_format=torch.channels_last))
                output: FloatArray = y.contiguous().cpu().numpy()
        except RuntimeError as error:
            raise _told(card, error) from error
        return output

    batch = 1 if place.type == "cpu" else GPU_BATCH
    return Engine("torch", str(place), run, precision, batch, PAGED_TILE if pages else None)


def _check_bfloat16(place: Any) -> None:
    """Refuse bfloat16 where it would be slower than float32."""
    import torch

    found: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    if place.type == "cpu" and not any(found.get(name) for name in ("avx512_bf16", "amx_bf16")):
        raise UserError(
            "no-bfloat16",
            "This processor has no instructions for bfloat16 (AVX512_BF16, AMX): it would be slower than float32.",
            "Leave the precision out.",
        )


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


def _told(card: ModelCard, error: Exception) -> Exception:
    """What an engine failed at: a MemoryError where it says that memory ran out, else that the model cannot be run."""
    text = str(error).lower()
    if any(sign in text for sign in ("out of memory", "allocate", "bad_alloc", "bad allocation")):
        return MemoryError(str(error))
    why = (str(error).strip().splitlines() or [""])[0][:200]
    return UserError(
        "model-damaged",
        f"The network of {card.id} cannot be run: {type(error).__name__}: {why}",
        "Get the model again, or update the engine (onnxruntime, torch).",
    )


def _need(package: str, command: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise UserError("missing-package", f"The package {package} is not installed.", f"Install it: {command}.")
