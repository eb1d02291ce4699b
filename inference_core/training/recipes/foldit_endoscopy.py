"""Recipe ``foldit_endoscopy``: FoldIt, a segmenter of folds learned by translation of unpaired frames.

Mathew, Nadeem, Kaufman, FoldIt: haustral folds detection and segmentation in colonoscopy videos (MICCAI 2021). Four
generators (real to simulated and back, each to simulated with painted folds), tied by what two ways to the same picture
must agree on.

    inference-core train segmenter --config foldit simulated=SIM_DATASET real=REAL_FOLDER out=runs/foldit
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
from inference_core.models.networks.foldit_segmenter import FolditSegmenter, overlay
from inference_core.models.networks.resnet_generator import Enlarge, ResnetGenerator
from inference_core.training.ct_folders import check_apart_from
from inference_core.training.ct_task import BETAS
from inference_core.training.ct_unpaired import check_weights
from inference_core.training.endoscopy_data import RealFrames, SimulatedFrames, held_out
from inference_core.training.frame_crops import CropConfig, check_crops
from inference_core.training.frame_grid import frame_grid
from inference_core.training.frame_publish import publish_frames
from inference_core.training.loop import RunConfig, Task, check_positive, constant_then_linear, fit, update
from inference_core.training.losses.adversarial import lsgan_discriminator_loss, lsgan_generator_loss
from inference_core.training.networks.patchgan70 import PatchGan70
from inference_core.training.run_record import Pictures
from inference_core.training.translation_look import SHOWN, signed, unsigned

WAYS = ("real_to_simulated", "simulated_to_real", "real_to_painted", "simulated_to_painted")


@dataclass(frozen=True, kw_only=True)
class FolditEndoscopyConfig(RunConfig):
    """What one run is made of."""

    simulated: Path
    """Folder that simulate-colon wrote, or a folder of such folders; those of the split train are trained on."""
    real: Path
    """Folder of frames of one style, or what simulate-colon wrote in another look; their labels are not read."""
    crops: CropConfig = field(default_factory=CropConfig)
    batch: int = 1
    learning_rate: float = 2e-4
    """Of Adam with betas 0.5 and 0.999."""
    epochs: int = 200
    """Stairs of the learning rate: constant for the first half, then falling to zero."""
    width: int = 80
    """Channels of the generators at full resolution."""
    blocks: int = 9
    enlarge: Enlarge = "transposed"
    skip: bool = False
    """Whether the generators' last layer sees the frame beside the features."""
    discriminator_width: int = 64
    weight_transitive: float = 10.0
    """Of two ways to one painted frame."""
    weight_truth: float = 10.0
    """Of painted simulated frames against the exact folds."""
    weight_identity: float = 1.0
    frame_size: int = 256
    """Short side, pixels, at which the model is to see whole frames."""
    title: str = "Folds in endoscopy frames (FoldIt)"
    """For the model's card."""


def train(config: FolditEndoscopyConfig) -> None:
    """Run the recipe.

    Raises
    ------
    UserError
        Where there is nothing to train on, a value cannot work, or the run's folder holds another run.
    """
    check_apart_from(config.out, [config.simulated, config.real])
    fit(config, "foldit_endoscopy", prepare)


