"""Recipe ``depth_endoscopy``: learn depth in mm from simulated frames, whose depth is exact.

The network (:mod:`inference_core.models.networks.depth_net`) sees crops in looks that vary from frame to frame, so that
it goes by shapes and shading and not by the simulator's colours. It is trained by the scale-invariant log loss and the
L1 of the logarithm, and judges translations (:mod:`~inference_core.training.recipes.depth_cyclegan`).

    inference-core train depth --config depth simulated=SIM_DATASET out=runs/depth
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from inference_core.errors import UserError
from inference_core.models.frame_card import frame_card_text
from inference_core.models.networks import build_network
from inference_core.training.ct_folders import check_apart_from
from inference_core.training.depth_scores import depth_scores
from inference_core.training.endoscopy_data import SimulatedFrames, held_out, vary_look
from inference_core.training.frame_crops import CropConfig
from inference_core.training.frame_grid import depth_shades, frame_grid
from inference_core.training.frame_publish import publish_frames
from inference_core.training.loop import RunConfig, Task, check_positive, fit, update, warm_up_and_cosine
from inference_core.training.losses.log_depth import log_depth_l1
from inference_core.training.losses.silog import silog_loss
from inference_core.training.run_record import Pictures

SHOWN = 6  # frames in a row of pictures


@dataclass(frozen=True, kw_only=True)
class DepthEndoscopyConfig(RunConfig):
    """What one run is made of."""

    simulated: Path
    """Folder that simulate-colon wrote, or a folder of such folders; those of the split train are trained on, those of
    the split validation, where there are any, validated on."""
    crops: CropConfig = field(default_factory=CropConfig)
    batch: int = 8
    learning_rate: float = 1e-3
    """Of Adam; 100 steps of warm-up, then cosine to zero."""
    width: int = 16
    """Channels of the network at full resolution."""
    widest: int = 128
    """Channels at low resolution, at most."""
    scale_share: float = 0.5
    """Share of a wrong scale's charge that the scale-invariant loss lets off."""
    vary_look: bool = True
    """Give each frame brightness, colours and noise of its own."""
    validation_frames: int = 60
    title: str = "Depth of endoscopy frames"
    """For the model's card."""


def train(config: DepthEndoscopyConfig) -> None:
    """Run the recipe.

    Raises
    ------
    UserError
        Where there is nothing to train on, a value cannot work, or the run's folder holds another run.
    """
    check_apart_from(config.out, [config.simulated])
    fit(config, "depth_endoscopy", prepare)


def prepare(config: DepthEndoscopyConfig, fabric: Fabric) -> Task:
    """Read the data, make the network, and say what a step is."""
    check_positive(config, "batch", "learning_rate", "width", "widest", "validation_frames")
    if not 0 <= config.scale_share <= 1:
        raise UserError("out-of-range", f"scale_share is {config.scale_share}.", "Give a share from 0 to 1.")
    frames = SimulatedFrames(config.simulated, "train", config.crops)
    validation = held_out(config.simulated, config.crops)
    looked_at = validation.spread(config.validation_frames) if validation else None
    architecture = {"name": "depth_net", "arguments": {"width": config.width, "widest": config.widest}}
    made = build_network("depth_net", architecture["arguments"])  # type: ignore[arg-type]
    network, optimiser = fabric.setup(made, torch.optim.Adam(made.parameters(), config.learning_rate))

    def step(rng: np.random.Generator) -> dict[str, Tensor]:
        batch = frames.draw(config.batch, rng)
        rgb = vary_look(batch.rgb, rng) if config.vary_look else batch.rgb
        truth, known = batch.depth.to(fabric.device), batch.known.to(fabric.device)
        depth = network(rgb.to(fabric.device)).float()
        silog = silog_loss(depth, truth, known, scale_share=config.scale_share)
        log_l1 = log_depth_l1(depth, truth, known)
        update(fabric, silog + log_l1, config.clip, (network, optimiser))
        return {"silog": silog, "log_l1": log_l1}

    def estimated(rgb: Tensor) -> Tensor:
        return torch.cat([network(frame[None].to(fabric.device)).float().cpu() for frame in rgb])

    def scores() -> dict[str, float]:
        if looked_at is None:
            return {}
        found = depth_scores(estimated(looked_at.rgb), looked_at.depth, looked_at.known)
        return found | {"score": -found["abs_rel"]} if found else {}

    def pictures() -> Pictures:
        shown = (validation or frames).spread(SHOWN)
        found, true = depth_shades(estimated(shown.rgb)), depth_shades(shown.depth)
        return frame_grid({"frame": shown.rgb, "depth": found, "true depth": true})

    def publish(folder: Path) -> None:
        measured = {name: round(value, 4) for name, value in scores().items() if name != "score"}
        said = {
            "output": "depth along the camera's axis, mm",
            "training_data": f"{len(frames)} simulated frames of {len(frames.frames.datasets)} dataset(s), exact depth",
            "training_command": f"inference-core train depth --config {config.out / 'config.yaml'}",
            "metrics": {"definition": "on frames of the split validation, as docs/training.md says", **measured},
        }
        text = frame_card_text(config.out.name, config.title, "depth", architecture, (0, 1), config.crops.size, said)
        publish_frames(folder, network, text)

    return Task(
        networks={"depth": network},
        optimisers={"depth": optimiser},
        schedules={"depth": partial(warm_up_and_cosine, steps=config.steps)(optimiser)},
        step=step,
        publish=publish,
        validate=scores,
        pictures=pictures,
    )
