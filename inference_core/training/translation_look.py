"""How a translation does, while it is trained, on frames that it was not trained on, where there are any."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from inference_core.training.depth_scores import depth_scores
from inference_core.training.endoscopy_data import RealFrames, SimulatedFrames, held_out
from inference_core.training.frame_crops import CropConfig
from inference_core.training.frame_grid import frame_grid
from inference_core.training.frozen_depth import FrozenDepth
from inference_core.training.run_record import Pictures

SHOWN = 6  # frames in a row of pictures

Translation = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class LookedAt:
    """The frames.

    Attributes
    ----------
    folder : Path
        Of the simulated ones; its split validation is looked at where it has one, else frames of training.
    crops : CropConfig
    count : int
        Frames that are scored.
    simulated : SimulatedFrames
        Of training.
    real : RealFrames
    """

    folder: Path
    crops: CropConfig
    count: int
    simulated: SimulatedFrames
    real: RealFrames


class TranslationLook:
    """Depth errors and pictures of both directions.

    Parameters
    ----------
    frames : LookedAt
    device : torch.device
    to_real, to_simulated : callable
        (N, 3, H, W) in -1 ... 1 to the same.
    depth_of : FrozenDepth, optional
        Without it there are no scores.
    """

    def __init__(
        self,
        frames: LookedAt,
        device: torch.device,
        to_real: Translation,
        to_simulated: Translation,
        depth_of: FrozenDepth | None = None,
    ) -> None:
        validation = held_out(frames.folder, frames.crops)
        self.device = device
        self.to_real, self.to_simulated, self.depth_of = to_real, to_simulated, depth_of
        self.judged = validation.spread(frames.count) if validation and depth_of else None
        self.simulated = (validation or frames.simulated).spread(SHOWN).rgb
        self.real = frames.real.spread(SHOWN)

    def scores(self) -> dict[str, float]:
        """Depth errors (mm against truth) of frames as they are, and of their translations; no score to choose by.

        The depth network is the one that the translation was trained with: it would choose what fools it.
        """
        if self.judged is None or self.depth_of is None or self.depth_of.unit != "mm":
            return {}
        found: dict[str, float] = {}
        for name, frames in (("simulated", self.judged.rgb), ("translated", self._through(self.to_real))):
            depth = self.depth_of(frames.to(self.device)).cpu()
            errors = depth_scores(depth, self.judged.depth, self.judged.known)
            found |= {f"{name}_{kind}": errors[kind] for kind in ("abs_rel", "scale") if errors}
        return found

    def rounded_scores(self) -> dict[str, float]:
        """For the card."""
        return {name: round(value, 4) for name, value in self.scores().items()}

    def pictures(self) -> Pictures:
        """Both ways and back."""
        made_real = self._one_by_one(self.to_real, self.simulated)
        made_simulated = self._one_by_one(self.to_simulated, self.real)
        return frame_grid({
            "simulated": self.simulated,
            "simulated to real": made_real,
            "and back": self._one_by_one(self.to_simulated, made_real),
            "real": self.real,
            "real to simulated": made_simulated,
            "and back ": self._one_by_one(self.to_real, made_simulated),
        })  # fmt: skip

    def _through(self, network: Translation) -> Tensor:
        assert self.judged is not None
        return self._one_by_one(network, self.judged.rgb)

    def _one_by_one(self, network: Translation, frames: Tensor) -> Tensor:
        return torch.cat([unsigned(network(signed(f[None].to(self.device))).float().cpu()) for f in frames])


def signed(frames: Tensor) -> Tensor:
    """From 0 ... 1 to -1 ... 1, which the networks see."""
    return 2 * frames - 1


def unsigned(frames: Tensor) -> Tensor:
    """The other way."""
    return (frames + 1) / 2
