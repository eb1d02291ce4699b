"""The generator of the cycle-free CycleGAN's released code (Kwon, Ye, IEEE TCI 2021), ``netG_*.pt``.

The original reads attenuation per mm, makes HU of it with water at 0.0194, and works in HU / 4000. What water is taken
to be cannot matter here: we read HU, and the high band has neither the offset nor anything as coarse as water.
"""

from __future__ import annotations

from pathlib import Path

from inference_core.models.importers.imported import Imported
from inference_core.models.importers.state import check_state, count, read_state_dict, side
from inference_core.models.networks import build_network

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
