"""Recipe ``fold_segmenter``: mark haustral folds, learned from simulated frames, translated ones, or pairs of both.

Tomasini, Riazuelo, Murillo (SASHIMI 2024) train a segmenter on a simulated frame and its translation together: data of
two folders gives such pairs, with one crop and one cover for both and a look for each. Loss: Dice and cross entropy
(:mod:`~inference_core.training.losses.dice_cross_entropy`).

    inference-core train segmenter --config segmenter --data SIM TRANSLATED out=runs/segmenter
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from inference_core.errors import UserError
from inference_core.measurement.segmentation import mask_iou
from inference_core.models.frame_card import frame_card_text
from inference_core.models.networks import build_network
from inference_core.segmenter.probability import fold_and_touch
from inference_core.training.ct_folders import check_apart_from
from inference_core.training.fold_data import FoldFrames, held_out
from inference_core.training.frame_crops import CropConfig
from inference_core.training.frame_grid import frame_grid
from inference_core.training.frame_publish import publish_frames
from inference_core.training.loop import RunConfig, Task, check_positive, fit, update, warm_up_and_cosine
from inference_core.training.losses.dice_cross_entropy import dice_cross_entropy, two_classes
from inference_core.training.run_record import Pictures

SHOWN = 6  # frames in a row of pictures
MOMENTUM = 0.9  # of SGD
POWER = 0.9  # of the polynomial fall


@dataclass(frozen=True, kw_only=True)
class FoldSegmenterConfig(RunConfig):
    """What one run is made of."""

    data: list[Path]
    """One folder of datasets that simulate-colon or translate wrote; or two, for pairs: simulated datasets, and what
    translate made of them. Those of the split train are trained on, those of the split validation validated on."""
    network: Literal["fold_unet", "endofm_transunet", "transunet"] = "fold_unet"
    arguments: dict[str, Any] = field(default_factory=dict)
    """Of the network, where other than its default; image_size is frame_size."""
    endo_fm: Path | None = None
    """Checkpoint of Endo-FM (endo_fm.pth) to start endofm_transunet from; by default from scratch."""
    vit: Path | None = None
    """ImageNet weights (R50+ViT-B_16.npz) to start transunet from; by default from scratch."""
    frame_size: int = 256
    """Pixels a side of whole frames as the network is to see them, once it is trained."""
    crops: CropConfig = field(default_factory=partial(CropConfig, simulated_share=(0.35, 0.75)))
    """What it sees in training; of the shares only simulated_share counts."""
    batch: int = 16
    """Images of a step; a pair counts as two."""
    optimiser: Literal["adam", "adamw", "sgd"] = "adam"
    """adam: 100 steps of warm-up, then cosine to zero. adamw, sgd (momentum 0.9): polynomial fall, power 0.9."""
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    touch_weight: float = 0.5
    """Of the loss of where folds touch, beside that of folds; fold_unet only."""
    validation_frames: int = 100
    title: str = "Folds in endoscopy frames"
    """For the model's card."""


def train(config: FoldSegmenterConfig) -> None:
    """Run the recipe.

    Raises
    ------
    UserError
        Where there is nothing to train on, a value cannot work, or the run's folder holds another run.
    """
    check_apart_from(config.out, config.data)
    fit(config, "fold_segmenter", prepare)


