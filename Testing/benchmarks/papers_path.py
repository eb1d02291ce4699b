"""The CT paper's way through a slice, restated plainly, for the speed comparison only.

Jung, Lee, You, Ye, "Patch-wise Deep Metric Learning for Unsupervised Low-Dose CT Denoising", MICCAI 2022: the slice in
units of (HU + 1000) / 2000, symmetric padding, a db3 wavelet transform to level 6 by PyWavelets, the approximation band
zeroed, back; the generator on that high band, in eager float32 torch with spectral normalisation as hooks; low band
added. In favour of the paper it runs in eval mode without autograd. Weights are random: they do not change the time.
"""

from __future__ import annotations

import numpy as np
import pywt
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import spectral_norm

WAVELET = "db3"
LEVEL = 6
PARAMETERS = 32_833


def padding(length: int) -> tuple[int, int]:
    """Filter length (6) times 2^level, plus what reaches a multiple of 2^level, split in two."""
    total = 6 * 2**LEVEL + (-length) % 2**LEVEL
    return total // 2, total - total // 2


def high_band(image: np.ndarray) -> np.ndarray:
    widths = [padding(n) for n in image.shape]
    coefficients = pywt.wavedec2(np.pad(image, widths, mode="symmetric"), WAVELET, mode="symmetric", level=LEVEL)
    coefficients[0] = np.zeros_like(coefficients[0])
    high = pywt.waverec2(coefficients, WAVELET, mode="symmetric")
    (top, _), (left, _) = widths
    return high[top : top + image.shape[0], left : left + image.shape[1]]


def conv(inputs: int, outputs: int, size: int = 3) -> nn.Module:
    return spectral_norm(nn.Conv2d(inputs, outputs, size, padding=size // 2, padding_mode="replicate"))


class DenseBlock(nn.Module):
    """Five convolutions, each on all that came before."""

    def __init__(self, features: int = 32, growth: int = 8, layers: int = 5) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            conv(features + i * growth, growth if i < layers - 1 else features) for i in range(layers)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        seen = x
        for i, layer in enumerate(self.convs):
            y = F.leaky_relu(layer(seen), 0.2)
            if i < len(self.convs) - 1:
                seen = torch.cat([seen, y], 1)
        return x + 0.1 * y


class Generator(nn.Module):
    """One dense block, run three times with the same weights, between a first, a 1x1 and a last convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.first = conv(1, 32)
        self.block = DenseBlock()
        self.mid = conv(32, 32, size=1)
        self.last = conv(32, 1)

    def forward(self, high: torch.Tensor) -> torch.Tensor:
        x = self.first(high)
        y = self.block(self.block(self.block(x)))
        return self.last(F.leaky_relu(self.mid(x + 0.1 * y), 0.2))


def make_generator(seed: int = 0) -> Generator:
    torch.manual_seed(seed)
    generator = Generator()
    count = sum(p.numel() for p in generator.parameters())
    assert count == PARAMETERS, f"{count} parameters, not the paper's {PARAMETERS}"
    with torch.no_grad():
        for _ in range(20):  # power iterations: without them spectral normalisation explodes in eval mode
            generator(torch.randn(1, 1, 16, 16))
    return generator.eval()


def denoise_slice(image: np.ndarray, generator: Generator) -> np.ndarray:
    """(H, W) int16 HU to the same."""
    x = (image.astype(np.float32) + 1000) / 2000
    high = high_band(x)
    with torch.no_grad():
        y = generator(torch.from_numpy(np.ascontiguousarray(high))[None, None])[0, 0].numpy()
    return np.rint((x - high + y) * 2000 - 1000).astype(np.int16)
