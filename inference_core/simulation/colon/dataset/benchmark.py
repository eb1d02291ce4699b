"""A benchmark with truth: five procedural colons in two appearances, and a colon of the user's as another test domain.

``plain`` and ``mucosa`` show the same poses with the same labels to the byte, so what a network learns on one domain is
measured on the other with truth. Whole colons are split, never frames.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inference_core import __version__
from inference_core.errors import UserError
from inference_core.scratch import PREFIX
from inference_core.simulation.colon.dataset.card import Filming
from inference_core.simulation.colon.dataset.dataset import CARD, write_json, written
from inference_core.simulation.colon.dataset.film import film
from inference_core.simulation.colon.dataset.scene import MADE, Scene, procedural_scene

if TYPE_CHECKING:
    from inference_core.simulation.colon.teller import Teller

APPEARANCES = ("plain", "mucosa")
COLONS = {11: "train", 12: "train", 13: "train", 14: "validation", 15: "test"}
"""Seed of each procedural colon, and its split."""
INDEX = "benchmark.json"


def make_benchmark(
    out: Path, filming: Filming, extra: Callable[[], Scene] | None, attribution: str, teller: Teller
) -> dict[str, Any]:
    """Write ``OUT/<appearance>/<colon>`` for all colons and appearances, and an index of them.

    Parameters
    ----------
    out : Path
    filming : Filming
        Of each dataset; its appearance is replaced.
    extra : callable, optional
        Makes the user's colon, for the split ``test``.
    attribution : str
        Of the user's colon.
    teller : Teller

    Returns
    -------
    dict
        ``output``, ``datasets`` (a report each), ``warnings``.

    Raises
    ------
    UserError
    Cancelled
    """
    _check_output(out)
    with written(out):
        out.mkdir(exist_ok=True)
        for appearance in APPEARANCES:
            (out / appearance).mkdir(exist_ok=True)
    colons: list[tuple[str, str, str, Callable[[], Scene]]] = [
        (f"procedural-{seed}", split, MADE, partial(_procedural, seed, teller)) for seed, split in COLONS.items()
    ]
    if extra is not None:
        colons.append(("given", "test", attribution, extra))
    reports, index = [], []
    for k, (name, split, whose, scene_of) in enumerate(colons):
        scene = scene_of()
        for appearance in APPEARANCES:
            chosen = replace(filming, appearance=appearance, seed=filming.seed + k)
            teller.begin(f"{appearance} {name}, {k + 1} of {len(colons)}", filming.frames)
            folder = out / appearance / name
            reports.append(film(scene, chosen, folder, split, whose, teller.progress, teller.cancelled))
            index.append({"folder": f"{appearance}/{name}", "domain": appearance, "colon": name, "split": split})
    with written(out):
        write_json(
            out / INDEX,
            {
                "what": "Benchmark of simulated colonoscopy: one colon is in one split; the appearances show the same"
                " poses with the same labels. Research use only.",
                "software": {"name": "faithful-imaging", "version": __version__},
                "settings": {**asdict(filming), "appearance": list(APPEARANCES)},
                "datasets": index,
            },
        )
    return {"output": str(out), "datasets": reports, "warnings": teller.warnings}


def _procedural(seed: int, teller: Teller) -> Scene:
    return teller.wait_for(lambda: procedural_scene(seed, teller.begin))


def _check_output(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise UserError("output-format", f"{out} is a file.", "Name a new folder.")
    if not out.parent.is_dir():
        raise UserError("no-such-folder", f"The folder {out.parent} does not exist.", "Make it first.")
    if (out / CARD).exists():
        raise UserError("folder", f"{out} holds a single dataset.", "Name a new or an empty folder.")
    ours = {*APPEARANCES, INDEX}
    others = [file.name for file in out.iterdir() if file.name not in ours] if out.exists() else []
    if any(not name.startswith(PREFIX) for name in others):
        raise UserError("folder", f"{out} holds other files ({sorted(others)[0]}).", "Name a new or an empty folder.")
