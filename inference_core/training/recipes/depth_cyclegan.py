"""Recipe ``depth_cyclegan``: give simulated frames the look of real ones and leave every fold where it is.

Tomasini, Riazuelo, Murillo (SASHIMI 2024): CycleGAN (Zhu, Park, Isola, Efros, ICCV 2017) between simulated and real
frames, and a depth network with fixed weights, whose depth of the translated frame must be the true depth of the
simulated one (equation (1)). With ``weight_depth=0`` it is CycleGAN.

    inference-core train translator --config depth_cyclegan simulated=SIM_DATASET real=REAL_FOLDER out=runs/translator
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from torch import Tensor, nn

from inference_core.errors import UserError
from inference_core.models.frame_card import frame_card_text
from inference_core.models.networks import build_network
from inference_core.models.networks.resnet_generator import Enlarge
from inference_core.training.ct_folders import check_apart_from
from inference_core.training.ct_task import BETAS
from inference_core.training.ct_unpaired import check_weights
from inference_core.training.endoscopy_data import RealFrames, SimulatedFrames
from inference_core.training.frame_crops import CropConfig, check_crops
from inference_core.training.frame_publish import publish_frames
from inference_core.training.frozen_depth import FrozenDepth, fitting_size, open_frozen_depth
from inference_core.training.image_pool import ImagePool
from inference_core.training.loop import RunConfig, Task, check_positive, constant_then_linear, fit, update
from inference_core.training.losses.adversarial import lsgan_discriminator_loss, lsgan_generator_loss
from inference_core.training.losses.silog import Variant, silog_loss
from inference_core.training.networks.patchgan70 import PatchGan70
from inference_core.training.translation_look import LookedAt, TranslationLook, signed, unsigned


@dataclass(frozen=True, kw_only=True)
class DepthCycleGanConfig(RunConfig):
    """What one run is made of."""

    simulated: Path
    """Folder that simulate-colon wrote, or a folder of such folders; those of the split train are trained on."""
    real: Path
    """Folder of frames of one style: colonoscopy, NBI, laparoscopy; or what simulate-colon wrote in another look."""
    depth_model: str = "colon-depth"
    """Depth network: id or card of a model for depth, a checkpoint of DispResNet (.pth.tar), or a folder of a Depth
    Anything model."""
    depth_size: int | None = None
    """Side of the square that the depth network sees, pixels; by default the crop as it is (Depth Anything: 252)."""
    weight_depth: float = 1.0
    """Of the depth loss; 0: CycleGAN, no depth network is opened."""
    depth_loss: Variant = "paper"
    scale_share: float = 0.5
    """Share of a wrong scale's charge that the depth loss lets off: 1 where the depth network knows no mm."""
    crops: CropConfig = field(default_factory=CropConfig)
    batch: int = 1
    learning_rate: float = 2e-4
    """Of Adam with betas 0.5 and 0.999."""
    epochs: int = 200
    """Stairs of the learning rate: constant for the first half, then falling to zero."""
    width: int = 64
    """Channels of the generators at full resolution."""
    blocks: int = 9
    """Residual blocks of the generators."""
    enlarge: Enlarge = "transposed"
    """How the generators double the sides: transposed convolution, or resize and convolution (no checkerboard)."""
    skip: bool = False
    """Whether the generators' last layer sees the frame beside the features: edges and brightness are kept sooner."""
    discriminator_width: int = 64
    """Channels of the discriminators' first layer."""
    weight_cycle: float = 10.0
    weight_identity: float = 5.0
    pool: int = 50
    """Generated frames of each kind that are kept for the discriminators; 0: only the newest are judged."""
    validation_frames: int = 40
    title: str = "Simulated endoscopy frames in another look"
    """For the model's card."""


def train(config: DepthCycleGanConfig) -> None:
    """Run the recipe.

    Raises
    ------
    UserError
        Where there is nothing to train on, a value cannot work, or the run's folder holds another run.
    """
    check_apart_from(config.out, [config.simulated, config.real])
    fit(config, "depth_cyclegan", prepare)


