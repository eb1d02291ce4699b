"""``patch_projector``: from features of an image to unit vectors, one a patch, that the metric loss compares.

Source: Jung et al. (MICCAI 2022), figure 2 (a), P1 and P2. 20,736 parameters at 32 channels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inference_core.errors import UserError

DEVIATION = 0.01  # of the normal distribution that weights are drawn from
FEATURE_SCALE = {"rrdb_sn": 1, "unshuffle_unet": 2}
"""Networks that give features, and pixels of the slice a pixel of them."""
LEAST_TEMPERATURE = 0.02  # below 0.0113 exp(1 / temperature) overflows float32


class PatchProjector(nn.Module):
    """1x1 convolution, ReLU, mean over ``pool`` x ``pool`` pixels, 1x1 convolution, unit length.

    1x1 convolutions work on each pixel alone, so only the pixels of the patches that are asked for are computed.

    Parameters
    ----------
    channels, width : int
        Of the features, and of the vectors.
    pool : int
        Pixels a side of a patch: 1 for the paper's AAPM network, 2 for its temporal-bone one.
    """

    def __init__(self, channels: int, width: int = 128, pool: int = 1) -> None:
        super().__init__()
        self.pool = pool
        self.first = nn.Linear(channels, width)
        self.second = nn.Linear(width, width)
        for layer in (self.first, self.second):
            nn.init.normal_(layer.weight, std=DEVIATION)
            nn.init.zeros_(layer.bias)

    def forward(self, features: Tensor, positions: Tensor) -> Tensor:
        """Vectors of some patches.

        Parameters
        ----------
        features : (N, C, H, W) tensor
            H and W multiples of ``pool``.
        positions : (P,) int64 tensor
            Patches, counted row by row; see :func:`draw_positions`.

        Returns
        -------
        (N, P, width) tensor of unit vectors
        """
        number, channels = features.shape[:2]
        patches = F.pixel_unshuffle(features, self.pool).flatten(2)[..., positions]
        pixels = patches.reshape(number, channels, self.pool**2, -1).permute(0, 3, 2, 1)
        vectors: Tensor = self.second(F.relu(self.first(pixels)).mean(dim=2))
        return F.normalize(vectors, dim=-1, eps=1e-7)


class PatchProjectors(nn.Module):
    """One projector for each of several features of a network.

    Parameters
    ----------
    channels : sequence of int
        Of the features.
    pool : int
        Pixels a side of a patch.
    """

    def __init__(self, channels: Sequence[int], pool: int = 1) -> None:
        super().__init__()
        self.heads = nn.ModuleList(PatchProjector(count, pool=pool) for count in channels)
        self.pool = pool

    def forward(self, before: list[Tensor], after: list[Tensor], count: int) -> list[tuple[Tensor, Tensor]]:
        """For each feature, the vectors of the same ``count`` random patches of both images."""
        pairs = []
        for head, one, other in zip(self.heads, before, after, strict=True):
            positions = draw_positions(one, self.pool, count)
            pairs.append((head(one, positions), head(other, positions)))
        return pairs


def check_patches(network: str, crop: int, pool: int, positions: int, temperature: float) -> None:
    """Refuse what the metric loss cannot compare.

    Parameters
    ----------
    network : str
        Of :data:`FEATURE_SCALE`.
    crop, pool : int
        Sides of a crop, pixels, and of a patch, pixels of the features.
    positions : int
        Patches to compare.
    temperature : float
        tau of the loss.

    Raises
    ------
    UserError
        ``no-such-network`` or ``out-of-range``.
    """
    if network not in FEATURE_SCALE:
        names = " or ".join(FEATURE_SCALE)
        message = f"The network {network!r} has no features for the metric loss."
        raise UserError("no-such-network", message, f"Give network= {names}.")
    side = max(pool, 1) * FEATURE_SCALE[network]
    allowed = {
        f"pool is {pool}.": (pool >= 1, "Give pool= 1 or more."),
        f"Crops of {crop} pixels are not cut evenly into patches of {side}, two a side at least.": (
            crop % side == 0 and crop >= 2 * side,
            f"Give crop= a multiple of {side}, or another pool=.",
        ),
        f"positions is {positions}: nothing to compare.": (positions >= 2, "Give positions= 2 or more."),
        f"temperature is {temperature}: exp(1 / temperature) must stay a float32 number.": (
            LEAST_TEMPERATURE <= temperature < math.inf,
            f"Give temperature= {LEAST_TEMPERATURE} or more.",
        ),
    }
    for message, (fits, remedy) in allowed.items():
        if not fits:
            raise UserError("out-of-range", message, remedy)


def draw_positions(features: Tensor, pool: int, count: int) -> Tensor:
    """``count`` different patches at random (all of them where there are fewer)."""
    rows, columns = (side // pool for side in features.shape[2:])
    return torch.randperm(rows * columns, device=features.device)[:count]
