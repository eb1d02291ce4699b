"""The discriminators of MUNIT: the same patches judged at three resolutions.

Huang, Liu, Belongie, Kautz (ECCV 2018). Parameters have the names of published weights.
"""

from __future__ import annotations

from torch import Tensor, nn

from inference_core.models.networks.munit_parts import Block


class MultiscaleDiscriminator(nn.Module):
    """Image in, a map of scores for each scale out.

    Parameters
    ----------
    width : int
        Channels after the first convolution; 64 as published.
    scales : int
        Resolutions, each half of the one before; 3.
    layers : int
        Convolutions of stride 2 at each; 4.
    """

    def __init__(self, width: int = 64, scales: int = 3, layers: int = 4) -> None:
        super().__init__()
        self.halve = nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False)
        self.cnns = nn.ModuleList([_critic(width, layers) for _ in range(scales)])

    def forward(self, image: Tensor) -> list[Tensor]:
        """Scores.

        Parameters
        ----------
        image : (N, 3, H, W) tensor
            Sides of at least 2 ** (scales + layers - 1).

        Returns
        -------
        List of (N, 1, h, w) tensors, from fine to coarse.
        """
        scores = []
        for critic in self.cnns:
            scores.append(critic(image))
            image = self.halve(image)
        return scores


class _Leaky(Block):
    def forward(self, x: Tensor, scale: Tensor | None = None, offset: Tensor | None = None) -> Tensor:
        return nn.functional.leaky_relu(super().forward(x), 0.2)


def _critic(width: int, layers: int) -> nn.Sequential:
    widths = [3, *(width * 2**k for k in range(layers))]
    blocks: list[nn.Module] = [
        _Leaky(before, after, 4, 2, 1, "none", "none") for before, after in zip(widths, widths[1:], strict=False)
    ]
    critic = nn.Sequential(*blocks, nn.Conv2d(widths[-1], 1, 1))
    for layer in critic.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.normal_(layer.weight, 0.0, 0.02)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return critic
