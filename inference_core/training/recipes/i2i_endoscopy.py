"""Recipe ``i2i_endoscopy``: unpaired image-to-image translation of frames by MUNIT that keeps their structure.

Pfeiffer et al., Generating large labeled data sets for laparoscopic image processing tasks using unpaired
image-to-image translation (MICCAI 2019): MUNIT (Huang, Liu, Belongie, Kautz, ECCV 2018) and a loss on the MS-SSIM
between a frame's brightness and its translation's.

    inference-core train translator --config i2i simulated=SIM_DATASET real=REAL_FOLDER out=runs/i2i
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from torch import Tensor, nn

from inference_core.errors import UserError
from inference_core.models.frame_card import frame_card_text
from inference_core.models.networks.munit_parts import MunitGenerator
from inference_core.models.networks.munit_translator import translator_of
from inference_core.training.ct_folders import check_apart_from
from inference_core.training.ct_task import BETAS
from inference_core.training.ct_unpaired import check_weights
from inference_core.training.endoscopy_data import RealFrames, SimulatedFrames
from inference_core.training.frame_crops import CropConfig, check_crops
from inference_core.training.frame_publish import publish_frames
from inference_core.training.loop import RunConfig, Task, check_positive, constant_then_linear, fit, update
from inference_core.training.losses.adversarial import lsgan_discriminator_loss, lsgan_generator_loss
from inference_core.training.losses.ms_ssim import Variant, structure_loss
from inference_core.training.networks.multiscale_discriminator import MultiscaleDiscriminator
from inference_core.training.translation_look import LookedAt, TranslationLook, signed, unsigned

STYLE_FRAMES = 64
"""Real frames whose mean style code the model keeps."""


@dataclass(frozen=True, kw_only=True)
class I2iEndoscopyConfig(RunConfig):
    """What one run is made of."""

    simulated: Path
    """Folder that simulate-colon wrote, or a folder of such folders; those of the split train are trained on."""
    real: Path
    """Folder of frames of one style, or what simulate-colon wrote in another look."""
    crops: CropConfig = field(default_factory=CropConfig)
    batch: int = 1
    learning_rate: float = 1e-4
    """Of Adam with betas 0.5 and 0.999."""
    weight_decay: float = 1e-4
    epochs: int = 200
    """Stairs of the learning rate: constant for the first half, then falling to zero."""
    width: int = 64
    """Channels of the generators at full resolution."""
    blocks: int = 4
    """Residual blocks of encoders and decoders."""
    style: int = 8
    """Numbers of a style code."""
    hidden: int = 256
    """Width of the network that reads a style code."""
    discriminator_width: int = 64
    scales: int = 3
    """Resolutions at which translations are judged."""
    weight_image: float = 10.0
    """Of a frame against what its own content and style give."""
    weight_cycle: float = 10.0
    weight_style: float = 1.0
    weight_content: float = 1.0
    weight_structure: float = 5.0
    """Of 1 - MS-SSIM between a simulated frame and its translation; 0: MUNIT."""
    weight_structure_back: float = 3.0
    """The same of real frames."""
    structure: Variant = "standard"
    """MS-SSIM as published, or as in the released code."""
    validation_frames: int = 40
    title: str = "Simulated endoscopy frames in another look (I2I: MUNIT with MS-SSIM)"
    """For the model's card."""


def train(config: I2iEndoscopyConfig) -> None:
    """Run the recipe.

    Raises
    ------
    UserError
        Where there is nothing to train on, a value cannot work, or the run's folder holds another run.
    """
    check_apart_from(config.out, [config.simulated, config.real])
    fit(config, "i2i_endoscopy", prepare)


