"""``rrdb_sn``: the CT paper's generator, three residual dense blocks with one set of weights, spectrally normalised.

Source: Jung et al., Patch-wise Deep Metric Learning for Unsupervised Low-Dose CT Denoising (MICCAI 2022), section 2.3
and figure 2; sizes and slopes from its released code. There the three blocks are one block listed three times, so they
share their weights: 32,833 parameters, not 95,169.
No normalisation over pixels and no pooling: a pixel sees 17 in each direction, so tiles with a halo equal the slice.

To run, the dense blocks may compute in bfloat16 (:meth:`RrdbSn.compute_branches_in_bfloat16`). The trunk must not: it
carries the image, and 8 bits of it would be wrong by 17 HU; of the branches a hundredth is added to it.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm as normalised

SLOPE = 0.2  # of LeakyReLU
SCALE = 0.1  # of each residual


class RrdbSn(nn.Module):
    """High band in, denoised high band (or what is to be added to it) out.

    Parameters
    ----------
    features, growth : int
        Channels of the trunk, and those that each layer of a dense block adds.
    blocks, layers : int
        Dense blocks in a row, and 3x3 convolutions in each.
    share_blocks : bool
        One set of weights for all blocks, as in the released code.
    spectral_norm : bool
        True to train as the paper does. False: plain convolutions, to run (see :func:`folded`), or to train a residual;
        the last one then starts at zero, so that the untrained network adds nothing.
    """

    factor = 1
    """Any size will do."""

    def __init__(
        self,
        features: int = 32,
        growth: int = 8,
        blocks: int = 3,
        layers: int = 5,
        share_blocks: bool = True,
        spectral_norm: bool = True,
    ) -> None:
        super().__init__()
        self.arguments: dict[str, Any] = {
            "features": features, "growth": growth, "blocks": blocks, "layers": layers, "share_blocks": share_blocks,
        }  # fmt: skip
        self.feature_channels = (features, features)
        self.repeats = blocks if share_blocks else 1

        def convolution(channels: int, width: int, size: int = 3, gain: float = 1.0) -> nn.Module:
            layer = nn.Conv2d(channels, width, size, padding=size // 2, padding_mode="replicate")
            if gain != 1:
                nn.init.kaiming_normal_(layer.weight)
                layer.weight.data *= gain
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
            return normalised(layer) if spectral_norm else layer

        def dense_block() -> nn.ModuleList:
            widths = [growth] * (layers - 1) + [features]
            inputs = [features + i * growth for i in range(layers)]
            return nn.ModuleList(convolution(c, width, gain=SCALE) for c, width in zip(inputs, widths, strict=True))

        self.first = convolution(1, features)
        self.blocks = nn.ModuleList(dense_block() for _ in range(1 if share_blocks else blocks))
        self.middle = convolution(features, features, size=1)
        self.last = convolution(features, 1)
        if not spectral_norm:
            nn.init.zeros_(self.last.weight)  # type: ignore[arg-type]

    def compute_branches_in_bfloat16(self) -> None:
        """Round the dense blocks' weights to bfloat16, for good; the trunk and all it adds up stay in float32."""
        self.blocks.to(torch.bfloat16)

    def forward(self, high_band: Tensor, with_features: bool = False) -> Any:
        """Translate.

        Parameters
        ----------
        high_band : (N, 1, H, W) tensor
            In the card's unit.
        with_features : bool
            Also give the features that the metric loss looks at.

        Returns
        -------
        (N, 1, H, W) tensor in the same unit; with features, it and a list of two (N, features, H, W) tensors: the
        encoder's (E in the paper) and those after the 1x1 convolution (C1 after E).
        """
        x = self.first(high_band)
        y = x
        for _ in range(self.repeats):
            for block in self.blocks:
                y = _dense(y, block)
        encoded = x + SCALE * y
        middle = self.middle(encoded)
        output = self.last(F.leaky_relu(middle, SLOPE))
        return (output, [encoded, middle]) if with_features else output


def folded(network: RrdbSn) -> RrdbSn:
    """The same network with the spectral norms divided into plain weights, to run.

    Parameters
    ----------
    network : RrdbSn
        Trained or not.
    """
    plain = RrdbSn(**network.arguments, spectral_norm=False)
    training = network.training
    network.eval()  # else looking at a weight would take a step of the power iteration
    own = {name: layer for name, layer in network.named_modules() if isinstance(layer, nn.Conv2d)}
    with torch.no_grad():
        for name, layer in plain.named_modules():
            if isinstance(layer, nn.Conv2d):
                layer.weight.copy_(own[name].weight)
                layer.bias.copy_(own[name].bias)  # type: ignore[union-attr, arg-type]
    network.train(training)
    return plain.eval()


def _dense(x: Tensor, block: nn.Module) -> Tensor:
    """A dense block: each layer sees x and the outputs of all before it.

    The sums are ordered for speed: one convolution of x for all layers but the last, one of each output for all that
    come after it. Wide convolutions run faster than the thin ones of the layers, and each tensor is padded once.
    """
    # Once each: in training, each look at a weight is a step of the power iteration.
    weights: list[Tensor] = [layer.weight for layer in block.children()]  # type: ignore[misc]
    biases: list[Tensor] = [layer.bias for layer in block.children()]  # type: ignore[misc]
    *thin, last = weights
    seen = [_padded(x.to(last.dtype))]
    sums, start = x, 0
    for k in range(len(thin)):
        stop = start + seen[-1].shape[1]
        part = torch.cat([weight[:, start:stop] for weight in thin[k:]])
        got = F.conv2d(seen[-1], part, None if k else torch.cat(biases[:-1]))
        sums = sums + got if k else got  # of the layers to come
        growth, start = len(thin[k]), stop
        seen.append(_padded(F.leaky_relu(_packed(sums[:, :growth]), SLOPE)))
        sums = _packed(sums[:, growth:])
    branch = F.leaky_relu(F.conv2d(torch.cat(seen, 1), last, biases[-1]), SLOPE)
    return torch.add(x, branch.to(x.dtype), alpha=SCALE)


def _packed(x: Tensor) -> Tensor:
    """Some of the channels, without gaps in memory: what is done to each pixel then takes half the time."""
    return x.contiguous(memory_format=torch.channels_last)


def _padded(x: Tensor) -> Tensor:
    return F.pad(x, (1, 1, 1, 1), mode="replicate")
