"""``inference-core evaluate depth``: how far a depth network is from the exact depth of simulated frames."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from inference_core.errors import UserError


def depth(
    simulated: Path | None = None,
    model: list[str] | None = None,
    split: Literal["train", "validation", "test", "all"] = "test",
    frames: int = 60,
) -> None:
    """Print the errors of depth networks on whole simulated frames, a line a dataset.

    Args:
        simulated: Dataset that simulate-colon wrote, or a folder of such datasets.
        model: Models for depth that know mm, ids or cards; by default colon-depth.
        split: Colons of this split; no model should have been trained on them.
        frames: Of each dataset, spread over it.
    """
    if simulated is None:
        raise UserError("what-to-score", "There is nothing to compare with.", "Give --simulated, a dataset's folder.")
    if frames < 1:
        raise UserError("frames", f"{frames} frames cannot be scored.", "Give 1 or more; 60 is usual.")
    from inference_core.evaluation.depth import score_depth

    for name in model or ["colon-depth"]:
        table = score_depth(simulated, name, None if split == "all" else split, frames)
        print(f"{name}\n\n{table}\n")
