"""How far depth maps are from the true ones, by the usual measures.

Source: Eigen, Puhrsch, Fergus (NeurIPS 2014), section 4; each is the mean over frames of a frame's own value.
"""

from __future__ import annotations

import torch
from torch import Tensor


def depth_scores(predicted: Tensor, target: Tensor, known: Tensor) -> dict[str, float]:
    """Errors of depth in mm.

    Parameters
    ----------
    predicted, target : (N, 1, H, W) tensors
        mm, predicted > 0.
    known : (N, 1, H, W) bool tensor
        Pixels that count; a frame that has none is left out.

    Returns
    -------
    dict
        ``abs_rel`` (mean of the error over the true depth), ``rmse_mm``, ``within_25_percent`` (share of pixels whose
        depth is less than a factor of 1.25 off), ``scale`` (geometric mean of predicted over true depth).
    """
    rows = []
    for p, t, k in zip(predicted, target, known, strict=True):
        if k.any():
            p, t = p[k].double(), t[k].double()
            ratio = p / t
            rows.append(
                torch.stack([
                    (ratio - 1).abs().mean(),
                    (p - t).square().mean().sqrt(),
                    (torch.maximum(ratio, 1 / ratio) < 1.25).double().mean(),
                    ratio.log().mean(),
                ])
            )  # fmt: skip
    if not rows:
        return {}
    abs_rel, rmse, within, log_scale = torch.stack(rows).mean(dim=0).tolist()
    scale = torch.tensor(log_scale).exp().item()
    return {"abs_rel": abs_rel, "rmse_mm": rmse, "within_25_percent": within, "scale": scale}
