"""Compare the noise that simulate-dose inserts with the noise that a real low-dose CT has more of.

    python -m inference_core.evaluation.noise_model --low QUARTER --full FULL --form projection

A pair is one file name in both folders; the files of a scan (names up to the last ``_``) are simulated as one volume.
Real noise is low - full, simulated noise is simulated - full, each over tissue masks of the full-dose slice.

Air is clipped at -1024 HU in the real and in the simulated scan alike; but the simulation starts from a full-dose scan
that is clipped already, so its noise there is not quite that of a scan that was clipped once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_core.image.reading import read_volume
from inference_core.image.volume import Volume
from inference_core.measurement.tissue import tissue_masks
from inference_core.simulation.low_dose import Form, simulate_dose
from inference_core.simulation.projection import FloatArray
from inference_core.simulation.scan_model import Scanner

LUNG_SHIFT = 785.0  # HU; moves -905..-665 HU into the soft-tissue range of tissue_masks
BAND = (0.15, 0.4)  # cycles a pixel
SECTOR = 22.5  # degrees to both sides of a direction
FEWEST = 300  # pixels in a mask


@dataclass(frozen=True)
class NoiseFigures:
    """Noise in one tissue.

    Attributes
    ----------
    mean, std : float
        HU.
    lag_x, lag_y : float
        Correlation of neighbours along columns and along rows.
    horizontal, diagonal : float
        In :data:`BAND`: power of the frequencies along x, and along the diagonals, over that of those along y, and over
        the mean of those along x and y.
    """

    mean: float
    std: float
    lag_x: float
    lag_y: float
    horizontal: float
    diagonal: float


@dataclass(frozen=True)
class Row:
    """Real and simulated noise in one tissue of one slice."""

    scan: str
    tissue: str
    pixels: int
    real: NoiseFigures
    simulated: NoiseFigures


def noise_figures(noise: FloatArray, mask: NDArray[np.bool_]) -> NoiseFigures:
    """Figures of the noise (H, W) where ``mask`` is set."""
    mean = noise[mask].mean()
    inside = np.where(mask, noise - mean, 0)
    std = inside[mask].std()
    power = np.abs(np.fft.fft2(inside)) ** 2
    fy, fx = np.fft.fftfreq(noise.shape[0])[:, None], np.fft.fftfreq(noise.shape[1])[None]
    in_band = (np.hypot(fy, fx) > BAND[0]) & (np.hypot(fy, fx) < BAND[1])
    angle = np.degrees(np.arctan2(np.abs(fy), np.abs(fx)))  # 0 along x, 90 along y
    along = [power[in_band & (np.abs(angle - middle) < SECTOR)].mean() for middle in (0, 90, 45)]
    return NoiseFigures(
        mean=float(mean),
        std=float(std),
        lag_x=_lag(inside, mask, 1),
        lag_y=_lag(inside, mask, 0),
        horizontal=float(along[0] / along[1]),
        diagonal=float(2 * along[2] / (along[0] + along[1])),
    )


def _lag(noise: FloatArray, mask: NDArray[np.bool_], axis: int) -> float:
    """Correlation of neighbours, of noise with mean 0."""
    both = mask & np.roll(mask, 1, axis)
    return float((noise * np.roll(noise, 1, axis))[both].mean() / noise[mask].var())


def masks(slice_hu: NDArray[Any]) -> dict[str, NDArray[np.bool_]]:
    """Air, lung, soft tissue and bone, as :func:`~inference_core.measurement.tissue.tissue_masks` finds them."""
    lung = tissue_masks(slice_hu.astype(np.float32) + np.float32(LUNG_SHIFT))["soft"]
    found = tissue_masks(slice_hu)
    return {"air": found["air"] & ~lung, "lung": lung, "soft": found["soft"], "bone": found["bone"]}


def compare(scan: str, low: Volume, full: Volume, dose: float, form: Form, scanner: Scanner) -> list[Row]:
    """A row a slice and tissue."""
    simulated, _ = simulate_dose(full, dose, seed=0, form=form, scanner=scanner)
    rows = []
    for real, made, clean in zip(low.voxels, simulated.voxels, full.voxels, strict=True):
        noises = [noisy.astype(np.float64) - clean for noisy in (real, made)]
        for tissue, mask in masks(clean).items():
            if mask.sum() >= FEWEST and all(noise[mask].any() for noise in noises):
                figures = [noise_figures(noise, mask) for noise in noises]
                rows.append(Row(scan, tissue, int(mask.sum()), *figures))
    return rows


def table(rows: list[Row]) -> str:
    """Markdown: a line a scan and tissue, real / simulated; means over the slices, weighted by their pixels."""
    lines = [
        "| scan | tissue | slices | std HU | ratio | mean HU | lag 1 x | lag 1 y | horizontal | diagonal |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for scan, of_scan in groupby(rows, key=lambda row: row.scan):
        group = list(of_scan)
        for tissue in ("air", "lung", "soft", "bone"):
            of_tissue = [row for row in group if row.tissue == tissue]
            if not of_tissue:
                continue
            real, made = (_mean(of_tissue, which) for which in ("real", "simulated"))
            cells = [scan, tissue, str(len(of_tissue))]
            cells += [f"{real.std:.1f} / {made.std:.1f}", f"{made.std / real.std:.2f}"]
            cells.append(f"{real.mean:+.1f} / {made.mean:+.1f}")
            for name in ("lag_x", "lag_y", "horizontal", "diagonal"):
                cells.append(f"{getattr(real, name):.2f} / {getattr(made, name):.2f}")
            lines.append(f"| {' | '.join(cells)} |")
        std, horizontal = (f"{misfit(group, name):.3f}" for name in ("std", "horizontal"))
        lines.append(f"| {scan} | misfit | | | {std} | | | | {horizontal} | |")
    return "\n".join(lines)


def misfit(rows: list[Row], name: str) -> float:
    """Root mean square over the tissues of log(simulated / real) of a figure."""
    logs = []
    for tissue in {row.tissue for row in rows}:
        of_tissue = [row for row in rows if row.tissue == tissue]
        real, made = (getattr(_mean(of_tissue, which), name) for which in ("real", "simulated"))
        logs.append(np.log(made / real))
    return float(np.sqrt(np.mean(np.square(logs))))


def _mean(rows: list[Row], which: str) -> NoiseFigures:
    weights = [row.pixels for row in rows]
    names = ("mean", "std", "lag_x", "lag_y", "horizontal", "diagonal")
    return NoiseFigures(*(
        float(np.average([getattr(getattr(row, which), name) for row in rows], weights=weights)) for name in names
    ))  # fmt: skip


def read_scans(low: Path, full: Path, prefix: str) -> Iterator[tuple[str, Volume, Volume]]:
    """Name, low-dose and full-dose volume of each scan whose file names start with ``prefix``."""
    names = sorted({path.name for path in low.iterdir()} & {path.name for path in full.iterdir()})
    for scan, files in groupby(
        (name for name in names if name.startswith(prefix)), key=lambda name: name.rpartition("_")[0]
    ):
        of_scan = list(files)
        yield scan, _stack([low / name for name in of_scan]), _stack([full / name for name in of_scan])


def _stack(paths: list[Path]) -> Volume:
    volumes = [read_volume(path) for path in paths]
    return volumes[0].with_voxels(np.concatenate([volume.voxels for volume in volumes]))


def main(
    low: Path, full: Path, only: str = "", dose: float = 0.25, form: Form = "projection",
    gamma: float = Scanner.gamma, electronic: float = Scanner.electronic,
) -> None:  # fmt: skip
    """Print the table.

    Parameters
    ----------
    low, full : Path
        Folders of CT files with the same names.
    only : str
        Compare the files whose name starts with this.
    dose : float
        Of the low-dose scans, as a fraction of the full dose.
    form : {"projection", "image"}
        Of the simulation.
    gamma, electronic : float
        See :class:`~inference_core.simulation.scan_model.Scanner`.
    """
    scanner = Scanner(gamma, electronic)
    rows = [row for pair in read_scans(low, full, only) for row in compare(*pair, dose, form, scanner)]
    print(table(rows))


if __name__ == "__main__":
    from jsonargparse import auto_cli

    auto_cli(main, as_positional=False)
