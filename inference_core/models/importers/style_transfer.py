"""Checkpoints of AdaIN and StyTR2 with one style picture, as translators of frames.

Huang, Belongie (ICCV 2017): ``vgg_normalised.pth`` and ``decoder.pth`` of the code that most build on. Deng et al.
(CVPR 2022): ``transformer_iter_160000.pth``, ``embedding_iter_160000.pth`` and ``decoder_iter_160000.pth``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from inference_core.errors import UserError
from inference_core.image.visible_area import visible_area
from inference_core.models.importers.imported import Imported
from inference_core.models.importers.state import check_state, read_state_dict, side
from inference_core.models.networks import build_network

if TYPE_CHECKING:
    from torch import Tensor

SIDE = 256
"""Pixels of the style picture that are looked at."""
PLACES = (SIDE // 8) ** 2
NOTE = "The style is one picture's ({name})."


def read_adain(path: Path, decoder: Path | None, style: Path | None) -> Imported:
    """AdaIN from its encoder's and its decoder's file.

    Parameters
    ----------
    path, decoder : Path
    style : Path
        A picture in colour.

    Raises
    ------
    UserError
        ``missing-file``, ``no-such-file``, ``bad-checkpoint``, ``bad-frame``, ``grey-frame``, ``small-frame``.
    """
    decoder, style = _given(decoder, "decoder"), _given(style, "style")
    encoder = read_state_dict(path)
    parts = {"encoder": (path, encoder), "decoder": (decoder, read_state_dict(decoder))}
    divisor = 64 // side(encoder, "2.weight", 0, 64)
    # The file has VGG-19 up to relu4_1 or as a whole; what comes after relu4_1 is of no use here.
    parts["encoder"] = path, {name: value for name, value in encoder.items() if int(name.split(".")[0] or 0) <= 30}
    return _translator("adain_translator", {"divisor": divisor}, parts, style, "AdaIN (Huang, Belongie, ICCV 2017)")


def read_stytr2(path: Path, embedding: Path | None, decoder: Path | None, style: Path | None) -> Imported:
    """StyTR2 from the files of its transformer, its embedding and its decoder.

    Parameters
    ----------
    path, embedding, decoder : Path
    style : Path
        A picture in colour.

    Raises
    ------
    UserError
        As :func:`read_adain`.
    """
    embedding, decoder = _given(embedding, "embedding"), _given(decoder, "decoder")
    style = _given(style, "style")
    transformer = read_state_dict(path)
    parts = {
        "transformer": (path, transformer),
        "embedding": (embedding, read_state_dict(embedding)),
        "decode": (decoder, read_state_dict(decoder)),
    }
    sizes = {"divisor": 512 // side(transformer, "new_ps.weight", 0, 512), "places": PLACES}
    return _translator("stytr2_translator", sizes, parts, style, "StyTR2 (Deng et al., CVPR 2022)")


def _given(path: Path | None, what: str) -> Path:
    if path is None:
        raise UserError("missing-file", f"The {what} is missing.", f"Give it, too: --{what} FILE.")
    return path


def _translator(
    name: str, sizes: dict[str, int], parts: dict[str, tuple[Path, dict[str, Tensor]]], style: Path, title: str
) -> Imported:
    network = build_network(name, sizes)
    for part, (path, state) in parts.items():
        module = network.get_submodule(part)
        check_state(state, {key: tuple(value.shape) for key, value in module.state_dict().items()}, path)
        module.load_state_dict(state)
    network.learn_style(style_picture(style))  # type: ignore[operator]
    return Imported(
        title=title,
        network=name,
        arguments=sizes,
        weights={key: value.contiguous() for key, value in network.state_dict().items()},
        task="translate-frames",
        values=(0, 1),
        notes=[NOTE.format(name=style.name)],
    )


def style_picture(path: Path) -> Tensor:
    """The middle of what a picture shows of the patient, (1, 3, 256, 256) tensor, 0 ... 1.

    Raises
    ------
    UserError
        ``bad-frame``, ``grey-frame``, ``small-frame``.
    """
    import torch
    from PIL import Image

    from inference_core.training.endoscopy_data import read_frame

    frame = read_frame(path)
    rows, columns = np.nonzero(visible_area(frame))
    if not len(rows):
        raise UserError("small-frame", f"{path} shows nothing but a border.", "Give another picture for the style.")
    whole = frame[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    short = min(whole.shape[:2])
    if short < 32:
        raise UserError("small-frame", f"{path} shows less than 32 pixels.", "Give another picture for the style.")
    top, left = ((length - short) // 2 for length in whole.shape[:2])
    square = Image.fromarray(whole[top : top + short, left : left + short])
    square = square.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.asarray(square).astype(np.float32) / 255).permute(2, 0, 1)[None]
