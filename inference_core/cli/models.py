"""``inference-core models``: what models there are and what they are for; ``models import``: other people's."""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from inference_core.errors import UserError

if TYPE_CHECKING:
    from inference_core.models.importers import Source


def models(model: str | None = None, add: Path | None = None, name: str | None = None) -> None:
    """List the models, print the card of one, add one's own, or import other people's (models import --help).

    Args:
        model: Model whose whole card to print: its id, or the path of its card.
        add: Card (.json) of a trained model to copy, with its weights, among one's own.
        name: Id to give the added model; by default its card's.
    """
    from inference_core.models.registry import add_model, find_model, list_models

    if name is not None and add is None:
        raise UserError("name", "--name is given without --add.", "Give --add with the model's card, or --model NAME.")
    if add is not None:
        card = add_model(add, name)
        print(f"added {card.id}: {card.path}")
        return
    if model is not None:
        print(json.dumps(find_model(model).text, indent=2, ensure_ascii=False))
        return
    for card in list_models():
        note = "" if card.automatic else "  (only by name)"
        print(f"{card.id:<20} {card.task:<16} {card.summary}{note}")


def import_model(arguments: Sequence[str]) -> None:
    """Parse what stands after ``models import``, and make a checkpoint of other code one of one's own models.

    Raises
    ------
    UserError
        ``missing-package``, or what reading, exporting and adding raise.
    """
    from inference_core.models.importers import IMPORTERS, Source

    parser = argparse.ArgumentParser(
        prog="inference-core models import",
        description="Copy a checkpoint of a network of a paper's released code among one's own models.",
    )
    parser.add_argument("file", type=Path, help="Checkpoint (.pth, .pt), as the released code saves it.")
    parser.add_argument(
        "--from",
        dest="importer",
        choices=IMPORTERS,
        required=True,
        help="Code that saved it: dml_ct (Jung et al., MICCAI 2022), cycle_free (Kwon, Ye, IEEE TCI 2021), cyclegan"
        " (Zhu et al., ICCV 2017, and what is built on it: a generator of RGB frames), munit_a2b, munit_b2a"
        " (Huang et al., ECCV 2018, and I2I), adain (vgg_normalised.pth, with --decoder and --style), stytr2 (the"
        " transformer's file, with --embedding, --decoder and --style), endofm_transunet (Tomasini et al., SASHIMI"
        " 2024; Endo-FM's segmenter), transunet (Chen et al., 2021).",
    )
    parser.add_argument("--name", help="Id to give the model; by default that of the code, with a dash.")
    parser.add_argument(
        "--wavelet-level", type=int, default=6, help="Of the split it was trained on: 6, or 5 (temporal-bone dml_ct)."
    )
    parser.add_argument("--decoder", type=Path, help="Of adain and stytr2: the decoder's file.")
    parser.add_argument("--embedding", type=Path, help="Of stytr2: the embedding's file.")
    parser.add_argument("--style", type=Path, help="Of adain and stytr2: the picture whose look is given.")
    given = vars(parser.parse_args(arguments))
    name = given.pop("name")
    _add_original(Source(**given), name)


def _add_original(source: Source, name: str | None) -> None:
    missing = [package for package in ("torch", "onnx", "onnxscript") if importlib.util.find_spec(package) is None]
    if missing:
        raise UserError(
            "missing-package",
            f"To import a checkpoint, {', '.join(missing)} must be installed.",
            "Install it: pip install 'faithful-imaging[train]'.",
        )
    _check_name(source.importer.replace("_", "-") if name is None else name)
    from safetensors.torch import save_file

    from inference_core.models.importers import card_of, read_original
    from inference_core.models.registry import add_model
    from inference_core.scratch import scratch_folder
    from inference_core.training.publish import publish

    imported = read_original(source)
    with scratch_folder() as aside:
        card = aside / "model.json"
        card.write_text(json.dumps(card_of(imported, source)), encoding="utf-8")
        save_file(imported.weights, aside / "model.safetensors")
        publish(aside / "model.safetensors", card)
        added = add_model(card, name)
    print(f"added {added.id}: {added.path}", *imported.notes, sep="\n")


def _check_name(name: str) -> None:
    """Refuse, before time is spent, a name that adding would refuse after it."""
    from inference_core.models.registry import NAME, list_models, own_models

    if not re.fullmatch(NAME, name):
        raise UserError(
            "model-name", f"{name!r} cannot name a model.",
            "Give --name with letters, digits, dots, dashes and underscores, at most 64, a letter or digit first.",
        )  # fmt: skip
    folder = own_models()
    used = {card.id.lower() for card in list_models()}
    used |= {one.name.lower() for one in folder.iterdir()} if folder.is_dir() else set()
    if name.lower() in used:
        raise UserError("model-exists", f"A model {name!r} is there already.", "Give it another --name.")
