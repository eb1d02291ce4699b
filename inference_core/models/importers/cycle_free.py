"""The generator of the cycle-free CycleGAN's released code (Kwon, Ye, IEEE TCI 2021), ``netG_*.pt``.

The original reads attenuation per mm, makes HU of it with water at 0.0194, and works in HU / 4000. What water is taken
to be cannot matter here: we read HU, and the high band has neither the offset nor anything as coarse as water.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from inference_core.errors import UserError
from inference_core.models.importers.imported import Imported
from inference_core.models.importers.state import REMEDY, check_state, count, read_state_dict, side
from inference_core.models.networks import build_network

if TYPE_CHECKING:
    from torch import Tensor

UNIT_HU = 4000.0
REACH = 40  # pixels that one block sees: four networks in a row of five 3x3 convolutions each, at half resolution


def read_cycle_free(path: Path) -> Imported:
    """Read a checkpoint; its sizes are those of its weights.

    Raises
    ------
    UserError
        ``no-such-file``, ``bad-checkpoint``.
    """
    import torch

    state = read_state_dict(path)
    sizes = {
        "width": side(state, "blocks.0.coupling.net1.conv1.weight", 0, 64),
        "blocks": count(state, "blocks.", 4),
    }
    # Our network names its parameters as the released code does.
    with torch.device("meta"):  # its shapes only
        network = build_network("invertible_generator", sizes)
    check_state(state, {name: tuple(value.shape) for name, value in network.state_dict().items()}, path)
    for block in range(sizes["blocks"]):
        _check_fixed(state, f"blocks.{block}.invconv.", path)
    return Imported(
        title="Cycle-free CycleGAN (Kwon, Ye, IEEE TCI 2021)",
        network="invertible_generator",
        arguments=sizes,
        weights={name: value.contiguous() for name, value in state.items()},
        unit_hu=UNIT_HU,
        halo=REACH * sizes["blocks"],
        notes=[
            "The original sets what is below -1000 HU to -1000 and does not pad before the wavelet transform: in air"
            " and near the slice's edges the result differs from the original's."
        ],
    )


def _check_fixed(state: dict[str, Tensor], prefix: str, path: Path) -> None:
    """Refuse a block whose fixed matrices are not what they are by construction: it would not be invertible as told."""
    import torch

    one = torch.eye(4)
    upper = torch.triu(torch.ones(4, 4), 1)
    order = state[f"{prefix}w_p"]
    is_order = order.count_nonzero() == 4 and (order @ order.T).equal(one) and (order >= 0).all()
    fixed = {
        "w_p": (bool(is_order), "a permutation matrix"),
        "s_sign": (bool((state[f"{prefix}s_sign"].abs() == 1).all()), "of +1 and -1 alone"),
        "u_mask": (state[f"{prefix}u_mask"].equal(upper), "1 above the diagonal and 0 elsewhere"),
        "l_mask": (state[f"{prefix}l_mask"].equal(upper.T), "1 below the diagonal and 0 elsewhere"),
        "l_eye": (state[f"{prefix}l_eye"].equal(one), "the identity matrix"),
    }
    for name, (right, said) in fixed.items():
        if not right:
            raise UserError("bad-checkpoint", f"{path}: {prefix}{name} is not {said}.", REMEDY)