def prepare(config: FoldSegmenterConfig, fabric: Fabric) -> Task:
    """Read the data, make the network, and say what a step is."""
    architecture = _architecture(config)
    made = build_network(architecture["name"], architecture["arguments"])
    _check_settings(config, made)
    if config.endo_fm is not None:
        from inference_core.models.importers.endo_fm import start_from_endo_fm

        start_from_endo_fm(made, config.endo_fm)  # type: ignore[arg-type]
    if config.vit is not None:
        from inference_core.models.importers.vit_npz import start_from_vit

        start_from_vit(made, config.vit)  # type: ignore[arg-type]
    frames = FoldFrames(config.data, "train", config.crops)
    validation = held_out(config.data, config.crops)
    made = made.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    network, optimiser = fabric.setup(made, _optimiser(config, made))
    output = "fold-and-touch" if config.network == "fold_unet" else "classes"

    def step(rng: np.random.Generator) -> dict[str, Tensor]:
        batch = frames.draw(config.batch, rng)
        versions = batch.rgb.shape[1]
        fold, touch = (part.repeat_interleave(versions, 0).to(fabric.device) for part in (batch.fold, batch.touch))
        logits = _logits(network, batch.rgb.to(fabric.device), config)
        if output == "classes":
            losses = {"fold": dice_cross_entropy(logits, fold)}
            total = losses["fold"]
        else:
            losses = {
                "fold": dice_cross_entropy(two_classes(logits[:, 0]), fold),
                "touch": dice_cross_entropy(two_classes(logits[:, 1]), touch),
            }
            total = losses["fold"] + config.touch_weight * losses["touch"]
        update(fabric, total, config.clip, (network, optimiser))
        return losses

    look = _Look(config, fabric, network, output, frames, validation)

    def publish(folder: Path) -> None:
        measured = {name: round(value, 4) for name, value in look.scores().items() if name != "score"}
        said = {
            "output": output,
            "training_data": _said_of_data(frames),
            "training_command": f"inference-core train segmenter --config {config.out / 'config.yaml'}",
            "metrics": {
                "definition": "mean intersection over union of whole frames of the split validation; frames where"
                " nothing is and nothing was marked are left out",
                **measured,
            },
        }
        size = config.frame_size
        text = frame_card_text(config.out.name, config.title, "segment-folds", architecture, (-1, 1), size, said)
        publish_frames(folder, network, text)

    return Task(
        networks={"segmenter": network},
        optimisers={"segmenter": optimiser},
        schedules={"segmenter": _schedule(config, optimiser)},
        step=step,
        publish=publish,
        validate=look.scores,
        pictures=look.pictures,
    )


class _Look:
    """Scores and pictures of whole frames."""

    def __init__(
        self,
        config: FoldSegmenterConfig,
        fabric: Fabric,
        network: nn.Module,
        output: str,
        frames: FoldFrames,
        validation: FoldFrames | None,
    ) -> None:
        self.size = config.frame_size
        self.device = fabric.device
        self.network, self.output = network, output
        self.frames, self.validation = frames, validation
        self.judged = validation.spread(config.validation_frames) if validation else []

    def scores(self) -> dict[str, float]:
        """Mean IoU of frames of the split validation; of pairs, of each half too."""
        ious: list[list[float]] = []
        for number in self.judged:
            assert self.validation is not None
            rgb, truth = self.validation.whole(number, self.size)
            ious.append([mask_iou(one >= 0.5, truth) for one in self._fold(rgb)])
        known = np.array([row for row in ious if not np.isnan(row).any()])
        if not len(known):
            return {}
        found = {"iou": float(known.mean())}
        if known.shape[1] == 2:
            found |= {"iou_simulated": float(known[:, 0].mean()), "iou_translated": float(known[:, 1].mean())}
        return found | {"score": found["iou"]}

    def pictures(self) -> Pictures:
        """Frames, their folds, and what was marked."""
        shown = self.validation or self.frames
        rows: dict[str, list[Tensor]] = {"frame": [], "folds": [], "marked": []}
        for number in shown.spread(SHOWN):
            rgb, truth = shown.whole(number, self.size)
            rows["frame"].append((rgb[-1] + 1) / 2)
            rows["folds"].append(torch.from_numpy(truth).float().expand(3, -1, -1))
            rows["marked"].append(torch.from_numpy(self._fold(rgb[-1:])[0]).expand(3, -1, -1))
        return frame_grid({name: torch.stack(row) for name, row in rows.items()})

    @torch.no_grad()
    def _fold(self, rgb: Tensor) -> Any:
        """Probability of a fold in each of some frames, one by one."""
        logits = torch.cat([self.network(one[None].to(self.device)).float().cpu() for one in rgb])
        return fold_and_touch(logits.numpy(), self.output)[0]


