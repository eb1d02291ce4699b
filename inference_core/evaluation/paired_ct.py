"""Score denoisers on pairs of low-dose and full-dose CT slices.

    python -m inference_core.evaluation.paired_ct --low QUARTER --full FULL --only L096 --model ct-sharp \\
        --filters --tune_on L143_D45f_0074

A pair is one file name in both folders. Each scan (file names up to the last ``_``) gets a table of its own: kernels
differ by more than methods do. PSNR and SSIM are against the full-dose slice, shifts against the low-dose one, in
tissue masks from the full-dose slice.

The gain has a ceiling, for the reference is noisy too. At quarter dose, with twice the noise of full dose, an output
without any error gains 4.8 dB, and the least-squares optimum, which keeps a quarter of the noise, 6.0 dB.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_core.image.reading import read_volume
from inference_core.measurement.metrics import mean_shift, psnr, ssim
from inference_core.measurement.tissue import tissue_masks

FloatArray = NDArray[np.float32]
Denoiser = Callable[[NDArray[np.int16]], NDArray[np.int16]]
"""(H, W) HU to (H, W) HU."""


@dataclass(frozen=True)
class Pair:
    """A slice at two doses; (H, W) int16 HU."""

    name: str
    low_dose: NDArray[np.int16]
    full_dose: NDArray[np.int16]

    @property
    def scan(self) -> str:
        """Name up to the last ``_``."""
        return self.name.rpartition("_")[0]


@dataclass(frozen=True)
class Row:
    """Scores of one method on one slice; shifts in HU, NaN where the slice has no such tissue."""

    method: str
    scan: str
    name: str
    psnr: float
    ssim: float
    soft: float
    air: float
    bone: float
    whole: float
    cpu_seconds: float


def read_pairs(low: Path, full: Path, prefix: str = "") -> list[Pair]:
    """Pairs of single-slice files with one name in both folders, by name.

    Raises
    ------
    ValueError
        Where no name that starts with ``prefix`` is in both, or the voxels are not whole HU.
    """
    names = sorted({p.name for p in low.iterdir()} & {p.name for p in full.iterdir() if p.name.startswith(prefix)})
    if not names:
        raise ValueError(f"No file name that starts with {prefix!r} is in both {low} and {full}.")
    return [Pair(Path(name).stem, _read_slice(low / name), _read_slice(full / name)) for name in names]


def _read_slice(path: Path) -> NDArray[np.int16]:
    voxels: NDArray[Any] = read_volume(path).voxels
    if len(voxels) != 1 or voxels.dtype != np.int16:
        raise ValueError(f"{path} holds {len(voxels)} slices of {voxels.dtype}, not one of int16.")
    return np.asarray(voxels[0])


def evaluate(pairs: Iterable[Pair], denoisers: Mapping[str, Denoiser]) -> list[Row]:
    """Score every denoiser on every pair, the untouched low-dose slice (``identity``) first."""
    rows = []
    for pair in pairs:
        masks = tissue_masks(pair.full_dose)
        for method, denoise in {"identity": _unchanged, **denoisers}.items():
            started = time.process_time()
            output = denoise(pair.low_dose)
            seconds = time.process_time() - started
            shifts = {tissue: mean_shift(output, pair.low_dose, mask) for tissue, mask in masks.items()}
            rows.append(Row(
                method, pair.scan, pair.name, psnr(output, pair.full_dose), ssim(output, pair.full_dose),
                whole=mean_shift(output, pair.low_dose), cpu_seconds=seconds, **shifts,
            ))  # fmt: skip
    return rows


def _unchanged(image: NDArray[np.int16]) -> NDArray[np.int16]:
    return image


def table(rows: list[Row]) -> str:
    """Markdown: a table a scan, a line a method as they came. Means over the slices; of the time, the median."""
    order = list(dict.fromkeys(row.method for row in rows))
    parts = []
    for scan, group in groupby(sorted(rows, key=lambda row: row.scan), key=lambda row: row.scan):
        of_scan = list(group)
        of_method = {method: [row for row in of_scan if row.method == method] for method in order}
        identity = _mean(of_method["identity"], "psnr")
        parts += [
            f"### {scan} ({len(of_method['identity'])} slices)\n",
            "| method | PSNR dB | gain dB | SSIM | shift soft / air / bone HU | worst soft | worst whole | CPU s |",
            "|---|---|---|---|---|---|---|---|",
        ]
        for method, scores in of_method.items():
            mean_psnr = _mean(scores, "psnr")
            cells = [
                method,
                f"{mean_psnr:.2f}",
                f"{mean_psnr - identity:+.2f}",
                f"{_mean(scores, 'ssim'):.4f}",
                " / ".join(f"{_mean(scores, tissue):+.2f}" for tissue in ("soft", "air", "bone")),
                f"{_worst(scores, 'soft'):.2f}",
                f"{_worst(scores, 'whole'):.3f}",
                f"{median(row.cpu_seconds for row in scores):.3f}",
            ]
            parts.append(f"| {' | '.join(cells)} |")
        parts.append("")
    return "\n".join(parts)


def _values(rows: list[Row], field: str) -> list[float]:
    return [value for row in rows if not math.isnan(value := getattr(row, field))]


def _mean(rows: list[Row], field: str) -> float:
    values = _values(rows, field)
    return sum(values) / len(values) if values else math.nan


def _worst(rows: list[Row], field: str) -> float:
    return max((abs(value) for value in _values(rows, field)), default=math.nan)


def rounded(run: Callable[[FloatArray], FloatArray]) -> Denoiser:
    """A filter on float32 HU as one on int16 HU."""
    return lambda image: np.rint(run(image.astype(np.float32))).astype(np.int16)


def network_denoiser(model: str) -> Denoiser:
    """A model by its id or the path of its card; or bare weights (.safetensors) with the card of ``ct-sharp``.

    Parameters
    ----------
    model : str
        Bare weights are those of a training run that has no card yet; they run in torch.
    """
    from inference_core.denoiser.pipeline import denoise_volume
    from inference_core.image.volume import Volume
    from inference_core.models.engines import Engine, open_engine
    from inference_core.models.registry import find_model

    if model.endswith(".safetensors"):
        card = find_model("ct-sharp", "denoise-ct")
        engine = Engine("torch", "cpu", _bare_network(Path(model), card.architecture, card.arguments))
    else:
        card = find_model(model, "denoise-ct")
        engine = open_engine(card)
    return lambda image: denoise_volume(Volume(image[None]), card, engine, threads=1)[0].voxels[0]


def _bare_network(weights: Path, name: str, arguments: dict[str, Any]) -> Callable[[FloatArray], FloatArray]:
    import torch
    from safetensors.torch import load_file

    from inference_core.models.networks import build_network

    torch.set_num_threads(1)
    network = build_network(name, arguments)
    network.load_state_dict(load_file(weights))
    network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def run(high: FloatArray) -> FloatArray:
        with torch.inference_mode():
            residual: FloatArray = network(torch.from_numpy(high)).numpy()
        return residual

    return run


def tuned_filters(pair: Pair) -> dict[str, Denoiser]:
    """The classical filters, each with the strength that scores best on ``pair``."""
    from inference_core.evaluation.filters import FILTERS, tune

    strengths = {name: tune(peer, pair.low_dose, pair.full_dose) for name, peer in FILTERS.items()}
    return {
        f"{name} {strength:g}": rounded(partial(FILTERS[name].run, strength=strength))
        for name, strength in strengths.items()
    }


def main(
    low: Path, full: Path, only: str = "", model: list[str] | None = None, filters: bool = False, tune_on: str = ""
) -> None:
    """Print the tables.

    Parameters
    ----------
    low, full : Path
        Folders of single-slice CT files with the same names.
    only : str
        Score the files whose name starts with this.
    model : list of str
        Networks to score, as for :func:`network_denoiser`.
    filters : bool
        Score the classical filters as well.
    tune_on : str
        Name (without suffix) of the pair that the filters are tuned on; it is not scored. The first pair by default.
    """
    pairs = read_pairs(low, full, only)
    denoisers = {Path(name).stem: network_denoiser(name) for name in model or []}
    if filters:
        tuning = read_pairs(low, full, tune_on)[0] if tune_on else pairs[0]
        denoisers |= tuned_filters(tuning)
        pairs = [pair for pair in pairs if pair.name != tuning.name]
        print(f"Filters tuned for PSNR on {tuning.name}.\n")
    print(table(evaluate(pairs, denoisers)))


if __name__ == "__main__":
    from jsonargparse import auto_cli

    auto_cli(main, as_positional=False)