def prepare(config: I2iEndoscopyConfig, fabric: Fabric) -> Task:
    """Read the data, make the networks, and say what a step is."""
    _check_settings(config)
    simulated_frames = SimulatedFrames(config.simulated, "train", config.crops)
    real_frames = RealFrames(config.real, config.crops)
    sizes = {"width": config.width, "style": config.style, "blocks": config.blocks, "hidden": config.hidden}
    both = _Generators(MunitGenerator(**sizes), MunitGenerator(**sizes))
    judges = _Judges(config.discriminator_width, config.scales)
    adam = partial(torch.optim.Adam, lr=config.learning_rate, betas=BETAS, weight_decay=config.weight_decay)
    parts = {
        "generators": fabric.setup(both, adam(both.parameters())),
        "judges": fabric.setup(judges, adam(judges.parameters())),
    }
    (generate, _), (judge, _) = parts.values()

    def step(rng: np.random.Generator) -> dict[str, Tensor]:
        simulated = signed(simulated_frames.draw(config.batch, rng).rgb.to(fabric.device))
        real = signed(real_frames.draw(config.batch, rng).to(fabric.device))
        drawn = torch.from_numpy(rng.standard_normal((2, config.batch, config.style))).to(real)
        judge.requires_grad_(False)
        made: _Made = generate(simulated, real, drawn[0], drawn[1])
        scores = judge(made.as_simulated, made.as_real)
        losses = {"adversarial": _sum([lsgan_generator_loss(one) for looks in scores for one in looks])}
        total = losses["adversarial"]
        for name, weight, loss in _charges(config, made, simulated, real, drawn):
            losses[name] = loss
            total = total + weight * loss
        update(fabric, total, config.clip, parts["generators"])
        judge.requires_grad_(True)
        real_scores = judge(simulated, real)
        fake_scores = judge(made.as_simulated.detach(), made.as_real.detach())
        pairs = [pair for looks in zip(real_scores, fake_scores, strict=True) for pair in zip(*looks, strict=True)]
        decided = _sum([lsgan_discriminator_loss(right, wrong) for right, wrong in pairs])
        update(fabric, decided, config.clip, parts["judges"])
        return losses | {"discriminators": decided}

    def style_of(look: MunitGenerator, frames: Tensor) -> Tensor:
        with torch.no_grad():
            codes = [look.enc_style(signed(frame[None].to(fabric.device))) for frame in frames]
        return torch.cat(codes).mean(0, keepdim=True)

    def translated(source: MunitGenerator, look: MunitGenerator, examples: Tensor, frames: Tensor) -> Tensor:
        style = style_of(look, examples).expand(len(frames), -1)
        return look.decode(source.enc_content(frames), style)

    frames = LookedAt(config.simulated, config.crops, config.validation_frames, simulated_frames, real_frames)
    real_examples, simulated_examples = real_frames.spread(STYLE_FRAMES), simulated_frames.spread(STYLE_FRAMES).rgb
    shown = TranslationLook(
        frames,
        fabric.device,
        lambda x: translated(both.simulated, both.real, real_examples, x),
        lambda x: translated(both.real, both.simulated, simulated_examples, x),
    )

    def publish(folder: Path) -> None:
        network = translator_of(sizes, both.simulated, both.real, style_of(both.real, real_examples))
        said = {
            "output": "RGB in the range of the input",
            "training_data": f"{len(simulated_frames)} simulated frames and {len(real_frames)} frames of the look to be"
            f" given, unpaired; the style is the mean of {len(real_examples)} of them",
            "training_command": f"inference-core train translator --config {config.out / 'config.yaml'}",
        }
        architecture = {"name": "munit_translator", "arguments": sizes}
        size = config.crops.size
        text = frame_card_text(config.out.name, config.title, "translate-frames", architecture, (-1, 1), size, said)
        publish_frames(folder, network, text)

    schedule = partial(constant_then_linear, steps=config.steps, epochs=config.epochs)
    return Task(
        networks={name: network for name, (network, _) in parts.items()},
        optimisers={name: optimiser for name, (_, optimiser) in parts.items()},
        schedules={name: schedule(optimiser) for name, (_, optimiser) in parts.items()},
        step=step,
        publish=publish,
        pictures=shown.pictures,
    )