def _logits(network: nn.Module, rgb: Tensor, config: FoldSegmenterConfig) -> Tensor:
    """Logits (N V, 2, S, S) of frames in V versions; twins see each other where the network is one for pairs."""
    if config.arguments.get("temporal_mode", "per_image") == "per_image":
        frames = rgb.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        return network(frames).float()
    return network(rgb).float().flatten(0, 1)


def _architecture(config: FoldSegmenterConfig) -> dict[str, Any]:
    sizes = {} if config.network == "fold_unet" else {"image_size": config.frame_size}
    return {"name": config.network, "arguments": {**config.arguments, **sizes}}


def _optimiser(config: FoldSegmenterConfig, network: nn.Module) -> torch.optim.Optimizer:
    parameters, rate, decay = network.parameters(), config.learning_rate, config.weight_decay
    if config.optimiser == "sgd":
        return torch.optim.SGD(parameters, rate, momentum=MOMENTUM, weight_decay=decay)
    made = torch.optim.AdamW if config.optimiser == "adamw" else torch.optim.Adam
    return made(parameters, rate, weight_decay=decay)


def _schedule(config: FoldSegmenterConfig, optimiser: torch.optim.Optimizer) -> Any:
    if config.optimiser == "adam":
        return warm_up_and_cosine(optimiser, config.steps)
    return torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: max(0.0, 1 - step / config.steps) ** POWER)


def _check_settings(config: FoldSegmenterConfig, network: nn.Module) -> None:
    check_positive(config, "batch", "learning_rate", "validation_frames", "frame_size")
    for name in ("weight_decay", "touch_weight"):
        if not getattr(config, name) >= 0:
            raise UserError("out-of-range", f"{name} is {getattr(config, name)}.", f"Give {name}= 0 or more.")
    if len(config.data) == 2 and config.batch % 2:
        raise UserError("odd-batch", f"{config.batch} images cannot be pairs.", "Give batch= an even number.")
    if config.endo_fm is not None and config.network != "endofm_transunet":
        message = f"{config.network} cannot start from Endo-FM."
        raise UserError("other-network", message, "Give network=endofm_transunet, or leave endo_fm out.")
    if config.vit is not None and config.network != "transunet":
        message = f"{config.network} cannot start from the ImageNet weights of R50-ViT-B/16."
        raise UserError("other-network", message, "Give network=transunet, or leave vit out.")
    mode = config.arguments.get("temporal_mode", "per_image")
    if mode != "per_image" and (mode != "pair" or len(config.data) != 2):
        raise UserError(
            "temporal-mode",
            f"temporal_mode is {mode}, and data names {len(config.data)} folder(s).",
            "Train per_image, or as pair with two folders: simulated datasets, and the same translated.",
        )
    factor = int(network.factor)  # type: ignore[arg-type]
    for name, size in (("crops.size", config.crops.size), ("frame_size", config.frame_size)):
        if size % factor:
            raise UserError(
                "crop",
                f"{name} is {size}; {config.network} takes multiples of {factor} pixels.",
                f"Give {name}={max(1, size // factor) * factor}.",
            )
    if network.frame_size is not None and config.crops.size != config.frame_size:
        raise UserError(
            "crop",
            f"{config.network} sees one size only: crops.size is {config.crops.size}, frame_size {config.frame_size}.",
            f"Give crops.size={config.frame_size}.",
        )


def _said_of_data(frames: FoldFrames) -> str:
    looks = " and ".join(str(version[0]["appearance"]) for version in frames.versions)
    pairs = "pairs of frames" if len(frames.versions) == 2 else "frames"
    return f"{len(frames)} {pairs} of {len(frames.versions[0].datasets)} simulated colon(s): {looks}"
