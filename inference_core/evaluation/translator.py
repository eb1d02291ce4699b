"""Run translators on simulated frames; measure how faithful they are, and how far they look from real frames."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference_core.errors import UserError
from inference_core.evaluation.translator_scores import FrameRow, Judges, judged, score_frame
from inference_core.image.visible_area import text_area
from inference_core.measurement.frame_statistics import Histograms
from inference_core.measurement.realism import average, look_of, nearest
from inference_core.simulation.colon.dataset.frames import ColonFrames
from inference_core.translator.copies import read_visible

INPUT = "untranslated"
"""The method that does nothing."""
MOST_REAL = 400  # frames that statistics are taken of, spread over the folder
SHOWN = 8  # frames of the picture

Rgb = NDArray[np.uint8]
Translator = Callable[[Rgb], Rgb]


@dataclass
class TranslatorResults:
    """What was measured.

    Attributes
    ----------
    rows : list of FrameRow
    looks : dict
        By method, statistics of single frames.
    colons : list of str
        Of each frame of ``looks``.
    real : list
        Statistics of the real frames.
    pictures : dict
        By method, the frames that are shown; under ``nearest real`` the real ones nearest to those of the last method.
    shown : list of (colon, frame)
        Which they are.
    """

    rows: list[FrameRow] = field(default_factory=list)
    looks: dict[str, list[Histograms]] = field(default_factory=dict)
    colons: list[str] = field(default_factory=list)
    real: list[Histograms] = field(default_factory=list)
    pictures: dict[str, list[Rgb]] = field(default_factory=dict)
    shown: list[tuple[str, int]] = field(default_factory=list)

    @property
    def methods(self) -> list[str]:
        """In order."""
        return list(self.looks)

    @property
    def real_look(self) -> Histograms:
        """Average of the real frames."""
        return average(self.real)


def evaluate_translators(
    simulated: Path,
    real: Path,
    translators: Mapping[str, Translator],
    judges: Judges,
    split: str | None = "test",
    frames: int = 60,
) -> TranslatorResults:
    """Score every translator on frames of every colon, the untranslated frames (:data:`INPUT`) first.

    Parameters
    ----------
    simulated : Path
        Dataset, or folder of datasets.
    real : Path
        Folder of pictures of the look to be given, or of datasets in it.
    translators : mapping
        By name.
    judges : Judges
    split : str, optional
        Only the colons of this split; None: all.
    frames : int
        Of each colon, spread over it.

    Raises
    ------
    UserError
        What reading raises; ``few-frames`` where too few real frames show enough of the patient.
    """
    from tqdm import tqdm

    results = TranslatorResults(looks={method: [] for method in (INPUT, *translators)})
    real_paths = _look_at_real(real, results)
    dataset = ColonFrames(simulated, split=split)
    numbers = _spread(dataset, frames)
    shown = {numbers[k] for k in np.linspace(0, len(numbers) - 1, min(SHOWN, len(numbers))).round().astype(int)}
    results.pictures = {method: [] for method in results.looks}
    visible: dict[str, NDArray[np.bool_]] = {}
    for number in tqdm(numbers, unit="frame", file=sys.stderr, disable=None, leave=False):
        frame = dataset[number]
        folder = frame["dataset"]
        if folder not in visible:
            visible[folder] = read_visible(Path(folder), len(frame["depth"]))
        seen = visible[folder]
        colon = Path(folder).name
        before = judged(frame, seen, judges)
        made: dict[str, Rgb] = {INPUT: before.rgb}
        seconds = {INPUT: 0.0}
        for method, translator in translators.items():
            started = time.process_time()
            made[method] = np.where(seen[..., None], translator(before.rgb), before.rgb)
            seconds[method] = time.process_time() - started
        looks = {method: look_of(rgb, without=~seen) for method, rgb in made.items()}
        for method, rgb in made.items():
            results.rows.append(score_frame(method, colon, frame["frame"], rgb, before, judges, seconds[method]))
        if all(look is not None for look in looks.values()):
            results.colons.append(colon)
            for method, look in looks.items():
                if look is not None:
                    results.looks[method].append(look)
        if number in shown:
            results.shown.append((colon, frame["frame"]))
            for method, rgb in made.items():
                results.pictures[method].append(rgb)
    if not results.colons:
        raise UserError("too-dark", f"No frame of {simulated} can be seen.", "Look at its rgb folder.")
    _add_nearest(results, real_paths)
    return results


def _look_at_real(folder: Path, results: TranslatorResults) -> list[Path]:
    """Statistics of real frames; the paths of those that have some."""
    from inference_core.training.endoscopy_data import LEAST_REAL, frame_paths, read_frame

    paths = frame_paths(folder)
    chosen = np.linspace(0, len(paths) - 1, min(MOST_REAL, len(paths))).round().astype(int)
    paths = [paths[k] for k in chosen]
    by_shape: dict[tuple[int, ...], list[Path]] = {}
    for path in paths:
        by_shape.setdefault(read_frame(path).shape[:2], []).append(path)
    kept = []
    for same in by_shape.values():
        text = text_area(read_frame(path) for path in same)
        for path in same:
            look = look_of(read_frame(path), without=text)
            if look is not None:
                kept.append(path)
                results.real.append(look)
    if len(kept) < LEAST_REAL:
        raise UserError(
            "few-frames",
            f"Only {len(kept)} frames of {folder} show enough of the patient to compare with.",
            "Give more, larger or brighter frames.",
        )
    return kept


def _spread(dataset: ColonFrames, count: int) -> list[int]:
    """Numbers of so many frames of each colon."""
    by_colon: dict[Path, list[int]] = {}
    start = 0
    for path, length in zip(dataset.datasets, _lengths(dataset), strict=True):
        by_colon[path] = [start + k for k in range(length)]
        start += length
    return [
        numbers[int((k + 0.5) * len(numbers) / min(count, len(numbers)))]
        for numbers in by_colon.values()
        for k in range(min(count, len(numbers)))
    ]


def _lengths(dataset: ColonFrames) -> list[int]:
    return [len(ColonFrames(path)) for path in dataset.datasets]


def _add_nearest(results: TranslatorResults, paths: list[Path]) -> None:
    from inference_core.training.endoscopy_data import read_frame

    last = results.methods[-1]
    pictures = []
    for rgb in results.pictures[last]:
        look = look_of(rgb)
        pictures.append(rgb if look is None else read_frame(paths[nearest(look, results.real)]))
    results.pictures["nearest real"] = pictures


def opened(models: list[str]) -> dict[str, Translator]:
    """Translators by the ids of their models; where two have one id, by what they were named.

    Raises
    ------
    UserError
        ``no-such-model``, ``wrong-task``, ``same-model``, or what opening raises.
    """
    from functools import partial

    from inference_core.models.engines import open_engine
    from inference_core.models.registry import find_model
    from inference_core.translator.translate import translate

    cards = [find_model(model, "translate-frames") for model in models]
    ids = [card.id for card in cards]
    names = [name if ids.count(card.id) > 1 else card.id for name, card in zip(models, cards, strict=True)]
    if len(set(names)) < len(names):
        raise UserError("same-model", "A model is named twice.", "Name each --model once.")
    return {n: partial(translate, card=card, engine=open_engine(card)) for n, card in zip(names, cards, strict=True)}


def open_judges(depth: str, segmenter: str | None) -> Judges:
    """The depth network (see :mod:`inference_core.training.frozen_depth`) and, where given, the segmenter of folds.

    Raises
    ------
    UserError
        ``missing-package``, or what opening raises.
    """
    from inference_core.extras import need

    need("torch", "torch", "Judging by depth")
    import torch

    from inference_core.models.registry import find_model
    from inference_core.training.frozen_depth import CHECKPOINTS, open_frozen_depth
    from inference_core.translator.translate import fitted

    foreign = Path(depth).is_dir() or Path(depth).suffix in CHECKPOINTS
    # Ours judges frames at the size that it was trained on: pixels twice as fine look like twice the depth to it.
    network = open_frozen_depth(depth, None if foreign else find_model(depth, "depth").size)

    def depth_of(rgb: Rgb) -> NDArray[np.float32]:
        padded = rgb if network.size else fitted(rgb, network.factor)
        frames = torch.from_numpy(padded.astype(np.float32) / 255).permute(2, 0, 1)[None]
        with torch.inference_mode():
            found: NDArray[np.float32] = network(frames)[0, 0, : rgb.shape[0], : rgb.shape[1]].numpy()
        return found

    return Judges(depth_of, network.unit == "mm", _open_folds(segmenter) if segmenter else None)


def _open_folds(name: str) -> Callable[[Rgb], NDArray[np.bool_]]:
    """A segmenter's mask of folds, by a model for ``segment-folds``."""
    from inference_core.models.engines import open_engine
    from inference_core.models.registry import find_model
    from inference_core.segmenter.segment import segment_frame

    card = find_model(name, "segment-folds")
    engine = open_engine(card)

    def folds_of(rgb: Rgb) -> NDArray[np.bool_]:
        mask: NDArray[np.bool_] = segment_frame(rgb, card, engine).instances.labels > 0
        return mask

    return folds_of