class _Made(NamedTuple):
    """What the generators make of a simulated and a real batch; images (N, 3, H, W) in -1 ... 1."""

    simulated_again: Tensor
    real_again: Tensor
    as_real: Tensor
    as_simulated: Tensor
    simulated_cycle: Tensor
    real_cycle: Tensor
    contents: tuple[Tensor, Tensor]
    contents_again: tuple[Tensor, Tensor]
    styles_again: tuple[Tensor, Tensor]


class _Generators(nn.Module):
    """The generators of both looks; one call makes all that a step needs."""

    def __init__(self, simulated: MunitGenerator, real: MunitGenerator) -> None:
        super().__init__()
        self.simulated, self.real = simulated, real

    def forward(self, simulated: Tensor, real: Tensor, style_simulated: Tensor, style_real: Tensor) -> _Made:
        look, other = self.simulated, self.real
        content, content_real = look.enc_content(simulated), other.enc_content(real)
        style, own_style_real = look.enc_style(simulated), other.enc_style(real)
        as_real = other.decode(content, style_real)
        as_simulated = look.decode(content_real, style_simulated)
        content_again, content_real_again = other.enc_content(as_real), look.enc_content(as_simulated)
        return _Made(
            simulated_again=look.decode(content, style),
            real_again=other.decode(content_real, own_style_real),
            as_real=as_real,
            as_simulated=as_simulated,
            simulated_cycle=look.decode(content_again, style),
            real_cycle=other.decode(content_real_again, own_style_real),
            contents=(content, content_real),
            contents_again=(content_again, content_real_again),
            styles_again=(look.enc_style(as_simulated), other.enc_style(as_real)),
        )


class _Judges(nn.Module):
    """A discriminator of each look."""

    def __init__(self, width: int, scales: int) -> None:
        super().__init__()
        self.simulated, self.real = MultiscaleDiscriminator(width, scales), MultiscaleDiscriminator(width, scales)

    def forward(self, simulated: Tensor, real: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        return self.simulated(simulated), self.real(real)


def _sum(losses: list[Tensor]) -> Tensor:
    """Of scalars."""
    return torch.stack(losses).sum()


def _charges(
    config: I2iEndoscopyConfig, made: _Made, simulated: Tensor, real: Tensor, drawn: Tensor
) -> Iterator[tuple[str, float, Tensor]]:
    """Name, weight and value of each loss but the adversarial one."""
    image = F.l1_loss(made.simulated_again, simulated) + F.l1_loss(made.real_again, real)
    yield "image", config.weight_image, image
    yield "cycle", config.weight_cycle, F.l1_loss(made.simulated_cycle, simulated) + F.l1_loss(made.real_cycle, real)
    codes = zip(made.styles_again, drawn, strict=True)
    yield "style", config.weight_style, _sum([F.l1_loss(code, style.to(code)) for code, style in codes])
    contents = zip(made.contents_again, made.contents, strict=True)
    yield "content", config.weight_content, _sum([F.l1_loss(again, once) for again, once in contents])
    ways = [
        ("structure", config.weight_structure, simulated, made.as_real),
        ("structure_back", config.weight_structure_back, real, made.as_simulated),
    ]
    for name, weight, before, after in ways:
        if weight:
            # In float32: windows of a flat place have a variance that half precision cannot tell from 0.
            yield name, weight, structure_loss(unsigned(before), unsigned(after.float()), config.structure)


def _check_settings(config: I2iEndoscopyConfig) -> None:
    check_positive(config, "batch", "learning_rate", "epochs", "width", "blocks", "style", "hidden")
    check_positive(config, "discriminator_width", "scales", "validation_frames")
    check_crops(config.crops)
    check_weights(config, "weight_image", "weight_cycle", "weight_style", "weight_content", "weight_structure")
    check_weights(config, "weight_structure_back", "weight_decay")
    least = 2 ** (config.scales + 3)  # four halvings of the coarsest picture, each with a mirrored border
    if config.crops.size < least:
        raise UserError(
            "crop",
            f"Crops of {config.crops.size} pixels are too small for {config.scales} scales.",
            f"Give crops.size={least} or more, or fewer scales.",
        )
    if config.select == "best":
        raise UserError("no-score", "A translation by I2I has no score to choose weights by.", "Give select=last.")
