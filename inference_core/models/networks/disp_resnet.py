"""``disp_resnet``: the depth network of SC-SfMLearner, DispResNet-18 and -50, for checkpoints that others trained.

Bian et al., Unsupervised scale-consistent depth learning from video (IJCV 2021): a ResNet (He et al., CVPR 2016) whose
features at five resolutions are put together from the coarsest up, as in Godard et al., Digging into self-supervised
monocular depth estimation (ICCV 2019). Written from descriptions. Layers are named as in published checkpoints
(``encoder.encoder.layer1.0.conv1``, ``decoder.decoder.0.conv.conv``), so that those load as they are.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BLOCKS = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3)}
MEAN, STD = 0.45, 0.225  # of RGB from 0 to 1, in the original's training
WIDTHS = (16, 32, 64, 128, 256)  # of the decoder, from full to 1/16 resolution


class DispResnet(nn.Module):
    """Frame in, depth out, of a scale that the checkpoint's training left open.

    Parameters
    ----------
    layers : int
        18 or 50.
    """

    factor = 32
    """Sides of an input are multiples of this."""

    def __init__(self, layers: int = 18) -> None:
        super().__init__()
        if layers not in BLOCKS:
            raise ValueError(f"layers is 18 or 50, not {layers}.")
        self.encoder = _Encoder(layers)
        self.decoder = _Decoder(tuple(64 if k == 0 else w for k, w in enumerate(self.encoder.encoder.widths)))

    def forward(self, frames: Tensor) -> Tensor:
        """Depth.

        Parameters
        ----------
        frames : (N, 3, H, W) tensor
            RGB from 0 to 1; H and W multiples of 32, at least 64.

        Returns
        -------
        (N, 1, H, W) tensor, 0.1 to 100 of an unknown unit
        """
        disparity = self.decoder(self.encoder.encoder((frames - MEAN) / STD))
        return 1 / (10 * torch.sigmoid(disparity) + 0.01)


class _Encoder(nn.Module):
    """Holds the ResNet, for the checkpoint's names."""

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.encoder = _Resnet(layers)


class _Resnet(nn.Module):
    """Features at 1/2, 1/4, ... 1/32 resolution."""

    def __init__(self, layers: int) -> None:
        super().__init__()
        block: type[_BasicBlock | _Bottleneck] = _BasicBlock if layers == 18 else _Bottleneck
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.widths = [64]
        for stage, count in enumerate(BLOCKS[layers]):
            narrow, before = 64 * 2**stage, self.widths[-1]
            after = narrow * block.expansion
            first = block(before, narrow, 1 if stage == 0 else 2)
            rest = [block(after, narrow, 1) for _ in range(count - 1)]
            self.add_module(f"layer{stage + 1}", nn.Sequential(first, *rest))
            self.widths.append(after)
        self.fc = nn.Linear(self.widths[-1], 1000)  # never used; checkpoints hold it

    def forward(self, x: Tensor) -> list[Tensor]:
        features = [F.relu(self.bn1(self.conv1(x)))]
        x = F.max_pool2d(features[0], 3, stride=2, padding=1)
        for stage in range(1, 5):
            x = self.get_submodule(f"layer{stage}")(x)
            features.append(x)
        return features


class _BasicBlock(nn.Module):
    expansion = 1

    def __init__(self, before: int, narrow: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, narrow, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(narrow)
        self.conv2 = nn.Conv2d(narrow, narrow, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(narrow)
        self.downsample = _shortcut(before, narrow, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + (self.downsample(x) if self.downsample else x))


class _Bottleneck(nn.Module):
    expansion = 4

    def __init__(self, before: int, narrow: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, narrow, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(narrow)
        self.conv2 = nn.Conv2d(narrow, narrow, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(narrow)
        self.conv3 = nn.Conv2d(narrow, 4 * narrow, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * narrow)
        self.downsample = _shortcut(before, 4 * narrow, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn3(self.conv3(F.relu(self.bn2(self.conv2(y)))))
        return F.relu(y + (self.downsample(x) if self.downsample else x))


def _shortcut(before: int, after: int, stride: int) -> nn.Sequential | None:
    if stride == 1 and before == after:
        return None
    return nn.Sequential(nn.Conv2d(before, after, 1, stride=stride, bias=False), nn.BatchNorm2d(after))


class _Decoder(nn.Module):
    """From the coarsest features up: convolution, twice the size, the encoder's features beside it, convolution.

    Numbered as in checkpoints: two convolutions a level from the coarsest on, then a head a level from the finest on.
    Only the finest head is used outside training.
    """

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        below = widths[4]
        for level in range(4, -1, -1):
            beside = widths[level - 1] if level else 0
            layers += [_ConvElu(below, WIDTHS[level]), _ConvElu(WIDTHS[level] + beside, WIDTHS[level])]
            below = WIDTHS[level]
        self.decoder = nn.ModuleList(layers + [_Conv(WIDTHS[scale], 1) for scale in range(4)])

    def forward(self, features: list[Tensor]) -> Tensor:
        x = features[4]
        for level in range(4, -1, -1):
            k = 2 * (4 - level)
            x = F.interpolate(self.decoder[k](x), scale_factor=2.0)
            x = self.decoder[k + 1](torch.cat([x, features[level - 1]], 1) if level else x)
        finest: Tensor = self.decoder[10](x)
        return finest


class _Conv(nn.Module):
    """3x3 on mirrored edges."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(before, after, 3)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(F.pad(x, (1, 1, 1, 1), mode="reflect"))
        return y


class _ConvElu(nn.Module):
    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.conv = _Conv(before, after)

    def forward(self, x: Tensor) -> Tensor:
        return F.elu(self.conv(x))
