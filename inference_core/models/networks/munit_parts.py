"""Parts of MUNIT: encoders of content and style, and a decoder that is told a style.

Huang, Liu, Belongie, Kautz, Multimodal unsupervised image-to-image translation (ECCV 2018). Parameters have the
names of published weights, so that those load as they are.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

Norm = Literal["none", "instance", "layer", "adaptive"]
Activation = Literal["none", "relu", "tanh"]

EPS = 1e-5


class LayerNorm(nn.Module):
    """Mean and (unbiased) standard deviation of a whole sample; a scale and an offset for each channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.rand(channels))
        self.beta = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) in and out."""
        flat = x.flatten(1)
        shape = (-1, 1, 1, 1)
        x = (x - flat.mean(1).view(shape)) / (flat.std(1).view(shape) + EPS)
        return x * self.gamma.view(1, -1, 1, 1) + self.beta.view(1, -1, 1, 1)


class Block(nn.Module):
    """Mirrored border, convolution, norm, activation. An adaptive norm is given scale and offset with each call."""

    def __init__(
        self, channels: int, out: int, kernel: int, stride: int, padding: int, norm: Norm, activation: Activation
    ) -> None:
        super().__init__()
        self.pad = nn.ReflectionPad2d(padding)
        self.conv = nn.Conv2d(channels, out, kernel, stride)
        self.norm = LayerNorm(out) if norm == "layer" else None
        self.instance = norm in ("instance", "adaptive")
        self.adaptive = norm == "adaptive"
        self.activation = activation

    def forward(self, x: Tensor, scale: Tensor | None = None, offset: Tensor | None = None) -> Tensor:
        """(N, channels, H, W) in; ``scale`` and ``offset`` are (N, out) for an adaptive norm."""
        x = self.conv(self.pad(x))
        if self.instance:
            x = nn.functional.instance_norm(x, eps=EPS)
        if scale is not None and offset is not None:
            x = x * scale[:, :, None, None] + offset[:, :, None, None]
        if self.norm is not None:
            x = self.norm(x)
        if self.activation == "relu":
            return x.relu()
        return x.tanh() if self.activation == "tanh" else x


class ResidualBlock(nn.Module):
    """Two convolutions beside the identity."""

    def __init__(self, width: int, norm: Norm) -> None:
        super().__init__()
        self.model = nn.ModuleList([
            Block(width, width, 3, 1, 1, norm, "relu"),
            Block(width, width, 3, 1, 1, norm, "none"),
        ])  # fmt: skip

    def forward(self, x: Tensor, styles: list[tuple[Tensor, Tensor]] | None = None) -> Tensor:
        """(N, width, H, W) in and out; ``styles`` are scale and offset of both convolutions."""
        y = x
        for k, block in enumerate(self.model):
            y = block(y, *styles[k]) if styles else block(y)
        return x + y


class ResidualBlocks(nn.Module):
    """Several, one after the other."""

    def __init__(self, count: int, width: int, norm: Norm) -> None:
        super().__init__()
        self.model = nn.ModuleList([ResidualBlock(width, norm) for _ in range(count)])

    def forward(self, x: Tensor, styles: list[tuple[Tensor, Tensor]] | None = None) -> Tensor:
        """(N, width, H, W) in and out; ``styles``: two for each block."""
        for k, block in enumerate(self.model):
            x = block(x, styles[2 * k : 2 * k + 2] if styles else None)
        return x


class ContentEncoder(nn.Module):
    """What is where: (N, 3, H, W) to (N, 4 width, H / 4, W / 4)."""

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        self.model = nn.Sequential(
            Block(3, width, 7, 1, 3, "instance", "relu"),
            Block(width, 2 * width, 4, 2, 1, "instance", "relu"),
            Block(2 * width, 4 * width, 4, 2, 1, "instance", "relu"),
            ResidualBlocks(blocks, 4 * width, "instance"),
        )

    def forward(self, image: Tensor) -> Tensor:
        """See the class."""
        content: Tensor = self.model(image)
        return content


class StyleEncoder(nn.Module):
    """How it looks: (N, 3, H, W) to (N, style)."""

    def __init__(self, width: int, style: int) -> None:
        super().__init__()
        blocks = [Block(3, width, 7, 1, 3, "none", "relu"), Block(width, 2 * width, 4, 2, 1, "none", "relu")]
        blocks.append(Block(2 * width, 4 * width, 4, 2, 1, "none", "relu"))
        blocks += [Block(4 * width, 4 * width, 4, 2, 1, "none", "relu") for _ in range(2)]
        self.model = nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Conv2d(4 * width, style, 1))

    def forward(self, image: Tensor) -> Tensor:
        """See the class; sides of at least 32."""
        code: Tensor = self.model(image)
        return code.flatten(1)


class Decoder(nn.Module):
    """Content and adaptive norms in, image out: (N, 4 width, H / 4, W / 4) to (N, 3, H, W), -1 ... 1."""

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        self.model = nn.ModuleList([
            ResidualBlocks(blocks, 4 * width, "adaptive"),
            nn.Upsample(scale_factor=2),
            Block(4 * width, 2 * width, 5, 1, 2, "layer", "relu"),
            nn.Upsample(scale_factor=2),
            Block(2 * width, width, 5, 1, 2, "layer", "relu"),
            Block(width, 3, 7, 1, 3, "none", "tanh"),
        ])  # fmt: skip

    def forward(self, content: Tensor, styles: list[tuple[Tensor, Tensor]]) -> Tensor:
        """``styles``: scale and offset, each (N, 4 width), of every convolution of the residual blocks."""
        image: Tensor = self.model[0](content, styles)
        for layer in list(self.model)[1:]:
            image = layer(image)
        return image


class StyleMlp(nn.Module):
    """A style code, (N, style), to scale and offset, each (N, channels), of each of the decoder's adaptive norms."""

    def __init__(self, style: int, hidden: int, norms: int, channels: int) -> None:
        super().__init__()
        self.shape = norms, 2, channels
        numbers = 2 * norms * channels
        self.model = nn.ModuleList([_Linear(style, hidden), _Linear(hidden, hidden), _Linear(hidden, numbers)])

    def forward(self, style: Tensor) -> list[tuple[Tensor, Tensor]]:
        """See the class."""
        numbers: Tensor = self.model[2](self.model[1](self.model[0](style).relu()).relu())
        numbers = numbers.view(len(style), *self.shape)
        return [(one[:, 1], one[:, 0]) for one in numbers.unbind(1)]  # published weights have the offset first


class _Linear(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.fc = nn.Linear(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.fc(x)
        return y


class MunitGenerator(nn.Module):
    """The networks of one look.

    Parameters
    ----------
    width : int
        Channels at full resolution; 64 as published.
    style : int
        Numbers of a style code; 8.
    blocks : int
        Residual blocks of encoder and decoder; 4.
    hidden : int
        Width of the network that reads a style code; 256.
    """

    def __init__(self, width: int = 64, style: int = 8, blocks: int = 4, hidden: int = 256) -> None:
        super().__init__()
        self.enc_style = StyleEncoder(width, style)
        self.enc_content = ContentEncoder(width, blocks)
        self.dec = Decoder(width, blocks)
        self.mlp = StyleMlp(style, hidden, 2 * blocks, 4 * width)
        for layer in self.modules():
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(layer.weight)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def decode(self, content: Tensor, style: Tensor) -> Tensor:
        """An image of this look.

        Parameters
        ----------
        content : (N, 4 width, H / 4, W / 4) tensor
            Of an image of any look.
        style : (N, style) tensor

        Returns
        -------
        (N, 3, H, W) tensor, -1 ... 1
        """
        image: Tensor = self.dec(content, self.mlp(style))
        return image
