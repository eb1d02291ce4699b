"""A generator of the published CycleGAN code and of what was built on it, ``*_net_G_A.pth`` and ``*_net_G_B.pth``.

Zhu, Park, Isola, Efros (ICCV 2017); Tomasini, Riazuelo, Murillo (SASHIMI 2024) save theirs alike. The file does not
say what it translates to what: in the latter code A is real and B is simulated, so that ``G_B`` makes simulated frames
real.
"""

from __future__ import annotations

from pathlib import Path

from inference_core.errors import UserError
from inference_core.models.importers.imported import Imported
from inference_core.models.importers.state import check_state, read_state_dict, side
from inference_core.models.networks import build_network

CROP = 256  # pixels; what the code trains on


def read_cyclegan(path: Path) -> Imported:
    """Read a checkpoint; its sizes are those of its weights.

    Raises
    ------
    UserError
        ``no-such-file``, ``bad-checkpoint``.
    """
    import torch

    state = read_state_dict(path)
    inside = {name.split(".")[1] for name in state if ".conv_block." in name}
    channels = side(state, "model.1.weight", 1, 3)
    sizes = {
        "width": side(state, "model.1.weight", 0, 64),
        "blocks": len(inside) or 9,
        "channels": channels,
        "tanh": True,
    }
    # Our network names its parameters as the published code does.
    with torch.device("meta"):  # its shapes only
        network = build_network("resnet_generator", sizes)
    check_state(state, {name: tuple(value.shape) for name, value in network.state_dict().items()}, path)
    if channels != 3:
        raise UserError(
            "bad-checkpoint",
            f"{path} translates images of {channels} channel(s), not RGB frames.",
            "Give a generator that was trained on frames in colour.",
        )
    return Imported(
        title="CycleGAN for frames (Zhu et al., ICCV 2017)",
        network="resnet_generator",
        arguments=sizes,
        weights={name: value.contiguous() for name, value in state.items()},
        task="translate-frames",
        notes=["The checkpoint does not say from which look to which it translates."],
    )
