"""The depth network of SC-SfMLearner's released code (Bian et al., IJCV 2021), ``dispnet_*.pth.tar``.

The file holds ``epoch`` and ``state_dict``. Its depth is of an unknown scale, so it serves as a frozen network in a
loss that forgives scale, not as a model that gives millimetres.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from inference_core.models.importers.state import check_state, read_state_dict
from inference_core.models.networks import build_network

if TYPE_CHECKING:
    from torch import nn

ONLY_50 = "encoder.encoder.layer1.0.conv3.weight"


def read_disp_resnet(path: Path) -> nn.Module:
    """The network with its weights, in evaluation mode.

    Raises
    ------
    UserError
        ``no-such-file``, ``bad-checkpoint``.
    """
    import torch

    state = read_state_dict(path)
    arguments = {"layers": 50 if ONLY_50 in state else 18}
    # Our network names its parameters as the released code does.
    with torch.device("meta"):  # its shapes only
        network = build_network("disp_resnet", arguments)
    check_state(state, {name: tuple(value.shape) for name, value in network.state_dict().items()}, path)
    network = build_network("disp_resnet", arguments)
    network.load_state_dict(state)
    return network.eval()
