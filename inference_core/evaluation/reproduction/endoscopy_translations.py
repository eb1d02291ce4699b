"""Translated datasets: to train segmenters on (the bench's colons but those of the test), and to test them on."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference_core import client
from inference_core.errors import UserError
from inference_core.evaluation.reproduction.endoscopy_methods import OURS
from inference_core.evaluation.reproduction.endoscopy_request import Request
from inference_core.simulation.colon.dataset.dataset import is_complete
from inference_core.simulation.colon.dataset.frames import ColonFrames


@dataclass(frozen=True)
class Translation:
    """One dataset to be translated."""

    source: Path
    place: Path
    model: Path

    @property
    def done(self) -> bool:
        """Whether it is there already."""
        return is_complete(self.place)


def translations(request: Request) -> Iterator[Translation]:
    """All of them: of each method and seed; those to test on of ours alone, as the paper has it."""
    plain = request.bench / "plain"
    learned = _datasets(plain, "train") + _datasets(plain, "validation")
    for seed in range(request.seeds):
        for method in request.translators:
            model = request.translator(method.name, seed) / "model.json"
            for source in learned:
                yield Translation(source, request.translated(method.name, seed) / source.name, model)
            for source in _datasets(request.test / "plain", "test") if method.name == OURS else ():
                yield Translation(source, request.translated(method.name, seed, tested=True) / source.name, model)


def translate_all(request: Request) -> None:
    """Translate what is not translated yet, each dataset on all cores.

    Raises
    ------
    UserError, Cancelled
        As :func:`inference_core.client.run`.
    """
    for one in translations(request):
        if not one.done:
            print(f"translating {one.place}", file=sys.stderr, flush=True)
            one.place.parent.mkdir(parents=True, exist_ok=True)
            job = {"job": "translate", "input": one.source, "output": one.place, "model": one.model}
            client.run({name: str(value) for name, value in job.items()} | {"engine": "onnxruntime"}, _tell)


def _datasets(folder: Path, split: str) -> list[Path]:
    """Those of a split; none where there is none."""
    try:
        return ColonFrames(folder, split).datasets
    except UserError as error:
        if error.code == "no-dataset":
            return []
        raise


def _tell(message: dict[str, Any]) -> None:
    if message["type"] == "warning":
        print(f"warning: {message['message']}", file=sys.stderr, flush=True)
