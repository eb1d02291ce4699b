"""What is asked of ``inference-core reproduce endoscopy``, where things lie, and whether it can be done."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from inference_core.errors import UserError
from inference_core.evaluation.reproduction.budget import is_done
from inference_core.evaluation.reproduction.endoscopy_methods import Method, chosen_methods
from inference_core.extras import need

DEPTH_MINUTES = 20.0
"""CPU minutes of a depth network: about 4000 steps of 8 crops."""
BUNDLED_DEPTH = "colon-depth"


@dataclass(frozen=True)
class Request:
    """What is asked for; see :func:`inference_core.cli.reproduce.endoscopy`."""

    out: Path
    minutes: float
    segmenter_minutes: float
    seeds: int
    given_bench: Path | None
    given_style: Path | None
    depth_model: str | None
    methods: tuple[Method, ...]
    processes: int
    only: Literal["translators", "segmenters"] | None

    @property
    def bench(self) -> Path:
        """Folder of simulated frames, ``plain`` and ``mucosa``."""
        return self.given_bench or self.out / "bench"

    @property
    def style(self) -> Path:
        """Folder of frames of the look to be given."""
        return self.given_style or self.out / "style"

    @property
    def test(self) -> Path:
        """Folder of colons to measure on, ``plain`` and ``mucosa``."""
        return self.out / "test"

    @property
    def depth_data(self) -> Path:
        """Folder of what the depth network of the loss is trained on."""
        return self.out / "depth_data"

    @property
    def depth_run(self) -> Path:
        """Folder of that network."""
        return self.out / "depth"

    @property
    def depth(self) -> str:
        """The depth network of the loss."""
        return self.depth_model or str((self.depth_run / "model.json").resolve())

    @property
    def translators(self) -> tuple[Method, ...]:
        """The methods that give translated frames."""
        return tuple(method for method in self.methods if not method.segments)

    @property
    def trains_depth(self) -> bool:
        """Whether it is trained here."""
        return self.depth_model is None and any(method.needs_depth for method in self.methods)

    def translator(self, method: str, seed: int) -> Path:
        """Folder of a translator's training."""
        return self.out / "translators" / f"{method}-seed{seed}"

    @property
    def judge(self) -> Path:
        """Folder of the depth network that judges."""
        return self.out / "judge"

    @property
    def judge_segmenter(self) -> Path:
        """Folder of the segmenter that judges."""
        return self.out / "judge_segmenter"

    def translated(self, method: str, seed: int, tested: bool = False) -> Path:
        """Folder of translated datasets: to train segmenters on, or to test them on."""
        return self.out / ("translated_test" if tested else "translated") / f"{method}-seed{seed}"

    def segmenter(self, training_set: str, seed: int) -> Path:
        """Folder of a segmenter's training."""
        return self.out / "segmenters" / f"{training_set}-seed{seed}"

    def probe(self, name: str) -> Path:
        """File of the cost of a step."""
        return self.out / "probes" / f"{name}.json"


def requested(
    out: Path,
    minutes: float,
    segmenter_minutes: float,
    seeds: int,
    bench: Path | None,
    style: Path | None,
    depth_model: str | None,
    methods: list[str] | None,
    processes: int,
    only: Literal["translators", "segmenters"] | None,
) -> Request:
    """The request, checked as far as can be before any work.

    Raises
    ------
    UserError
        The message names the option.
    """
    for option, given in (("--minutes", minutes), ("--segmenter-minutes", segmenter_minutes)):
        if not 0 < given < math.inf:
            raise UserError("minutes", f"{option} is {given:g}.", f"Give {option} above 0.")
    for option, count in (("--seeds", seeds), ("--processes", processes)):
        if count < 1:
            raise UserError("out-of-range", f"{option} is {count}.", f"Give {option} 1 or more.")
    chosen = chosen_methods(methods)
    for package in ("torch", "lightning_fabric", "onnxscript"):
        need(package, "train", "Training")
    need("vtk", "colon", "Simulating colons")
    if bench is not None:
        _check_bench(bench)
    if style is not None:
        _check_style(style)
    for option, folder in (("--bench", bench), ("--style", style)):
        if folder is not None and _one_in_the_other(out, folder):
            message = f"One of --out {out}, {option} {folder} is in the other."
            raise UserError("out-folder", message, "Give another --out.")
    if depth_model is None and not is_done(out / "depth") and not (out / "depth.json").exists():
        depth_model = _bundled_depth()
    if depth_model is not None:
        _check_depth(depth_model)
    return Request(
        out, minutes, segmenter_minutes, seeds, bench, style, depth_model, chosen, processes, only
    )  # fmt: skip


def _check_bench(folder: Path) -> None:
    from inference_core.simulation.colon.dataset.frames import ColonFrames

    for look in ("plain", "mucosa"):
        if not (folder / look).is_dir():
            raise UserError(
                "no-benchmark", f"--bench: {folder} has no folder {look}.",
                "Give what simulate-colon --benchmark wrote, or leave --bench out.",
            )  # fmt: skip
        for split in ("train", "test"):
            ColonFrames(folder / look, split)


def _check_style(folder: Path) -> None:
    from inference_core.training.endoscopy_data import frame_paths

    frame_paths(folder)


def _bundled_depth() -> str | None:
    from inference_core.models.registry import find_model

    try:
        return find_model(BUNDLED_DEPTH, "depth").id
    except UserError:
        return None


def _check_depth(model: str) -> None:
    from inference_core.training.frozen_depth import open_frozen_depth

    try:
        unit = open_frozen_depth(model, None).unit
    except UserError as error:
        raise UserError(error.code, f"--depth-model: {error.message}", error.remedy) from error
    if unit != "mm":
        raise UserError(
            "depth-unit", f"--depth-model: {model} knows no mm.", "Give one that inference-core train depth made."
        )


def _one_in_the_other(one: Path, other: Path) -> bool:
    here, there = one.resolve(), other.resolve()
    return here.is_relative_to(there) or there.is_relative_to(here)
