"""What an importer makes of a checkpoint."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Imported:
    """A network of ours with somebody's weights.

    Attributes
    ----------
    title : str
        For the card.
    network, arguments
        As :func:`~inference_core.models.networks.build_network` takes them.
    weights : dict
        Of that network, float32.
    unit_hu : float
        Of CT networks: HU per network unit of the original code.
    halo : int
        Of CT networks: pixels that the network sees in each direction.
    notes : list of str
        What a user of the model should know.
    task : str
        What it does, as on its card.
    values : (low, high)
        Of networks for frames: what 0 and 255 are to them.
    """

    title: str
    network: str
    arguments: dict[str, Any]
    weights: dict[str, Tensor]
    unit_hu: float = 1.0
    halo: int = 1
    notes: list[str] = field(default_factory=list)
    task: str = "denoise-ct"
    values: tuple[float, float] = (-1, 1)
