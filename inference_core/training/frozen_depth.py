"""Depth networks that judge a translation: RGB in, depth out, their weights fixed.

Three kinds, told apart by what is named: a model of ours for the task ``depth`` (its id, or its card), a checkpoint of
SC-SfMLearner's DispResNet (.pth, .pt, .tar), or a folder of a Depth Anything model as transformers saves it.
"""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inference_core.errors import UserError
from inference_core.extras import need

CHECKPOINTS = (".pth", ".pt", ".tar")
PATCH = 14  # pixels; sides of what Depth Anything sees are multiples
DEPTH_ANYTHING_SIDE = 252  # the multiple of 14 next to 256
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
FARTHEST = 10.0  # times the depth at an image's mean disparity


class FrozenDepth(nn.Module):
    """A depth network that learns nothing: gradients go through it to the frames, and none to its weights.

    Parameters
    ----------
    network : callable
        (1, 3, S, S) RGB from 0 to 1 to (1, 1, S, S) depth; it does its own normalisation.
    size : int, optional
        S, the side of the square that it sees; by default frames are seen as they are.
    factor : int
        Sides of what it sees are multiples of this.
    unit : str
        ``mm``, or ``relative`` where the scale is open.
    """

    def __init__(self, network: nn.Module, size: int | None, factor: int, unit: str) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)
        self.size = size
        self.factor = factor
        self.unit = unit

    def train(self, mode: bool = True) -> FrozenDepth:
        """Stays in evaluation mode: statistics of normalisations are its weights too."""
        return super().train(False)

    def forward(self, frames: Tensor) -> Tensor:
        """Depth of frames, each seen alone.

        Parameters
        ----------
        frames : (N, 3, H, W) tensor
            RGB from 0 to 1.

        Returns
        -------
        (N, 1, H, W) tensor
        """
        return torch.cat([self._of_one(frames[k : k + 1]) for k in range(len(frames))])

    def _of_one(self, frame: Tensor) -> Tensor:
        if self.size is None:
            depth: Tensor = self.network(frame)
            return depth
        seen = F.interpolate(frame, (self.size, self.size), mode="bilinear", antialias=True)
        return F.interpolate(self.network(seen), frame.shape[2:], mode="bilinear")


class DepthAnything(nn.Module):
    """Depth Anything (Yang et al., CVPR 2024) as the package transformers has it, with depth out.

    It gives a relative disparity: nearness up to an unknown factor and, which cannot be undone, an unknown shift. Depth
    is taken as its inverse, in units of the depth at the image's mean disparity and no farther than ten of them.

    Parameters
    ----------
    network : Module
        ``transformers.DepthAnythingForDepthEstimation``.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD)[:, None, None], persistent=False)

    def forward(self, frames: Tensor) -> Tensor:
        """Relative depth.

        Parameters
        ----------
        frames : (N, 3, H, W) tensor
            RGB from 0 to 1; H and W multiples of 14.

        Returns
        -------
        (N, 1, H, W) tensor, above 0 and up to 10
        """
        disparity = self.network((frames - self.mean) / self.std).predicted_depth[:, None]
        middle = disparity.mean(dim=(2, 3), keepdim=True).clamp(min=1e-6)
        return 1 / (disparity / middle + 1 / FARTHEST)


def open_frozen_depth(name: str, size: int | None = None) -> FrozenDepth:
    """The depth network of a name, ready to judge.

    Parameters
    ----------
    name : str
        See the module.
    size : int, optional
        Side of the square that it sees; by default, for our own and DispResNet, frames as they are; for Depth Anything
        252.

    Raises
    ------
    UserError
        ``no-such-model``, ``bad-checkpoint``, ``missing-package``, ``depth-size``, or what reading raises.
    """
    path = Path(name)
    if path.is_dir():
        size = fitting_size(size or DEPTH_ANYTHING_SIDE, PATCH)
        return FrozenDepth(_depth_anything(path), size, PATCH, "relative")
    if path.suffix in CHECKPOINTS:
        from inference_core.models.importers.disp_resnet import read_disp_resnet
        from inference_core.models.networks.disp_resnet import DispResnet

        if size is not None:
            fitting_size(size, DispResnet.factor)
        return FrozenDepth(read_disp_resnet(path), size, DispResnet.factor, "relative")
    from inference_core.models.networks import load_network
    from inference_core.models.registry import find_model

    card = find_model(name, "depth")
    if size is not None:
        fitting_size(size, card.multiple_of)
    return FrozenDepth(load_network(card), size, card.multiple_of, "mm")


def fitting_size(size: int, factor: int) -> int:
    """A side in pixels, refused (UserError ``depth-size``) where a network of this factor cannot see such squares."""
    if size % factor or size < 2 * factor:
        raise UserError(
            "depth-size",
            f"This depth network cannot see squares of {size} pixels.",
            f"Give depth_size= a multiple of {factor} from {2 * factor} on.",
        )
    return size


def _depth_anything(folder: Path) -> nn.Module:
    remedy = "Give a folder with config.json and model.safetensors of a Depth Anything model."
    try:
        kind = json.loads((folder / "config.json").read_text(encoding="utf-8"))["model_type"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError("bad-checkpoint", f"{folder} is no model of transformers.", remedy) from error
    if kind != "depth_anything":
        raise UserError("bad-checkpoint", f"{folder} holds a model of the kind {kind!r}.", remedy)
    need("transformers", "train-endo", "Depth Anything")
    made = importlib.import_module("transformers").DepthAnythingForDepthEstimation
    try:
        network, told = made.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError("bad-checkpoint", f"{folder} cannot be read: {error}", remedy) from error
    differ = [*told["missing_keys"], *told["unexpected_keys"]]
    if differ:
        raise UserError("bad-checkpoint", f"{folder}: keys that are missing or not known: {differ[:5]}.", remedy)
    return DepthAnything(network)
