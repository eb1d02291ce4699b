"""Score a depth network on simulated frames, whose depth is exact."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from inference_core.errors import UserError
from inference_core.evaluation.table import markdown
from inference_core.evaluation.translator import open_judges
from inference_core.simulation.colon.dataset.frames import ColonFrames

COLUMNS = {"abs_rel": ".3f", "rmse_mm": ".2f", "within_25_percent": ".3f", "scale": ".3f"}
"""As :func:`inference_core.training.depth_scores.depth_scores` names them, and how they are printed."""


def score_depth(simulated: Path, model: str, split: str | None, frames: int) -> str:
    """Errors of whole frames at the size that the network was trained on, as a table (Markdown).

    Parameters
    ----------
    simulated : Path
        Dataset, or folder of datasets.
    model : str
        Id or card of a model for depth.
    split : str, optional
        Only the datasets of this split; None: all.
    frames : int
        Of each dataset, spread over it.

    Raises
    ------
    UserError
        ``depth-unit`` for a network that knows no mm, or what reading raises.
    """
    judges = open_judges(model, None)
    import torch

    from inference_core.training.depth_scores import depth_scores

    if not judges.in_mm:
        raise UserError("depth-unit", f"{model} knows no mm.", "Give a model that inference-core train depth made.")
    columns: dict[str, list[str]] = {"dataset": [], "frames": [], **{name: [] for name in COLUMNS}}
    for folder in ColonFrames(simulated, split=split).datasets:
        dataset = ColonFrames(folder)
        numbers = np.linspace(0, len(dataset) - 1, min(frames, len(dataset))).round().astype(int)
        shown = [dataset[int(number)] for number in numbers]
        found = torch.from_numpy(np.stack([judges.depth(frame["rgb"]) for frame in shown]))[:, None]
        truth = torch.from_numpy(np.stack([frame["depth"] for frame in shown]))[:, None]
        seen = torch.from_numpy(np.stack([frame["visible"] for frame in shown]))[:, None].bool()
        scores = depth_scores(found, truth, (truth > 0) & seen)
        columns["dataset"].append(str(folder.relative_to(simulated)) if folder != simulated else folder.name)
        columns["frames"].append(str(len(shown)))
        for name, form in COLUMNS.items():
            columns[name].append(f"{scores[name]:{form}}" if scores else "-")
    return markdown(columns)