def prepare(config: DepthCycleGanConfig, fabric: Fabric) -> Task:
    """Read the data, make the networks, and say what a step is."""
    _check_settings(config)
    depth_of = _judge_of_depth(config, fabric)
    simulated_frames = SimulatedFrames(config.simulated, "train", config.crops)
    real_frames = RealFrames(config.real, config.crops)
    if real_frames.left_out:
        fabric.print(f"{len(real_frames.left_out)} real frames left out: borders or text leave no place for a crop.")
    sizes: dict[str, Any] = {"width": config.width, "blocks": config.blocks, "channels": 3, "enlarge": config.enlarge}
    sizes |= {"tanh": True, "skip": config.skip}
    architecture = {"name": "resnet_generator", "arguments": sizes}

    def made(network: nn.Module) -> tuple[nn.Module, torch.optim.Optimizer]:
        return fabric.setup(network, torch.optim.Adam(network.parameters(), config.learning_rate, betas=BETAS))

    parts = {
        "simulated_to_real": made(build_network("resnet_generator", sizes)),
        "real_to_simulated": made(build_network("resnet_generator", sizes)),
        "judge_real": made(PatchGan70(channels=3, width=config.discriminator_width)),
        "judge_simulated": made(PatchGan70(channels=3, width=config.discriminator_width)),
    }
    (to_real, _), (to_simulated, _), (judge_real, _), (judge_simulated, _) = parts.values()
    pools = {"pool_real": ImagePool(config.pool), "pool_simulated": ImagePool(config.pool)}

    def step(rng: np.random.Generator) -> dict[str, Tensor]:
        batch = simulated_frames.draw(config.batch, rng)
        simulated = signed(batch.rgb.to(fabric.device))
        real = signed(real_frames.draw(config.batch, rng).to(fabric.device))
        judge_real.requires_grad_(False)
        judge_simulated.requires_grad_(False)
        made_real, made_simulated = to_real(simulated), to_simulated(real)
        adversarial = lsgan_generator_loss(judge_real(made_real))
        adversarial = adversarial + lsgan_generator_loss(judge_simulated(made_simulated))
        cycle = F.l1_loss(to_simulated(made_real), simulated) + F.l1_loss(to_real(made_simulated), real)
        losses = {"adversarial": adversarial, "cycle": cycle}
        total = adversarial + config.weight_cycle * cycle
        if config.weight_identity:
            losses["identity"] = F.l1_loss(to_real(real), real) + F.l1_loss(to_simulated(simulated), simulated)
            total = total + config.weight_identity * losses["identity"]
        if depth_of:
            depth, truth, known = depth_of(unsigned(made_real.float())), batch.depth, batch.known
            losses["depth"] = silog_loss(
                depth, truth.to(depth), known.to(depth.device), config.depth_loss, config.scale_share
            )
            total = total + config.weight_depth * losses["depth"]
        update(fabric, total, config.clip, parts["simulated_to_real"], parts["real_to_simulated"])
        judge_real.requires_grad_(True)
        judge_simulated.requires_grad_(True)
        seen_real, seen_simulated = (
            pool.exchange(frames, rng) for pool, frames in zip(pools.values(), (made_real, made_simulated), strict=True)
        )
        decided = lsgan_discriminator_loss(judge_real(real), judge_real(seen_real))
        decided = decided + lsgan_discriminator_loss(judge_simulated(simulated), judge_simulated(seen_simulated))
        update(fabric, decided, config.clip, parts["judge_real"], parts["judge_simulated"])
        return losses | {"discriminators": decided}

    shown = LookedAt(config.simulated, config.crops, config.validation_frames, simulated_frames, real_frames)
    look = TranslationLook(shown, fabric.device, to_real, to_simulated, depth_of)

    def publish(folder: Path) -> None:
        said = {
            "output": "RGB in the range of the input",
            "training_data": f"{len(simulated_frames)} simulated frames with exact depth and {len(real_frames)} frames"
            " of the look to be given, unpaired",
            "training_command": f"inference-core train translator --config {config.out / 'config.yaml'}",
            "metrics": {"definition": "by the depth network that it was trained with", **look.rounded_scores()},
        }
        size = config.crops.size
        text = frame_card_text(config.out.name, config.title, "translate-frames", architecture, (-1, 1), size, said)
        publish_frames(folder, to_real, text)

    schedule = partial(constant_then_linear, steps=config.steps, epochs=config.epochs)
    return Task(
        networks={name: network for name, (network, _) in parts.items()},
        optimisers={name: optimiser for name, (_, optimiser) in parts.items()},
        schedules={name: schedule(optimiser) for name, (_, optimiser) in parts.items()},
        step=step,
        publish=publish,
        validate=look.scores,
        pictures=look.pictures,
        own={**pools},
    )


def _judge_of_depth(config: DepthCycleGanConfig, fabric: Fabric) -> FrozenDepth | None:
    if not config.weight_depth:
        return None
    frozen = open_frozen_depth(config.depth_model, config.depth_size)
    if config.depth_size is None and frozen.size is None:
        fitting_size(config.crops.size, frozen.factor)
    return frozen.to(fabric.device)


def _check_settings(config: DepthCycleGanConfig) -> None:
    check_positive(config, "batch", "learning_rate", "epochs", "width", "blocks", "discriminator_width")
    check_positive(config, "validation_frames")
    check_crops(config.crops)
    check_weights(config, "weight_depth", "weight_cycle", "weight_identity", "pool")
    if not 0 <= config.scale_share <= 1:
        raise UserError("out-of-range", f"scale_share is {config.scale_share}.", "Give a share from 0 to 1.")
    if config.select == "best":
        message = "A translation has no score to choose weights by: its depth network would choose what fools it."
        raise UserError("no-score", message, "Give select=last.")
