"""A checkpoint of the published MUNIT code and what was built on it, ``gen_00500000.pt``: generators of looks a and b.

Huang, Liu, Belongie, Kautz (ECCV 2018); I2I (Pfeiffer et al., MICCAI 2019) saves its own alike. The file does not say
which look is simulated, and holds no style: translations have the mean of the styles that it was trained to draw, 0.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from inference_core.models.importers.imported import Imported
from inference_core.models.importers.state import check_state, count, read_state_dict, side
from inference_core.models.networks import build_network

if TYPE_CHECKING:
    from torch import Tensor

STATISTICS = (".running_mean", ".running_var")  # of the adaptive norms; never used


def read_munit(path: Path, source: str, look: str) -> Imported:
    """Read a checkpoint; its sizes are those of its weights.

    Parameters
    ----------
    path : Path
    source, look : str
        ``a`` and ``b`` for a translator of a into b, or the other way.

    Raises
    ------
    UserError
        ``no-such-file``, ``bad-checkpoint``.
    """
    import torch

    from inference_core.models.networks.munit_parts import MunitGenerator

    states = {name: _without_statistics(read_state_dict(path, name)) for name in (source, look)}
    state = states[source]
    sizes = {
        "width": side(state, "enc_content.model.0.conv.weight", 0, 64),
        "style": side(state, "mlp.model.0.fc.weight", 1, 8),
        "blocks": count(state, "enc_content.model.3.model.", 4),
        "hidden": side(state, "mlp.model.0.fc.weight", 0, 256),
    }
    with torch.device("meta"):  # its shapes only
        generator = MunitGenerator(**sizes)
    shapes = {name: tuple(value.shape) for name, value in generator.state_dict().items()}
    for one in states.values():
        check_state(one, shapes, path)
    taken = {name: value for name, value in states[source].items() if name.startswith("enc_content.")}
    taken |= {name: value for name, value in states[look].items() if name.startswith(("dec.", "mlp."))}
    taken["style"] = torch.zeros(1, sizes["style"])
    build_network("munit_translator", sizes).load_state_dict(taken)
    return Imported(
        title="MUNIT for frames (Huang et al., ECCV 2018)",
        network="munit_translator",
        arguments=sizes,
        weights={name: value.contiguous() for name, value in taken.items()},
        task="translate-frames",
        notes=["The checkpoint does not say from which look to which it translates, and holds no style: 0 is taken."],
    )


def _without_statistics(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in state.items() if not name.endswith(STATISTICS)}
