"""The simulated colons that the endoscopy tables are made of: no colon serves two purposes.

==========  ===================  =========================================================
folder      colons (seeds)       for
==========  ===================  =========================================================
bench       11 to 15             frames to translate, segmenters, judges (trained on 11 to 13)
style       31, 32, 33           the look to be given: ``mucosa``, unpaired
depth_data  41, 42, 43           the depth network of the loss: ``plain`` and ``nbi``
test        the bench's, 51, 52  measuring, in ``plain`` and ``mucosa``, same poses
==========  ===================  =========================================================
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from inference_core.errors import UserError
from inference_core.evaluation.reproduction.endoscopy_request import Request
from inference_core.scratch import scratch_folder, sweep_stale
from inference_core.simulation.colon.dataset.benchmark import APPEARANCES, INDEX, make_benchmark
from inference_core.simulation.colon.dataset.card import Filming
from inference_core.simulation.colon.dataset.dataset import CARD, is_complete
from inference_core.simulation.colon.dataset.film import film
from inference_core.simulation.colon.dataset.frames import ColonFrames
from inference_core.simulation.colon.dataset.scene import MADE, Scene, procedural_scene
from inference_core.simulation.colon.teller import Teller

FILMING = Filming(frames=280, size=256)
"""As in the benchmark."""
STYLE_COLONS, DEPTH_COLONS, MORE_TEST_COLONS = (31, 32, 33), (41, 42, 43), (51, 52)
DEPTH_LOOKS = ("plain", "nbi")


@dataclass(frozen=True)
class Films:
    """Films of one colon."""

    seed: int
    places: dict[str, Path]
    """Folder by appearance."""
    split: str


def make_data(request: Request) -> None:
    """Make what is not there yet.

    Raises
    ------
    UserError
        ``same-colon`` where a colon of the style folder is simulated or measured on too; what filming raises.
    """
    request.out.mkdir(parents=True, exist_ok=True)
    if not _bench_is_made(request):
        _say(f"making {request.bench}")
        make_benchmark(request.bench, FILMING, None, "", Teller(_tell, lambda: False))
    for films in _films(request):
        _film(films)
    for place, source in _copies(request):
        _copy(source, place, request.out)
    _check_apart(request)


def data_is_made(request: Request) -> bool:
    """Whether there is nothing left to make."""
    films = [place for films in _films(request) for place in films.places.values()]
    return _bench_is_made(request) and all(map(is_complete, [*films, *(place for place, _ in _copies(request))]))


def _films(request: Request) -> list[Films]:
    wanted = []
    if request.given_style is None:
        wanted += [Films(s, {"mucosa": request.style / _name(s)}, "train") for s in STYLE_COLONS]
    if request.trains_depth:
        folder = request.depth_data
        wanted += [Films(s, {look: folder / look / _name(s) for look in DEPTH_LOOKS}, "train") for s in DEPTH_COLONS]
    for seed in MORE_TEST_COLONS:
        wanted.append(Films(seed, {look: request.test / look / _name(seed) for look in APPEARANCES}, "test"))
    return wanted


def _name(seed: int) -> str:
    return f"procedural-{seed}"


def _bench_is_made(request: Request) -> bool:
    return request.given_bench is not None or (request.bench / INDEX).is_file()


def _film(films: Films) -> None:
    missing = {look: place for look, place in films.places.items() if not is_complete(place)}
    if not missing:
        return
    scene: Scene = procedural_scene(films.seed, lambda stage: None)
    for look, place in missing.items():
        _say(f"making {place}")
        place.parent.mkdir(parents=True, exist_ok=True)
        film(scene, replace(FILMING, appearance=look, seed=films.seed), place, films.split, MADE)


def _copies(request: Request) -> Iterator[tuple[Path, Path]]:
    """Place and source of the bench's test colons; none while there is no bench."""
    for look in APPEARANCES if _bench_is_made(request) else ():
        for source in ColonFrames(request.bench / look, "test").datasets:
            yield request.test / look / source.name, source


def _copy(source: Path, place: Path, out: Path) -> None:
    """Whole or not at all."""
    if place.exists():
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    sweep_stale(out)
    with scratch_folder(out) as aside:
        shutil.copytree(source, aside / place.name)
        (aside / place.name).rename(place)


def _check_apart(request: Request) -> None:
    """Style colons that are simulated too would pair what is meant to be unpaired."""
    if next(request.style.rglob(CARD), None) is None:
        return
    style = _meshes([request.style])
    both = style & _meshes([request.bench, request.test])
    if both:
        raise UserError(
            "same-colon", f"{request.style} shows a colon that {request.bench} or {request.test} shows too.",
            "Give --style frames of other colons.",
        )  # fmt: skip


def _meshes(folders: Sequence[Path]) -> set[str]:
    cards = [path / CARD for folder in folders for path in ColonFrames(folder).datasets]
    return {json.loads(card.read_text(encoding="utf-8"))["mesh"]["sha256"] for card in cards}


def _tell(kind: str, **said: object) -> None:
    if kind == "warning":
        _say(f"warning: {said['message']}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
