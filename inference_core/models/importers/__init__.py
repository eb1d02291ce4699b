"""Original checkpoints of other people's code as models of ours; one file a code.

Each is strict: weights alone are read (``weights_only``, nothing pickled is run), and keys that are missing, not
known or of another shape are named (the first of many).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference_core.errors import UserError
from inference_core.models.card import sha256_of
from inference_core.models.importers.imported import Imported

IMPORTERS = (
    "dml_ct", "cycle_free", "cyclegan", "munit_a2b", "munit_b2a", "adain", "stytr2", "endofm_transunet", "transunet",
)  # fmt: skip
RANGE_HU = (-2048, 3071)  # the pipeline's; the original code does not clip


@dataclass(frozen=True)
class Source:
    """Where a checkpoint came from.

    Attributes
    ----------
    file : Path
    importer : str
        One of :data:`IMPORTERS`.
    wavelet_level : int
        Of the split that a CT network was trained on.
    decoder, embedding : Path
        Further files of AdaIN and StyTR2.
    style : Path
        Their style: a picture.
    """

    file: Path
    importer: str
    wavelet_level: int = 6
    decoder: Path | None = None
    embedding: Path | None = None
    style: Path | None = None


def read_original(source: Source) -> Imported:
    """A checkpoint as a network of ours and its weights.

    Raises
    ------
    UserError
        ``no-such-importer``, ``out-of-range``, ``no-such-file``, ``bad-checkpoint``, or what reading a style raises.
    """
    if not 1 <= source.wavelet_level <= 8:
        raise UserError("out-of-range", f"The wavelet level is {source.wavelet_level}.", "Give 1 to 8.")
    if source.importer == "dml_ct":
        from inference_core.models.importers.dml_ct import read_dml_ct

        return read_dml_ct(source.file)
    if source.importer == "cycle_free":
        from inference_core.models.importers.cycle_free import read_cycle_free

        return read_cycle_free(source.file)
    if source.importer == "cyclegan":
        from inference_core.models.importers.cyclegan import read_cyclegan

        return read_cyclegan(source.file)
    if source.importer in ("munit_a2b", "munit_b2a"):
        from inference_core.models.importers.munit import read_munit

        return read_munit(source.file, *source.importer.removeprefix("munit_").split("2"))
    if source.importer in ("adain", "stytr2"):
        return _read_style_transfer(source)
    if source.importer in ("endofm_transunet", "transunet"):
        return _read_segmenter(source)
    raise UserError(
        "no-such-importer", f"There is no importer {source.importer!r}.", f"Choose: {', '.join(IMPORTERS)}."
    )


def _read_style_transfer(source: Source) -> Imported:
    from inference_core.models.importers.style_transfer import read_adain, read_stytr2

    if source.importer == "adain":
        return read_adain(source.file, source.decoder, source.style)
    return read_stytr2(source.file, source.embedding, source.decoder, source.style)


def _read_segmenter(source: Source) -> Imported:
    from inference_core.models.importers.endofm_transunet import read_endofm_transunet, read_transunet

    imported = (read_transunet if source.importer == "transunet" else read_endofm_transunet)(source.file)
    if imported.arguments["classes"] != 2:
        raise UserError(
            "bad-checkpoint",
            f"{source.file} has {imported.arguments['classes']} classes, not background and fold.",
            "Give a checkpoint that was trained on two classes.",
        )
    return imported


def card_of(imported: Imported, source: Source) -> dict[str, Any]:
    """The text of an imported model's card, all but the sha256 of its weights.

    What the checkpoint does not say (noise, pixel size) is given as any, so that no warning is made of it.
    """
    from inference_core.models.networks import build_network

    name = source.importer.replace("_", "-")
    if imported.task != "denoise-ct":
        return _frame_card(name, imported, source)
    return {
        "id": name,
        "title": imported.title,
        "summary": f"{imported.title}; imported from {source.file.name}.",
        "task": "denoise-ct",
        "architecture": {"name": imported.network, "arguments": imported.arguments},
        "output": "image",
        "input": {
            "band": "high",
            "unit_hu": imported.unit_hu,
            "range_hu": list(RANGE_HU),
            "wavelet": "db3",
            "wavelet_level": source.wavelet_level,
            "kept_level": 0,
            "multiple_of": int(build_network(imported.network, imported.arguments).factor),  # type: ignore[arg-type]
            "halo": imported.halo,
        },
        "trained_for": {"modality": "CT", "noise_hu": [0, 10000], "pixel_size_mm": [0.01, 100]},
        "automatic": False,
        **_said(source),
        "intended_use": "Research: comparison with published results. Not for diagnosis on the denoised image alone.",
        "known_failures": [
            "Not evaluated by this project.",
            "CT numbers may move: nothing is projected off what the network gives.",
            "The noise and pixel size that it was trained for are not known, so no warning can be given on them.",
            *imported.notes,
        ],
        "sha256": {},
    }


def _said(source: Source) -> dict[str, Any]:
    """What the cards of all imported models say alike."""
    return {
        "training_data": "Not stated in the checkpoint.",
        "training_command": "None: trained by other code and imported.",
        "imported": {"file": source.file.name, "sha256": sha256_of(source.file), "importer": source.importer},
        "metrics": {"definition": "not measured"},
        "licence": "Not stated in the checkpoint: ask whom you have it from.",
    }


def _frame_card(name: str, imported: Imported, source: Source) -> dict[str, Any]:
    from inference_core.models.frame_card import frame_card_text
    from inference_core.models.importers.cyclegan import CROP

    size = CROP
    said = _said(source) | {
        "summary": f"{imported.title}; imported from {source.file.name}.",
        "known_failures": ["Not evaluated by this project.", *imported.notes],
    }
    if imported.task == "segment-folds":
        said, size = said | {"output": "classes"}, imported.arguments["image_size"]
    architecture = {"name": imported.network, "arguments": imported.arguments}
    return frame_card_text(name, imported.title, imported.task, architecture, imported.values, size, said)