def prepare(config: FolditEndoscopyConfig, fabric: Fabric) -> Task:
    """Read the data, make the networks, and say what a step is."""
    _check_settings(config)
    simulated_frames = SimulatedFrames(config.simulated, "train", config.crops)
    real_frames = RealFrames(config.real, config.crops)
    sizes: dict[str, Any] = {"width": config.width, "blocks": config.blocks, "enlarge": config.enlarge}
    sizes |= {"skip": config.skip}

    def made(network: nn.Module) -> tuple[nn.Module, torch.optim.Optimizer]:
        return fabric.setup(network, torch.optim.Adam(network.parameters(), config.learning_rate, betas=BETAS))

    generators = {way: made(ResnetGenerator(channels=3, tanh=True, **sizes)) for way in WAYS}
    judges = {f"judge_{way}": made(PatchGan70(channels=3, width=config.discriminator_width)) for way in WAYS}
    parts = generators | judges
    to_simulated, to_real, paint_real, paint_simulated = (network for network, _ in generators.values())

    def step(rng: np.random.Generator) -> dict[str, Tensor]:
        batch = simulated_frames.draw(config.batch, rng)
        simulated = signed(batch.rgb.to(fabric.device))
        real = signed(real_frames.draw(config.batch, rng).to(fabric.device))
        truth = overlay(simulated, batch.fold.to(fabric.device))
        for judge, _ in judges.values():
            judge.requires_grad_(False)
        made_simulated, made_real = to_simulated(real), to_real(simulated)
        painted, painted_simulated = paint_real(real), paint_simulated(simulated)
        given = {
            "real_to_simulated": (made_simulated, simulated),
            "simulated_to_real": (made_real, real),
            "real_to_painted": (painted, truth),
            "simulated_to_painted": (painted_simulated, truth),
        }
        scores = [lsgan_generator_loss(judges[f"judge_{way}"][0](fake)) for way, (fake, _) in given.items()]
        transitive = F.l1_loss(paint_simulated(made_simulated), painted)
        losses = {
            "adversarial": torch.stack(scores).sum(),
            "transitive": transitive + F.l1_loss(paint_real(made_real), painted_simulated),
            "truth": F.l1_loss(painted_simulated, truth),
            "identity": F.l1_loss(paint_real(truth), truth) + F.l1_loss(paint_simulated(truth), truth),
        }
        total = losses["adversarial"] + config.weight_transitive * losses["transitive"]
        total = total + config.weight_truth * losses["truth"] + config.weight_identity * losses["identity"]
        update(fabric, total, config.clip, *generators.values())
        decided = []
        for way, (fake, right) in given.items():
            judge = judges[f"judge_{way}"][0]
            judge.requires_grad_(True)
            decided.append(lsgan_discriminator_loss(judge(right), judge(fake.detach())))
        losses["discriminators"] = torch.stack(decided).sum()
        update(fabric, losses["discriminators"], config.clip, *judges.values())
        return losses

    validation = held_out(config.simulated, config.crops)
    shown_simulated, shown_real = (validation or simulated_frames).spread(SHOWN), real_frames.spread(SHOWN)

    @torch.no_grad()
    def one_by_one(network: nn.Module, frames: Tensor) -> Tensor:
        return torch.cat([unsigned(network(signed(f[None].to(fabric.device))).float().cpu()) for f in frames])

    def pictures() -> Pictures:
        return frame_grid({
            "simulated": shown_simulated.rgb,
            "true folds": unsigned(overlay(signed(shown_simulated.rgb), shown_simulated.fold)),
            "painted": one_by_one(paint_simulated, shown_simulated.rgb),
            "real": shown_real,
            "real to simulated": one_by_one(to_simulated, shown_real),
            "painted ": one_by_one(paint_real, shown_real),
        })  # fmt: skip

    def publish(folder: Path) -> None:
        network = FolditSegmenter(**sizes)
        network.painter.load_state_dict(paint_real.state_dict())
        said = {
            "output": "classes",
            "training_data": f"{len(simulated_frames)} simulated frames with exact folds and {len(real_frames)} frames"
            " of the look to be segmented, unpaired and without labels",
            "training_command": f"inference-core train segmenter --config {config.out / 'config.yaml'}",
        }
        architecture = {"name": "foldit_segmenter", "arguments": sizes}
        size = config.frame_size
        text = frame_card_text(config.out.name, config.title, "segment-folds", architecture, (-1, 1), size, said)
        publish_frames(folder, network, text)

    schedule = partial(constant_then_linear, steps=config.steps, epochs=config.epochs)
    return Task(
        networks={name: network for name, (network, _) in parts.items()},
        optimisers={name: optimiser for name, (_, optimiser) in parts.items()},
        schedules={name: schedule(optimiser) for name, (_, optimiser) in parts.items()},
        step=step,
        publish=publish,
        pictures=pictures,
    )


def _check_settings(config: FolditEndoscopyConfig) -> None:
    check_positive(config, "batch", "learning_rate", "epochs", "width", "blocks", "discriminator_width", "frame_size")
    check_crops(config.crops)
    check_weights(config, "weight_transitive", "weight_truth", "weight_identity")
    if config.select == "best":
        raise UserError("no-score", "FoldIt has no score to choose weights by.", "Give select=last.")
