"""The ways of denoising a slice that are compared: each is opened in a process of its own.

Nothing heavy is imported before a way is opened, because some of them set the environment of torch first.
"""

from __future__ import annotations

import ctypes
import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from made_slices import with_padding

from inference_core.image.volume import Volume

PAPERS, PAPERS_TUNED = "papers' path", "papers' path, freed memory kept"
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"), "1"
)
NOISE = 50.0  # HU, of the made slices; what the default model is chosen by
AVX2 = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}

Run = Callable[[Volume], np.ndarray]
"""A CT of one slice to (H, W) int16 HU."""
Tune = Callable[[Volume, Volume], str]
"""Chooses the strength of a filter on a low-dose slice and its reference, and says it."""


@dataclass(frozen=True)
class Way:
    """One way.

    Attributes
    ----------
    name : str
    open : callable
        ``open(*arguments)`` gives ``run`` and, of a filter, ``tune``, else None.
    arguments : tuple
    environment : dict of str
        Set before its process starts.
    scored : bool
        Whether its output means something; the papers' weights are random.
    slow : bool
        Seconds a slice: run on two slices only.
    """

    name: str
    open: Callable[..., tuple[Run, Tune | None]]
    arguments: tuple[Any, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    scored: bool = True
    slow: bool = False


def all_ways(further: list[str]) -> list[Way]:
    """Every way, the papers' first; ``further`` are ids or cards of models that are not bundled."""
    return [
        Way(PAPERS, papers, scored=False),
        Way(PAPERS_TUNED, papers_keeping_memory, scored=False),
        Way("papers' generator imported, torch", papers_generator, ("torch",), scored=False),
        Way("papers' generator imported, torch, bfloat16", papers_generator, ("torch", "bfloat16"), scored=False),
        Way("papers' generator imported, onnxruntime", papers_generator, ("onnxruntime",), scored=False),
        *model_ways(further),
        *filter_ways(),
    ]


def model_ways(further: list[str]) -> list[Way]:
    """Each bundled denoiser by onnxruntime, and the first of each network by torch, with AVX2 alone and on a GPU."""
    from inference_core.models.registry import BUNDLED, list_models, suggest_denoiser

    ways, seen = [], []
    for card in list_models("denoise-ct"):
        if card.path.parent != BUNDLED:
            continue
        ways.append(Way(f"{card.id}, onnxruntime", model, (card.id, "onnxruntime")))
        if (card.architecture, card.arguments) not in seen:
            seen.append((card.architecture, card.arguments))
            ways.append(Way(f"{card.id}, torch", model, (card.id, "torch"), scored=False))
            ways.append(Way(f"{card.id}, torch, AVX2 alone", model, (card.id, "torch"), AVX2, scored=False))
            ways.append(Way(f"{card.id}, torch, GPU", model, (card.id, "torch", "cuda"), scored=False))
    default = suggest_denoiser("CT", None, NOISE)[0].id
    ways.append(Way(f"{default}, onnxruntime, slices with padding", padded, (default, "onnxruntime"), scored=False))
    return ways + [Way(f"{Path(one).stem}, onnxruntime", model, (one, "onnxruntime")) for one in further]


def filter_ways() -> list[Way]:
    """The classical filters and BM3D."""
    from inference_core.evaluation.filters import FILTERS

    return [*(Way(name, classical, (name,)) for name in FILTERS), Way("BM3D", classical, ("BM3D",), slow=True)]


def papers() -> tuple[Run, None]:
    """The papers' path, as it is."""
    import torch
    from papers_path import denoise_slice, make_generator

    torch.set_num_threads(1)
    generator = make_generator()
    return lambda ct: denoise_slice(ct.voxels[0], generator), None


def papers_keeping_memory() -> tuple[Run, None]:
    """The same with glibc told to keep freed memory: its large tensors then cost no page faults."""
    libc = ctypes.CDLL(None)
    trim_threshold, top_pad, mmap_threshold = -1, -2, -3  # of mallopt(3)
    for option, value in ((mmap_threshold, 2**31 - 1), (trim_threshold, 2**31 - 1), (top_pad, 256 * 2**20)):
        if not libc.mallopt(option, value):
            raise RuntimeError("mallopt refused.")
    return papers()


def model(name: str, engine_name: str, device: str = "cpu", precision: str = "float32") -> tuple[Run, None]:
    """A model through the pipeline that users run."""
    from inference_core.denoiser.pipeline import denoise_volume
    from inference_core.models.engines import open_engine
    from inference_core.models.registry import find_model

    card = find_model(name, "denoise-ct")
    engine = open_engine(card, engine_name, device, precision)
    return lambda ct: denoise_volume(ct, card, engine, threads=1)[0].voxels[0], None


def padded(name: str, engine_name: str) -> tuple[Run, None]:
    """A model on slices with padding outside a circle, which costs more."""
    run, _ = model(name, engine_name)
    return lambda ct: run(with_padding(ct)), None


def papers_generator(engine_name: str, precision: str = "float32") -> tuple[Run, None]:
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
        return model("dml-ct", engine_name, precision=precision)


def classical(name: str) -> tuple[Run, Tune]:
    """A filter, with the strength of its grid that gives the highest PSNR on another slice."""
    from inference_core.evaluation.filters import BM3D, FILTERS, tune
    from inference_core.evaluation.peers import check_peers, slice_by_slice

    check_peers(filters=True, bm3d=name == "BM3D")
    peer = BM3D if name == "BM3D" else FILTERS[name]
    chosen = [slice_by_slice(peer, peer.strengths[0])]

    def tune_on(low: Volume, reference: Volume) -> str:
        strength = tune(peer, low.voxels[0], reference.voxels[0])
        chosen[0] = slice_by_slice(peer, strength)
        return f"{strength:g}"

    return lambda ct: chosen[0](ct)[0], tune_on
